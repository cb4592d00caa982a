"""The voice schema: one description of a voice that every engine projects into its own knobs, and its saved form.

Knows no engine and no file; a backend reports what it could honour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

from .errors import Refusal

SCHEMA = 1
"""Version of the schema and of a persona's file."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """`pitch` in semitones from the voice's own, `range` and `volume` as factors."""

    pitch: float = 0.0
    range: float = 1.0
    volume: float = 1.0


@dataclass(frozen=True, slots=True)
class Voice:
    """`timbre` names a variant or speaker ("" = the engine's own), `accent` is a BCP 47 tag.

    `pace` is a factor on the speaking rate; `emotion_priors` weigh named emotions in [0, 1]. `timbres` says
    what comes nearest in an engine that calls it otherwise: engine → its name there. `persona` names where the
    rest was taken from ("" = nowhere); it changes no sound.
    """

    timbre: str = ""
    prosody: Prosody = Prosody()
    accent: str = "en-GB"
    emotion_priors: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    pace: float = 1.0
    timbres: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    persona: str = ""

    def timbre_for(self, engine: str) -> str:
        """What the timbre is called in that engine."""
        return self.timbres.get(engine, self.timbre)

    def to_wire(self) -> dict[str, object]:
        return {
            "timbre": self.timbre,
            "prosody": {"pitch": self.prosody.pitch, "range": self.prosody.range, "volume": self.prosody.volume},
            "accent": self.accent,
            "emotion_priors": dict(self.emotion_priors),
            "pace": self.pace,
            "timbres": dict(self.timbres),
            "persona": self.persona,
        }


@dataclass(frozen=True, slots=True)
class Persona:
    """A voice with a name, as one JSON file keeps it; what the file does not name is neutral."""

    name: str
    voice: Voice
    description: str = ""

    def to_wire(self) -> dict[str, object]:
        return {"name": self.name, "description": self.description, "voice": self.voice.to_wire()}


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
MAX_TIMBRES = 16
"""Engines that a voice names a timbre for: more than can be installed."""
MAX_NAME = 64
MAX_DESCRIPTION = 280
"""Characters: one line beside a name."""


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


def _prosody(given: object, base: Prosody) -> Prosody:
    wanted = _mapping(given, "voice.prosody")
    names = {f.name for f in fields(Prosody)}
    _known(wanted, names, "voice.prosody")
    return Prosody(**{n: _number(wanted[n], f"prosody.{n}") if n in wanted else getattr(base, n) for n in names})


def _bounded(given: object, name: str, most: int) -> Mapping[str, object]:
    found = _mapping(given, f"voice.{name}")
    if len(found) > most:
        raise Refusal("too_many", f"voice.{name}", f"at most {most} of them")
    return found


def _emotions(given: object) -> Mapping[str, float]:
    wanted = _bounded(given, "emotion_priors", MAX_EMOTIONS)
    return MappingProxyType({_name(k, "emotion_priors"): _number(v, f"emotion_priors.{k}") for k, v in wanted.items()})


def _timbres(given: object) -> Mapping[str, str]:
    wanted = _bounded(given, "timbres", MAX_TIMBRES)
    return MappingProxyType({_name(k, "timbres"): _name(v, f"timbres.{k}") for k, v in wanted.items()})


def parse_voice(value: object, base: Voice | None = None) -> Voice:
    """A `Voice` from JSON values, the fields not named taken from `base`. Raises Refusal.

    Who names a timbre alone means it for every engine: what `base` had per engine is dropped.
    """
    base = base or Voice()
    given = _mapping(value, "voice")
    _known(given, {f.name for f in fields(Voice)}, "voice")
    timbres = MappingProxyType({}) if "timbre" in given else base.timbres
    return Voice(
        timbre=_name(given["timbre"], "timbre") if "timbre" in given else base.timbre,
        prosody=_prosody(given["prosody"], base.prosody) if "prosody" in given else base.prosody,
        accent=_name(given["accent"], "accent") if "accent" in given else base.accent,
        emotion_priors=_emotions(given["emotion_priors"]) if "emotion_priors" in given else base.emotion_priors,
        pace=_number(given["pace"], "pace") if "pace" in given else base.pace,
        timbres=_timbres(given["timbres"]) if "timbres" in given else timbres,
        persona=_name(given["persona"], "persona") if "persona" in given else base.persona,
    )


def parse_persona(value: object) -> Persona:
    """A persona from the JSON values of its file. Raises Refusal that names the field and what to write there."""
    given = _mapping(value, "persona")
    if given.get("schema") != SCHEMA or isinstance(given.get("schema"), bool):
        raise Refusal("invalid", "persona.schema", f"write {SCHEMA}: this program knows no other version")
    name = given.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise Refusal("invalid", "persona.name", f"give a printable string of 1 to {MAX_NAME} characters")
    described = given.get("description", "")
    if not isinstance(described, str) or len(described) > MAX_DESCRIPTION or not described.isprintable():
        raise Refusal("invalid", "persona.description", f"give one line of at most {MAX_DESCRIPTION} characters")
    own = {"schema", "name", "description"}
    _known(given, own | {f.name for f in fields(Voice)} - {"persona"}, "persona")
    voice = parse_voice({key: value for key, value in given.items() if key not in own})
    return Persona(name, replace(voice, persona=name), described)


def beyond(voice: Voice, base: Voice) -> Voice:
    """What `voice` names that `base` does not say: every field that is equal in both is neutral."""
    neutral = Voice()
    kept = {f.name: getattr(voice, f.name) for f in fields(Voice) if getattr(voice, f.name) != getattr(base, f.name)}
    return replace(neutral, **kept)
