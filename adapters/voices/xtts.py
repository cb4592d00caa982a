"""XTTS on coqui-tts: codes drawn one by one, sound decoded as they come, in the voice of a clip or of the studio.

Knows no process. What it says of itself is read from the files alone; the model is loaded when it warms up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from adapters import settings, stretch
from adapters.base import Honour, Lack, Projection, python_worker
from adapters.spool import Block, Spool
from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import Context, Descriptor, Determinism, MarkerQuality, Unit
from peer.core.errors import Refusal, Unavailable, Unspeakable
from peer.core.voice import Voice

from . import xtts_folder, xtts_load
from .xtts_folder import SAMPLING, Checkpoint
from .xtts_sentence import Sentence
from .xtts_speakers import Speakers

RATE = 24_000
PACKAGE = "coqui-tts"

RUNGS_MS = (100, 160, 240, 320, 400)
"""A second of sound costs the same at every rung: a larger one would only be more for a barge-in to throw away."""

LETTER_MS = 150.0
SPARE_MS = 1500.0
"""How long a prompt may last: twice what a slow reader takes for its letters, and two pauses. A model that does not
find its end would babble on to its limit of 28 s. The operator may say otherwise for a drawling voice."""

KEPT = 4
"""Sentences in progress. Each may hold 190 MB of keys and values at the published size."""

LASTING = {"letter_ms": (1.0, 1000.0), "spare_ms": (0.0, 10_000.0)}


@cache
def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "absent"


class Xtts:
    """XTTS, streaming from the first codes on; one sentence at a time."""

    name: ClassVar[str] = "xtts"

    def __init__(self) -> None:
        self._model: Any = None
        self._speakers: Speakers | None = None
        self._spool: Spool | None = None

    @classmethod
    def describe(cls) -> Descriptor:
        found = cls._checkpoint()
        return Descriptor(
            name=cls.name,
            version=_version(),
            unit=Unit.MS,
            unit_ms=1.0,
            sample_rate=RATE,
            voices=found.voices if found else (),
            languages=tuple(tag for tag in found.languages if not xtts_folder.missing_package(tag)) if found else (),
            licence="MPL-2.0; XTTS v2 weights are for non-commercial use (CPML)",
            granularity=RUNGS_MS,
            determinism=Determinism.PLATFORM,
            stateful_context=Context.MINIMAL,
            markers={"word": MarkerQuality.ESTIMATED},
            limits={"concurrency": 1},
            features=("clone", "scripts"),
        )

    @classmethod
    def lacks(cls) -> Lack | None:
        """Why it cannot speak here: no checkpoint, or nobody to speak as."""
        add = f"python -m peer voices add {cls.name}"
        models = settings.of(cls.name).models
        found = cls._checkpoint()
        if found is None:
            return Lack(
                f"no XTTS checkpoint ({', '.join(xtts_folder.NEEDED)}) in {models}", f"{add} xtts_v2 --accept-licence"
            )
        if not found.voices and not (found.folder / xtts_folder.SPEAKERS).is_file():
            return Lack(f"{found.folder} has neither studio voices nor a reference clip", f"{add} my_voice.wav")
        return None

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        found = cls._checkpoint() or Checkpoint(Path())
        language, honour = _language(voice.accent, found.languages)
        knobs: dict[str, int | float | str] = {
            "timbre": _timbre(voice.timbre_for(cls.name), found.voices),
            "language": language,
            "speed": voice.pace,
            **found.sampling,
            **_options(settings.of(cls.name))[0],
        }
        report = {
            "timbre": Honour.EXACT,
            "prosody.pitch": Honour.NONE,
            "prosody.range": Honour.NONE,
            "prosody.volume": Honour.NONE,
            "accent": honour,
            "emotion_priors": Honour.NONE,
            "pace": Honour.EXACT,
        }
        return stretch.completed(Projection(knobs, report), voice)

    @classmethod
    def worker_command(cls) -> list[str]:
        return python_worker(cls.name)

    @classmethod
    def _checkpoint(cls) -> Checkpoint | None:
        return xtts_folder.look(Path(settings.of(cls.name).models))

    def warm_up(self) -> None:
        """The checkpoint, the clips, and the default voice's latents. Raises Unavailable."""
        row = settings.of(self.name)
        found, lack = self._checkpoint(), self.lacks()
        if found is None or lack is not None:
            raise Unavailable(f"{lack.reason}: {lack.remedy}" if lack else f"{row.models} changed while it was read")
        if fault := _options(row)[1]:
            raise Unavailable(f"{self.name}: {fault}")
        try:
            _one_pool(row.threads)
            self._model = xtts_load.loaded(found.folder, RATE, row.device)
        except ImportError as error:
            raise Unavailable(f"{PACKAGE} is not installed ({error}): make engines") from error
        self._speakers = Speakers(self._model, xtts_load.speakers(found.folder), found.clips)
        try:
            self._speakers.speaker("")
        except Unspeakable as error:
            raise Unavailable(f"the default voice cannot be used: {error}") from error
        self._spool = Spool(self._begin, RATE, KEPT)

    def render(self, request: Request) -> Iterator[AudioChunk]:
        """Pieces of [cursor, cursor + samples), one block each, and an empty one after each code between them.

        Raises Unspeakable for a text or a voice that it has no sound for, Unavailable where the GPU is gone.
        """
        if self._spool is None:
            raise Unavailable(f"{self.name} has not warmed up")
        try:
            yield from self._spool.render(request)
        except RuntimeError as error:
            if self._model.device.type == "cpu":
                raise
            raise Unavailable(f"the GPU fails ({str(error).partition(chr(10))[0]})") from error

    def close(self) -> None:
        """Drop the sentences in progress and the model."""
        if self._spool is not None:
            self._spool.close()
        self._spool = self._model = self._speakers = None

    def _begin(self, request: Request) -> Iterator[Block]:
        """The blocks of a sentence; those before its cursor are not decoded."""
        assert self._speakers is not None
        return Sentence(self._model, self._speakers, request).blocks()


