"""OuteTTS 1.0: its V3 protocol spoken by our own code over llama.cpp, its DAC decoded as a stream.

Knows which knobs a persona becomes and in what order a sentence is worked off; text, prompt, choices, speakers, files
and the decoder are the modules beside it. Heavy imports happen in `warm_up`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from adapters import settings, stretch
from adapters.base import Honour, Lack, Projection, python_worker
from adapters.llama import ALL_LAYERS, Llama
from adapters.spool import Block, Spool
from peer.core.chunk import AudioChunk, Marker, Request
from peer.core.descriptor import LADDER, Context, Descriptor, Determinism, MarkerQuality, Unit
from peer.core.errors import Broken, Refusal, Unavailable
from peer.core.pcm import EMPTY, Float
from peer.core.voice import Voice

from . import outetts_dac
from .outetts_checkpoint import HOP, RATE, Decoder
from .outetts_dac import BLOCK, HISTORY, Stream, samples_of
from .outetts_folder import NUMBERS, Folder
from .outetts_persona import persona_of
from .outetts_recital import Manner, Recital
from .outetts_speaker import Speaker, shortened
from .outetts_text import words
from .outetts_tokens import Vocabulary

TOKENS_PER_FRAME = 2
KEPT = 4
"""Sentences in progress: of each one the language model keeps up to 0.3 GB in RAM."""

LANGUAGES = (
    "en", "ar", "be", "bn", "de", "es", "fa", "fr", "hu", "it", "ja", "ka", "ko", "lt", "lv", "nl", "pl", "pt", "ru",
    "sw", "ta", "uk", "zh",
)  # fmt: skip
"""Of the 1.0 models, as their publisher lists them."""

NAMED = 12
"""Speakers that a refusal lists."""

EXAMPLE = "outetts-1.0-0.6b-q4"


@cache
def _version() -> str:
    try:
        return f"V3 over llama-cpp-python {version('llama-cpp-python')}"
    except PackageNotFoundError:
        return "absent"


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Everything that is loaded."""

    llama: Llama
    vocabulary: Vocabulary
    decoder: Decoder
    speakers: dict[str, Speaker]


