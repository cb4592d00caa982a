"""The reference engine: one short tone per word, exact to the sample, so that tests can see every word.

It loses the words themselves and therefore never stands in for another engine. Knows no process and
no clock; its samples are a function of their absolute index alone.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from adapters.base import Honour, Projection, python_worker
from peer.core.chunk import AudioChunk, Marker, Request
from peer.core.descriptor import LADDER, Context, Descriptor, Determinism, MarkerQuality, Unit
from peer.core.errors import Refusal
from peer.core.pcm import Float, fade_in, fade_out
from peer.core.voice import Voice

RATE = 24_000
CODE_FRAME = 2048
"""Samples of one modelled codec step; seven tokens make one, as in the token engines it stands for."""

TOKENS_PER_FRAME = 7
PIECE = CODE_FRAME
"""Samples of one piece: one modelled codec step, 85 ms."""

WORD_BASE = RATE * 80 // 1000
WORD_PER_CHARACTER = RATE * 35 // 1000
"""A word of five letters lasts 255 ms and its gap 60: 190 words a minute, a reader's pace."""

GAP = RATE * 60 // 1000
SENTENCE_GAP = RATE * 200 // 1000
"""Silence at the end of a sentence, as the other engines leave it."""

EDGE = RATE * 5 // 1000
"""5 ms of rise and fall: no click."""

LONGEST_WORD = 12
"""Characters of one tone; scripts without spaces become several tones instead of one long one."""

WORD = re.compile(rf"\S{{1,{LONGEST_WORD}}}")
LOWEST_HZ = 220.0
STEPS = 24
"""Pitches: two octaves of semitones."""

LEVEL = 0.3
"""Peak at volume 1: about -10 dBFS; at volume 2 it still does not clip."""

TIMBRES = ("sine", "reed")
TONES_KEPT = 64
"""Whole tones cached: 64 of at most 0.5 s each are 6 MB at the slowest pace."""


class Word(NamedTuple):
    """One tone: samples [at, at + length) of the sentence, characters [start, end) of its text."""

    at: int
    length: int
    start: int
    end: int
    hz: float


class Plan(NamedTuple):
    """All tones of a sentence and its length in samples."""

    words: tuple[Word, ...]
    total: int


@lru_cache(maxsize=128)
def plan(text: str, pace: float, pitch: float) -> Plan:
    """Where every word of `text` sounds. Integers only, so it is the same on every machine."""
    at, words = 0, []
    for match in WORD.finditer(text):
        length = round((WORD_BASE + WORD_PER_CHARACTER * len(match[0])) / pace)
        step = zlib.crc32(match[0].lower().encode(errors="replace")) % STEPS
        hz = LOWEST_HZ * 2.0 ** ((step + pitch) / 12.0)
        words.append(Word(at, length, match.start(), match.end(), hz))
        at += length + round(GAP / pace)
    return Plan(tuple(words), at + SENTENCE_GAP if words else 0)


@lru_cache(maxsize=TONES_KEPT)
def tone(hz: float, length: int, timbre: str) -> Float:
    """A whole enveloped tone, (length,) float32. Always computed whole, so that every cut of it is equal."""
    phase = np.arange(length, dtype=np.float64) * (2.0 * np.pi * hz / RATE)
    wave = np.sin(phase)
    if timbre == "reed":
        wave = (wave + np.sin(3.0 * phase) / 3.0) * 0.75
    pcm = fade_out(fade_in((LEVEL * wave).astype(np.float32), EDGE), EDGE)
    pcm.flags.writeable = False
    return pcm


def samples(score: Plan, start: int, end: int, timbre: str, volume: float) -> Float:
    """Samples [start, end) of the sentence, (end - start,) float32, read-only."""
    out = np.zeros(end - start, np.float32)
    for word in score.words:
        low, high = max(start, word.at), min(end, word.at + word.length)
        if low < high:
            wave = tone(word.hz, word.length, timbre)
            out[low - start : high - start] = wave[low - word.at : high - word.at] * np.float32(volume)
    out.flags.writeable = False
    return out


class Tone:
    """One tone per word, with the shape of a token engine."""

    name: ClassVar[str] = "tone"

    @classmethod
    def describe(cls) -> Descriptor:
        return Descriptor(
            name=cls.name,
            version="1",
            unit=Unit.TOKENS,
            unit_ms=1000.0 * CODE_FRAME / TOKENS_PER_FRAME / RATE,
            sample_rate=RATE,
            voices=TIMBRES,
            languages=("und",),
            licence="the program's own",
            granularity=LADDER,
            determinism=Determinism.PLATFORM,
            stateful_context=Context.MINIMAL,
            markers={"word": MarkerQuality.EXACT},
            limits={"concurrency": 1},
            features=("reference", "loses_words"),
        )

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        if (timbre := voice.timbre_for(cls.name)) and timbre not in TIMBRES:
            raise Refusal("unsupported", "voice.timbre", f"choose one of {', '.join(TIMBRES)}, or none")
        return Projection(
            knobs={
                "timbre": timbre or TIMBRES[0],
                "pace": voice.pace,
                "pitch": voice.prosody.pitch,
                "volume": voice.prosody.volume,
            },
            report={
                "timbre": Honour.EXACT,
                "prosody.pitch": Honour.EXACT,
                "prosody.range": Honour.NONE,
                "prosody.volume": Honour.EXACT,
                "accent": Honour.NONE,
                "emotion_priors": Honour.NONE,
                "pace": Honour.EXACT,
            },
        )

    @classmethod
    def worker_command(cls) -> list[str]:
        return python_worker(cls.name)

    def warm_up(self) -> None:
        """Nothing to load; one tone fills the tables."""
        tone(LOWEST_HZ, WORD_BASE, TIMBRES[0])

    def render(self, request: Request) -> Iterator[AudioChunk]:
        """Pieces of [cursor, cursor + samples), one codec step each."""
        knobs = request.knobs
        score = plan(request.text, float(knobs.get("pace", 1.0)), float(knobs.get("pitch", 0.0)))
        timbre, volume = str(knobs.get("timbre", TIMBRES[0])), float(knobs.get("volume", 1.0))
        start = min(request.cursor, score.total)
        stop = min(start + request.samples, score.total)
        cuts = [*range(start, stop, PIECE), stop]
        for low, high in pairwise(cuts if len(cuts) > 1 else [start, stop]):
            began = time.monotonic()
            pcm = samples(score, low, high, timbre, volume)
            markers = tuple(Marker("word", w.at, w.start, w.end) for w in score.words if low <= w.at < high)
            yield AudioChunk(
                pcm=pcm,
                sample_rate=RATE,
                markers=markers,
                cursor=high,
                last=high == stop,
                eos=high == stop == score.total,
                render_ms=1000.0 * (time.monotonic() - began),
            )

    def close(self) -> None:
        """Nothing is held."""
