"""What one 20 ms frame costs, step by step, next to the step it replaces or cannot go below; µs, one thread.

Knows no network: RTP, SRTP and the socket are the library's and the same on both sides.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from aiortc.codecs.opus import OpusEncoder
from aiortc.rtp import compute_audio_level_dbov

from adapters.base import TTSAdapter
from adapters.framing import Kind as FrameKind
from adapters.framing import Parser, encode
from adapters.voices.tone import PIECE
from peer.config import Config
from peer.core.chunk import AudioChunk, Request
from peer.core.frame import Kind, Provenance, Pull, Span
from peer.core.ledger import Ledger
from peer.core.messages import Say
from peer.core.pcm import FRAME, RATE, quantise
from peer.core.resample import Resampler
from peer.core.ring import Ring
from peer.core.stitch import Stitcher
from peer.core.voice import Voice
from peer.core.wish import Setting
from peer.engines import Engines
from peer.host import EngineHost, InlineHost
from peer.journal import Journal
from peer.opus import TICK, Encoder, audio_frame
from peer.pieces import chunk_of
from peer.session import Identity, Session
from peer.track import FRAME_S, VoiceTrack

from .budget import Budget
from .row import Row, median
from .stock import signal_of
from .texts import long

NATIVE = 22_050
"""The embedded voice's rate: 441 samples a frame."""
ORIGIN = Provenance("tone", 1, (0, 10), "u", 0)
PIECE_FRAMES = PIECE / 24_000 / FRAME_S
NO_PACKET = bytes(163)
"""As long as a packet is on average."""
CHARACTERS = 4_000
"""Four minutes of the tone engine's speech."""
SPIN_S = 2.0
"""For an inline engine to fill the ring."""


@dataclass(frozen=True, slots=True)
class Cost:
    """µs: the least of several repetitions, which other load touches least, and their median."""

    least: float
    typical: float

    def per(self, frames: float) -> Cost:
        """Of one frame, where a call was for several."""
        return Cost(self.least / frames, self.typical / frames)


def cost_of(found: Sequence[float]) -> Cost:
    return Cost(min(found), median(found))


def timed(work: Callable[[], object], budget: Budget) -> Cost:
    """Of one call, CPU of this thread; each repetition is the mean of `frames` calls."""
    work()
    found = []
    for _ in range(budget.repeats):
        began = time.thread_time_ns()
        for _ in range(budget.frames):
            work()
        found.append((time.thread_time_ns() - began) / 1000.0 / budget.frames)
    return cost_of(found)


def row(name: str, cost: Cost, peer: str, against: float, target: float | None = None) -> Row:
    return Row(name, "µs", cost.least, peer, against, target, typical=cost.typical)


def _endless(items: list[np.ndarray]) -> Callable[[], np.ndarray]:
    def forever() -> Iterator[np.ndarray]:
        while True:
            yield from items

    return forever().__next__


async def measure(budget: Budget) -> list[Row]:
    speech = signal_of(2)
    blocks = [speech[i : i + FRAME] for i in range(0, len(speech), FRAME)]
    stock = await _stock(blocks, budget)
    before = stock["frame"] + stock["level"] + stock["hop"]
    opus, wrap = timed(_encode(blocks), budget), timed(_wrap(), budget)
    pulls, made, accepted, whole, bare = [], [], [], [], []
    for _ in range(min(3, budget.repeats)):
        async with session() as (found, _):
            pulls.append(await _pulled(found, budget))
        async with session() as (found, spent):
            made.append(await _made(found, spent))
        async with session() as (found, spent):
            taken = Clocked(found.peer.accept)
            found.peer.accept = taken  # type: ignore[method-assign, assignment]
            await _made(found, spent)
            accepted.append(taken.ns / 1000.0 / (found.peer.ring.read / FRAME))
        async with session() as (found, _):
            whole.append(await _received(found, budget))
        async with session() as (found, _):
            bare.append(await _received(found, budget, NoEncoder()))
    pull, all_ours, recv = cost_of(pulls), cost_of(made), cost_of(whole)
    ours = cost_of([a + b - c for a, b, c in zip(made, bare, pulls, strict=True)])
    peer = "stock before its encoder"
    parts = _parts(blocks, budget)
    return [
        *parts,
        row("Opus encode", opus, "aiortc's encoder", stock["encode"]),
        row(
            "accept: a piece's checks, digest, resampling, stitch",
            cost_of(accepted),
            "resampling and stitch alone",
            sum(each.figure for each in parts if each.name.startswith(("resample", "stitch"))),
        ),
        row(
            "framing: a piece from the engine's process",
            timed(_framing(), budget).per(PIECE_FRAMES),
            "its samples as float32",
            timed(_cast(), budget).per(PIECE_FRAMES).least,
        ),
        row("packet wrap", wrap, "AudioFrame from numpy", stock["frame"]),
        row("pull path: session.read_frame", pull, peer, before, 15.0),
        row("render to pull: all but the engine and the encoder", all_ours, peer, before),
        row("whole recv of the voice track", recv, "stock: frame, level, hop, encode", before + stock["encode"]),
        row("all our work of a frame, without engine and Opus", ours, peer, before, 40.0),
    ]


