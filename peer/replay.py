"""A log played again: its decisions are carried out on chunks that are rendered anew, and every frame is compared.

Knows no clock and no transport. Level 1 renders; level 2 takes what an engine without determinism said from where it
was kept. Nothing that differs from the log is handed out silently.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from .abstract import Abstract, abstract
from .core.errors import Refusal
from .core.pcm import SILENCE, Float, Int16
from .core.rebuild import Rebuilder, Rebuilt
from .core.recontrol import Difference, Recontrol
from .engines import Engines
from .logbook import Broken, Line
from .rerender import Larder, Rerender, digest_of

BATCH = 64
"""Lines that one trip to the file brings: some tens of kilobytes, never on the event loop."""
SHOWN = 20
"""Differences that are kept; the first is what matters."""


@dataclass(slots=True)
class Verdict:
    """What a replay found. `first_chunk`, `first_frame`: the first that differs, None: none does."""

    chunks: int = 0
    equal: int = 0
    kept: int = 0
    """Of `equal`: taken from where they were kept, because their engine never says the same twice."""
    passed: int = 0
    """Chunks of such engines that nobody kept: not compared."""
    frames: int = 0
    same: int = 0
    unknown: int = 0
    """Frames that cannot be compared: of chunks that were passed, or of records that are missing."""
    first_chunk: int | None = None
    first_frame: int | None = None
    largest: float | None = None
    """The largest difference of two samples of a chunk that differs, where it was kept; of 1.0."""
    differing: set[str] = field(default_factory=set)
    """Engines of chunks that differ."""
    pcm_b2: str = ""
    whole: bool | None = None
    """The digest of everything that left is the log's; None: not all of it was rebuilt, or the log has no end."""
    control: list[Difference] = field(default_factory=list)
    decisions: int = 0
    broken: Broken | None = None

    @property
    def good(self) -> bool:
        compared = self.frames - self.unknown
        return self.chunks == self.equal and self.same == compared and self.whole is not False and not self.control