class OuteTTS:
    """The OuteTTS model of the folder; its speakers are the timbres."""

    name: ClassVar[str] = "outetts"

    def __init__(self) -> None:
        self._spool: Spool | None = None
        self._loaded: Ensemble | None = None

    # --- cold ---

    @classmethod
    def _cold(cls) -> Folder:
        return Folder(settings.of(cls.name))

    @classmethod
    def describe(cls) -> Descriptor:
        return Descriptor(
            name=cls.name,
            version=_version(),
            unit=Unit.TOKENS,
            unit_ms=1000.0 * HOP / RATE / TOKENS_PER_FRAME,
            sample_rate=RATE,
            voices=tuple(cls._cold().speakers()),
            languages=LANGUAGES,
            licence="MIT; each model has its own, some are non-commercial",
            granularity=LADDER,
            determinism=Determinism.PLATFORM,
            stateful_context=Context.ROLLING,
            markers={"word": MarkerQuality.EXACT},
            limits={"concurrency": 1},
        )

    @classmethod
    def lacks(cls) -> Lack | None:
        folder = cls._cold()
        add = f"python -m peer voices add {cls.name}"
        if folder.model() is None:
            return Lack(f"no language model (*.gguf) in {folder.path}", f"{add} {EXAMPLE}")
        if folder.decoder() is None:
            return Lack(f"no decoder (dac.pth) in {folder.path}", f"{add} {EXAMPLE}")
        if not folder.speakers():
            why = "".join(f"; {fault}" for fault in folder.faults()[:NAMED])
            advice = "the outetts package makes one from a recording, and brings en-female-1-neutral.json"
            return Lack(f"no speaker (*.json) in {folder.path}/speakers: {advice}{why}", f"{add} <speaker.json>")
        return None

    @classmethod
    def persona(cls, stem: str, value: Mapping[str, object]) -> Mapping[str, object] | None:
        return persona_of(cls.name, stem, value)

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        folder = cls._cold()
        if voice.accent.partition("-")[0].lower() not in LANGUAGES:
            raise Refusal("unsupported", "voice.accent", f"choose a tag of one of {', '.join(LANGUAGES)}")
        speakers, timbre = tuple(folder.speakers()), voice.timbre_for(cls.name)
        if timbre and timbre not in speakers:
            raise Refusal("unsupported", "voice.timbre", folder.fault(timbre) or _choose(speakers))
        try:
            temperature = folder.number("temperature")
        except Unavailable:  # said where it is warmed up
            temperature = NUMBERS["temperature"][0]
        knobs: dict[str, int | float | str] = {
            "speaker": timbre or (speakers[0] if speakers else ""),
            "range": voice.prosody.range,
            "temperature": temperature,
        }
        report = {
            "timbre": Honour.EXACT,
            "prosody.pitch": Honour.NONE,
            "prosody.range": Honour.APPROXIMATE,
            "prosody.volume": Honour.NONE,
            "accent": Honour.NONE,
            "emotion_priors": Honour.NONE,
            "pace": Honour.NONE,
        }
        return stretch.completed(Projection(knobs, report), voice)

    @classmethod
    def worker_command(cls) -> list[str]:
        return python_worker(cls.name)

    # --- in the engine's process ---

    def warm_up(self) -> None:
        """Loads the language model, the decoder and every speaker."""
        self.close()
        folder, lack = self._cold(), self.lacks()
        row = folder.row
        model, weights = folder.model(), folder.decoder()
        if lack is not None or model is None or weights is None:
            raise Unavailable(f"{self.name}: {lack.reason}; {lack.remedy}" if lack else "no model")
        folder.number("temperature")
        seconds, context = folder.number("reference_s"), int(folder.number("context"))
        decoder = outetts_dac.load(weights, row.device, row.threads)
        llama = Llama.open(model, context, row.threads, ALL_LAYERS if row.device != "cpu" else 0)
        speakers = {name: shortened(speaker, seconds) for name, speaker in folder.speakers().items()}
        self._loaded = Ensemble(llama, Vocabulary(llama), decoder, speakers)
        self._spool = Spool(self._begin, RATE, KEPT)

    def render(self, request: Request) -> Iterator[AudioChunk]:
        if self._spool is None:
            raise Unavailable(f"{self.name} was not warmed up")
        return self._spool.render(request)

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()
        if self._loaded is not None:
            self._loaded.llama.close()
        self._spool = self._loaded = None

    def _begin(self, request: Request) -> Iterator[Block]:
        """The blocks of a sentence, the first one at or before the cursor. Between them, after every step of the
        language model, an empty one: a place to be cancelled. Raises Unspeakable."""
        recital = self._recital(request)
        decoder = self._ensemble.decoder
        wanted = (request.cursor + decoder.delay) // (BLOCK * HOP)
        stream = Stream(decoder, max(0, wanted - HISTORY) * BLOCK)
        at, told, state = max(0, wanted * BLOCK * HOP - decoder.delay), 0, b""
        total = None if recital.words else 0
        try:
            while total is None or at < samples_of(total):
                for _ in recital.until(stream.at + BLOCK):
                    yield Block(at, EMPTY, state=state)
                total = len(recital.pairs) if recital.ended else None
                low, pcm = _decoded(stream, recital.codes(stream.at, BLOCK), total)
                high = low + len(pcm) if total is None else min(low + len(pcm), samples_of(total))
                if stream.at > wanted * BLOCK and high > at:
                    markers, told, state = _markers(recital, told, at), len(recital.begins), recital.state()
                    yield Block(at, pcm[at - low : high - low], markers, state)
                    at = high
        finally:
            recital.close()

    def _recital(self, request: Request) -> Recital:
        ensemble, knobs = self._ensemble, request.knobs
        manner = Manner(request.seed, float(knobs.get("temperature", 0.4)), float(knobs.get("range", 1.0)))
        speaker = self._speaker(str(knobs.get("speaker", "")))
        spoken = words(request.text)
        return Recital(ensemble.vocabulary, speaker, request.text, spoken, manner, request.state)

    def _speaker(self, name: str) -> Speaker:
        """The speaker of that name; one that was added since the start is read now."""
        speakers = self._ensemble.speakers
        if name not in speakers:
            found = self._cold().speakers().get(name)
            if found is None:
                raise Broken(f"there is no speaker {name}: {_choose(tuple(speakers))}")
            speakers[name] = shortened(found, self._cold().number("reference_s"))
        return speakers[name]

    @property
    def _ensemble(self) -> Ensemble:
        if self._loaded is None:
            raise Unavailable(f"{self.name} was closed")
        return self._loaded


def _markers(recital: Recital, told: int, at: int) -> tuple[Marker, ...]:
    """The words from number `told` on whose place is known, but for those that begin before sample `at`."""
    found = zip(recital.begins[told:], recital.words[told:], strict=False)
    return tuple(Marker("word", HOP * begin, word.start, word.end) for begin, word in found if HOP * begin >= at)


def _decoded(stream: Stream, codes: npt.NDArray[np.int64], total: int | None) -> tuple[int, Float]:
    """A step of the stream. Raises Unavailable where a GPU that was there is gone."""
    try:
        return stream.push(codes, total)
    except RuntimeError as error:
        device = stream.decoder.device
        if device == "cpu":
            raise
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise Unavailable(f"{device} does not answer any more ({why}): set the engine's device to cpu") from error


def _choose(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"choose one of {', '.join(names[:NAMED])}{more}, or none" if names else "no speaker is installed"
