"""A speech service on loopback that speaks real words through espeak-ng, well or in any bad way asked for.

Run it with `python -m tests.tiny.loopback_speech --port N`; a test holds a `SpeechServer` as an async context, or
`in_thread(...)` where it has no loop. A voice is a tag and a variant of espeak: "en-gb", "en-us+f3"; the protocol's
own names are voices too. Knows nothing of the adapter that asks it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
import soxr
from aiohttp import web

from adapters import registry
from peer.core.chunk import Request, Ticket
from peer.core.voice import Voice
from peer.host import ProcessHost

HOST = "127.0.0.1"
RATE = 24_000
SIZES = (1, 4799, 2401, 4800, 7)
"""Bytes of the pieces written in turn: odd ones, so that a sample is cut in two."""

WAV_PIECE = 9600
SECOND_HALF = 12_000
"""Samples after which a bad answer turns bad: half a second is heard by then."""

EVERYTHING = 10_000_000
FAR_S = 600.0
UNKNOWN = 0xFFFF_FFFF

NAMES = {"alloy": "en-gb", "echo": "en-gb+m3", "nova": "en-us+f3", "verse": "en-us", "shimmer": "en-gb+f2"}
"""The protocol's voices that this service tells apart, as espeak's; any other name without a tag is British."""


class Mode(StrEnum):
    """How the service answers; PCM in odd pieces is the good way, `slow` takes twice as long as the speech lasts."""

    PCM = "pcm"
    WAV = "wav"
    WAV_EACH = "wav_each"
    WAV_STEREO = "wav_stereo"
    SLOW = "slow"
    VARIED = "varied"
    HTML = "html"
    MP3 = "mp3"
    EMPTY = "empty"
    HANG = "hang"
    HANG_FIRST = "hang_first"
    BREAK = "break"
    FLAKY = "flaky"
    BUSY = "busy"
    BUSY_LONG = "busy_long"
    UNAUTHORIZED = "unauthorized"
    REFUSED = "refused"
    REDIRECT = "redirect"
    ENDLESS = "endless"


@dataclass
class SpeechServer:
    """The service. `asked` are the bodies of its requests, `keys` their Authorization headers; `left` counts the
    listeners that hung up, `sent` the bytes of sound written. `mode` may be changed while it serves.
    """

    mode: Mode = Mode.PCM
    port: int = 0
    key: str = ""
    pause_s: float = 0.0
    tls: Any = None
    elsewhere: str = "http://127.0.0.1:9/"
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    left: int = 0
    sent: int = 0
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{'localhost' if self.tls else HOST}:{self.port}/v1"

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._espeak = registry.load("espeak")
        self._host = ProcessHost("espeak", self._espeak, tasks)
        self._stack.push_async_callback(self._host.close)
        await self._host.start()
        app = web.Application()
        app.router.add_post("/v1/audio/speech", self._speech)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, HOST, self.port, ssl_context=self.tls)
        await site.start()
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.__aexit__(*error)

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("Authorization", ""))
        try:
            return await self._answer(request, body)
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if self.key and self.keys[-1] != f"Bearer {self.key}":
            return complaint(401, f"Incorrect API key provided: {self.keys[-1]}")
        match self.mode:
            case Mode.FLAKY if len(self.asked) % 2:
                return complaint(500, "The server had an error while processing your request")
            case Mode.BUSY if len(self.asked) % 2:
                return complaint(429, "Rate limit reached", {"Retry-After": "0"})
            case Mode.BUSY_LONG:
                return complaint(429, "Rate limit reached", {"Retry-After": "3600"})
            case Mode.UNAUTHORIZED:
                return complaint(401, f"Incorrect API key provided: {self.keys[-1]}")
            case Mode.REFUSED:
                return complaint(400, f"no such thing <b>here</b>\n{self.keys[-1]}")
            case Mode.REDIRECT:
                return web.Response(status=307, headers={"Location": self.elsewhere})
            case Mode.HTML:
                page = "<!DOCTYPE html><html><script>x()</script><h1>Sign in to the hotel network</h1></html>"
                return web.Response(text=page, content_type="text/html")
            case Mode.MP3:
                return web.Response(body=b"ID3\x04" + bytes(2000), content_type="audio/mpeg")
            case Mode.EMPTY:
                return web.Response(body=b"", content_type="audio/pcm")
            case Mode.HANG_FIRST:
                await asyncio.sleep(FAR_S)
        return await self._stream(request, body)

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        wav = self.mode in (Mode.WAV, Mode.WAV_EACH, Mode.WAV_STEREO)
        response = web.StreamResponse(headers={"Content-Type": "audio/wav" if wav else "audio/pcm"})
        await response.prepare(request)
        async for data in self._written(body):
            await response.write(data)
            self.sent += len(data)
            await asyncio.sleep(len(data) / RATE if self.mode is Mode.SLOW else self.pause_s)
        if self.mode is Mode.BREAK and request.transport is not None:
            request.transport.abort()
            return response
        await response.write_eof()
        return response

    async def _written(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        """The body as it is cut into writes."""
        samples = self._spoken(body)
        match self.mode:
            case Mode.WAV:
                yield header(RATE)[:7]
                yield header(RATE)[7:]
                async for pcm in odd(samples):
                    yield pcm
            case Mode.WAV_EACH:
                async for pcm in samples:
                    for at in range(0, len(pcm), WAV_PIECE // 2):
                        yield header(RATE) + s16(pcm[at : at + WAV_PIECE // 2])
            case Mode.WAV_STEREO:
                twice = soxr.ResampleStream(RATE, 2 * RATE, 1, dtype="float32")
                yield header(2 * RATE, 2)
                async for pcm in samples:
                    yield s16(np.repeat(twice.resample_chunk(pcm), 2))
                yield s16(np.repeat(twice.resample_chunk(np.zeros(0, np.float32), last=True), 2))
            case Mode.HANG | Mode.BREAK | Mode.ENDLESS:
                async for pcm in self._spoilt(samples):
                    yield pcm
            case _:
                async for pcm in odd(samples):
                    yield pcm

    async def _spoilt(self, samples: AsyncIterator[np.ndarray]) -> AsyncIterator[bytes]:
        """Half a second that is well, and then."""
        given = 0
        async for pcm in samples:
            part = pcm[: SECOND_HALF - given]
            given += len(part)
            yield s16(part)
            if given >= SECOND_HALF:
                break
        if self.mode is Mode.HANG:
            await asyncio.sleep(FAR_S)
        while self.mode is Mode.ENDLESS:
            yield bytes(9600)
            await asyncio.sleep(0)

    async def _spoken(self, body: dict[str, Any]) -> AsyncIterator[np.ndarray]:
        """The text of a request, (n,) float32 at RATE; in mode `varied` no two answers are equal."""
        named, pace = str(body["voice"]), float(body.get("speed", 1.0))
        timbre = NAMES.get(named, named if "-" in named else "en-gb")
        accent, _, variant = timbre.partition("+")
        voice = Voice(timbre=variant, accent=accent)
        knobs = dict(self._espeak.project(voice).knobs)
        knobs["rate"] = min(450, round(int(knobs["rate"]) * pace))
        text, number = str(body["input"]), len(self.asked)
        request = Request(Ticket(0, 0), "espeak", f"loopback {number}", text, 0, EVERYTHING, 8, knobs, 7)
        noise = np.random.RandomState(number if self.mode is Mode.VARIED else 0)
        move = soxr.ResampleStream(22_050, RATE, 1, dtype="float32")
        deadline = asyncio.get_running_loop().time() + FAR_S
        async for chunk in self._host.render(request, deadline):
            pcm = move.resample_chunk(chunk.pcm, last=chunk.last)
            if self.mode is Mode.VARIED:
                pcm = pcm + noise.uniform(-1e-3, 1e-3, len(pcm)).astype(np.float32)
            yield pcm


def complaint(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as the protocol has it."""
    text = json.dumps({"error": {"message": message, "type": "error", "code": None}})
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)


