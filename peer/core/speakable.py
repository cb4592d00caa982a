"""Source text made speakable, with a map from every spoken character back to the source.

Knows nothing of sentences, windows or engines: it takes what it is given, and never fails on it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from .markup import Edit, block_edits, dangling_edits, inline_edits
from .wording import converter, word_edits

PIECE = 512
"""Characters worked on at once: longer texts are cut at whitespace, so that the cost stays linear."""
MAX_MARKS = 4
"""Combining marks on one letter: real scripts need three, stacks of more are ornament."""

_BLANKS = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_SPACES = re.compile(r"\s{2,}|[^\S ]|\s+(?=[,.;:!?…])")
_UNSPOKEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))
_KEPT_SYMBOLS = frozenset("°©®™℃℉№")
_JOINERS = "\u200c\u200d"
_LATIN_END = "\u024f"


@dataclass(frozen=True, slots=True)
class Spoken:
    """`text` for an engine; character i of it came from source characters `[origin[i], until[i])`.

    Both are as long as `text` and never decrease. A word made of `3.14` has the whole number as its source.
    """

    text: str
    origin: tuple[int, ...]
    until: tuple[int, ...]

    @property
    def silent(self) -> bool:
        """Nothing here can be heard."""
        return not any(char.isalnum() for char in self.text)


class _Draft:
    """A text under edit, and where its characters came from."""

    __slots__ = ("origin", "text", "until")

    def __init__(self, source: str, offset: int) -> None:
        self.text = source
        self.origin = list(range(offset, offset + len(source)))
        self.until = list(range(offset + 1, offset + len(source) + 1))

    def apply(self, edits: list[Edit]) -> None:
        if not edits:
            return
        text: list[str] = []
        origin: list[int] = []
        until: list[int] = []
        done = 0
        for start, end, new in [*edits, (len(self.text), len(self.text), "")]:
            text += (self.text[done:start], new)
            origin += self.origin[done:start]
            until += self.until[done:start]
            if new and end > start:
                origin += [self.origin[start]] * len(new)
                until += [self.until[end - 1]] * len(new)
            done = end
        self.text, self.origin, self.until = "".join(text), origin, until


def speakable(source: str, offset: int = 0, language: str = "en") -> Spoken:
    """What to say for `source`, which starts at character `offset` of its utterance."""
    text: list[str] = []
    origin: list[int] = []
    until: list[int] = []
    start = 0
    while start < len(source):
        end = _piece_end(source, start)
        draft = _draft(source[start:end], offset + start, converter(language))
        if text and draft.text:
            text.append(" ")
            origin.append(origin[-1])
            until.append(until[-1])
        text.append(draft.text)
        origin += draft.origin
        until += draft.until
        start = end
    return Spoken("".join(text), tuple(origin), tuple(until))


def _piece_end(source: str, start: int) -> int:
    limit = start + PIECE
    if limit >= len(source):
        return len(source)
    blank = max(source.rfind(" ", start, limit), source.rfind("\n", start, limit))
    return blank + 1 if blank > start else limit


def _draft(source: str, offset: int, language: str) -> _Draft:
    draft = _Draft(source, offset)
    draft.apply(_clean(draft.text))
    draft.apply([(m.start(), m.end(), " ") for m in _BLANKS.finditer(draft.text)])
    draft.apply(block_edits(draft.text))
    draft.apply(inline_edits(draft.text))
    draft.apply(dangling_edits(draft.text))
    draft.apply(word_edits(draft.text, _counting(draft.text, language)))
    draft.apply(_tidy(draft.text))
    return draft


def _clean(text: str) -> list[Edit]:
    """Control and format characters, emoji and ornament go; a control character parts words, the others do not."""
    if text.isascii() and text.isprintable():
        return []
    edits: list[Edit] = []
    marks = 0
    for at, char in enumerate(text):
        if " " <= char < "\x7f" or char == "\n":
            marks = 0
            continue
        kind = unicodedata.category(char)
        marks = marks + 1 if kind[0] == "M" else 0
        if marks > MAX_MARKS or _is_unspoken(text, at, char, kind):
            edits.append((at, at + 1, " " if kind in ("Cc", "So") else ""))
    return edits


def _is_unspoken(text: str, at: int, char: str, kind: str) -> bool:
    if char in _JOINERS:
        return not (0 < at < len(text) - 1 and _is_joining(text[at - 1]) and _is_joining(text[at + 1]))
    if kind == "So":
        return char not in _KEPT_SYMBOLS
    variation = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return variation or kind in _UNSPOKEN or char == "\u20e3" or "\U0001f3fb" <= char <= "\U0001f3ff"


def _is_joining(char: str) -> bool:
    """Letters and marks of scripts (Persian, the Indic ones) where a joiner is part of the spelling."""
    return char > _LATIN_END and unicodedata.category(char)[0] in "LM"


def _counting(text: str, language: str) -> str:
    """`language`, or "" where the text is mostly in another script: English words do not belong between its letters."""
    if text.isascii() or not language:
        return language
    latin = sum(char.isalpha() and char <= _LATIN_END for char in text)
    foreign = sum(char.isalpha() and char > _LATIN_END for char in text)
    return "" if foreign > latin and _LATIN_LANGUAGES.fullmatch(language) else language


_LATIN_LANGUAGES = re.compile("en|fr|de|es|it|pt|nl|sv|da|no|fi|pl|cs|sk|sl|ro|hu|tr|lt|lv|ca|id|vi|is|az|cy|eo|tet")


def _tidy(text: str) -> list[Edit]:
    """One space between words, none at the ends nor before punctuation."""
    first = len(text) - len(text.lstrip())
    last = len(text.rstrip())
    if last <= first:
        return [(0, len(text), "")] if text else []
    edits: list[Edit] = [(0, first, "")] if first else []
    for match in _SPACES.finditer(text, first, last):
        after = text[match.end() : match.end() + 1]
        edits.append((match.start(), match.end(), "" if after in ",.;:!?…" else " "))
    if last < len(text):
        edits.append((last, len(text), ""))
    return edits
