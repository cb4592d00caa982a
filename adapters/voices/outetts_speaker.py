"""OuteTTS V3 speaker files: a voice as the words, codes and features of a short recording.

Knows no engine and no persona: it reads and checks such a file, and says what can be measured from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from math import log2
from pathlib import Path

from peer.core.errors import Refusal

from .outetts_text import CJK_TEXT

VERSION = 3
"""The interface version whose files these are; files of older ones hold other codes."""

FRAMES_PER_S = 75
"""Code frames of DAC at 24 kHz and 320 samples each."""

CODES = 1024
"""Rows of each of the two codebooks. The vocabulary has a name for 1024 too, but no codebook has that row."""

SCALE = 100
"""Features are whole numbers from 0 to this."""

LOWEST_HZ, HIGHEST_HZ = 75.0, 600.0
"""The pitch scale: 0 is the lower, 100 the upper. Frames without voice count as the lower one."""

MAX_BYTES = 1 << 20
"""A file of ten seconds has 25 kB; what is larger is no speaker."""

MAX_SECONDS = 30.0
"""The package makes at most 20 s and warns over 15; twice the usual still leaves a sentence in the context."""

MAX_WORDS = 256
"""Words in `MAX_SECONDS` of the fastest speech, twice."""

MAX_TEXT = 4000
"""Characters of the whole text: as many as 256 long words have."""

MAX_WORD = 64
MAX_WORD_S = 10.0
"""The longest duration that the vocabulary has a token for."""

SOUNDED = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Features:
    """What was measured of one stretch of sound, each 0 to 100.

    `energy` is the root mean square times 100; `centroid` the spectral centroid in hundredths of 12 kHz;
    `pitch` the mean over all frames on the scale of 75 to 600 Hz.
    """

    energy: int = 0
    centroid: int = 0
    pitch: int = 0

    @property
    def pitch_hz(self) -> float:
        return LOWEST_HZ + (HIGHEST_HZ - LOWEST_HZ) * self.pitch / SCALE


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """`text` as it was said, `seconds` with the pause behind it, its code frames (`c1[i]`, `c2[i]`), its features."""

    text: str
    seconds: float
    c1: tuple[int, ...]
    c2: tuple[int, ...]
    features: Features


@dataclass(frozen=True, slots=True)
class Speaker:
    """One recording. `text` is all of it; the words hold the sound, in order."""

    name: str
    text: str
    words: tuple[SpokenWord, ...]
    overall: Features

    @property
    def frames(self) -> int:
        return sum(len(word.c1) for word in self.words)

    @property
    def seconds(self) -> float:
        return self.frames / FRAMES_PER_S

    def pitch_at(self, share: float) -> int:
        """The word pitch (0 to 100) below which `share` of the sound lies: 0.5 is the speaker's middle."""
        ordered = sorted((word for word in self.words if word.c1), key=lambda word: word.features.pitch)
        reached = accumulate(len(word.c1) for word in ordered)
        return next(
            word.features.pitch for word, frames in zip(ordered, reached, strict=True) if frames >= share * self.frames
        )


def shortened(speaker: Speaker, seconds: float) -> Speaker:
    """The first words that last at most so long, at least one: a shorter prompt, a less exact likeness."""
    lengths = accumulate(len(word.c1) / FRAMES_PER_S for word in speaker.words)
    kept = max(1, sum(length <= seconds for length in lengths))
    if kept == len(speaker.words):
        return speaker
    words = speaker.words[:kept]
    between = "" if CJK_TEXT.search(speaker.text) else " "
    return replace(speaker, text=between.join(word.text for word in words), words=words)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a persona can take from a speaker.

    `pitch_hz` is the median over the words, weighed by their length: a little below the voice's own pitch, since
    frames without voice count as 75 Hz. `pitch_spread` is the distance of the quartiles in semitones; `energy` the
    overall root mean square, 0 to 1; `words_per_s` counts the pauses in.
    """

    name: str
    pitch_hz: float
    pitch_spread: float
    energy: float
    words_per_s: float
    letters_per_s: float
    seconds: float


def traits(speaker: Speaker) -> Traits:
    """What can be measured from the speaker's words and features. Pure."""
    sounded = [word for word in speaker.words if word.c1 and SOUNDED.search(word.text)]
    letters = sum(len(SOUNDED.findall(word.text)) for word in sounded)
    low, middle, high = (Features(pitch=speaker.pitch_at(share)).pitch_hz for share in (0.25, 0.5, 0.75))
    seconds = speaker.seconds
    return Traits(
        name=speaker.name,
        pitch_hz=middle,
        pitch_spread=12.0 * log2(high / low),
        energy=speaker.overall.energy / SCALE,
        words_per_s=len(sounded) / seconds,
        letters_per_s=letters / seconds,
        seconds=seconds,
    )