def s16(pcm: np.ndarray) -> bytes:
    return (np.clip(pcm, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


async def odd(samples: AsyncIterator[np.ndarray]) -> AsyncIterator[bytes]:
    """The samples in pieces of odd sizes."""
    turn = 0
    async for pcm in samples:
        data, at = s16(pcm), 0
        while at < len(data):
            size = SIZES[turn % len(SIZES)]
            yield data[at : at + size]
            at, turn = at + size, turn + 1


def header(rate: int, channels: int = 1, size: int = UNKNOWN) -> bytes:
    """The 44 bytes before the samples of a streamed WAV."""
    frame = 2 * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, 16)
    return struct.pack("<4sI4s", b"RIFF", size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


@contextmanager
def in_thread(server: SpeechServer) -> Iterator[SpeechServer]:
    """`server` on a loop of its own in another thread, for tests that drive a loop themselves."""
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def live() -> None:
        async with server:
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(live())
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            started.set()

    thread = threading.Thread(target=run, name="speech server")
    thread.start()
    try:
        started.wait()
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def serve(server: SpeechServer) -> None:
    async with server:
        print(f"SYNCHRONY_SPEECH_URL={server.url}", flush=True)
        await asyncio.Event().wait()


def main(argv: list[str]) -> int:
    options = argparse.ArgumentParser(description="A speech service on loopback that speaks through espeak-ng.")
    options.add_argument("--port", type=int, default=8880)
    options.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.PCM)
    options.add_argument("--pause", type=float, default=0.0, help="seconds between two writes")
    given = options.parse_args(argv)
    try:
        asyncio.run(serve(SpeechServer(given.mode, given.port, pause_s=given.pause)))
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
