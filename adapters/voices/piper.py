"""Piper: every voice file of the model folder, unmodified, streaming inside the sentence and repeatable by its seed.

Knows which knobs a persona becomes and in what order a sentence is worked off; graphs, phonemes and files are the
modules beside it. Heavy imports happen when a voice is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar

import numpy as np
import soxr

from adapters import settings, stretch
from adapters.base import Honour, Lack, Projection, python_worker
from adapters.spool import Block, Spool
from peer.core.chunk import AudioChunk, Knobs, Marker, Request
from peer.core.descriptor import LADDER, Context, Descriptor, Determinism, MarkerQuality, Unit
from peer.core.errors import Broken, Refusal, Unavailable
from peer.core.pcm import EMPTY, Float
from peer.core.voice import Voice

from .piper_catalogue import (
    NoSuchAccentError,
    NoSuchTimbreError,
    Pick,
    VoiceFile,
    by_accent,
    by_timbre,
    incomplete,
    installed,
    languages,
)
from .piper_loaded import Loaded, LoadedVoices, UnusableVoiceError
from .piper_network import Delivery, Score
from .piper_phonemes import Sentence

RATE = 22_050
"""Of medium and high quality; the few voices of another rate are brought to it."""

HOP = 256
"""Samples of one frame, as every published voice has them: 11.6 ms, the unit of a request."""

QUALITY = "HQ"
LIVELIEST = 1.0
"""Noise scale beyond which a voice slurs; at 0 it is as even as it can be."""

NAMED = 12
"""Names that a refusal lists; a folder may hold a thousand speakers."""

EXAMPLE = "en_GB-alan-medium"


@cache
def _version() -> str:
    try:
        return version("piper-tts")
    except PackageNotFoundError:
        return "absent"


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


class Piper:
    """Piper's voices through onnxruntime, one process for all files of the folder."""

    name: ClassVar[str] = "piper"

    def __init__(self) -> None:
        self._voices = LoadedVoices(self.name)
        self._spool = Spool(self._begin, RATE)

    # --- cold ---

    @classmethod
    def _files(cls) -> Mapping[str, VoiceFile]:
        return installed(settings.of(cls.name).models)

    @classmethod
    def describe(cls) -> Descriptor:
        files = cls._files()
        return Descriptor(
            name=cls.name,
            version=_version(),
            unit=Unit.TOKENS,
            unit_ms=1000.0 * HOP / RATE,
            sample_rate=RATE,
            voices=tuple(timbre for file in files.values() for timbre in file.timbres),
            languages=languages(files),
            licence="GPL-3.0-or-later; each voice has its own",
            granularity=LADDER,
            determinism=Determinism.PLATFORM,
            stateful_context=Context.MINIMAL,
            markers={"word": MarkerQuality.ALIGNED, "phoneme": MarkerQuality.EXACT},
            limits={"concurrency": 1},
        )

    @classmethod
    def lacks(cls) -> Lack | None:
        if cls._files():
            return None
        folder = settings.of(cls.name).models
        halves = "".join(f"; {why}" for why in incomplete(folder)[:NAMED])
        return Lack(
            f"no voice (an .onnx with its .onnx.json) in {folder}{halves}",
            f"python -m peer voices add {cls.name} {EXAMPLE}",
        )

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        pick = cls._pick(voice)
        file, prosody = pick.file, voice.prosody
        knobs: dict[str, int | float | str] = {
            "voice": file.stem,
            "speaker": pick.speaker,
            "length_scale": file.length_scale / voice.pace,
            "noise_scale": _livelier(file.noise_scale, prosody.range),
            "noise_w": file.noise_w,
            "volume": min(prosody.volume, 1.0),
        }
        report = {
            "timbre": Honour.EXACT,
            "prosody.pitch": Honour.NONE,
            "prosody.range": Honour.APPROXIMATE,
            "prosody.volume": Honour.EXACT if prosody.volume <= 1.0 else Honour.NONE,
            "accent": pick.accent,
            "emotion_priors": Honour.NONE,
            "pace": Honour.APPROXIMATE,
        }
        return stretch.completed(Projection(knobs, report), voice)

    @classmethod
    def _pick(cls, voice: Voice) -> Pick:
        """A timbre decides for itself which language it speaks; without one the accent decides. Raises Refusal."""
        files = cls._files()
        if not files:
            raise Refusal("unsupported", "voice.accent", f"no voice is installed; {_remedy(cls.lacks())}")
        timbre = voice.timbre_for(cls.name)
        try:
            return by_timbre(files, timbre, voice.accent) if timbre else by_accent(files, voice.accent)
        except NoSuchTimbreError:
            names = tuple(name for file in files.values() for name in file.timbres)
            raise Refusal("unsupported", "voice.timbre", f"choose one of {_few(names)}, or none") from None
        except NoSuchAccentError:
            raise Refusal("unsupported", "voice.accent", f"choose one of {_few(languages(files))}") from None

    @classmethod
    def worker_command(cls) -> list[str]:
        return python_worker(cls.name)

    # --- in the engine's process ---

    def warm_up(self) -> None:
        """Loads the voice that speaks where nothing else is asked for, and lets it say two words."""
        lack = self.lacks()
        if lack is not None:
            raise Unavailable(f"{self.name}: {lack.reason}; {lack.remedy}")
        stretch.prepare()
        files = self._files()
        try:
            first = by_accent(files, Voice().accent).file
        except NoSuchAccentError:
            first = next(iter(files.values()))
        try:
            self._voices.voice(first.stem)
        except UnusableVoiceError as error:
            raise Unavailable(f"{self.name}: {error}") from error

    def render(self, request: Request) -> Iterator[AudioChunk]:
        return self._spool.render(request)

    def close(self) -> None:
        self._spool.close()
        self._voices.close()

    def _voice(self, stem: str) -> Loaded:
        """A file that cannot be used is no reason to end an engine that has others. Raises Broken, Unavailable."""
        try:
            return self._voices.voice(stem)
        except UnusableVoiceError as error:
            raise Broken(str(error)) from error

    def _begin(self, request: Request) -> Iterator[Block]:
        """The blocks of a request's text from its cursor on, at RATE and its volume. Raises Unspeakable."""
        stem = str(request.knobs.get("voice", ""))
        volume = np.float32(request.knobs.get("volume", 1.0))
        rate = self._voice(stem).file.rate
        # A resampler's bytes depend on where it began, so another rate is always begun at the sentence's start.
        blocks = self._blocks(stem, request, request.cursor if rate == RATE else 0)
        for block in blocks if rate == RATE else resampled(blocks, rate):
            yield Block(block.at, np.clip(block.pcm * volume, -1.0, 1.0), block.markers)

    def _blocks(self, stem: str, request: Request, cursor: int) -> Iterator[Block]:
        """Blocks of the network's own grid, at the voice's rate, from the one with sample `cursor` on.

        The voice is asked for anew at every step: who waits in the middle of a sentence keeps none in memory.
        """
        delivery = delivery_of(request.knobs)
        sentences = self._voice(stem).reader.read(request.text)
        at = 0
        for index, sentence in enumerate(sentences):
            network = self._voice(stem).network
            score = network.score(sentence.ids, delivery, f"{request.seed}/{index}")
            hop, length = network.hop, network.hop * score.total
            if at + length > cursor or index == len(sentences) - 1:
                markers = marked(sentence, score, at, hop)
                latents = network.latents(score)
                grid = list(network.blocks(score.total, max(0, cursor - at) // hop))
                del network, score
                for low, high in grid:
                    begin = at + low * hop
                    due = tuple(marker for marker in markers if marker.at >= begin) if (low, high) == grid[0] else ()
                    yield Block(begin, self._voice(stem).network.sound(latents, low, high, delivery.speaker), due)
            at += length


def delivery_of(knobs: Knobs) -> Delivery:
    """The network's parameters out of a request's knobs."""
    return Delivery(
        int(knobs.get("speaker", 0)),
        float(knobs.get("length_scale", 1.0)),
        float(knobs.get("noise_scale", 0.667)),
        float(knobs.get("noise_w", 0.8)),
    )


def marked(sentence: Sentence, score: Score, at: int, hop: int) -> tuple[Marker, ...]:
    """The markers of a sentence that begins at sample `at`; every phoneme id lasts what the network said."""
    begins = at + hop * (np.cumsum(score.frames) - score.frames)
    return tuple(Marker(s.kind, int(begins[s.at]), s.start, s.end, s.label) for s in sentence.soundings)


def resampled(blocks: Iterator[Block], rate: int) -> Iterator[Block]:
    """`blocks` of a text from its first sample on, at RATE instead of `rate`: one stream, whatever their sizes."""
    stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality=QUALITY)
    at = 0
    for block in blocks:
        markers = tuple(Marker(m.kind, m.at * RATE // rate, m.start, m.end, m.label) for m in block.markers)
        pcm: Float = stream.resample_chunk(np.ascontiguousarray(block.pcm), last=False)
        yield Block(at, pcm, markers)
        at += len(pcm)
    yield Block(at, stream.resample_chunk(EMPTY, last=True))


def _livelier(noise: float, by: float) -> float:
    """The voice's own noise scale, more of it for a wider range; its square root, as noise shifts more than pitch."""
    return noise if by == 1.0 else min(noise * by**0.5, max(LIVELIEST, noise))


def _remedy(lack: Lack | None) -> str:
    return lack.remedy if lack else ""
