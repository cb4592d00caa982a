"""The segmenter: streamed source text cut into speakable windows, by sentences or earlier when audio runs short.

Knows nothing of engines or time: the caller says how hungry it is. Without hunger a cut depends on the text alone,
never on the pieces in which it arrived.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from itertools import takewhile

import sentencex

from .speakable import Spoken, speakable

MAX_WINDOW = 400
"""Characters of one window: about 25 s of speech, which bounds what a retry renders again and what a request weighs."""
MAX_ADDRESS = 2_000
"""Characters of an address that is kept whole beyond MAX_WINDOW, since half of one is noise."""
CONTEXT = 160
"""Characters before a full stop that decide whether it ends a sentence: abbreviations and initials are near it."""
PEEK = 8
"""Characters after a gap that are looked at for the next word: quotes and markup come before it."""
FIRST = 3
"""Letters of that word that decide: one could be an initial, waiting for all of them would cost time."""
LOOK = PEEK + FIRST + 1
"""Characters needed after the longest window."""
MARKER = 5
"""Characters of a line that show whether it begins a list item, a heading, a table or a fence."""
MAX_SPAN = 200
"""Characters for which an open link or code span forbids a cut; one that stays open longer is not markup."""
MAX_BOLD = 80
"""The same for bold text: whole paragraphs may be bold, and waiting for their end would cost the first words."""
SKIM = 16_384
"""Unspeakable characters passed over at once (0.2 ms): a million emoji take 62 calls."""
MAX_SKIPPED = 2
"""Silent windows passed over in one call: each may take 2.6 ms where every character is a full stop."""
HUNGRY_WORDS = 4
"""Words that are worth an engine's start-up per chunk; fewer sound clipped."""
CLAUSE_WORDS = 2
"""Words before a comma that are worth it: the comma's pause hides the seam."""
MAX_TRIES = 32
"""Places for an early or forced cut that are tried, from the last one back; text where all fail is no prose."""
MAX_GRAPHEME = 32
"""Characters that a cut moves back for to spare a grapheme; longer clusters are ornament."""
BLOCK = 4_096
"""Characters of one block of source: appending and reading cost as much as they touch."""


class Hunger(IntEnum):
    """How badly audio is needed: whole sentences, clauses or a few words, any whole word."""

    NONE = 0
    HUNGRY = 1
    STARVING = 2


@dataclass(frozen=True, slots=True)
class Window:
    """Source characters `[start, end)` and what is said for them."""

    index: int
    start: int
    end: int
    spoken: Spoken

    @property
    def text(self) -> str:
        return self.spoken.text

    @property
    def origin(self) -> tuple[int, ...]:
        return self.spoken.origin

    def source_at(self, at: int) -> int:
        """The source character that speakable character `at` came from; the window's end from its length on."""
        return self.spoken.origin[max(at, 0)] if at < len(self.spoken.origin) else self.end

    def source_range(self, start: int, end: int) -> tuple[int, int]:
        """The source characters `[a, b)` behind speakable characters `[start, end)`."""
        at = self.source_at(start)
        last = min(end, len(self.spoken.until)) - 1
        return at, (max(at, self.spoken.until[last]) if last >= start else at)


