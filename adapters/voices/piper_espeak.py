"""What espeak says of a text through Piper's own bridge to it: a function of the text alone, without touching the disk.

Knows neither ids nor words. The library's own `phonemize` gives the same phonemes, but sets the voice for every text:
that reads the dictionary again (5 ms in Russian), loses 1.3 kB of memory, and does not settle the second reader.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import ClassVar

SETTLING = 5
"""Times that a text with words of a second language is read until it counts. Their reader remembers a few words of the
text before, whatever text that was ("have" makes "read" a past tense); after these it remembers this text only."""

SWITCH = re.compile(r"\([^)]+\)")
"""The note that the language changes, as "(en)"."""

PAUSES = (",", ":", ";")
"""Stops that end no sentence: a space follows them."""

WORDS_KEPT = 8192
"""Words whose phonemes are remembered, 2 MB: more than anybody uses in an hour. Each question to the bridge also loses
0.2 kB for good."""


class EspeakPhonemes:
    """One language of espeak. The bridge has one voice per process; two languages in turns set it again."""

    _set: ClassVar[str] = ""

    def __init__(self, voice: str) -> None:
        _start()
        self._voice = voice
        self.alone = lru_cache(WORDS_KEPT)(self._alone)

    def sentences(self, text: str) -> list[list[str]]:
        """The phonemes of each sentence, code point by code point; empty where one has none. Raises RuntimeError."""
        sentences: list[list[str]] = [[]]
        for phonemes, stop, ends in self._clauses(text):
            gap = " " if stop in PAUSES else ""
            sentences[-1] += unicodedata.normalize("NFD", phonemes + stop + gap)
            if ends:
                sentences.append([])
        return sentences

    def _alone(self, word: str) -> tuple[str, ...]:
        """The phonemes of a word by itself, its parts with spaces between."""
        return tuple(unicodedata.normalize("NFD", " ".join(phonemes for phonemes, _, _ in self._clauses(word))))

    def _clauses(self, text: str) -> list[tuple[str, str, bool]]:
        """Phonemes, stop, and whether a sentence ends, of each clause."""
        from piper import espeakbridge

        if EspeakPhonemes._set != self._voice:
            EspeakPhonemes._set = ""
            espeakbridge.set_voice(self._voice)
            EspeakPhonemes._set = self._voice
        clauses: list[tuple[str, str, bool]] = []
        for _ in range(SETTLING):
            clauses = espeakbridge.get_phonemes(text)
            if not any(SWITCH.search(phonemes) for phonemes, _, _ in clauses):
                break
        return [(SWITCH.sub("", phonemes), stop, ends) for phonemes, stop, ends in clauses]

    @classmethod
    def forget(cls) -> None:
        """Somebody else may have set the bridge's voice."""
        cls._set = ""


@cache
def _start() -> None:
    """Starts the bridge with the data of the library's wheel, once: it forgets its voice when it is started again."""
    from piper.phonemize_espeak import EspeakPhonemizer

    EspeakPhonemizer()
    EspeakPhonemes.forget()
