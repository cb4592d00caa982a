"""Tells an engine that thinks from one that stalls: by how long it has been silent, against what it used to take.

Knows no clock: frame numbers come from outside, and a frame is the grain of what it can tell.
"""

from __future__ import annotations

from collections import deque

from .pcm import FRAME_MS

MEMORY = 32
"""Silences remembered of each sort."""
GRACE = 2.0
"""Times the longest of 95 in 100 silences: later than that is no jitter any more."""
PATIENCE = 5.0
"""Times what the warm-up promised, before anything was measured: a first render also loads what the warm-up missed."""
LEAST_MS = 3.0 * FRAME_MS
"""Three frames: one until the question, one until the answer is looked at, one for a busy machine; what is missing
meanwhile is held, and a far end conceals that."""


class Lifeline:
    """Signs of life of one engine: asked, first piece, next pieces."""

    def __init__(self) -> None:
        self._sign = 0
        self._waits: dict[bool, deque[int]] = {True: deque(maxlen=MEMORY), False: deque(maxlen=MEMORY)}
        self._first = True

    def asked(self, n: int) -> None:
        """A chunk was asked for."""
        self._sign, self._first = n, True

    def lives(self, n: int) -> None:
        """A piece came."""
        self._waits[self._first].append(n - self._sign)
        self._sign, self._first = n, False

    def silent_ms(self, n: int) -> float:
        return float((n - self._sign) * FRAME_MS)

    def grace_ms(self, expected_ms: float) -> float | None:
        """The silence that is still ordinary. `expected_ms`: what the whole chunk should take, 0 if unknown; then
        None as long as nothing was measured: nobody knows how long this engine may think.
        """
        waits = sorted(self._waits[self._first])
        if waits:
            usual = waits[min(len(waits) - 1, int(0.95 * len(waits)))] * FRAME_MS
            return max(LEAST_MS, GRACE * max(usual, FRAME_MS))
        return max(LEAST_MS, PATIENCE * expected_ms) if expected_ms else None

    def due(self, expected_ms: float) -> int | None:
        """The frame at which silence stops being ordinary, or None."""
        grace = self.grace_ms(expected_ms)
        return None if grace is None else self._sign + int(grace // FRAME_MS) + 1
