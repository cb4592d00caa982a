"""Where words lie in the output: source characters against ring positions.

Knows no audio; it answers what was heard, from where to resume and where to hand over.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from .pcm import RATE

KEPT = 20 * RATE
"""Samples behind the reader that are remembered: a far end that plays later than that is lost."""
DOUBT = 0.8
"""An estimated word is believed to be over only when the estimate would be right at this share of the sound: engines
that do not say where their words lie were up to a fifth slower than the estimate."""


@dataclass(frozen=True, slots=True)
class Mark:
    """At output sample `at` the source characters [start, end) of `utterance` begin to sound.

    kind "word" or "sentence"; "end" marks where a sentence's sound stops (start == end).
    `number` is the utterance's own: a name may come again once its utterance is over. `sure` False: the
    place is an estimate.
    """

    at: int
    kind: str
    utterance: str
    start: int
    end: int
    number: int = 0
    sure: bool = True


class Marks:
    """Marks in order of position, bounded by `KEPT` samples behind the reader."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        self._passed = 0

    def __len__(self) -> int:
        return len(self._marks)

    def add(self, mark: Mark) -> None:
        """Positions never fall within one sentence; an engine that says otherwise is put right."""
        if self._marks and mark.at < self._marks[-1].at:
            mark = replace(mark, at=self._marks[-1].at)
        self._marks.append(mark)

    def truncate(self, position: int) -> None:
        """Forget marks at or after `position`: that sound was flushed. Marks already passed stay."""
        while len(self._marks) > self._passed and self._marks[-1].at >= position:
            self._marks.pop()

    def clamp(self, position: int) -> None:
        """No sound follows `position`: words that an engine put beyond it belong to it."""
        i = len(self._marks)
        while i > self._passed and self._marks[i - 1].at > position:
            i -= 1
            self._marks[i] = replace(self._marks[i], at=position)

    def pass_to(self, read: int) -> list[Mark]:
        """The words that began to sound since the last call, now that the reader is at `read`."""
        found = []
        while self._passed < len(self._marks) and self._marks[self._passed].at < read:
            if self._marks[self._passed].kind == "word":
                found.append(self._marks[self._passed])
            self._passed += 1
        self._forget(read - KEPT)
        return found

    def _forget(self, before: int) -> None:
        if len(self._marks) < 512 or self._marks[0].at >= before:
            return
        cut = min(bisect_right(self._marks, before, key=lambda m: m.at), self._passed)
        del self._marks[:cut]
        self._passed -= cut

    def at(self, position: int) -> Mark | None:
        """The last mark at or before `position`: the word that sounds there; where words are estimates, one that
        is surely not over yet, so that whoever goes on from it loses nothing.
        """
        i = bisect_right(self._marks, position, key=lambda m: m.at)
        if not i or self._marks[i - 1].sure:
            return self._marks[i - 1] if i else None
        return self._doubted(i - 1, position)

    def _doubted(self, i: int, position: int) -> Mark:
        """From mark `i`, an estimate, back to the word under way if the sound is slower than was thought."""
        first = i
        while first and self._marks[first].kind == "word" and self._marks[first - 1].number == self._marks[i].number:
            first -= 1
        begin = self._marks[first].at
        limit = begin + DOUBT * (position - begin)
        while i > first and self._marks[i].at > limit:
            i -= 1
        return self._marks[i]

    def letters_s(self, after: int, least: int) -> float | None:
        """Source letters per second of the words from sample `after` on; None where fewer than `least` are sure."""
        words = [m for m in self._marks[bisect_right(self._marks, after, key=lambda m: m.at) :] if m.kind == "word"]
        if len(words) < 2 or not all(word.sure for word in words):
            return None
        letters = sum(word.end - word.start for word in words[:-1])
        seconds = (words[-1].at - words[0].at) / RATE
        return letters / seconds if letters >= least and seconds > 0 else None

    def last_of(self, number: int) -> Mark | None:
        """The last mark of utterance `number`, or None."""
        return next((m for m in reversed(self._marks) if m.number == number), None)

    def last_word(self, after: int, before: int) -> Mark | None:
        """The last word that begins in (after, before], or None."""
        for mark in reversed(self._marks):
            if mark.at <= after:
                return None
            if mark.kind == "word" and mark.at <= before:
                return mark
        return None
