"""What a sentence's sound becomes on its way out of espeak-ng: markers in order, the last pause cut short.

Knows neither the library nor processes: callbacks in, records out. The standard library only.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

RATE = 22_050

PAUSE = RATE * 200 // 1000
"""What stays of the silence behind a sentence. The library gives 300 ms; 200 is where readers breathe
between sentences, and whoever answers does not seem to hesitate."""

FADE = RATE * 5 // 1000
"""Breathy variants are not silent in their pauses: where the pause is cut it falls to zero in 5 ms."""

WORD, PHONEME = 1, 7
"""The library's event types that become markers."""

SILENT = "_"
LONG_PAUSE = "_:"
"""Phoneme labels: anything silent begins with the first; a pause of some length with the second."""


class Event(NamedTuple):
    """One event of the library: `position` counts characters from 1, `sample` from the sentence's start."""

    type: int
    position: int
    length: int
    sample: int
    label: str


class Mark(NamedTuple):
    """A marker in the contract's terms."""

    kind: str
    at: int
    start: int
    end: int
    label: str


class Shaper:
    """Turns callbacks into what leaves: first the marks of a span, then its samples.

    Sound behind a long pause's first `PAUSE - FADE` samples is held until speech follows; when the
    sentence ends instead, only the faded rest of the pause leaves. So the result does not depend on
    how the library cuts its callbacks.
    """

    __slots__ = ("_end", "_held", "_length", "_paused_at", "_seen", "_start")

    def __init__(self, text_length: int) -> None:
        self._length = text_length
        self._start = 0
        self._end = 0
        self._seen = 0
        self._paused_at: int | None = None
        self._held = bytearray()

    def push(self, pcm: bytes, events: list[Event]) -> tuple[list[Mark], bytes]:
        """One callback: `pcm` int16 bytes. Returns its marks and the samples that may leave now."""
        marks = [mark for event in events if (mark := self._mark(event)) is not None]
        first = self._seen - len(self._held) // 2
        self._held += pcm
        self._seen += len(pcm) // 2
        free = self._seen
        if self._paused_at is not None:
            free = min(free, max(first, self._paused_at + PAUSE - FADE))
        return marks, self._release(free - first)

    def end(self) -> bytes:
        """The rest, when the sentence is over."""
        first = self._seen - len(self._held) // 2
        if self._paused_at is not None and self._seen > max(first, self._paused_at + PAUSE - FADE) + FADE:
            del self._held[2 * FADE :]
            return _faded(self._release(FADE))
        return self._release(self._seen - first)

    def _release(self, samples: int) -> bytes:
        out = bytes(self._held[: 2 * samples])
        del self._held[: 2 * samples]
        return out

    def _mark(self, event: Event) -> Mark | None:
        """The event as a marker, if it is one; notes whether speech or a pause begins."""
        at = max(event.sample, self._seen)
        if event.type == WORD:
            self._paused_at = None
            self._start = max(self._start, min(event.position - 1, self._length))
            self._end = min(self._start + event.length, self._length)
            return Mark("word", at, self._start, self._end, "")
        if event.type != PHONEME or not event.label:
            return None
        if event.label.startswith(LONG_PAUSE):
            if self._paused_at is None:
                self._paused_at = at
            return Mark("phoneme", at, self._end, self._end, LONG_PAUSE)
        if event.label.startswith(SILENT):
            return None
        self._paused_at = None
        return Mark("phoneme", at, self._start, self._end, event.label)


def _faded(pcm: bytes) -> bytes:
    """`pcm` int16 bytes, falling to zero in a straight line."""
    samples = array("h", pcm)
    count = len(samples)
    return array("h", [value * (count - index) // count for index, value in enumerate(samples)]).tobytes()