def _parts(blocks: list[np.ndarray], budget: Budget) -> list[Row]:
    floats = [block.astype(np.float32) / 32768.0 for block in blocks]
    ring = Ring(100)
    block = _endless(blocks)
    scratch = np.zeros(FRAME, np.int16)

    def through() -> None:
        ring.write(block(), ORIGIN)
        ring.peek(FRAME)
        ring.origins(FRAME)
        ring.advance(FRAME)

    wave = _endless(floats)
    small = np.linspace(-0.5, 0.5, NATIVE // 50, dtype=np.float32)
    resampler, theirs = Resampler(NATIVE), av.AudioResampler("s16", "mono", RATE)
    native = audio_frame(quantise(small), 0)
    native.sample_rate = NATIVE
    native.pts = None
    target = Ring(100)
    stitcher = Stitcher(target)

    def stitched() -> None:
        stitcher.write(wave(), ORIGIN)
        target.advance(target.depth)

    ledger, n = Ledger(), iter(range(10**9))
    spans = (Span(0, FRAME, ORIGIN),)
    pulled = blocks[0]

    def copied() -> None:
        scratch[:] = block()

    cast = timed(lambda: (wave() * np.float32(32767)).astype(np.int16), budget)
    quantised = timed(lambda: quantise(wave()), budget)
    frame = Pull(0, Kind.VOICE, pulled, 0, spans)
    told = timed(lambda: ledger.add(replace(frame, n=next(n))), budget)
    made = timed(lambda: replace(frame, n=next(n)), budget)
    told = Cost(told.least - made.least, told.typical - made.typical)
    return [
        row("ring: write a frame and read it", timed(through, budget), "a bare copy", timed(copied, budget).least),
        row("quantise", quantised, "scale and cast, no clip", cast.least),
        row("resample 22.05 → 48 kHz", timed(lambda: resampler.push(small), budget), "libav's resampler",
            timed(lambda: theirs.resample(native), budget).least),
        row("stitch: joint, quantise, ring", timed(stitched, budget), "quantise alone", quantised.least),
        row("ledger: provenance and checksum", told, "CRC-32 alone",
            timed(lambda: zlib.crc32(pulled.data), budget).least),
    ]  # fmt: skip


def _encode(blocks: list[np.ndarray]) -> Callable[[], object]:
    encoder, block = Encoder(), _endless(blocks)
    return lambda: encoder.encode(block())


def _wrap() -> Callable[[], object]:
    def wrap() -> None:
        packet = av.Packet(NO_PACKET)
        packet.pts = FRAME
        packet.time_base = TICK

    return wrap


def _framing() -> Callable[[], object]:
    """A piece as the host gets it: off the socket, its fields read."""
    pcm = (signal_of(1)[:PIECE].astype(np.float32) / 32768.0).tobytes()
    fields = {"sample_rate": 24_000, "format": "f32", "markers": [["word", 0, 0, 5, "hello"]], "cursor": PIECE,
              "last": False, "eos": False, "render_ms": 1.0, "state": 0}  # fmt: skip
    data, parser = encode(FrameKind.PIECE, 1, fields, pcm), Parser()
    return lambda: [chunk_of(frame) for frame in parser.feed(data)]


def _cast() -> Callable[[], object]:
    data = signal_of(1)[:PIECE].astype("<f4").tobytes()
    return lambda: np.frombuffer(data, "<f4").astype(np.float32)


async def _stock(blocks: list[np.ndarray], budget: Budget) -> dict[str, float]:
    """What aiortc does per frame of a raw track."""
    block, encoder, n = _endless(blocks), OpusEncoder(), iter(range(10**9))
    frame = audio_frame(blocks[0], 0)
    loop = asyncio.get_running_loop()

    async def hop() -> None:
        await loop.run_in_executor(None, int)

    return {
        "frame": timed(lambda: audio_frame(block(), 0), budget).least,
        "level": timed(lambda: compute_audio_level_dbov(frame), budget).least,
        "encode": timed(lambda: encoder.encode(audio_frame(block(), next(n) * FRAME)), budget).least,
        "hop": await _timed(hop, budget),
    }


async def _timed(work: Callable[[], Awaitable[object]], budget: Budget) -> float:
    """CPU of all threads, the executor's included."""
    found = []
    for _ in range(budget.repeats):
        began = time.process_time_ns()
        for _ in range(budget.frames):
            await work()
        found.append((time.process_time_ns() - began) / 1000.0 / budget.frames)
    return min(found)


class Clocked:
    """A function whose time is counted."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self.ns = 0

    def __call__(self, *arguments: object) -> object:
        began = time.thread_time_ns()
        found = self._function(*arguments)
        self.ns += time.thread_time_ns() - began
        return found


class Spent:
    """CPU nanoseconds inside the engine: not ours."""

    def __init__(self) -> None:
        self.ns = 0


class Watched:
    """An adapter whose time is counted."""

    def __init__(self, adapter: TTSAdapter, spent: Spent) -> None:
        self.name = adapter.name
        self._adapter = adapter
        self._spent = spent

    def warm_up(self) -> None:
        self._adapter.warm_up()

    def render(self, request: Request) -> Iterator[AudioChunk]:
        began = time.thread_time_ns()
        for piece in self._adapter.render(request):
            self._spent.ns += time.thread_time_ns() - began
            yield piece
            began = time.thread_time_ns()
        self._spent.ns += time.thread_time_ns() - began

    def close(self) -> None:
        self._adapter.close()


@asynccontextmanager
async def session(text: str = "", clocked: bool = True) -> AsyncIterator[tuple[Session, Spent]]:
    """A real session that speaks a long text with an engine on this loop; it writes its log."""
    spent = Spent()

    def inline(name: str, adapter: type[TTSAdapter], tasks: asyncio.TaskGroup) -> EngineHost:
        return InlineHost(Watched(adapter(), spent))  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Journal(Path(folder))
        log.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                engines = Engines(tasks, inline)
                await engines.warm("tone")
                setting = Setting("tone", Voice(), Config().mode)
                about = {"libraries": {}, "guard": {}}
                identity = Identity("bench", "token", 1)
                found = Session(identity, Config(), setting, engines, log, tasks, lambda: about, clocked=clocked)
                found.submit(Say(id="1", text=text or long(CHARACTERS)), "bench", lambda answer: None)
                try:
                    yield found, spent
                finally:
                    found.close("measured")
                    await engines.close()
        finally:
            log.close()


async def _filled(found: Session) -> None:
    """Until the engine has nothing more to do now."""
    async with asyncio.timeout(SPIN_S):
        await found.wake()
    for _ in range(3):
        await asyncio.sleep(0)


async def _pulled(found: Session, budget: Budget) -> float:
    """One pull, all that the session does after it included: the median."""
    pulls = []
    for n in range(budget.frames * budget.repeats):
        await _filled(found)
        start = time.perf_counter_ns()
        pull = found.read_frame(n)
        if pull.kind is Kind.VOICE:
            pulls.append((time.perf_counter_ns() - start) / 1000.0)
        if found.peer.finished:
            break
    return median(pulls)


async def _made(found: Session, spent: Spent) -> float:
    """All of our work per frame, rendering included: the mean over the whole speech."""
    before, began = spent.ns, time.process_time_ns()
    count = 0
    while not (found.peer.finished and count):
        async with asyncio.timeout(SPIN_S):
            await found.wake()
        found.read_frame(count)
        count += 1
    return (time.process_time_ns() - began - (spent.ns - before)) / 1000.0 / count


class NoEncoder:
    """In the place of Opus, so that what is around it can be measured."""

    def encode(self, pcm: np.ndarray) -> bytes:
        return NO_PACKET


async def _received(found: Session, budget: Budget, encoder: NoEncoder | None = None) -> float:
    """`recv` of the real track, on a clock that stands at the next frame: the median."""
    at = [0]

    async def sleep(seconds: float) -> None:
        at[0] += 1

    track = VoiceTrack(found, clock=lambda: found.origin + at[0] * FRAME_S, sleep=sleep)
    if encoder is not None:
        track.__dict__["_encoder"] = encoder
    took = []
    for _ in range(budget.frames * budget.repeats):
        await _filled(found)
        start = time.perf_counter_ns()
        await track.recv()
        took.append((time.perf_counter_ns() - start) / 1000.0)
        if found.peer.finished:
            break
    track.stop()
    return median(took)
