"""What is said of a sentence: tags kept, everything else that looks like one taken apart; parts that fit a prompt.

Knows neither tokens nor codes. Positions are those of the request's text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from adapters import estimate
from peer.core.chunk import Marker
from peer.core.errors import Unspeakable

TAGS = ("laugh", "chuckle", "sigh", "cough", "sniffle", "groan", "yawn", "gasp")
"""The sounds that Orpheus was taught, written <laugh> in the text."""

LONGEST_PART = 180
"""Characters of one prompt. At the bound below they are 1800 codes; with the prompt they fit a context of 2048,
the published models' answers end after 1200, and half as much is what one says in a breath."""

SLOWEST_S = 0.11
"""Seconds a character takes at most: a slow reader takes 0.083 (120 words a minute), and a third more."""

DIGIT = 4
"""Characters that a digit counts for: "7" is said "seven"."""

LEAD_S = 2.0
"""Seconds more at most: a laugh or a sigh, a breath before, the pause after."""

PACE_S = 0.055
"""Seconds per letter for the estimate of word times: 190 words a minute, a person talking; not measured, for no
published weights were at hand."""

PAUSE_S = 0.25
"""Silence for a text without a letter or digit: there is nothing to pronounce, and a pause is what it means."""

MARK = re.compile(r"<\|?\s*/?\s*([^<>|]{1,64}?)\s*/?\s*\|?>")
ENDS = (re.compile(r"[.!?…]\s"), re.compile(r"[;:—]\s"), re.compile(r",\s"), re.compile(r"\s"))
"""Where a text is best cut, the best first: a voice falls at a sentence's end and takes a breath at a clause's."""

SCRIPTS = {
    "am": {"ETHIOPIC"}, "ar": {"ARABIC"}, "be": {"CYRILLIC"}, "bg": {"CYRILLIC"}, "bn": {"BENGALI"},
    "el": {"GREEK"}, "fa": {"ARABIC"}, "he": {"HEBREW"}, "hi": {"DEVANAGARI"}, "hy": {"ARMENIAN"},
    "ja": {"CJK", "HIRAGANA", "KATAKANA"}, "ka": {"GEORGIAN"}, "ko": {"HANGUL"}, "mr": {"DEVANAGARI"},
    "ru": {"CYRILLIC"}, "ta": {"TAMIL"}, "te": {"TELUGU"}, "th": {"THAI"}, "uk": {"CYRILLIC"}, "ur": {"ARABIC"},
    "zh": {"CJK"},
}  # fmt: skip
"""What a language is written in, as Unicode names its letters; all others in LATIN."""


class Part(NamedTuple):
    """Characters [start, end) of the request's text, and what the prompt says for them."""

    start: int
    end: int
    text: str

    @property
    def longest_s(self) -> float:
        """Seconds after which a model that has not stopped by itself is stopped."""
        digits = sum(letter.isdigit() for letter in self.text)
        return LEAD_S + SLOWEST_S * (len(self.text) + (DIGIT - 1) * digits)


def parts(text: str) -> tuple[Part, ...]:
    """`text` cut where a clause, a word, or else LONGEST_PART ends; empty where there is nothing to pronounce."""
    found = (Part(start, end, cleaned(text[start:end])) for start, end in _cuts(text))
    return tuple(part for part in found if estimate.SOUNDED.search(part.text))


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while len(text) - start > LONGEST_PART:
        end = start + _cut(text[start : start + LONGEST_PART])
        yield start, end
        start = end
    yield start, len(text)


def _cut(piece: str) -> int:
    """Where to cut a piece that is too long: in its second half, at the best place there is; else at its end."""
    for end in ENDS:
        found = [match.end() for match in end.finditer(piece) if match.end() > len(piece) // 2]
        if found:
            return found[-1]
    return len(piece)


def cleaned(text: str) -> str:
    """One line of what is to be said: known tags as they are taught, the words of all other markup, no controls."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(MARK.sub(_tag, plain).split())


def _tag(match: re.Match[str]) -> str:
    name = match[1].lower()
    return f"<{name}>" if match[0].lower() == f"<{name}>" and name in TAGS else f" {match[1]} "


def words(part: Part, text: str, sample_rate: int) -> tuple[Marker, ...]:
    """Where the words of a part probably sound, `at` from the part's own start; tags are no words."""
    shown = MARK.sub(lambda match: " " * len(match[0]), text[part.start : part.end])
    found = estimate.words(shown, sample_rate, letter_s=PACE_S)
    return tuple(Marker(marker.kind, marker.at, marker.start + part.start, marker.end + part.start) for marker in found)


def check(text: str, languages: Sequence[str]) -> None:
    """Raises Unspeakable where most letters are of a script that none of the languages is written in."""
    known = set().union(*(SCRIPTS.get(tag.lower().partition("-")[0], {"LATIN"}) for tag in languages))
    scripts = Counter(_script(letter) for letter in text if letter.isalpha())
    foreign = {script: count for script, count in scripts.items() if script not in known}
    if 2 * sum(foreign.values()) > scripts.total():
        most = max(foreign, key=lambda script: foreign[script]).title()
        raise Unspeakable(f"{most} letters: this voice speaks {', '.join(languages)}; choose an engine for that text")


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
