"""A sentence told by the language model: its words in order, and of each the features and the code frames.

Knows neither audio nor the request. Only what the protocol allows in its place can be chosen: the words are given,
so none is lost or said twice; the model chooses how long, how loud, how high, and the codes.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, log

import numpy as np
import numpy.typing as npt

from adapters.llama import Passage, draw
from peer.core.errors import Broken

from .outetts_speaker import CODES, FRAMES_PER_S, SCALE, Speaker
from .outetts_text import Word, takes, tidied
from .outetts_tokens import LINE, Table, Vocabulary, mark, opening, prompt

Float64 = npt.NDArray[np.float64]

TOP_K, TOP_P, MIN_P = 40, 0.9, 0.05
TEMPERATURE = 0.4
REPETITION = 1.1
RECENT = 64
"""How the models' publisher says they are sampled; the repetition penalty over the last 64 tokens and no more."""

LEAST_CENTISECONDS = 4
"""Three code frames: a word of no length would be lost."""

WORD_S, LETTER_S, PAUSE_S = 0.5, 0.2, 0.8
"""The longest a word may promise to be: twice the slowest reader. Words that end in punctuation hold its pause."""

LETTERS_OF_A_SIGN = 5
"""A digit, a sign or a letter of a script without vowels is said in more sounds than it has letters."""

OVERRUN = 1.25
"""Frames a word may last beyond its promise before it is ended; below half of it, it cannot end."""

MARKS_OF_A_WORD = 9
"""Tokens of a word besides its own and its codes: its start, end and line, two marks and four features."""

NAME_BYTES = 8
"""Of a digest: states of different sentences meet by mistake, not by malice."""

END = CODES
"""What is chosen instead of a first code: the word has ended."""


def sampled(scores: Float64, seed: int, position: int, temperature: float) -> int:
    """An index into `scores` (n,): the likeliest up to TOP_K, TOP_P and MIN_P, one drawn at the temperature.

    The order of llama.cpp's samplers, with the number drawn for this position alone.
    """
    order = np.argpartition(-scores, TOP_K)[:TOP_K] if len(scores) > TOP_K else np.arange(len(scores))
    order = order[np.lexsort((order, -scores[order]))]
    best = scores[order] - scores[order[0]]
    chances = np.exp(best)
    reached = np.cumsum(chances) / chances.sum()
    kept = best[: int(np.searchsorted(reached, TOP_P)) + 1]
    kept = kept[kept >= log(MIN_P)]
    if temperature <= 0.0:
        return int(order[0])
    mass = np.cumsum(np.exp(kept / temperature))
    return int(order[int(np.searchsorted(mass, draw(seed, position) * mass[-1], side="right"))])


def longest(word: str, most: int) -> int:
    """Centiseconds that a word may promise at most, below `most`."""
    letters = sum(1 if "A" <= letter.upper() <= "ԯ" else LETTERS_OF_A_SIGN for letter in word if letter.isalnum())
    pause = 0.0 if word[-1].isalnum() else PAUSE_S
    return min(round(100 * (WORD_S + LETTER_S * max(letters, LETTERS_OF_A_SIGN) + pause)), most - 1)


def frames_of(centiseconds: int) -> tuple[int, int]:
    """(least, most) code frames of a word that promises so long."""
    frames = centiseconds * FRAMES_PER_S / 100
    return max(1, int(frames / 2)), ceil(OVERRUN * frames)


@dataclass(frozen=True, slots=True)
class Manner:
    """What changes the telling. `range` scales how far a word's pitch lies from the speaker's middle."""

    seed: int
    temperature: float = TEMPERATURE
    range: float = 1.0


