"""A text as Piper reads it: phoneme ids sentence by sentence, and which of them begin a phoneme or a word.

Knows no network and no sound. The phonemizers are the library's own; here their phonemes are led back to the
characters they came from.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from adapters.estimate import SOUNDED, WORD
from peer.core.errors import Unspeakable

from .piper_catalogue import JSON, VoiceFile
from .piper_espeak import SETTLING, EspeakPhonemes
from .piper_scripts import foreign_script
from .piper_words import SPACE, UNSAID, starts

if TYPE_CHECKING:
    from piper import PiperVoice

TRIAL = "One, two."
"""What is read once when a voice is loaded: whatever its phonemizer needs is missed then and not in a call."""

REHEARSED = 40
"""Phonemes of a rehearsal: a short sentence."""

INJECTION = re.compile(r"\[\[|\]\]")
"""The library would take what stands between these for phonemes; here brackets are brackets, and are read as spaces."""

EXTRAS = {"pinyin": "zh", "japanese": "ja", "thai": "th"}
"""Kinds of phonemes → the extra of piper-tts that brings their phonemizer."""

CHINESE_MODEL = Path("g2pW") / "g2pw.onnx"
"""What the phonemizer of pinyin would download into the model folder where it is missing."""

POINTED = frozenset({"ar"})
"""Languages of espeak that the library adds vowel points for first."""

LATIN = re.compile("[A-Za-z]")
END = "$"
PUNCTUATION = frozenset(".,:;!?¡¿…—。、，？！：；“”\"'()-")


@dataclass(frozen=True, slots=True)
class Sounding:
    """A "word" or "phoneme" that begins with phoneme id number `at` of its sentence; as in Marker."""

    kind: str
    at: int
    start: int
    end: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What one run of the network speaks: its phoneme ids, and what begins where among them, ascending."""

    ids: tuple[int, ...]
    soundings: tuple[Sounding, ...]


class Phonemes(Protocol):
    """What makes phonemes of a text."""

    def sentences(self, text: str) -> list[list[str]]: ...

    def alone(self, word: str) -> Sequence[str]: ...


class LibraryPhonemes:
    """The library's phonemizers of other kinds: letters as they are, Hebrew, Japanese, Thai, pinyin, pointed Arabic.

    `settling` is how often a text with Latin letters is read until it counts, as EspeakPhonemes has it.
    """

    def __init__(self, voice: PiperVoice, settling: int) -> None:
        self._voice = voice
        self._settling = settling

    def sentences(self, text: str) -> list[list[str]]:
        EspeakPhonemes.forget()
        sentences: list[list[str]] = []
        for _ in range(self._settling if LATIN.search(text) else 1):
            sentences = self._voice.phonemize(text)
        return sentences

    def alone(self, word: str) -> Sequence[str]:
        """Its letters stand for its phonemes: some of these phonemizers are too slow to be asked for each word."""
        return list(unicodedata.normalize("NFD", word))


class Reader:
    """One voice's phonemizer and phoneme ids. Raises OSError, ValueError, KeyError for a JSON it cannot follow."""

    def __init__(self, file: VoiceFile) -> None:
        from piper import PhonemeType, PiperConfig, PiperVoice

        logging.getLogger(PiperVoice.__module__.partition(".")[0]).setLevel(logging.ERROR)
        row = json.loads(file.path.with_name(file.path.name + JSON).read_text(encoding="utf-8"))
        config = PiperConfig.from_dict(row)
        if file.phoneme_type == "pinyin" and not (file.path.parent / CHINESE_MODEL).is_file():
            raise FileNotFoundError(f"its phonemizer needs {CHINESE_MODEL} beside it and would download that")
        self._file = file
        # The session is for `synthesize` alone, which is not used.
        self._voice = PiperVoice(session=None, config=config, download_dir=file.path.parent)
        usual = config.phoneme_type is PhonemeType.ESPEAK
        self._phonemes: Phonemes = LibraryPhonemes(self._voice, SETTLING if usual else 1)
        if usual and config.espeak_voice not in POINTED and not config.vowel_clusters:
            self._phonemes = EspeakPhonemes(config.espeak_voice)
        self._known = config.phoneme_id_map
        self._framing = len(self._voice.phonemes_to_ids([]))
        self._ending = len(config.phoneme_id_map[END])
        self._lengths: dict[str, int] = {}
        self._phonemes.sentences(TRIAL)

    def read(self, text: str) -> tuple[Sentence, ...]:
        """The sentences of `text` in order, none where there is nothing to say. Raises Unspeakable."""
        plain = readable(text)
        script = foreign_script(plain, self._file.language)
        if script:
            raise self._unspeakable(f"a text in {script.lower()} script")
        spoken = [[phoneme for phoneme in one if phoneme in self._known] for one in self._phonemes.sentences(plain)]
        spoken = [one for one in spoken if not PUNCTUATION.union(SPACE, UNSAID).issuperset(one)]
        if not spoken and SOUNDED.search(plain):
            raise self._unspeakable("this text: none of its letters has a sound in it")
        return tuple(self._sentences(plain, spoken))

    def rehearsal(self) -> tuple[int, ...]:
        """Phoneme ids of no text, for a voice of any language to say once."""
        return tuple(self._voice.phonemes_to_ids(list(self._known)[:REHEARSED]))

    def _unspeakable(self, what: str) -> Unspeakable:
        return Unspeakable(f"{self._file.stem} speaks {self._file.language} and cannot say {what}")

    def _sentences(self, text: str, spoken: Sequence[Sequence[str]]) -> Iterator[Sentence]:
        """The ids of each sentence; its phonemes are of the last word that began, here or in a sentence before."""
        words = self._words(text, [phoneme for one in spoken for phoneme in one])
        index, within = 0, (0, 0)
        for one in spoken:
            at = self._framing - self._ending
            soundings: list[Sounding] = []
            for phoneme in one:
                while words and words[0][0] <= index:
                    within = words.popleft()[1:]
                    if SOUNDED.search(text, *within):
                        soundings.append(Sounding("word", at, *within))
                soundings.append(Sounding("phoneme", at, *within, phoneme))
                at += self._length(phoneme)
                index += 1
            yield Sentence(tuple(self._voice.phonemes_to_ids(list(one))), tuple(soundings))

    def _words(self, text: str, together: Sequence[str]) -> deque[tuple[int, int, int]]:
        """For each word of `text`: the phoneme of `together` that it begins with, and its characters."""
        words = list(WORD.finditer(text))
        alone = [self._phonemes.alone(word[0]) for word in words] if len(words) > 1 else [[] for _ in words]
        last = len(together) - 1
        return deque(
            (min(at, last), word.start(), word.end()) for at, word in zip(starts(alone, together), words, strict=True)
        )

    def _length(self, phoneme: str) -> int:
        """How many ids a phoneme has, its padding included."""
        found = self._lengths.get(phoneme)
        if found is None:
            found = len(self._voice.phonemes_to_ids([phoneme])) - self._framing
            self._lengths[phoneme] = found
        return found


def readable(text: str) -> str:
    """`text` without what the phonemizer would take for something else than text; every character keeps its place."""
    text = INJECTION.sub("  ", text)
    return "".join(SPACE if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
