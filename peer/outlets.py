"""Listeners over HTTP and WebSocket: sessions of their own, and taps that copy a live call.

Know no WebRTC. Nothing here touches a disk: one RIFF header, then samples until someone leaves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from .channel import Bucket, Lane, lane_of
from .core.errors import Refusal
from .core.messages import MAX_MESSAGE, Playout, Say, decode, parse, request_id
from .session import Session
from .switchboard import Switchboard
from .taps import TAP_FRAMES
from .wav import MEDIA_TYPE, header

SURFACE_HTTP = "http"
SURFACE_SOCKET = "websocket"
OUTBOX = 256
"""Responses and events that wait for a WebSocket; a client that reads none of them is cut off."""
MAX_VIOLATIONS = 500
"""Refused messages before a WebSocket is closed, as on the data channel."""
TURN_FRAMES = 5
"""After so many frames the loop serves the others: an engine may be hundreds of times faster than life."""


class Left(Exception):
    """The listener takes nothing any more."""


async def frames(session: Session) -> AsyncIterator[bytes]:
    """What an unclocked session speaks, 20 ms s16le at a time, until it has nothing more to say or is over."""
    while True:
        await session.until(lambda: session.peer.ready or session.peer.finished or session.closed)
        if session.closed or (session.peer.finished and not session.peer.ready):
            return
        pull = session.read_frame(session.now)
        if pull.pcm is not None:
            yield pull.pcm.tobytes()
        if pull.n % TURN_FRAMES == 0:
            await asyncio.sleep(0)


async def _taken(work: Awaitable[None], limit_s: float) -> None:
    """A write that the listener takes within `limit_s`. Raises Left."""
    try:
        async with asyncio.timeout(limit_s):
            await work
    except (TimeoutError, ConnectionError) as gone:
        raise Left from gone


async def say_wav(request: web.Request, board: Switchboard, say: Say) -> web.StreamResponse:
    """One chunked WAV of one text. Synthesis stops when the listener leaves."""
    line = board.open(clocked=False)
    reason = "listener left"
    try:
        answers: list[Mapping[str, object]] = []
        line.session.submit(say, SURFACE_HTTP, answers.append)
        _raise_refused(answers)
        response = web.StreamResponse(headers=_audio_headers())
        await _stream(request, response, frames(line.session), board.config.limits.stall_s)
        if line.session.closed:
            _cut_off(request)  # not the end of the text: the listener must not take it for one
        reason = "said"
    finally:
        board.end(line, reason)
    return response


async def _stream(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes], limit_s: float
) -> None:
    """The header and the pieces, as fast as the listener takes them."""
    try:
        await response.prepare(request)
        await _taken(response.write(header()), limit_s)
        async for data in pieces:
            await _taken(response.write(data), limit_s)
    except (Left, ConnectionError):
        _cut_off(request)


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


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
    tap = session.taps.open()

    async def copies() -> AsyncIterator[bytes]:
        while (data := await tap.get()) is not None:
            yield data

    response = web.StreamResponse(headers=_audio_headers())
    try:
        await _stream(request, response, copies(), TAP_FRAMES * 0.020)
    finally:
        session.taps.shut(tap)
    return response


class _Outbox:
    """What waits for a WebSocket. Full: the oldest event goes, never a response before an event."""

    def __init__(self) -> None:
        self._waiting: deque[Mapping[str, object]] = deque()
        self._came = asyncio.Event()

    def post(self, item: Mapping[str, object]) -> None:
        if len(self._waiting) >= OUTBOX:
            oldest = next((each for each in self._waiting if "event" in each), self._waiting[0])
            self._waiting.remove(oldest)
        self._waiting.append(item)
        self._came.set()

    async def take(self) -> Mapping[str, object]:
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        return self._waiting.popleft()


async def say_socket(request: web.Request, board: Switchboard) -> web.StreamResponse:
    """Requests in, binary PCM frames and JSON events out; a session of its own."""
    limits = board.config.limits
    socket = web.WebSocketResponse(max_msg_size=limits.websocket_bytes, heartbeat=limits.stall_s)
    line = board.open(clocked=False)
    session, outbox = line.session, _Outbox()
    try:
        await socket.prepare(request)
        hello = {key: value for key, value in session.hello().items() if key != "token"}
        outbox.post({"event": "hello", **hello})
        stop = session.subscribe(outbox.post)
        async with asyncio.TaskGroup() as tasks:
            ends = [
                tasks.create_task(_until_closed(_speak(socket, session, limits.stall_s), socket)),
                tasks.create_task(_until_closed(_tell(socket, outbox, limits.stall_s), socket)),
            ]
            await _hear(socket, session, outbox.post)
            for end in ends:
                end.cancel()
        stop()
    finally:
        board.end(line, "socket closed")
        if socket.prepared:
            await socket.close()
    return socket


async def _until_closed(work: Awaitable[None], socket: web.WebSocketResponse) -> None:
    """One side of the socket; when it ends, the socket does."""
    try:
        await work
    except (Left, ConnectionError):
        pass  # the listener is gone; closing says so to the other side
    await socket.close(code=WSCloseCode.GOING_AWAY)


async def _hear(socket: web.WebSocketResponse, session: Session, post: Callable[[Mapping[str, object]], None]) -> None:
    clock = asyncio.get_running_loop().time
    buckets = {lane: Bucket(lane, clock()) for lane in Lane}
    violations = 0
    async for message in socket:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        value: Mapping[str, object] = {}
        try:
            value = decode(message.data, MAX_MESSAGE)
            found = parse(value)
            lane = lane_of(found)
            if not buckets[lane].take(clock()) and lane is not Lane.CONTROL:
                raise Refusal("too_fast", "message", "at most 50 messages a second")
            if not isinstance(found, Playout):
                session.submit(found, SURFACE_SOCKET, post)
        except Refusal as refusal:
            violations += 1
            post({"id": _ident(value), "result": {"refusal": refusal.to_wire()}})
            if violations > MAX_VIOLATIONS:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION)


def _ident(value: Mapping[str, object]) -> str | None:
    try:
        return request_id(value)
    except Refusal:
        return None


async def _tell(socket: web.WebSocketResponse, outbox: _Outbox, limit_s: float) -> None:
    while not socket.closed:
        item = await outbox.take()
        await _taken(socket.send_str(orjson.dumps(item, default=str).decode()), limit_s)


async def _speak(socket: web.WebSocketResponse, session: Session, limit_s: float) -> None:
    while True:
        await session.until(lambda: session.peer.ready or session.closed)
        if session.closed:
            break
        pull = session.read_frame(session.now)
        if pull.pcm is not None:
            await _taken(socket.send_bytes(pull.pcm.tobytes()), limit_s)
        if pull.n % TURN_FRAMES == 0:
            await asyncio.sleep(0)
    bye = {"event": "bye", "frame": session.now, "reason": "hangup"}
    await _taken(socket.send_str(orjson.dumps(bye).decode()), limit_s)
