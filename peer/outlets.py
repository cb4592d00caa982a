"""Listeners over HTTP and WebSocket: sessions of their own, and taps that copy a live call.

Know no WebRTC. Nothing here touches a disk: one RIFF header, then samples until someone leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import orjson
from aiohttp import WSMsgType, web

from .core.errors import Refusal
from .core.messages import MAX_MESSAGE, Say, decode, parse, request_id
from .session import Session
from .switchboard import Line, Switchboard
from .wav import MEDIA_TYPE, header

SURFACE_HTTP = "http"
SURFACE_SOCKET = "websocket"
OUTBOX = 256
"""Events that wait for a WebSocket; a client that reads none of them is cut off."""


async def frames(session: Session) -> AsyncIterator[bytes]:
    """What an unclocked session speaks, 20 ms s16le at a time, until it has nothing more to say."""
    n = 0
    while True:
        await session.wake()
        pull = session.read_frame(n)
        n += 1
        if pull.pcm is not None:
            yield pull.pcm.tobytes()
        if session.peer.finished:
            return


async def say_wav(request: web.Request, board: Switchboard, say: Say) -> web.StreamResponse:
    """One chunked WAV of one text. Synthesis stops when the listener leaves."""
    line = board.open(clocked=False)
    response = web.StreamResponse(headers=_audio_headers())
    try:
        refusals: list[Mapping[str, object]] = []
        line.session.submit(say, SURFACE_HTTP, refusals.append)
        _raise_refused(refusals)
        await response.prepare(request)
        await response.write(header())
        if not line.session.peer.finished:
            async for data in frames(line.session):
                await response.write(data)
        await response.write_eof()
    except (ConnectionResetError, asyncio.CancelledError) as left:
        board.end(line, "listener left")
        if isinstance(left, asyncio.CancelledError):
            raise
    finally:
        board.end(line, "said")
    return response


def _audio_headers() -> dict[str, str]:
    return {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def _raise_refused(answers: list[Mapping[str, object]]) -> None:
    for answer in answers:
        result = answer.get("result")
        if isinstance(result, Mapping):
            found = result["refusal"]
            raise Refusal(found["code"], found["field"], found["remedy"])


async def tap_wav(request: web.Request, session: Session) -> web.StreamResponse:
    """What a live call hears, copied as it leaves; a listener that is too slow is dropped."""
    queue = session.tap()
    response = web.StreamResponse(headers=_audio_headers())
    try:
        await response.prepare(request)
        await response.write(header())
        while (data := await queue.get()) is not None:
            await response.write(data)
        await response.write_eof()
    except ConnectionResetError:
        pass  # the listener left: nothing is owed to it
    finally:
        session.untap(queue)
    return response


async def say_socket(request: web.Request, board: Switchboard) -> web.StreamResponse:
    """Requests in, binary PCM frames and JSON events out; a session of its own."""
    socket = web.WebSocketResponse(max_msg_size=board.config.limits.websocket_bytes, heartbeat=20.0)
    line = board.open(clocked=False)
    try:
        await socket.prepare(request)
        async with asyncio.TaskGroup() as tasks:
            outbox: asyncio.Queue[Mapping[str, object]] = asyncio.Queue(OUTBOX)
            speaker = tasks.create_task(_speak(socket, line.session))
            teller = tasks.create_task(_tell(socket, outbox))
            stop = line.session.subscribe(lambda event: _post(outbox, event))
            _post(outbox, {"event": "hello", **line.session.hello()})
            await _hear(socket, line, outbox)
            stop()
            speaker.cancel()
            teller.cancel()
    finally:
        board.end(line, "socket closed")
        await socket.close()
    return socket


async def _hear(socket: web.WebSocketResponse, line: Line, outbox: asyncio.Queue[Mapping[str, object]]) -> None:
    async for message in socket:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        value: Mapping[str, object] = {}
        try:
            value = decode(message.data, MAX_MESSAGE)
            line.session.submit(parse(value), SURFACE_SOCKET, lambda answer: _post(outbox, answer))
        except Refusal as refusal:
            _post(outbox, {"id": _ident(value), "result": {"refusal": refusal.to_wire()}})


def _ident(value: Mapping[str, object]) -> str | None:
    try:
        return request_id(value)
    except Refusal:
        return None


def _post(outbox: asyncio.Queue[Mapping[str, object]], item: Mapping[str, object]) -> None:
    """Who does not read has its oldest events dropped: the sound itself is never dropped."""
    if outbox.full():
        outbox.get_nowait()
    outbox.put_nowait(item)


async def _tell(socket: web.WebSocketResponse, outbox: asyncio.Queue[Mapping[str, object]]) -> None:
    while not socket.closed:
        await socket.send_str(orjson.dumps(await outbox.get()).decode())


async def _speak(socket: web.WebSocketResponse, session: Session) -> None:
    n = 0
    while not socket.closed:
        await session.wake()
        pull = session.read_frame(n)
        n += 1
        if pull.pcm is not None:
            await socket.send_bytes(pull.pcm.tobytes())
