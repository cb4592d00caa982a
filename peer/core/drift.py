"""The drift guard: what should have been written against what was, what was sent against heard.

Knows no ring; it says how many samples of silence to add or take out at the next pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .pcm import RATE

TOLERANCE = RATE // 1000
"""1 ms: under it nobody could notice, above it captions and sound would slide apart."""
LAG_TOLERANCE = RATE // 10
"""100 ms: a jitter buffer breathes by less; what grows beyond it is a far end whose clock is slow."""
STEP = RATE // 50
"""At most one frame is corrected per pause: a pause may breathe, not jump."""


@dataclass(frozen=True, slots=True)
class Correction:
    """`samples` > 0: add silence; < 0: take silence out. `why` names the comparison."""

    samples: int
    why: str


class DriftGuard:
    """Counts per session; asked once at every pause between sentences."""

    def __init__(self) -> None:
        self._due = Fraction(0)
        self._written = 0
        self._marker_error = 0
        self._lag: int | None = None
        self._lag_drift = 0

    @property
    def error(self) -> int:
        """Samples written beyond those due (positive: too many)."""
        return self._written - round(self._due)

    def wrote(self, native: int, rate: int, samples: int) -> None:
        """A sentence of `native` samples at `rate` became `samples` samples at 48 kHz."""
        self._due += Fraction(native * RATE, rate)
        self._written += samples

    def marked(self, last_marker: int, end: int) -> None:
        """The last marker of a sentence against the sentence's end: beyond it, it was never sound."""
        self._marker_error = max(0, last_marker - end)

    def heard_anew(self) -> None:
        """Speech begins: the next report says what delay is normal."""
        self._lag = None
        self._lag_drift = 0

    def heard(self, sent: int, heard: int) -> None:
        """Samples sent against samples heard while speaking: growth is drift, a constant is delay."""
        lag = sent - heard
        if self._lag is None:
            self._lag = lag
        self._lag_drift = lag - self._lag

    def at_pause(self, silence: int) -> Correction | None:
        """What to do in a pause of `silence` samples, or None. The correction counts as done."""
        if abs(self.error) > TOLERANCE:
            wanted = -self.error
            samples = max(-min(silence, STEP), min(STEP, wanted))
            self._written += samples
            return Correction(samples, "written") if samples else None
        if self._marker_error > TOLERANCE:
            samples = min(STEP, self._marker_error)
            self._marker_error = 0
            return Correction(samples, "markers")
        if self._lag is not None and self._lag_drift > LAG_TOLERANCE and silence:
            samples = -min(silence, STEP)
            self._lag_drift += samples
            self._lag -= samples
            return Correction(samples, "heard")
        return None
