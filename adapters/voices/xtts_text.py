"""A sentence in XTTS's terms: which of its languages reads it, where it is cut, what its tokenizer makes of it.

Knows no audio and no model; the library's tokenizer is handed in.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from peer.core.errors import Unspeakable

from . import xtts_folder

READERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "arabic": ("ar",),
        "cyrillic": ("ru",),
        "devanagari": ("hi",),
        "han": ("zh-cn", "ja"),
        "hangul": ("ko",),
        "kana": ("ja",),
    }
)
"""Script → the languages that read it, the likelier first. Latin letters are in the vocabulary of every language."""

SCRIPTS: Mapping[str, str] = MappingProxyType({"cjk": "han", "hiragana": "kana", "katakana": "kana"})
"""First words of Unicode's letter names that are no name of a script."""

SOUNDED = re.compile(r"[^\W_]")
STOPS = (
    re.compile(r"[.!?…]+[\"'”’)]*(?=\s)|[。！？]"),
    re.compile(r"[,;:،](?=\s)|[、，；：]"),
    re.compile(r"\s+"),
)
"""Where a text that is too long may be cut, the best first."""

UNSPOKEN = re.compile(r"[\[\]\x00-\x1f\x7f\ud800-\udfff]")
"""Brackets would reach the tokenizer as its own marks ("[STOP]"); the rest is nothing that sounds."""

CHARACTERS = 250
"""Longest prompt where the library names no limit for the language; it warns of cut audio beyond."""

LEAST_CODES = 2
"""Codes of the shortest prompt: with fewer, the library's own decode of a fast voice has no sample."""

UNKNOWN = "[UNK]"
MARKS = ("[SPACE]",)
"""Tokens that stand for no letter, beside the language's own."""


class Prompt(NamedTuple):
    """One call of the model: characters [start, end) of the text, its `ids`, and how many codes it may last."""

    start: int
    end: int
    ids: tuple[int, ...]
    most: int


class Bounds(NamedTuple):
    """How long a prompt may last: `letter_ms` for every written-out character and `spare_ms`, in codes of `code_ms`;
    and what the model takes in one prompt: fewer than `tokens` text tokens, `codes` codes."""

    letter_ms: float
    spare_ms: float
    code_ms: float
    tokens: int
    codes: int


def script_of(letter: str) -> str:
    """The script of a letter in lower case, as Unicode names it."""
    first = unicodedata.name(letter, "unnamed").partition(" ")[0].lower()
    return SCRIPTS.get(first, first)


def script(text: str) -> str:
    """The script of more than half of the letters, else "latin"; Han beside kana is Japanese."""
    counts: dict[str, int] = {}
    for letter in text:
        if letter.isalpha():
            name = script_of(letter)
            counts[name] = counts.get(name, 0) + 1
    if "kana" in counts:
        counts["kana"] += counts.pop("han", 0)
    most = max(counts, key=lambda name: counts[name], default="latin")
    return most if 2 * counts.get(most, 0) > sum(counts.values()) else "latin"


def reader(text: str, language: str, languages: Sequence[str]) -> str:
    """`language`, or the one of `languages` that reads the script of most of `text`. Raises Unspeakable."""
    written = script(text)
    if written == "latin":
        return language
    able = READERS.get(written, ())
    if language in able:
        return language
    wanting = [package for name in able if (package := xtts_folder.missing_package(name))]
    found = next((name for name in able if name in languages and not xtts_folder.missing_package(name)), None)
    if found is None:
        remedy = f"; with the package {wanting[0]} it could" if wanting else ""
        raise Unspeakable(f"no language of this voice reads {written} letters{remedy}")
    return found


def sounded(text: str) -> bool:
    """There is a letter or a digit in it."""
    return SOUNDED.search(text) is not None


def parts(text: str, limit: int) -> Iterator[tuple[int, int]]:
    """Spans of `text` of at most `limit` characters that hold something to say, cut where a speaker would pause."""
    start = 0
    while start < len(text):
        end = len(text) if len(text) - start <= limit else _cut(text, start, start + limit)
        if sounded(text[start:end]):
            yield start, end
        start = end


def _cut(text: str, start: int, stop: int) -> int:
    """The last good place in the second half of [start, stop), else `stop`."""
    for pattern in STOPS:
        ends = [match.end() for match in pattern.finditer(text, (start + stop) // 2, stop)]
        if ends:
            return ends[-1]
    return stop


def prompts(text: str, language: str, tokenizer: Any, bounds: Bounds) -> tuple[Prompt, ...]:
    """The prompts of a sentence. Raises Unspeakable where the tokenizer does not read it."""
    clean = UNSPOKEN.sub(" ", text)
    limit = tokenizer.char_limits.get(language.partition("-")[0], CHARACTERS)
    return tuple(_prompt(clean, start, end, language, tokenizer, bounds) for start, end in parts(clean, limit))


def _prompt(text: str, start: int, end: int, language: str, tokenizer: Any, bounds: Bounds) -> Prompt:
    part = text[start:end].strip().lower()
    try:
        ids = tuple(tokenizer.encode(part, lang=language))
        written = len(tokenizer.preprocess_text(part, language.partition("-")[0]))
    except Exception as error:  # number words, romanisers and dictionaries of 17 languages may raise anything
        raise Unspeakable(
            f"the library cannot read this text as {language}: {type(error).__name__}: {error}"
        ) from error
    if len(ids) >= bounds.tokens:
        raise Unspeakable(f"written out, this text has {len(ids)} tokens; the model takes fewer than {bounds.tokens}")
    _known(ids, language, tokenizer.tokenizer)
    codes = math.ceil((bounds.spare_ms + bounds.letter_ms * written) / bounds.code_ms)
    return Prompt(start, end, ids, max(LEAST_CODES, min(codes, bounds.codes)))


def _known(ids: Sequence[int], language: str, vocabulary: Any) -> None:
    """Raises Unspeakable where more than half of the letters are none of the vocabulary's."""
    marks = {vocabulary.token_to_id(name) for name in (*MARKS, f"[{language}]")}
    unknown = vocabulary.token_to_id(UNKNOWN)
    letters = [id for id in ids if id not in marks]
    if 2 * sum(id == unknown for id in letters) > len(letters):
        raise Unspeakable(f"the vocabulary of this voice lacks most letters of this text ({language})")
