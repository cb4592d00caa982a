"""A sentence as OuteTTS wants it: its text tidied as in training, its words one by one with their places.

Knows neither tokens nor speakers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from peer.core.errors import Unspeakable

LONGEST = 32
"""Characters of one spoken word; what is longer (an address) is said in parts, each with a marker of its own."""

DOTS = re.compile(r"\.{2,}")
DOUBLE_QUOTES = re.compile("[“”„‟«»]")
SINGLE_QUOTES = re.compile("[‘’‛‹›`´]")
DASHES = re.compile("[–—―−‐]")
HYPHENS = re.compile("-{2,}")
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200d\ufeff\ufe0e\ufe0f]")
SPACES = re.compile(r"\s+")
TIDY = (
    (SPACES, " "),
    (re.compile(r"\s+([,.?!:;])"), r"\1"),
    (re.compile(r"([,.?!:;])(?=[^\s,.?!:;])"), r"\1 "),
    (re.compile(r"(\w)\s+'\s*(\w)"), r"\1'\2"),
    (re.compile(r"(\w)\s+'\s*([,.?!:;\s]|$)"), r"\1'\2"),
    (re.compile(r"(\w)\s*'\s*([tsdmre])\b", re.IGNORECASE), r"\1'\2"),
    (re.compile(r"([?!])\1+"), r"\1"),
    (SPACES, " "),
)
"""Spaces and punctuation as the protocol puts them, also where that looks odd ("3. 14"): so the models saw them. The
words of the audio part keep their own shape, as they did in training."""

SAID_SIGNS = "&%+=@#$€£¥§°№×÷<>/|~^*"
"""Signs that a reader says. Any other word without a letter or digit belongs to the one before it."""

SPACELESS = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
"""Kana and Han: written without spaces. Each sign is a word here, as in the word times the models were trained on."""

SIGNS = re.compile(f"[{SPACELESS}][ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮー々]*|[^{SPACELESS}]+")
CJK_TEXT = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
CHUNK = re.compile(r"\S+")

TAKE = 30
"""Words of one prompt, as many as the package puts into one: a longer sentence would outgrow the context."""

TAKE_LEAST = 10
"""A prompt ends early only at punctuation, and not before so many words."""

SCRIPTS = (
    (0x41, 0x24F), (0x1E00, 0x1EFF), (0x400, 0x52F), (0x600, 0x6FF), (0x750, 0x77F), (0x980, 0x9FF), (0xB80, 0xBFF),
    (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1C90, 0x1CBF), (0x3040, 0x30FF), (0x3130, 0x318F), (0x31F0, 0x31FF),
    (0x3400, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Letters of the models' languages: Latin, Cyrillic, Arabic, Bengali, Tamil, Georgian, Hangul, Kana, Han."""


@dataclass(frozen=True, slots=True)
class Word:
    """`text` as it is given to the model; characters [start, end) of the sentence are what it stands for."""

    text: str
    start: int
    end: int


def tidied(text: str) -> str:
    """The text part of a prompt. The protocol's rules but one: broken encodings are not guessed at."""
    text = _plain(text)
    for pattern, put in TIDY:
        text = pattern.sub(put, text)
    return text.replace('"', "").strip()


def words(text: str) -> tuple[Word, ...]:
    """What is said, in order; empty where nothing is. Raises Unspeakable for a script the models do not have.

    Punctuation standing alone goes with the word before it, emoji are not said.
    """
    found: list[Word] = []
    opening: Word | None = None
    for word in _pieces(text):
        if is_said(word.text):
            found.append(replace(word, text=opening.text + word.text, start=opening.start) if opening else word)
            opening = None
        elif word.text and found:
            found[-1] = replace(found[-1], text=found[-1].text + word.text)
        elif word.text:
            opening = replace(word, start=opening.start, text=opening.text + word.text) if opening else word
    _speakable("".join(word.text for word in found))
    return tuple(found)


def takes(spoken: tuple[Word, ...]) -> Iterator[tuple[Word, ...]]:
    """The words of each prompt: all of them, or of a long sentence at most `TAKE`, cut at punctuation if there is."""
    while len(spoken) > TAKE:
        ends = [at for at in range(TAKE_LEAST, TAKE + 1) if not spoken[at - 1].text[-1].isalnum()]
        cut = ends[-1] if ends else TAKE
        yield spoken[:cut]
        spoken = spoken[cut:]
    if spoken:
        yield spoken


def is_said(word: str) -> bool:
    """Whether a word has a letter, a digit or a sign that is read out."""
    return any(letter.isalnum() or letter in SAID_SIGNS for letter in word)


def merged(speaker: str, text: str) -> tuple[str, str]:
    """(the text part of a prompt, what to add to the speaker's last word): the speaker's text, then the new one.

    `text` is tidied already. A speaker's text without an end gets one, as the protocol does, but on a copy.
    """
    speaker = speaker.strip()
    spaceless = CJK_TEXT.search(speaker) is not None
    if not speaker.endswith(("。", "？", "！", "?", "!") if spaceless else (".", "?", "!")):
        between = "。" if spaceless else ". "
    else:
        between = "" if spaceless else " "
    return speaker + between + text, between.strip()


def _plain(text: str) -> str:
    """Compatible characters unified, quotes, dashes and dots made plain, what cannot be seen or encoded left out."""
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode())
    text = DOTS.sub("...", text)
    text = SINGLE_QUOTES.sub("'", DOUBLE_QUOTES.sub('"', text))
    text = HYPHENS.sub("-", DASHES.sub("-", text))
    text = UNSEEN.sub("", SPACES.sub(" ", text))
    return "".join(letter for letter in text if not _is_picture(letter))


def _is_picture(letter: str) -> bool:
    return ord(letter) > 0x7F and unicodedata.category(letter) in ("So", "Sk", "Co", "Cn") and letter not in SAID_SIGNS


def _pieces(text: str) -> Iterator[Word]:
    """Every stretch between spaces, those without spaces sign by sign, long ones in parts; also what is not said."""
    for chunk in CHUNK.finditer(text):
        for match in SIGNS.finditer(chunk[0]):
            for low in range(0, len(match[0]), LONGEST):
                part = match[0][low : low + LONGEST]
                start = chunk.start() + match.start() + low
                plain = _plain(part).replace('"', "").replace(" ", "")
                yield Word(plain, start, start + len(part))


def _speakable(said: str) -> None:
    letters = [ord(letter) for letter in said if letter.isalpha()]
    foreign = [letter for letter in letters if not any(low <= letter <= high for low, high in SCRIPTS)]
    if 2 * len(foreign) > len(letters):
        name = unicodedata.name(chr(foreign[0]), "an unknown script").split()[0].capitalize()
        raise Unspeakable(f"OuteTTS has no language written like this ({name}): choose another engine for it")