def _language(accent: str, languages: Sequence[str]) -> tuple[str, Honour]:
    """The language for a BCP 47 tag: itself, or the one of its first subtag. Raises Refusal."""
    usable = [language for language in languages if not xtts_folder.missing_package(language)]
    wanted = accent.lower().replace("_", "-")
    if wanted in usable:
        return wanted, Honour.EXACT
    base = wanted.partition("-")[0]
    near = next((language for language in usable if language.partition("-")[0] == base), None)
    if near is None:
        packages = [xtts_folder.missing_package(name) for name in languages if name.partition("-")[0] == base]
        first = f"pip install {packages[0]} for it, or " if packages else ""
        raise Refusal("unsupported", "voice.accent", f"{first}choose one of {', '.join(usable)}")
    return near, Honour.APPROXIMATE


def _timbre(name: str, voices: Sequence[str]) -> str:
    """The voice of that name whatever its case, the first for none. Raises Refusal."""
    if not name:
        return voices[0] if voices else ""
    found = next((voice for voice in voices if voice.lower() == name.lower()), None)
    if found is None:
        raise Refusal("unsupported", "voice.timbre", f"choose one of {', '.join(voices) or 'none here'}, or none")
    return found


def _options(row: settings.EngineSettings) -> tuple[dict[str, float], str]:
    """The operator's word on sampling and length, and what is wrong with the first option out of range, or ""."""
    found, fault = {"letter_ms": LETTER_MS, "spare_ms": SPARE_MS}, ""
    ranges = LASTING | {name: (low, high) for name, (_, low, high) in SAMPLING.items()}
    for name, (low, high) in ranges.items():
        value = row.options.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            found[name] = float(value)
        elif value is not None:
            fault = fault or f"the option {name} is {value!r}: choose between {low:g} and {high:g}"
    return found, fault


def _one_pool(threads: int) -> None:
    """As many threads as the operator gave: more of them on shared cores wait for each other."""
    import torch

    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
