"""The text oracle: the words that sounded are the words asked for, in order, minus the declared cut.

Knows no sound: it reads `word` records against the sources of the utterances.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from ..take import Row, Take, number
from .figures import Finding, found

WORD = re.compile(r"\S*[^\W_]\S*")
"""A written word: what stands between blanks and has a letter or a digit in it."""
DOUBTED = 3
"""Words that may be said again where their places are estimates: a fifth of a clause of eight, and the cut one."""


class Fate(Enum):
    """What an utterance may still come to: it is read on, or resumed, or it is let go."""

    UNSAID = "unsaid"
    LIVE = "live"
    PARKED = "parked"
    GONE = "gone"


@dataclass(slots=True)
class Reading:
    """How far one utterance has been read. `repeat`: so many words back it may be begun again, once: what was cut."""

    text: str
    words: list[tuple[int, int]] = field(init=False)
    next: int = 0
    last_from: int = -1
    repeat: int = 0
    sure: bool = True
    fate: Fate = Fate.UNSAID

    @property
    def unfinished(self) -> bool:
        return self.next < len(self.words)

    def __post_init__(self) -> None:
        self.words = [match.span() for match in WORD.finditer(self.text)]

    def index(self, character: int) -> int:
        """The word that holds `character`, or the one before it."""
        return bisect_right(self.words, (character, len(self.text) + 1)) - 1

    def name(self, index: int) -> str:
        return self.text[slice(*self.words[index])] if 0 <= index < len(self.words) else f"word {index}"

    def hear(self, start: int) -> str | None:
        """A word sounds at source character `start`; what is wrong with that, or None."""
        index = self.index(start)
        going_on = index == self.next - 1 and start > self.last_from
        again = self.next - self.repeat <= index < self.next
        self.last_from = start
        if index == self.next or going_on or again:
            if again or index == self.next:
                self.repeat, self.next = 0, index + 1
            return None
        lost = self.next
        self.next = max(self.next, index + 1)
        if index > lost:
            return f"lost {' '.join(self.name(i) for i in range(lost, index))!r}"
        return f"doubled {self.name(index)!r}"

    def again(self, source: int, far: bool) -> None:
        """A resume at source character `source`: the word that was cut may come once more."""
        self.cut()
        if far:
            self.next = min(self.next, max(self.index(source), 0))

    def cut(self) -> None:
        """Speech broke off: the word under way may come once more."""
        self.repeat = min(self.next, 1 if self.sure else DOUBTED)


def text_oracle(take: Take) -> Finding:
    """None lost, none doubled; after a resume or a forced hand-over at most the cut word comes twice.

    Where the words' places are estimates, as many as `DOUBTED`: what surely was not over is said again.
    """
    readings = {name: Reading(text) for name, text in take.texts.items()}
    faults: list[str] = []
    heard = 0
    far = any(row.get("kind") == "heard" for row in take.rows)
    gone: set[object] = set()
    for row in take.rows:
        if row.get("kind") == "word":
            heard += 1
            reading = readings.get(str(row.get("utterance")))
            if reading is not None:
                reading.sure = row.get("sure") is not False
            fault = "a word of no utterance" if reading is None else reading.hear(number(row, "from"))
            if fault is not None:
                faults.append(f"{row.get('utterance')} at frame {row.get('frame')}: {fault}")
        else:
            _declare(row, readings, far, gone)
    faults += _unfinished(readings)
    return found("text_oracle", faults, words_heard=heard, words_asked=sum(len(r.words) for r in readings.values()))


def _declare(row: Row, readings: dict[str, Reading], far: bool, gone: set[object]) -> None:
    """A cut, a resume or a forced hand-over says what may be missing, or come twice.

    `far`: the far end reports what it plays, so what it had not heard is said again. `gone`: engines that failed.
    """
    every = readings.values()
    match row.get("kind"):
        case "barge":
            _turn(every, Fate.PARKED, Fate.GONE)
            _turn((r for r in every if r.unfinished), Fate.LIVE, Fate.PARKED)
        case "resume" if "utterance" in row:
            _turn(every, Fate.PARKED, Fate.LIVE)
            resumed = readings.get(str(row["utterance"]))
            if resumed is not None:
                resumed.again(number(row, "source"), far)
        case "input":
            _turn(every, Fate.PARKED, Fate.GONE)
            _turn((r for name, r in readings.items() if name == row.get("utterance")), Fate.UNSAID, Fate.LIVE)
        case "speech" if row.get("stage") == "abandon":
            _turn(every, Fate.PARKED, Fate.GONE)
            _turn((r for r in every if r.unfinished), Fate.LIVE, Fate.GONE)
        case "health" if row.get("state") == "FAILED":
            gone.add(row.get("adapter"))
        case "swap" if row.get("stage") == "swap" and row.get("adapter_from") in gone:
            for reading in every:
                reading.cut()


def _turn(readings: Iterable[Reading], before: Fate, after: Fate) -> None:
    for reading in readings:
        if reading.fate is before:
            reading.fate = after


def _unfinished(readings: dict[str, Reading]) -> list[str]:
    return [
        f"{name}: lost {' '.join(r.name(i) for i in range(r.next, min(len(r.words), r.next + 3)))!r} at its end"
        for name, r in readings.items()
        if r.unfinished and r.fate is Fate.LIVE
    ]
