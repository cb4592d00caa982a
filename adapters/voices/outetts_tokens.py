"""The V3 protocol of OuteTTS: the layout of a prompt, and the ids of its marks, features and codes in a model.

Knows neither how ids are chosen nor what they sound like.

    <|im_start|>\\n<|text_start|>SPEAKER'S TEXT NEW TEXT<|text_end|>\\n<|audio_start|>\\n
    <|word_start|>word<|features|><|t_0.20|><|energy_10|><|spectral_centroid_15|><|pitch_45|><|code|>
        <|c1_720|><|c2_658|>...<|word_end|>\\n                                          (per word of the speaker)
    <|word_start|>word<|features|>                                                      (here the model begins)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from peer.core.errors import Unavailable

from .outetts_speaker import CODES, SCALE, Features, Speaker
from .outetts_text import merged

if TYPE_CHECKING:
    from adapters.llama import Llama

Ids = npt.NDArray[np.int64]

MARKS = (
    "im_start", "text_start", "text_end", "audio_start", "word_start", "word_end", "features", "code",
)  # fmt: skip
CENTISECONDS = 1000
"""Durations have two decimals, and tokens up to ten seconds."""

LEAST_DURATIONS = 100
"""A model whose tokens end below one second is none of this protocol."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a prompt: one token of the protocol, or ordinary text that must stay text."""

    text: str
    is_mark: bool = True


LINE = Part("\n", is_mark=False)


def mark(name: str) -> Part:
    return Part(f"<|{name}|>")


def prompt(speaker: Speaker, text: str, first: str) -> Iterator[Part]:
    """Everything before the first choice: `text` is tidied, `first` its first word. The speaker is left as it is."""
    whole, ending = merged(speaker.text, text)
    yield from (mark("im_start"), LINE, mark("text_start"), Part(whole, is_mark=False), mark("text_end"), LINE)
    yield from (mark("audio_start"), LINE)
    last = len(speaker.words) - 1
    for index, word in enumerate(speaker.words):
        yield from opening(word.text + (ending if index == last else ""))
        yield Part(f"<|t_{word.seconds:.2f}|>")
        yield from _measured(word.features)
        yield mark("code")
        for c1, c2 in zip(word.c1, word.c2, strict=True):
            yield from (Part(f"<|c1_{c1}|>"), Part(f"<|c2_{c2}|>"))
        yield from (mark("word_end"), LINE)
    yield from opening(first)


def opening(word: str) -> Iterator[Part]:
    """What stands before the features of a word."""
    yield from (mark("word_start"), Part(word, is_mark=False), mark("features"))


def _measured(features: Features) -> Iterator[Part]:
    yield Part(f"<|energy_{features.energy}|>")
    yield Part(f"<|spectral_centroid_{features.centroid}|>")
    yield Part(f"<|pitch_{features.pitch}|>")


@dataclass(frozen=True, slots=True)
class Table:
    """Ids by value: `ids` (n,) int64, and `places` (vocabulary,) int32 with the value of each id, or -1."""

    ids: Ids
    places: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)

    def values(self, ids: Sequence[int], low: int, high: int) -> npt.NDArray[np.int32]:
        """The values within [low, high) among `ids`, each once or more often."""
        found = self.places[list(ids)]
        return found[(found >= low) & (found < high)]


@dataclass(slots=True)
class Vocabulary:
    """The ids of one model. `c1_or_end` has the end of a word behind the codes."""

    llama: Llama
    marks: dict[str, int] = field(default_factory=dict)
    durations: Table = field(init=False)
    energies: Table = field(init=False)
    centroids: Table = field(init=False)
    pitches: Table = field(init=False)
    c1_or_end: Table = field(init=False)
    c2: Table = field(init=False)

    def __post_init__(self) -> None:
        """Raises Unavailable where the model has not these tokens."""
        for name in MARKS:
            self._id(f"<|{name}|>")
        self.durations = self._durations()
        self.energies, self.centroids, self.pitches = (
            self._table(name, SCALE + 1) for name in ("energy", "spectral_centroid", "pitch")
        )
        self.c1_or_end = self._tabled([*self._names("c1", CODES), "<|word_end|>"])
        self.c2 = self._table("c2", CODES)

    def ids(self, parts: Iterator[Part]) -> list[int]:
        """The tokens of a prompt. Text is tokenised as text, whatever it looks like."""
        found: list[int] = []
        for part in parts:
            found += [self._id(part.text)] if part.is_mark else self.llama.tokens(part.text)
        return found

    def _id(self, text: str) -> int:
        found = self.marks.get(text)
        if found is None:
            found = self.marks[text] = self.llama.token_id(text)
        return found

    def _table(self, name: str, count: int) -> Table:
        return self._tabled(self._names(name, count))

    def _names(self, name: str, count: int) -> list[str]:
        return [f"<|{name}_{value}|>" for value in range(count)]

    def _tabled(self, names: Sequence[str]) -> Table:
        ids = np.array([self._id(name) for name in names], np.int64)
        places = np.full(self.llama.size, -1, np.int32)
        places[ids] = np.arange(len(ids))
        return Table(ids, places)

    def _durations(self) -> Table:
        names = [f"<|t_{centiseconds / 100:.2f}|>" for centiseconds in range(CENTISECONDS + 1)]
        for index, name in enumerate(names):
            try:
                self._id(name)
            except Unavailable:
                if index < LEAST_DURATIONS:
                    raise
                return self._tabled(names[:index])
        return self._tabled(names)
