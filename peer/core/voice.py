"""The voice schema: one description of a voice that every engine projects into its own knobs.

Knows no engine; a backend reports what it could honour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from .errors import Refusal

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Prosody:
    """`pitch` in semitones from the voice's own, `range` and `volume` as factors."""

    pitch: float = 0.0
    range: float = 1.0
    volume: float = 1.0


@dataclass(frozen=True, slots=True)
class Voice:
    """`timbre` names a variant or speaker ("" = the engine's own), `accent` is a BCP 47 tag.

    `pace` is a factor on the speaking rate; `emotion_priors` weigh named emotions in [0, 1].
    """

    timbre: str = ""
    prosody: Prosody = Prosody()
    accent: str = "en-GB"
    emotion_priors: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    pace: float = 1.0

    def to_wire(self) -> dict[str, object]:
        return {
            "timbre": self.timbre,
            "prosody": {"pitch": self.prosody.pitch, "range": self.prosody.range, "volume": self.prosody.volume},
            "accent": self.accent,
            "emotion_priors": dict(self.emotion_priors),
            "pace": self.pace,
        }


RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "pace": (0.5, 2.0),
        "prosody.pitch": (-12.0, 12.0),
        "prosody.range": (0.0, 2.0),
        "prosody.volume": (0.0, 2.0),
    }
)
"""Outside an octave or a factor of two no engine here still sounds like speech."""

MAX_EMOTIONS = 16
MAX_NAME = 64


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal("invalid", f"voice.{name}", "give a number")
    low, high = RANGES.get(name, (0.0, 1.0))
    if not low <= value <= high:
        raise Refusal("out_of_range", f"voice.{name}", f"choose between {low:g} and {high:g}")
    return float(value)


def _name(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME or any(ord(c) < 32 for c in value):
        raise Refusal("invalid", f"voice.{name}", f"give a printable string of at most {MAX_NAME} characters")
    return value


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Refusal("invalid", name, "give an object")
    return value


def _known(value: Mapping[str, object], names: set[str], prefix: str) -> None:
    for key in value:
        if key not in names:
            raise Refusal("unknown_field", f"{prefix}.{str(key)[:MAX_NAME]}", f"known are {', '.join(sorted(names))}")


def parse_voice(value: object, base: Voice | None = None) -> Voice:
    """A `Voice` from JSON values, the fields not named taken from `base`. Raises Refusal."""
    base = base or Voice()
    given = _mapping(value, "voice")
    _known(given, {f.name for f in fields(Voice)}, "voice")
    prosody = base.prosody
    if "prosody" in given:
        wanted = _mapping(given["prosody"], "voice.prosody")
        names = {f.name for f in fields(Prosody)}
        _known(wanted, names, "voice.prosody")
        prosody = Prosody(
            **{n: _number(wanted[n], f"prosody.{n}") if n in wanted else getattr(prosody, n) for n in names}
        )
    emotions = base.emotion_priors
    if "emotion_priors" in given:
        wanted = _mapping(given["emotion_priors"], "voice.emotion_priors")
        if len(wanted) > MAX_EMOTIONS:
            raise Refusal("too_many", "voice.emotion_priors", f"at most {MAX_EMOTIONS} emotions")
        emotions = MappingProxyType(
            {_name(k, "emotion_priors"): _number(v, f"emotion_priors.{k}") for k, v in wanted.items()}
        )
    return Voice(
        timbre=_name(given["timbre"], "timbre") if "timbre" in given else base.timbre,
        prosody=prosody,
        accent=_name(given["accent"], "accent") if "accent" in given else base.accent,
        emotion_priors=emotions,
        pace=_number(given["pace"], "pace") if "pace" in given else base.pace,
    )