class Replay:
    """One pass over `lines`, which can be read again. Frames of [start, stop); `verdict` grows while they come."""

    def __init__(
        self, lines: Iterable[Line], engines: Engines, start: int = 0, stop: int | None = None,
        larder: Larder | None = None, control: bool = False,
    ) -> None:  # fmt: skip
        self._lines = lines
        self._rerender = Rerender(engines, larder)
        self._start = start
        self._stop = stop
        self._recontrol = Recontrol() if control else None
        self._passed: set[int] = set()
        self._digest = hashlib.blake2b(digest_size=16)
        self.verdict = Verdict()
        self.about = Abstract()

    async def frames(self) -> AsyncIterator[Rebuilt]:
        """Every frame that left, in order. Raises Refusal, AdapterError, and ValueError for a record that lies."""
        self.about = about = await asyncio.to_thread(abstract, self._lines, self._start)
        if about.private:
            raise Refusal("private", "log", "its texts were not kept: it can be verified, not rendered again")
        if not about.rebuilds:
            await self._chunks_alone()
            return
        rebuilder = Rebuilder(about.dither, lost=about.entry > 0)
        async for line in _ahead(self._lines):
            if line.seq < about.entry:
                continue
            record = line.record
            chunk = rebuilder.needs(record)
            if chunk is not None:
                rebuilder.supply(await self._chunk(chunk))
            self._rerender.note(record)
            if self._recontrol is not None:
                self._compare(self._recontrol, record)
            for frame in rebuilder.feed(record):
                if self._seen(frame):
                    yield frame
            if self._stop is not None and self._passed_stop(record):
                break
        chunk = rebuilder.needs(None)
        if chunk is not None:
            rebuilder.supply(await self._chunk(chunk))
        for frame in rebuilder.rest():
            if self._seen(frame):
                yield frame
        self._conclude()

    async def _chunks_alone(self) -> None:
        """An older log: what was rendered is compared; how it was cut, only newer ones tell."""
        async for line in _ahead(self._lines):
            if line.record["kind"] == "chunk" and line.record["result"] == "ok":
                await self._chunk(int(line.record["chunk"]))
            self._rerender.note(line.record)
        self.verdict.frames = self.verdict.unknown = self.about.frames
        self._conclude()

    async def _chunk(self, number: int) -> Float:
        """The chunk's samples, and what the log thinks of them."""
        known = self.about.digests.get(number)
        if not self._rerender.repeats(number):
            return self._kept(number, known)
        pcm = await self._rerender.chunk(number)
        if known is not None and len(pcm) >= known[1]:
            self._judge(number, known[0], pcm)
        return pcm

    def _kept(self, number: int, known: tuple[str, int] | None) -> Float:
        pcm = None if known is None else self._rerender.kept(known[0])
        if pcm is None:
            self._passed.add(number)
            self.verdict.passed += 1
            return np.zeros(known[1] if known is not None else 0, np.float32)
        self.verdict.chunks += 1
        self.verdict.equal += 1
        self.verdict.kept += 1
        return pcm

    def _judge(self, number: int, digest: str, pcm: Float) -> None:
        verdict = self.verdict
        verdict.chunks += 1
        if digest_of(pcm) == digest:
            verdict.equal += 1
            return
        verdict.first_chunk = number if verdict.first_chunk is None else verdict.first_chunk
        verdict.differing.add(self._rerender.adapter(number))
        before = self._rerender.kept(digest)
        if before is not None and len(before) == len(pcm):
            verdict.largest = max(verdict.largest or 0.0, float(np.abs(before - pcm).max(initial=0.0)))

    def _compare(self, recontrol: Recontrol, record: object) -> None:
        found = recontrol.feed(record)  # type: ignore[arg-type]
        self.verdict.control += found[: max(0, SHOWN - len(self.verdict.control))]
        self.verdict.decisions = recontrol.decisions

    def _seen(self, frame: Rebuilt) -> bool:
        """Counts a frame; False: nobody asked for it."""
        if frame.n < self._start or (self._stop is not None and frame.n >= self._stop):
            return False
        verdict = self.verdict
        verdict.frames += 1
        if frame.pcm is not None:
            self._digest.update(frame.pcm.data)
        if frame.same:
            verdict.same += 1
        elif frame.pcm is None or self._tainted(frame):
            verdict.unknown += 1
        elif verdict.first_frame is None:
            verdict.first_frame = frame.n
        return True

    def _tainted(self, frame: Rebuilt) -> bool:
        """It holds samples of a chunk that was passed over, or of the next one: the resampler remembers 40 ms."""
        return any(chunk in self._passed or chunk - 1 in self._passed for chunk in frame.chunks)

    def _passed_stop(self, record: object) -> bool:
        """Everything that was asked for has left, and its records are read: those of frames come last."""
        assert self._stop is not None
        return isinstance(record, dict) and record["kind"] == "frames" and record["from"] >= self._stop

    def _conclude(self) -> None:
        verdict, about = self.verdict, self.about
        verdict.broken = getattr(self._lines, "broken", None)
        verdict.pcm_b2 = self._digest.hexdigest()
        all_of_it = self._start == 0 and self._stop is None and not about.gaps and not verdict.unknown
        if all_of_it and about.end is not None and "pcm_b2" in about.end:
            verdict.whole = about.end["pcm_b2"] == verdict.pcm_b2


async def _ahead(lines: Iterable[Line]) -> AsyncIterator[Line]:
    """The lines, read a batch at a time beside the event loop."""
    found: Iterator[Line] = iter(lines)
    while batch := await asyncio.to_thread(lambda: list(islice(found, BATCH))):
        for line in batch:
            yield line


async def regenerate(
    lines: Iterable[Line], engines: Engines, start: int = 0, stop: int | None = None, larder: Larder | None = None
) -> AsyncIterator[Int16]:
    """(960,) int16 for every frame of [start, stop), zeros where nothing left. Raises Refusal at the first frame that
    is not what left, so that nothing unproven is ever heard; and AdapterError.
    """
    replay = Replay(lines, engines, start, stop, larder)
    n = start
    async for frame in replay.frames():
        for _ in range(n, frame.n):
            yield SILENCE
        if frame.pcm is None or not frame.same:
            raise Refusal("unproven", "log", f"frame {frame.n} cannot be made again as it was: peer replay says why")
        yield frame.pcm
        n = frame.n + 1
    if not replay.about.rebuilds:
        raise Refusal("older", "log", "its schema does not say where speech was cut: peer replay compares its chunks")
    for _ in range(n, stop if stop is not None else n):
        yield SILENCE
