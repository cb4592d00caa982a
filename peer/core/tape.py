"""The stream as it was written, by position: what the ring held, kept for as long as somebody asks for it.

Knows no reader's clock; it is the ring of a replay.
"""

from __future__ import annotations

import numpy as np

from .frame import Provenance
from .pcm import Int16

BLOCK = 1 << 20
"""Samples by which it grows: 22 s, 2 MB."""


class Tape:
    """int16 samples [first, written) at absolute positions; what was forgotten cannot be read again."""

    def __init__(self) -> None:
        self._samples: Int16 = np.zeros(BLOCK, np.int16)
        self.first = 0
        self.written = 0

    def write(self, pcm: Int16, origin: Provenance) -> int:
        """Append (n,) int16; returns the position of its first sample."""
        start = self.written - self.first
        if start + len(pcm) > len(self._samples):
            more = np.zeros(max(BLOCK, len(pcm)), np.int16)
            self._samples = np.concatenate((self._samples, more))
        self._samples[start : start + len(pcm)] = pcm
        self.written += len(pcm)
        return self.written - len(pcm)

    def truncate(self, position: int) -> None:
        """What was written from `position` on was never said. A position that is no part of it changes nothing."""
        if self.first <= position < self.written:
            self.written = position

    def seek(self, position: int) -> None:
        """Begin anew at `position`: nothing before it is known."""
        self.first = self.written = position

    def copy(self, start: int, end: int) -> Int16:
        """Samples [start, end) as a new (end - start,) int16. Raises ValueError for what is not there."""
        if not self.first <= start <= end <= self.written:
            raise ValueError(f"samples {start} to {end} of a tape from {self.first} to {self.written}")
        return self._samples[start - self.first : end - self.first].copy()

    def forget(self, before: int) -> None:
        """Nobody asks for what lies before `before` any more. Copies once per block, not per call."""
        if min(before, self.written) - self.first < BLOCK:
            return
        before = min(before, self.written)
        self._samples = np.concatenate((self._samples[before - self.first :], np.zeros(BLOCK, np.int16)))
        self.first = before
