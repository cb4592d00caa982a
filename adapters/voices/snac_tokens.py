"""Orpheus's vocabulary: where the codes of each slot lie, how a prompt is put together, which token ends speech.

Knows the language model by its tokenizer only, and no sound. Ids come from the model's own token names:
<custom_token_N> with N = 10 + 4096 · slot + code is a code of one of a frame's seven slots.
"""

from __future__ import annotations

from adapters.llama import Llama
from peer.core.errors import Unavailable

SLOTS = 7
BOOK = 4096
"""Codes of each slot."""

RESERVED = 10
"""Custom tokens below the codes."""

LAYOUTS = ("llama", "plain")
"""Two published prompts: "llama" (3B: voice: text between Llama 3's marks), "plain" (smaller: text[voice])."""

BEGIN, END = "<|begin_of_text|>", "<|eot_id|>"


def custom(number: int) -> str:
    """The name of a custom token."""
    return f"<custom_token_{number}>"


class Vocabulary:
    """The ids of one model. Raises Unavailable where it is no model of this kind."""

    def __init__(self, llama: Llama, layout: str = "") -> None:
        self._llama = llama
        self._first = llama.token_id(custom(0))
        for number in (RESERVED, RESERVED + BOOK, RESERVED + SLOTS * BOOK - 1):
            if llama.text(self._first + number) != custom(number):
                raise Unavailable(
                    f"{llama.path.name} has its codes elsewhere than Orpheus: it is a model of another kind"
                )
        self.stop = self._first + 2
        self.layout = layout or ("llama" if self._has(END) and self._has(BEGIN) else "plain")
        if self.layout not in LAYOUTS:
            raise Unavailable(f"the option layout is {self.layout!r}: choose one of {', '.join(LAYOUTS)}, or none")
        if self.layout == "llama":
            self._begin, self._end = llama.token_id(BEGIN), llama.token_id(END)

    def low(self, slot: int) -> int:
        """The id of code 0 of a slot."""
        return self._first + RESERVED + BOOK * slot

    def prompt(self, voice: str, text: str) -> list[int]:
        """The ids after which the codes of `text` follow; nothing in `text` counts as a control token."""
        human, end, machine, speech = (self._first + number for number in (3, 4, 5, 1))
        if self.layout == "llama":
            said = self._llama.tokens(f"{voice}: {text}")
            return [human, self._begin, *said, self._end, end, machine, speech]
        quoted = text.replace("[", "(").replace("]", ")")
        return [*self._llama.opening(), human, *self._llama.tokens(f"{quoted}[{voice}]"), end, machine]

    def _has(self, name: str) -> bool:
        try:
            self._llama.token_id(name)
        except Unavailable:
            return False
        return True
