"""The embedded default voice: espeak-ng from its wheel, described and projected here, spoken in its zygote.

Never loads the library: a process that did would not repeat itself (its state survives an utterance)
and could not be cancelled. What is listed is read from the data folder, lazily.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from adapters.base import Honour, Projection
from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import Context, Descriptor, Determinism, MarkerQuality, Unit
from peer.core.errors import Refusal, Unavailable
from peer.core.voice import Voice

RATE = 22_050
WHEEL = "espeakng_loader"
DATA = "espeak-ng-data"
REMEDY = "pip install espeakng-loader==0.2.4"
LIBRARIES: Mapping[str, str] = MappingProxyType({"darwin": "libespeak-ng.dylib", "win32": "espeak-ng.dll"})
LIBRARY = "libespeak-ng.so"

RUNGS_MS = (100, 160, 200, 300, 400, 600, 800)
"""The ladder of the token engines in milliseconds, rounded to frames: one comfort band suits all."""

CONCURRENCY = 16
"""Sentences rendered at once; each is one small forked process that blocks in its pipe."""

WORDS_A_MINUTE = 175
"""The library's own rate at pace 1."""

PITCH_MIDDLE = 50
PITCH_PER_SEMITONE = 5.8
"""Its pitch knob runs 0 to 99: measured on four voices, 6.5 semitones down to 8.5 up, nearly in equal ratios."""

RANGE_MIDDLE = 50
VOLUME_FULL = 100
KNOB_MOST = 99
HEADER_LINES = 24
"""`language` lines stand at the head of a voice file, above its phoneme rules."""


class Feeling(NamedTuple):
    """What an emotion at weight 1 adds: semitones, and factors on range and rate."""

    pitch: float
    range: float
    rate: float


FEELINGS: Mapping[str, Feeling] = MappingProxyType(
    {
        "anger": Feeling(0.5, 1.4, 1.10),
        "calm": Feeling(-0.5, 0.8, 0.92),
        "excitement": Feeling(2.0, 1.5, 1.15),
        "fear": Feeling(2.5, 1.2, 1.12),
        "joy": Feeling(1.5, 1.4, 1.06),
        "sadness": Feeling(-1.5, 0.6, 0.85),
        "surprise": Feeling(2.5, 1.6, 1.04),
    }
)
"""A formant voice has pitch, range and rate to feel with; the directions are those prosody studies agree on."""


class Accent(NamedTuple):
    """One of the library's languages: its file in the data folder and the tag it answers to."""

    voice: str
    tag: str


def home() -> Path:
    """The folder of the wheel. Raises Unavailable where it is not installed."""
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise Unavailable(f"the wheel of espeak-ng is not installed: {REMEDY}")
    return Path(spec.origin).parent


def library() -> Path:
    """The shared library. Raises Unavailable."""
    path = home() / LIBRARIES.get(sys.platform, LIBRARY)
    if not path.is_file():
        raise Unavailable(f"{path.name} is missing from its wheel: {REMEDY} --force-reinstall")
    return path


@cache
def timbres() -> Mapping[str, str]:
    """Lower-case name of every voice variant → its file name."""
    folder = home() / DATA / "voices" / "!v"
    found = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return MappingProxyType({name.lower(): name for name in found})


@cache
def accents() -> Mapping[str, Accent]:
    """Lower-case BCP 47 tag → the voice that speaks it; where two claim one tag the lower priority number wins."""
    ranked: list[tuple[str, int, str]] = []
    folder = home() / DATA / "lang"
    for path in sorted(folder.glob("*/*")) + sorted(path for path in folder.glob("*") if path.is_file()):
        voice = path.relative_to(folder).as_posix()
        ranked.append((path.name, 0, voice))
        ranked += [(tag, rank, voice) for tag, rank in _languages(path)]
    found: dict[str, Accent] = {}
    for tag, _, voice in sorted(ranked, key=lambda row: row[1]):
        found.setdefault(tag.lower(), Accent(voice, tag))
    return MappingProxyType(found)


def _languages(path: Path) -> Iterator[tuple[str, int]]:
    """The (tag, priority) pairs a voice file declares; 5 is the library's own priority where none stands."""
    for line in path.read_bytes().splitlines()[:HEADER_LINES]:
        words = line.decode("latin-1").split()
        if len(words) >= 2 and words[0] == "language":
            yield words[1], int(words[2]) if len(words) > 2 and words[2].isdigit() else 5