class _Source:
    """Text that grows, in blocks, so that neither appending nor slicing copies all of it."""

    __slots__ = ("_blocks", "length")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self.length = 0

    def append(self, text: str) -> None:
        if self._blocks and len(self._blocks[-1]) < BLOCK:
            text = self._blocks.pop() + text
            self.length = len(self._blocks) * BLOCK
        self._blocks += [text[at : at + BLOCK] for at in range(0, len(text), BLOCK)]
        self.length += len(text)

    def slice(self, start: int, end: int) -> str:
        first, end = start // BLOCK, min(end, self.length)
        joined = "".join(self._blocks[first : (end + BLOCK - 1) // BLOCK])
        return joined[start - first * BLOCK : end - first * BLOCK]


_UNSPEAKABLE = (
    r"\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe00-\ufe0f\u20e3\ud800-\udfff"
    r"\u2600-\u2775\u2794-\u27bf\U0001f000-\U0001f0ff\U0001f1e6-\U0001faff\U000e0000-\U000e0fff"
)
_SKIP = re.compile(f"[{_UNSPEAKABLE}]+")

_SURROGATES = re.compile("[\ud800-\udfff]")
_CLOSERS = "\"'”’»)\\]}」』）】》*_`~"
_WIDE = "。！？｡．"
"""Full stops that need no space after them."""
_STOPS = ".!?…؟۔।॥።։‼⁇⁈⁉"
_TAIL = frozenset(_STOPS + _WIDE + _CLOSERS)
_CANDIDATE = re.compile(
    rf"(?P<wide>[{_WIDE}]+[{_CLOSERS}{_WIDE}]*\s*)|(?P<stop>[{_STOPS}]+[{_CLOSERS}]*\s+)|(?P<line>[^\S\n]*\n\s*)"
)
_CLAUSE = re.compile(rf"[,;:—–!?][{_CLOSERS}]*\s+(?=\S)|\s[—–-]\s+(?=\S)|\n\s*(?=\S)|[，、；：]\s*(?=\S)")
_GAP = re.compile(r"\s+(?=\S)")
_OPENING_LINE = re.compile(r"(?:[-*+•]|\#{1,6}|[0-9]{1,3}[.)])[ \t]|\||```|~~~|>")
_OWN_LINE = re.compile(r"[ \t]*(?:\#{1,6}[ \t]|\||```|~~~)")
_ORDINAL_ONLY = re.compile(r"[\s>*_#+-]*(?:[0-9]{1,3}|[a-zA-Z])[.)]\s*")
_HEARD = re.compile(r"[^\W_]")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff\U00020000-\U0003ffff]")
"""Scripts without spaces between words: Chinese, Japanese, Thai, Lao, Khmer."""
_ADDRESS = re.compile(r"https?://\S*\Z")


class Segmenter:
    """Windows over a growing source; `rewind` goes back to any character of it."""

    def __init__(self, language: str = "en") -> None:
        self._language = language
        self._source = _Source()
        self._ended = False
        self._index = 0
        self._move(0)

    def _move(self, offset: int) -> None:
        self._position = offset
        self._from = offset
        """Where the next window's first speakable character is, as far as known."""
        self._rejected = 0
        """Characters from there on that hold no sentence end: never looked at again."""
        self._seen = -1
        """The source's length when the last search without hunger failed."""

    @property
    def position(self) -> int:
        """The source character at which the next window starts."""
        return self._position

    @property
    def pending(self) -> int:
        """Characters not yet released."""
        return self._source.length - self._position

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def exhausted(self) -> bool:
        """Nothing is left and nothing will come."""
        return self._ended and self._position >= self._source.length

    @property
    def source_length(self) -> int:
        return self._source.length

    def source(self, start: int, end: int) -> str:
        """The source characters `[start, end)`, as they came."""
        return self._source.slice(start, end)

    def append(self, text: str) -> None:
        if self._ended:
            raise ValueError("the source has ended")
        if text:
            self._source.append(text)

    def end(self) -> None:
        """No more text will come."""
        self._ended = True
        self._seen = -1
        self._skim()

    def rewind(self, source_offset: int) -> None:
        """The next window starts at exactly that character again."""
        if not 0 <= source_offset <= self._source.length:
            raise ValueError(f"offset {source_offset} is outside the source of {self._source.length} characters")
        self._move(source_offset)
        self._skim()

    def next(self, hunger: Hunger = Hunger.NONE, most_words: int | None = None) -> Window | None:
        """The next window that can be heard, or None while none can be released.

        A window starts where the one before ended: what cannot be spoken in between belongs to it. One call examines
        a bounded number of characters; after a long unspeakable stretch it returns None although the next would not.
        With `most_words` a longer sentence is cut at a clause, else between words.
        """
        for _ in range(MAX_SKIPPED):
            if not self._skim():
                return None
            size = self._cut(hunger)
            if most_words is not None:
                size = self._clause(size, most_words)
            if not size:
                return None
            spoken = speakable(self._source.slice(self._from, self._from + size), self._from, self._language)
            start, end = self._position, self._from + size
            if not spoken.silent:
                self._move(end)
                self._skim()
                self._index += 1
                return Window(self._index - 1, start, end, spoken)
            self._from, self._rejected, self._seen = end, 0, -1
        return None

    def _skim(self) -> bool:
        """Pass over what cannot be spoken; at the end of the source it is nobody's. False where there may be more."""
        passed = 0
        if found := _SKIP.match(self._source.slice(self._from, self._from + 1)):
            found = _SKIP.match(self._source.slice(self._from, self._from + SKIM))
            passed = found.end() if found else 0
            self._from += passed
            self._rejected = 0
        if self._ended and self._from >= self._source.length:
            self._position = self._source.length
        return passed < SKIM

    def _cut(self, hunger: Hunger) -> int:
        """How many characters from `_from` the next window takes, or 0."""
        if hunger is Hunger.NONE and self._seen == self._source.length:
            return 0
        text = self._source.slice(self._from, self._from + MAX_WINDOW + LOOK)
        complete = self._ended and self._from + len(text) == self._source.length
        found, self._rejected = first_end(text, complete, self._rejected, self._language)
        if found:
            return found
        if len(text) == MAX_WINDOW + LOOK and self._rejected >= MAX_WINDOW:
            return self._forced(text)
        if complete and self._rejected >= min(len(text), MAX_WINDOW):
            return len(text) if len(text) <= MAX_WINDOW else self._forced(text)
        if hunger is Hunger.NONE:
            self._seen = self._source.length
            return 0
        return early_cut(text[:MAX_WINDOW], hunger)

    def _clause(self, size: int, most: int) -> int:
        """`size`, or fewer characters where those, or the text so far, are more than `most` words."""
        text = self._source.slice(self._from, self._from + (size or MAX_WINDOW))
        return clause_cut(text, most) or size

    def _forced(self, text: str) -> int:
        """Where a window that is too long ends; 0 while an address may still go on."""
        size = forced_cut(text)
        if not _ADDRESS.search(text[:size]) or text[size - 1].isspace():
            return size
        longer = self._source.slice(self._from, self._from + MAX_ADDRESS)
        if gap := _GAP.search(longer, size):
            return gap.end()
        if len(longer) == MAX_ADDRESS:
            return grapheme_cut(longer, MAX_ADDRESS - 1)
        return len(longer) if self._ended else 0


def first_end(text: str, complete: bool, done: int, language: str) -> tuple[int, int]:
    """`(end, done)`: where the first sentence of `text` ends, or 0, and how far the search need not be repeated.

    `complete` says that nothing follows `text`. `done` is what an earlier search over its beginning returned.
    """
    for match in _CANDIDATE.finditer(text, done):
        start, end = match.span()
        if end > MAX_WINDOW:
            break
        if not complete and len(text) < end + (MARKER if match.lastgroup == "line" else 1):
            return 0, start
        follow = _follow(text, end, complete)
        if match.lastgroup == "stop" and not follow:
            return 0, start
        if _is_end(match, follow, language):
            return end, end
        done = end
    if complete or len(text) >= MAX_WINDOW + LOOK:
        return 0, len(text)
    return 0, max(done, _settled(text))


def _settled(text: str) -> int:
    """Up to where no candidate can begin whatever follows: before the last run of stops, closers and spaces."""
    at = len(text)
    while at and (text[at - 1] in _TAIL or text[at - 1].isspace()):
        at -= 1
    return at


def _follow(text: str, end: int, complete: bool) -> str:
    """The beginning of the word after `end`, without quotes and markup before it; "" while it is not known."""
    for at in range(end, min(end + PEEK, len(text))):
        if text[at].isalnum():
            word = text[at : at + FIRST]
            known = complete or len(word) == FIRST or not word.isalnum()
            return word if known else ""
    return " " if complete or len(text) >= end + PEEK else ""


def _is_end(match: re.Match[str], follow: str, language: str) -> bool:
    """Whether a window may end with this candidate."""
    text, (start, end) = match.string, match.span()
    if not _HEARD.search(text, 0, start) or _ORDINAL_ONLY.fullmatch(text, 0, end) or _is_inside(text, end):
        return False
    match match.lastgroup:
        case "wide":
            return True
        case "line":
            return _is_block_end(text, start, end)
        case _:
            return _is_sentence_end(text, start, end, follow, language)


def _is_sentence_end(text: str, start: int, end: int, follow: str, language: str) -> bool:
    """Whether the stop in `[start, end)` (with closers and space) ends a sentence, by the library's rules."""
    breaks = text.count("\n", start, end)
    if breaks > 1 or (breaks and _OPENING_LINE.match(text, end)):
        return True
    if follow[0].islower() and text[start] == ".":
        return False
    near = max(0, start - CONTEXT)
    near = text.find(" ", near, start) + 1 if near else 0
    snippet = text[near:end] + follow
    if not snippet.isascii():
        snippet = _SURROGATES.sub("\ufffd", snippet)
    at = near
    for sentence in sentencex.segment(language, snippet):
        at += len(sentence)
        if at > start:
            return start < at <= end and at < near + len(snippet)
    return False


def _is_block_end(text: str, start: int, end: int) -> bool:
    """Whether the line break in `[start, end)` parts paragraphs, list items, headings or table rows."""
    if text.count("\n", start, end) > 1 or _OPENING_LINE.match(text, end):
        return True
    return bool(_OWN_LINE.match(text, text.rfind("\n", 0, start) + 1))


def _is_inside(text: str, at: int) -> bool:
    """Whether a cut at `at` would go through a link, a code span or bold text that began shortly before."""
    span = text[max(0, at - MAX_SPAN) : at]
    paragraph = span[span.rfind("\n\n") + 1 :]
    bracket, target = paragraph.rfind("["), paragraph.rfind("](")
    if bracket > paragraph.rfind("]") or (target >= 0 and paragraph.rfind(")") < target):
        return True
    line = paragraph[paragraph.rfind("\n", 0, -1) + 1 :].replace("```", "")
    return line.count("`") % 2 == 1 or span[-MAX_BOLD:].count("**") % 2 == 1


def early_cut(text: str, hunger: Hunger) -> int:
    """Where unfinished `text` may be cut before its sentence ends: after a clause, else after whole words; or 0."""
    ends = [m.end() for m in _CLAUSE.finditer(text)]
    least = CLAUSE_WORDS if hunger is Hunger.HUNGRY else 1
    for end in ends[: -MAX_TRIES - 1 : -1]:
        if _words(text[:end]) < least:
            break
        if not _is_inside(text, end):
            return end
    least = HUNGRY_WORDS if hunger is Hunger.HUNGRY else 1
    for end in _word_ends(text)[: -MAX_TRIES - 1 : -1]:
        if _words(text[:end]) < least:
            break
        if not _is_inside(text, end) and not _binds(text, end, hunger):
            return end
    return 0


def clause_cut(text: str, most: int) -> int:
    """Where `text` of more than `most` words is cut into a clause of at most so many; 0 where it has no more.

    Looks at the first words alone, so that it does not matter how much of the text is there already.
    """
    if _words(text) <= most:
        return 0
    fitting = list(takewhile(lambda end: _words(text[:end]) <= most, _word_ends(text)))
    clauses = {m.end() for m in _CLAUSE.finditer(text[: fitting[-1] + PEEK])} if fitting else set()
    late = [end for end in fitting if end in clauses and _words(text[:end]) > CLAUSE_WORDS]
    for end in (*reversed(late), *reversed(fitting)):
        if not _is_inside(text, end) and not _binds(text, end, Hunger.STARVING):
            return end
    return 0


def _word_ends(text: str) -> list[int]:
    ends = [m.end() for m in _GAP.finditer(text)]
    if not text.isascii():
        pairs = range(1, len(text))
        ends += [i for i in pairs if _UNSPACED.match(text[i]) and _UNSPACED.match(text[i - 1]) and _is_whole(text, i)]
        ends.sort()
    return ends


def _words(text: str) -> int:
    """Words of `text`; two characters of an unspaced script count as one."""
    return sum(any(c.isalnum() for c in word) for word in _UNSPACED.sub("", text).split()) + (
        0 if text.isascii() else len(_UNSPACED.findall(text)) // 2
    )


def _binds(text: str, end: int, hunger: Hunger) -> bool:
    """Whether the word before `end` belongs to the next one: an abbreviation (Dr.), a number with its unit."""
    before = text[:end].rstrip()
    if before.endswith(".") or _ORDINAL_ONLY.fullmatch(before):
        return True
    return hunger is Hunger.HUNGRY and before[-1:].isdigit()


def forced_cut(text: str) -> int:
    """Where a text of more than MAX_WINDOW characters is cut: a late clause, else a word, else between graphemes."""
    body = text[:MAX_WINDOW]
    least = MAX_WINDOW // 4
    for ends in ([m.end() for m in _CLAUSE.finditer(body)], _word_ends(body)):
        for end in ends[: -MAX_TRIES - 1 : -1]:
            if end < least:
                break
            if not _is_inside(body, end) and not _binds(body, end, Hunger.STARVING):
                return end
    late = [end for end in _word_ends(body) if end >= least]
    return late[-1] if late else grapheme_cut(text, MAX_WINDOW)


def _is_whole(text: str, at: int) -> bool:
    """Whether a grapheme ends before `at`: no mark, joiner, selector, half of a flag or of CR LF, no second jamo."""
    here, before = text[at], text[at - 1]
    if unicodedata.category(here)[0] == "M" or here in "\u200c\u200d" or before == "\u200d":
        return False
    if "\U0001f3fb" <= here <= "\U0001f3ff" or "\u1160" <= here <= "\u11ff" or (before, here) == ("\r", "\n"):
        return False
    if "\U0001f1e6" <= here <= "\U0001f1ff":
        run = at
        while run and "\U0001f1e6" <= text[run - 1] <= "\U0001f1ff":
            run -= 1
        return (at - run) % 2 == 0
    return True


def grapheme_cut(text: str, at: int) -> int:
    """`at`, or shortly before it where no grapheme is cut."""
    for end in range(at, max(at - MAX_GRAPHEME, 0), -1):
        if end >= len(text) or _is_whole(text, end):
            return end
    return at