class Recital:
    """One sentence in progress. `pairs` are its code frames so far, `begins` the frame at which each word begins.

    `state` is what `state()` gave earlier, in whatever process: its choices are taken instead of asking the model.
    What belongs to another sentence, speaker, seed or manner is ignored.
    """

    def __init__(
        self, vocabulary: Vocabulary, speaker: Speaker, text: str, words: tuple[Word, ...], manner: Manner, state: bytes
    ) -> None:
        self.words = words
        self.pairs: list[tuple[int, int]] = []
        self.begins: list[int] = []
        self.ended = False
        self._vocabulary, self._speaker, self._text, self._manner = vocabulary, speaker, text, manner
        self._name = blake2b(repr((text, speaker, manner)).encode("utf-8", "replace"), digest_size=NAME_BYTES).digest()
        self._known = _unpacked(state, self._name)
        self._choices = array("H")
        self._middle = speaker.pitch_at(0.5)
        self._passage: Passage | None = None
        self._from = 0
        self._steps = self._told()

    def state(self) -> bytes:
        """The choices so far, two bytes each and about 300 bytes a second, behind the name of what they belong to."""
        return self._name + _packed(self._choices)

    def codes(self, frame: int, most: int) -> npt.NDArray[np.int64]:
        """(2, n <= most) codes from `frame` on, as many as there are."""
        pairs = self.pairs[frame : frame + most]
        return np.array(pairs, np.int64).reshape(-1, 2).T

    def until(self, frames: int) -> Iterator[None]:
        """Go on until there are so many frames or the sentence has ended; yields after every step of the model."""
        while len(self.pairs) < frames and not self.ended:
            if next(self._steps, self) is self:
                self.ended = True
            else:
                yield

    def close(self) -> None:
        """Free what the model keeps of it; twice is once."""
        if self._passage is not None:
            self._passage.close()
            self._passage = None

    def _told(self) -> Iterator[None]:
        left = list(takes(self.words))
        while left:
            take = left.pop(0)
            self._begin(take)
            for index, word in enumerate(take):
                if index and not self._fits(word):
                    # What was said took longer than expected: the rest of the take is told in one of its own.
                    left.insert(0, take[index:])
                    break
                self.begins.append(len(self.pairs))
                if index:
                    self._push(self._vocabulary.ids(opening(word.text)))
                yield from self._word(word)
                self._push(self._vocabulary.ids(iter((mark("word_end"), LINE))))
            self.close()

    def _begin(self, take: Sequence[Word]) -> None:
        """A prompt with the speaker and the text of `take`."""
        text = tidied(self._text[take[0].start : take[-1].end])
        ids = self._vocabulary.ids(prompt(self._speaker, text, take[0].text))
        self._passage = self._vocabulary.llama.begin(ids)
        self._from = len(ids)
        if not self._fits(take[0]):
            raise Broken(f"the speaker {self._speaker.name} leaves no room in the context: shorten reference_s")

    def _fits(self, word: Word) -> bool:
        """Whether the longest that `word` may get still has room."""
        frames = frames_of(longest(word.text, len(self._vocabulary.durations)))[1]
        return 2 * frames + MARKS_OF_A_WORD + len(word.text.encode()) <= self._open.room

    def _word(self, word: Word) -> Iterator[None]:
        table = self._vocabulary
        promised = yield from self._chosen(
            table.durations, LEAST_CENTISECONDS, longest(word.text, len(table.durations)) + 1
        )
        self._push([int(table.durations.ids[promised])])
        for features in (table.energies, table.centroids):
            value = yield from self._chosen(features, 0, SCALE + 1)
            self._push([int(features.ids[value])])
        pitch = yield from self._chosen(table.pitches, 0, SCALE + 1)
        self._push([int(table.pitches.ids[self._ranged(pitch)]), table.marks["<|code|>"]])
        least, most = frames_of(promised)
        for frame in range(most):
            c1 = yield from self._chosen(table.c1_or_end, 0, END + (frame >= least))
            if c1 == END:
                break
            self._push([int(table.c1_or_end.ids[c1])])
            c2 = yield from self._chosen(table.c2, 0, CODES)
            self._push([int(table.c2.ids[c2])])
            self.pairs.append((c1, c2))

    def _chosen(self, table: Table, low: int, high: int) -> Generator[None, None, int]:
        """One of the values [low, high) of a table: as known, or as the model would have it."""
        position = len(self._choices)
        if position < len(self._known) and low <= self._known[position] < high:
            value = int(self._known[position])
        else:
            self._known = array("H")
            while self._open.advance():
                yield
            value = low + sampled(self._scores(table, low, high), self._manner.seed, position, self._manner.temperature)
        self._choices.append(value)
        return value

    def _scores(self, table: Table, low: int, high: int) -> Float64:
        """What the model says of these values, those that it said lately made less likely."""
        scores = self._open.logits()[table.ids[low:high]].astype(np.float64)
        said = self._open.ids[max(self._from, len(self._open.ids) - RECENT) :]
        lately = table.values(said, low, high) - low
        scores[lately] = np.where(scores[lately] > 0, scores[lately] / REPETITION, scores[lately] * REPETITION)
        return scores

    def _ranged(self, pitch: int) -> int:
        return min(SCALE, max(0, round(self._middle + (pitch - self._middle) * self._manner.range)))

    @property
    def _open(self) -> Passage:
        if self._passage is None:
            raise Broken("the sentence was closed")
        return self._passage

    def _push(self, ids: Sequence[int]) -> None:
        for id in ids:
            self._open.push(id)


def _packed(choices: array[int]) -> bytes:
    return np.frombuffer(choices, np.uint16).astype("<u2").tobytes() if choices else b""


def _unpacked(state: bytes, name: bytes) -> array[int]:
    """The choices of a state with this name; none where it has another or is damaged."""
    body = state[NAME_BYTES:]
    if state[:NAME_BYTES] != name or len(body) % 2:
        return array("H")
    return array("H", np.frombuffer(body, "<u2").astype(np.uint16).tobytes())