def accent_of(tag: str) -> tuple[Accent, Honour]:
    """The nearest voice for a BCP 47 tag: the tag itself, then with subtags taken off. Raises Refusal."""
    known = accents()
    parts = tag.lower().replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        found = known.get("-".join(parts[:length]))
        if found is not None:
            return found, Honour.EXACT if length == len(parts) else Honour.APPROXIMATE
    raise Refusal("unsupported", "voice.accent", f"choose one of {', '.join(sorted(a.tag for a in known.values()))}")


def timbre_of(name: str) -> str:
    """The variant's suffix of a voice name, "" for the voice itself. Raises Refusal."""
    if not name:
        return ""
    found = timbres().get(name.lower())
    if found is None:
        raise Refusal("unsupported", "voice.timbre", f"choose one of {', '.join(timbres().values())}, or none")
    return f"+{found}"


def feeling_of(priors: Mapping[str, float]) -> Feeling:
    """The sum of the emotions asked for, each by its weight."""
    pitch, spread, rate = 0.0, 1.0, 1.0
    for name, weight in priors.items():
        felt = FEELINGS.get(name.lower())
        if felt is not None:
            pitch += weight * felt.pitch
            spread *= felt.range**weight
            rate *= felt.rate**weight
    return Feeling(pitch, spread, rate)


def _knob(value: float, most: int = KNOB_MOST) -> int:
    return max(0, min(most, round(value)))


@cache
def _version() -> str:
    try:
        return version("espeakng-loader")
    except PackageNotFoundError:
        return "absent"


class Espeak:
    """espeak-ng, streaming from its synthesis callback in a process forked for every sentence."""

    name: ClassVar[str] = "espeak"

    @classmethod
    def describe(cls) -> Descriptor:
        installed = find_spec(WHEEL) is not None
        return Descriptor(
            name=cls.name,
            version=_version(),
            unit=Unit.MS,
            unit_ms=1.0,
            sample_rate=RATE,
            voices=tuple(timbres().values()) if installed else (),
            languages=tuple(sorted({accent.tag for accent in accents().values()})) if installed else (),
            licence="GPL-3.0-or-later",
            granularity=RUNGS_MS,
            determinism=Determinism.EXACT,
            stateful_context=Context.MINIMAL,
            markers={"word": MarkerQuality.EXACT, "phoneme": MarkerQuality.EXACT},
            limits={"concurrency": CONCURRENCY},
            features=("embedded", "scripts"),
        )

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        accent, honour = accent_of(voice.accent)
        feeling = feeling_of(voice.emotion_priors)
        prosody = voice.prosody
        knobs: dict[str, int | float | str] = {
            "voice": accent.voice + timbre_of(voice.timbre_for(cls.name)),
            "rate": _knob(WORDS_A_MINUTE * voice.pace * feeling.rate, 450),
            "pitch": _knob(PITCH_MIDDLE + PITCH_PER_SEMITONE * (prosody.pitch + feeling.pitch)),
            "range": _knob(RANGE_MIDDLE * prosody.range * feeling.range),
            "volume": _knob(VOLUME_FULL * prosody.volume, 2 * VOLUME_FULL),
        }
        felt = any(name.lower() in FEELINGS for name in voice.emotion_priors)
        report = {
            "timbre": Honour.EXACT,
            "prosody.pitch": Honour.APPROXIMATE,
            "prosody.range": Honour.APPROXIMATE,
            "prosody.volume": Honour.EXACT if prosody.volume <= 1.0 else Honour.APPROXIMATE,
            "accent": honour,
            "emotion_priors": Honour.APPROXIMATE if felt else Honour.NONE,
            "pace": Honour.APPROXIMATE,
        }
        return Projection(knobs, report)

    @classmethod
    def worker_command(cls) -> list[str]:
        """An interpreter without site packages: small to fork, ready in a few hundredths of a second."""
        zygote = Path(__file__).with_name("espeak_zygote.py")
        return [sys.executable, "-I", "-S", "-B", str(zygote), str(library()), str(home())]

    def warm_up(self) -> None:
        raise Unavailable(_ELSEWHERE)

    def render(self, request: Request) -> Iterator[AudioChunk]:
        raise Unavailable(_ELSEWHERE)

    def close(self) -> None:
        """Nothing is held here."""


_ELSEWHERE = "espeak speaks in its own process only: start it through the host"
