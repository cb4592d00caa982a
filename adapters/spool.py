"""The common half of a neural voice: sentences in progress, cut into exactly the samples a request asks for.

Knows no engine: one that yields the blocks of a sentence from its first sample on becomes a pure function of the
request here. A block is the engine's smallest step; what was begun is kept, so that the next chunk goes on.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from peer.core.chunk import AudioChunk, Marker, Request
from peer.core.pcm import EMPTY, Float

from .stretch import POST_KNOBS, prepare, processed

KEPT = 8
"""Sentences in progress: as many calls as one process serves in turns before one of them is begun anew."""


@dataclass(frozen=True, slots=True)
class Block:
    """`pcm` (n,) float32 are the native samples [at, at + n) of the sentence. `markers` ascend and begin at or
    after `at`, here or later; each is given once. `state` is what lets `begin` skip work up to here. Without
    samples it is a place to be cancelled, between two steps of the engine.
    """

    at: int
    pcm: Float
    markers: tuple[Marker, ...] = ()
    state: bytes = b""


Begin = Callable[[Request], Iterator[Block]]
"""Blocks without a gap, from some sample at or before `request.cursor`, to the end of the sentence. `request.state`
is what a block gave earlier, or empty. The bytes of a sample must not depend on where it began."""


@dataclass(slots=True)
class _Reel:
    """One sentence in progress, wanted from sample `start` on: `at` is the next one that was not handed out."""

    blocks: Iterator[Block]
    start: int
    at: int = -1
    rest: Float = field(default_factory=lambda: EMPTY)
    markers: list[Marker] = field(default_factory=list)
    state: bytes = b""
    ended: bool = False

    def more(self) -> Iterator[None]:
        """Have at least one sample to hand out, unless the sentence ends; yields after each block that brought none."""
        while not self.ended and not len(self.rest):
            block = next(self.blocks, None)
            if block is None:
                self.ended = True
                break
            if self.at < 0 and len(block.pcm):
                self.at = block.at
            self.markers += block.markers
            self.state = block.state
            self.rest = block.pcm
            self.take(max(0, self.start - self.at))
            if not len(self.rest):
                yield

    def take(self, most: int) -> Float:
        pcm, self.rest = self.rest[:most], self.rest[most:]
        self.at += len(pcm)
        return pcm

    def due(self) -> tuple[Marker, ...]:
        """The markers that begin before `at`; at the end of the sentence all, on its last sample at the latest."""
        if self.ended:
            last = max(self.at - 1, 0)
            found = [replace(m, at=min(m.at, last)) for m in self.markers]
        else:
            found = [m for m in self.markers if m.at < self.at]
        self.markers = self.markers[len(found) :]
        return tuple(m for m in found if m.at >= self.start)

    def close(self) -> None:
        close = getattr(self.blocks, "close", None)
        if close is not None:
            close()


class Spool:
    """`render` of an adapter. `begin` makes the blocks; `sample_rate` is theirs. Made in `warm_up`.

    Raises Unavailable where the library behind pitch and pace is missing.
    """

    def __init__(self, begin: Begin, sample_rate: int, kept: int = KEPT) -> None:
        prepare()
        self._begin = begin
        self._rate = sample_rate
        self._kept = kept
        self._reels: OrderedDict[tuple[object, ...], _Reel] = OrderedDict()

    def render(self, request: Request) -> Iterator[AudioChunk]:
        """Pieces of [cursor, cursor + samples), one block each; the last is empty where a block ended there.

        A block without sound becomes a piece without sound: a place to be cancelled, which is never sent.
        """
        key = (request.stream, request.text, request.seed, tuple(sorted(request.knobs.items())))
        reel = self._reel(key, request)
        left = request.samples
        while True:
            began = time.monotonic()
            for _ in reel.more():
                yield self._wait(reel)
            sounding = bool(len(reel.rest))
            pcm = reel.take(left) if sounding else EMPTY
            left -= len(pcm)
            last = not sounding or (left == 0 and bool(len(reel.rest)))
            if sounding and left == 0 and not last:
                # The block ended where the request does: what was made leaves before the next block is.
                yield self._piece(reel, pcm, began, last=False)
                began = time.monotonic()
                for _ in reel.more():
                    yield self._wait(reel)
                pcm, last = EMPTY, True
            yield self._piece(reel, pcm, began, last)
            if last:
                break
        if reel.ended and not len(reel.rest):
            self._reels.pop(key, None)

    def _wait(self, reel: _Reel) -> AudioChunk:
        return AudioChunk(EMPTY, self._rate, (), max(reel.at, reel.start), reel.state)

    def _piece(self, reel: _Reel, pcm: Float, began: float, last: bool) -> AudioChunk:
        pcm = np.ascontiguousarray(pcm, np.float32)
        pcm.flags.writeable = False
        eos = last and reel.ended and not len(reel.rest)
        render_ms = 1000.0 * (time.monotonic() - began)
        return AudioChunk(pcm, self._rate, reel.due(), max(reel.at, reel.start), reel.state, last, eos, render_ms)

    def _reel(self, key: tuple[object, ...], request: Request) -> _Reel:
        """The sentence in progress if it stands exactly where the request begins, else begun anew."""
        reel = self._reels.pop(key, None)
        if reel is not None and reel.at != request.cursor:
            reel.close()
            reel = None
        if reel is None:
            reel = _Reel(self._opened(request), request.cursor)
        self._reels[key] = reel
        while len(self._reels) > self._kept:
            self._reels.popitem(last=False)[1].close()
        return reel

    def _opened(self, request: Request) -> Iterator[Block]:
        post = {name: float(request.knobs[name]) for name in POST_KNOBS if name in request.knobs}
        if not post:
            return self._begin(request)
        return processed(self._begin(replace(request, cursor=0)), self._rate, post)

    def close(self) -> None:
        for reel in self._reels.values():
            reel.close()
        self._reels.clear()
