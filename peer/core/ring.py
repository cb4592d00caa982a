"""The ring between producer and playout: int16 samples at absolute positions, with their origin.

Knows neither fades nor frames of silence; one writer and one reader on one thread, so no lock.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from .frame import Provenance, Span
from .pcm import FRAME, Int16

QUIET = 64
"""int16 level (-54 dBFS) under which the end of a sentence counts as pause."""


class Ring:
    """Bounded to `frames` frames. `read` and `written` are absolute sample counters.

    The first frame is mirrored behind the last, so a 20 ms view is contiguous wherever it starts.
    """

    def __init__(self, frames: int) -> None:
        if frames < 2:
            raise ValueError("a ring of less than two frames cannot be written while it is read")
        self.capacity = frames * FRAME
        self._buffer = np.zeros(self.capacity + FRAME, np.int16)
        self._view = self._buffer.view()
        self._view.flags.writeable = False
        self._spans: deque[Span] = deque()
        self.read = 0
        self.written = 0

    @property
    def depth(self) -> int:
        """Samples written and not yet read."""
        return self.written - self.read

    @property
    def room(self) -> int:
        return self.capacity - self.depth

    def write(self, pcm: Int16, origin: Provenance) -> int:
        """Append (n,) int16; returns the position of its first sample. Raises OverflowError when full."""
        n = len(pcm)
        if n > self.room:
            raise OverflowError(f"{n} samples for {self.room} of room")
        start, at = self.written, self.written % self.capacity
        head = min(n, self.capacity - at)
        self._store(at, pcm[:head])
        self._store(0, pcm[head:])
        self.written += n
        self._note(start, self.written, origin)
        return start

    def _store(self, at: int, pcm: Int16) -> None:
        if not len(pcm):
            return
        self._buffer[at : at + len(pcm)] = pcm
        if at < FRAME:
            k = min(FRAME - at, len(pcm))
            self._buffer[self.capacity + at : self.capacity + at + k] = pcm[:k]

    def _note(self, start: int, end: int, origin: Provenance) -> None:
        if start == end:
            return
        if self._spans and self._spans[-1].end == start and self._spans[-1].origin is origin:
            start = self._spans.pop().start
        self._spans.append(Span(start, end, origin))

    def peek(self, samples: int = FRAME) -> Int16:
        """A read-only view of the next min(`samples`, depth) samples; at most one frame; no copy."""
        at = self.read % self.capacity
        return self._view[at : at + min(samples, self.depth, FRAME)]

    def origins(self, samples: int = FRAME) -> tuple[Span, ...]:
        """The spans of the next `samples` samples, clipped to them."""
        end = min(self.read + samples, self.written)
        found = []
        for span in self._spans:
            if span.start >= end:
                break
            found.append(Span(max(span.start, self.read), min(span.end, end), span.origin))
        return tuple(found)

    def advance(self, samples: int) -> None:
        """The reader is done with `samples` samples."""
        if samples > self.depth:
            raise ValueError(f"{samples} samples read of {self.depth}")
        self.read += samples
        while self._spans and self._spans[0].end <= self.read:
            self._spans.popleft()

    def truncate(self, position: int) -> int:
        """Forget what was written from `position` on; returns how many samples that were."""
        position = max(position, self.read)
        dropped = self.written - position
        if dropped <= 0:
            return 0
        self.written = position
        if self._spans and position == self.read:
            self._spans.clear()
        while self._spans and self._spans[-1].start >= position:
            self._spans.pop()
        if self._spans and self._spans[-1].end > position:
            last = self._spans.pop()
            self._spans.append(Span(last.start, position, last.origin))
        return dropped

    def copy(self, start: int, end: int) -> Int16:
        """Samples [start, end), which must still be unread, as a new (end - start,) int16."""
        if not self.read <= start <= end <= self.written:
            raise ValueError("only unread samples can be copied")
        index = np.arange(start, end) % self.capacity
        return self._buffer[index]

    def last(self, samples: int) -> Int16:
        """The last min(`samples`, all) samples written, read or not, as a new (n,) int16. `samples` ≤ capacity."""
        start = max(0, self.written - min(samples, self.capacity))
        return self._buffer[np.arange(start, self.written) % self.capacity]


def quiet(ring: Ring) -> int:
    """Samples of quiet at the end of what is written and not yet read, at most one frame."""
    start = max(ring.read, ring.written - FRAME)
    written = ring.copy(start, ring.written).astype(np.int32)
    loud = np.flatnonzero(np.abs(written) > QUIET)
    return len(written) - (int(loud[-1]) + 1 if len(loud) else 0)
