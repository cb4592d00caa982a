"""The codes of one sentence, made as they are asked for and remembered: a function of the prompts and the seed.

Knows no sound. A step is one token: evaluate what was chosen last, choose the next. What is known from elsewhere (a
chunk's state) is never chosen again, and evaluated only when a code beyond it is needed.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adapters.choice import Choice, choose
from adapters.llama import Llama, Passage

from .snac_tokens import BOOK, SLOTS, Vocabulary

VERSION = 1
HEAD = struct.Struct("<8sBH")
"""State: whose it is (its version in it), whether the sentence ended, how many parts ended. Then a 32-bit frame
number for the end of each such part, and all codes as 16-bit numbers."""

PART_KEYS = 1 << 32
"""Positions that a part has for its draws: more than a context."""


class Prompt(NamedTuple):
    """The ids of one part and the frames after which it is stopped."""

    ids: tuple[int, ...]
    most: int


class Speech:
    """A sentence's codes so far. `ends` are the frames at which its parts ended, `ended` that all of them have."""

    def __init__(
        self, llama: Llama, vocabulary: Vocabulary, prompts: Sequence[Prompt], seed: int, choice: Choice
    ) -> None:
        self._llama, self._vocabulary = llama, vocabulary
        self._prompts, self._seed, self._choice = tuple(prompts), seed, choice
        self._codes = array("H")
        self.ends: list[int] = []
        self._passage: Passage | None = None
        self._name = _digest(self._prompts, seed, choice)

    @property
    def ended(self) -> bool:
        return len(self.ends) == len(self._prompts)

    @property
    def frames(self) -> int:
        """Whole frames known."""
        return len(self._codes) // SLOTS

    def codes(self, frame: int) -> list[int]:
        """The seven codes of a known frame, each in [0, 4096)."""
        return self._codes[SLOTS * frame : SLOTS * (frame + 1)].tolist()

    def advance(self) -> None:
        """One step towards the next code: a batch of the prompt, a known code, or a choice."""
        if self.ended:
            return
        passage = self._passage or self._opened()
        passage.advance()
        if passage.pending:
            return
        said = self._said()
        if said == SLOTS * self._prompts[len(self.ends)].most:
            self._end_part()
            return
        chosen = self._chosen(passage, said)
        if chosen == BOOK:
            self._end_part()
            return
        self._codes.append(chosen)
        passage.push(self._vocabulary.low(said % SLOTS) + chosen)

    def release(self) -> None:
        """Give up the language model's state; the codes stay. A code beyond them costs a step for each of them."""
        if self._passage is not None:
            self._passage.close()
        self._passage = None

    def state(self, frames: int | None = None) -> bytes:
        """What `adopt` takes in any process: 2 bytes a code. Of the first `frames` alone, that is without what was
        said after them, be it the end; None for everything."""
        ends = self.ends if frames is None else [end for end in self.ends if end < frames]
        codes = self._codes if frames is None else self._codes[: SLOTS * frames]
        head = HEAD.pack(self._name, len(ends) == len(self._prompts), len(ends))
        return head + np.array(ends, "<u4").tobytes() + np.frombuffer(codes, np.uint16).astype("<u2").tobytes()

    def adopt(self, state: bytes) -> None:
        """Know what `state` knows. What is no state of this sentence changes nothing; where it says otherwise than
        what was made here (another machine made it), it is right, for what was heard came from it."""
        read = self._read(state)
        if read is None:
            return
        codes, ends = read
        if codes == self._codes[: len(codes)] and ends == self.ends[: len(ends)]:
            return
        self.release()
        self._codes, self.ends = codes, ends

    def _read(self, state: bytes) -> tuple[array[int], list[int]] | None:
        if len(state) < HEAD.size:
            return None
        name, ended, count = HEAD.unpack_from(state)
        rest = state[HEAD.size :]
        if name != self._name or count > len(self._prompts) or len(rest) < 4 * count or (len(rest) - 4 * count) % 2:
            return None
        ends = np.frombuffer(rest[: 4 * count], "<u4")
        codes = np.frombuffer(rest[4 * count :], "<u2")
        whole = len(codes) // SLOTS
        if (codes >= BOOK).any() or (np.diff(ends.astype(np.int64), prepend=0) < 1).any() or (ends > whole).any():
            return None
        if bool(ended) != (count == len(self._prompts)) or (ended and (len(codes) % SLOTS or ends[-1] != whole)):
            return None
        return array("H", codes.tolist()), [int(end) for end in ends]

    def _opened(self) -> Passage:
        """The language model after the prompt of the part under way, its known codes still to be evaluated."""
        passage = self._llama.begin(self._prompts[len(self.ends)].ids)
        for index, code in enumerate(self._part()):
            passage.push(self._vocabulary.low(index % SLOTS) + code)
        self._passage = passage
        return passage

    def _part(self) -> array[int]:
        return self._codes[SLOTS * (self.ends[-1] if self.ends else 0) :]

    def _said(self) -> int:
        return len(self._codes) - SLOTS * (self.ends[-1] if self.ends else 0)

    def _end_part(self) -> None:
        self.release()
        self.ends.append(self.frames)

    def _chosen(self, passage: Passage, said: int) -> int:
        """The code of the next slot, or BOOK for the end: that may come between frames, not before the first."""
        slot = said % SLOTS
        low = self._vocabulary.low(slot)
        logits = passage.logits()
        among = logits[low : low + BOOK]
        if slot == 0 and said:
            among = np.append(among, logits[self._vocabulary.stop])
        position = PART_KEYS * len(self.ends) + said
        return choose(among, self._seed, position, self._choice, seen=self._part()[slot::SLOTS])


def _digest(prompts: Sequence[Prompt], seed: int, choice: Choice) -> bytes:
    """Names everything that the codes depend on."""
    text = repr((VERSION, [tuple(prompt) for prompt in prompts], seed, choice))
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
