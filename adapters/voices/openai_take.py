"""One rendition of a sentence and the bounded store of them: what a service said once is said again the same.

Knows no service: blocks in, spans of samples out. A service does not repeat itself, so this memory is the only
thing that does.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from adapters.spool import Block
from peer.core.chunk import AudioChunk, Marker, Request
from peer.core.pcm import Float

KEPT_S = 600.0
"""Sound kept over all sentences: ten minutes, 58 MB at 24 kHz; a retry comes seconds later."""

MOST_OPEN = 64
"""Sentences under way at once: as many calls as one engine's queue takes. Each holds a connection."""

IDLE_S = 60.0
"""A sentence under way that nobody asked for this long is closed: its call was cut, or is paused."""

SMALLEST = 4096
"""Samples of a new take's buffer; it doubles."""


class Take:
    """One rendition. `length` samples of it are here; `ended` says that these are all, `left` that no more come."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._pcm: Float = np.zeros(SMALLEST, np.float32)
        self._markers: list[Marker] = []
        self.length = 0
        self.ended = False
        self.left = False
        self.used_at = 0.0

    @property
    def open(self) -> bool:
        return not (self.ended or self.left)

    def covers(self, stop: int) -> bool:
        """True where sample `stop` can be reached, or is known to lie behind the end."""
        return not self.left or self.length > stop

    def pull(self) -> None:
        """One step; it may bring nothing. Raises what the engine raises; then the rest is left."""
        try:
            block = next(self._blocks, None)
        except Exception:
            self.close()
            raise
        if block is None:
            self.ended = True
            return
        self._markers += block.markers
        stop = self.length + len(block.pcm)
        if stop > len(self._pcm):
            grown = np.zeros(max(stop, 2 * len(self._pcm)), np.float32)
            grown[: self.length] = self._pcm[: self.length]
            self._pcm = grown
        self._pcm[self.length : stop] = block.pcm
        self.length = stop

    def samples(self, start: int, stop: int) -> Float:
        """(n,) float32, a read-only copy."""
        pcm = self._pcm[start : min(stop, self.length)].copy()
        pcm.flags.writeable = False
        return pcm

    def markers(self, start: int, stop: int) -> list[Marker]:
        """Those in [start, stop)."""
        return [marker for marker in self._markers if start <= marker.at < stop]

    def ending(self, start: int) -> list[Marker]:
        """Those from `start` on; what was estimated behind the end lies on the last sample."""
        last = max(self.length - 1, 0)
        return [replace(marker, at=min(marker.at, last)) for marker in self._markers if marker.at >= start]

    def close(self) -> None:
        """Leaves what has not come; twice is once."""
        if self.open:
            self.left = True
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()


class Takes:
    """The renditions there are, by sentence; `begin` makes the blocks of a new one."""

    def __init__(self, begin: Callable[[Request], Iterator[Block]], sample_rate: int) -> None:
        self._begin = begin
        self._rate = sample_rate
        self._takes: OrderedDict[tuple[object, ...], Take] = OrderedDict()

    def render(self, request: Request) -> Iterator[AudioChunk]:
        """Pieces of [cursor, cursor + samples) as they come; empty ones where one waits. Left, it leaves the take."""
        take = self._take(request)
        try:
            yield from self._cut(take, request.cursor, request.cursor + request.samples)
        except GeneratorExit:
            take.close()
            raise
        self._trim(take)

    def _take(self, request: Request) -> Take:
        key = (request.stream, request.text, tuple(sorted(request.knobs.items())))
        take = self._takes.pop(key, None)
        if take is None or not take.covers(request.cursor + request.samples):
            take = Take(self._begin(request))
        take.used_at = time.monotonic()
        self._takes[key] = take
        self._trim(take)
        return take

    def _trim(self, current: Take) -> None:
        """Within the bounds, the oldest go first; the one in use stays."""
        now = time.monotonic()
        open_takes = [take for take in self._takes.values() if take.open and take is not current]
        for index, take in enumerate(open_takes):
            if len(open_takes) - index >= MOST_OPEN or now - take.used_at > IDLE_S:
                take.close()
        kept = sum(take.length for take in self._takes.values())
        for key, take in list(self._takes.items()):
            if kept <= KEPT_S * self._rate or take is current:
                break
            kept -= take.length
            take.close()
            del self._takes[key]

    def _cut(self, take: Take, start: int, stop: int) -> Iterator[AudioChunk]:
        """What is there leaves at once; the last piece says whether the sentence ends with it."""
        at, began = start, time.monotonic()
        while True:
            here = min(take.length, stop)
            last = take.ended or take.length > stop
            if last or here > at:
                eos = last and take.length <= stop
                found = take.ending(at) if eos else take.markers(at, here)
                markers = tuple(marker for marker in found if marker.at >= start)
                spent = 1000.0 * (time.monotonic() - began)
                yield AudioChunk(take.samples(at, here), self._rate, markers, here, b"", last, eos, spent)
                if last:
                    return
                at, began = here, time.monotonic()
            before = take.length
            take.pull()
            if take.length == before and not take.ended:
                yield AudioChunk(sample_rate=self._rate, cursor=at)

    def close(self) -> None:
        for take in self._takes.values():
            take.close()
        self._takes.clear()
