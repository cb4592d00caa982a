"""What each engine changes so that a voice goes on as it was heard: one match each, until another voice is meant.

Knows no sentence and no request: the ring and the marks show what sounded, the cast how an engine sounds by itself.
"""

from __future__ import annotations

from .cast import Cast
from .envelope import Envelope, Match, match, measure
from .marks import Marks
from .pcm import RATE, as_float
from .ring import Ring
from .wish import Setting

TAIL = 2 * RATE
"""Samples of what was said last that show how a voice sounds: enough voiced windows for a median."""
LEAST_LETTERS = 12
"""Letters between two marks that make a pace."""


class Matching:
    """The engine that began is the measure: it changes nothing, also when it is back."""

    def __init__(self, cast: Cast, ring: Ring, marks: Marks, adapter: str) -> None:
        self._cast = cast
        self._ring = ring
        self._marks = marks
        self._matches: dict[str, Match] = {adapter: Match()}
        self._voice_from = 0
        """Where the voice in force began: what sounded before was meant to sound otherwise."""

    def of(self, adapter: str) -> Match:
        return self._matches.get(adapter, Match())

    def heard(self) -> Envelope | None:
        """How the last two seconds sounded, heard or about to be."""
        tail = min(TAIL, self._ring.written - self._voice_from)
        letters_s = self._marks.letters_s(self._ring.written - tail, LEAST_LETTERS)
        return measure(as_float(self._ring.last(tail)), RATE, letters_s)

    def change(self, old: Setting, new: Setting) -> None:
        """Another engine keeps the envelope; another voice is meant to sound otherwise."""
        if new.voice != old.voice:
            self._matches, self._voice_from = {new.adapter: Match()}, self._ring.written
        elif new.adapter not in self._matches:
            own = self._own(new)
            heard = self.heard() if own is not None else None
            if heard is None:
                self._matches = {}
            self._matches[new.adapter] = match(heard, own, new.voice)

    def _own(self, setting: Setting) -> Envelope | None:
        """The engine's own voice was measured; of a timbre that the voice names only the loudness is known."""
        own = self._cast.envelope(setting.adapter)
        if own is not None and setting.voice.timbre_for(setting.adapter):
            return Envelope(own.rms_db)
        return own