def load(path: Path) -> Speaker:
    """The speaker in a file, named as the file is. Raises Refusal naming the field, or the file itself."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused("", f"{path.name} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise _refused("", f"{path.name} has more than {MAX_BYTES} bytes: give a speaker file of OuteTTS 1.0")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused("", f"{path.name} is not JSON: give a speaker file of OuteTTS 1.0") from error
    return parse(value, path.stem)


def parse(value: object, name: str) -> Speaker:
    """A speaker from JSON values. Raises Refusal whose field is the place, as in `speaker.words[3].c1[0]`."""
    given = _mapping(value, "")
    _version(given)
    text = _text(given.get("text"), "text", MAX_TEXT)
    words = _list(given.get("words"), "words", MAX_WORDS)
    if not words:
        raise _refused("words", "give at least one word")
    parsed = tuple(_word(word, f"words[{index}]") for index, word in enumerate(words))
    overall = _features(given.get("global_features", {}), "global_features")
    speaker = Speaker(name, text, parsed, overall)
    if not 0.0 < speaker.seconds <= MAX_SECONDS:
        raise _refused("words", f"give more than 0 and at most {MAX_SECONDS:g} seconds of codes")
    return speaker


def _version(given: Mapping[str, object]) -> None:
    version = given.get("interface_version", 2)
    if version != VERSION:
        shown = version if isinstance(version, int) else "unknown"
        raise _refused("interface_version", f"this file has version {shown}, only {VERSION} (OuteTTS 1.0) is spoken")


def _word(value: object, place: str) -> SpokenWord:
    given = _mapping(value, place)
    text = _text(given.get("word"), f"{place}.word", MAX_WORD)
    seconds = given.get("duration")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.0 <= seconds <= MAX_WORD_S:
        raise _refused(f"{place}.duration", f"give seconds between 0 and {MAX_WORD_S:g}")
    c1, c2 = (_codes(given.get(book), f"{place}.{book}") for book in ("c1", "c2"))
    if len(c1) != len(c2):
        raise _refused(f"{place}.c2", f"give as many codes as c1 has ({len(c1)}), not {len(c2)}")
    return SpokenWord(text, float(seconds), c1, c2, _features(given.get("features", {}), f"{place}.features"))


def _codes(value: object, place: str) -> tuple[int, ...]:
    codes = _list(value, place, round(MAX_WORD_S * FRAMES_PER_S))
    return tuple(_whole(code, f"{place}[{index}]", CODES - 1) for index, code in enumerate(codes))


def _features(value: object, place: str) -> Features:
    """Missing ones are 0, as the protocol has it."""
    given = _mapping(value, place)
    names = ("energy", "spectral_centroid", "pitch")
    return Features(*(_whole(given.get(name, 0), f"{place}.{name}", SCALE) for name in names))


def _whole(value: object, place: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise _refused(place, f"give a whole number from 0 to {most}")
    return value


def _text(value: object, place: str, most: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise _refused(place, f"give a text of 1 to {most} characters")
    return value


def _list(value: object, place: str, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        raise _refused(place, f"give a list of at most {most}")
    return value


def _mapping(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _refused(place, "give an object")
    return value


def _refused(place: str, remedy: str) -> Refusal:
    return Refusal("invalid", f"speaker.{place}" if place else "speaker", remedy)
