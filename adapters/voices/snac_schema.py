"""What there is to choose from and what a voice becomes: the model folder, its voices, the schema in knobs.

Knows no model, only files and the operator's row; cold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from adapters.base import Honour, Lack
from adapters.choice import Choice, draw
from adapters.settings import EngineSettings
from peer.core.chunk import Knobs
from peer.core.errors import Refusal
from peer.core.voice import Voice

from . import snac_codec
from .snac_text import TAGS

VOICES = ("tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe")
"""The published English voices, the first one the default."""

LANGUAGES = ("en",)
TEMPERATURE, TOP_P, REPETITION = 0.6, 0.8, 1.3
"""The published sampling defaults."""

COOLEST, WARMEST = 0.2, 1.0
"""Temperatures at range 0 and 2: below, the model repeats itself; above, it stumbles."""

EMOTION_KEY = (1 << 64) - 1
"""The position of the draw that decides about a sentence's emotion: none of its codes has it."""

FEELINGS: Mapping[str, str] = MappingProxyType(
    {
        **{tag: tag for tag in TAGS},
        "anger": "groan",
        "boredom": "yawn",
        "excitement": "laugh",
        "fear": "gasp",
        "joy": "chuckle",
        "sadness": "sigh",
        "surprise": "gasp",
    }
)
"""What an emotion sounds like in this engine: one of its tags, before the sentence."""


def listed(row: EngineSettings, option: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """A list that the operator gives as "a, b, c"."""
    return tuple(item for part in row.option(option).split(",") if (item := part.strip())) or default


def voices_of(row: EngineSettings) -> tuple[str, ...]:
    return listed(row, "voices", VOICES)


def languages_of(row: EngineSettings) -> tuple[str, ...]:
    return listed(row, "languages", LANGUAGES)


def model_of(row: EngineSettings) -> Path | None:
    """The language model: the option "model", else the first in the folder."""
    chosen = row.option("model")
    found = sorted(Path(row.models).glob("*.gguf"))
    return next((path for path in found if not chosen or chosen in (path.name, path.stem)), None)


def codec_of(row: EngineSettings) -> Path:
    """The codec's folder; it need not exist."""
    return Path(row.models) / "snac"


def lack_of(row: EngineSettings, remedy: str) -> Lack | None:
    """Which of the two models is not there."""
    if model_of(row) is None:
        return Lack(f"no model {row.option('model') or '*.gguf'} in {row.models}", remedy)
    codec = codec_of(row)
    if not (codec / snac_codec.CONFIG).is_file() or snac_codec.weights_of(codec) is None:
        return Lack(f"no {snac_codec.CONFIG} with {' or '.join(snac_codec.WEIGHTS)} in {codec}", remedy)
    return None


def accent_of(row: EngineSettings, tag: str) -> Honour:
    """How well a BCP 47 tag is kept: by the language alone. Raises Refusal for a language that is not there."""
    languages = languages_of(row)
    if tag.lower() in (language.lower() for language in languages):
        return Honour.EXACT
    if tag.lower().partition("-")[0] in (language.lower().partition("-")[0] for language in languages):
        return Honour.APPROXIMATE
    raise Refusal("unsupported", "voice.accent", f"choose one of {', '.join(languages)}")


def timbre_of(row: EngineSettings, name: str) -> str:
    """A voice of the model. Raises Refusal."""
    voices = voices_of(row)
    if name and name not in voices:
        raise Refusal("unsupported", "voice.timbre", f"choose one of {', '.join(voices)}, or none")
    return name or voices[0]


def feeling_of(priors: Mapping[str, float]) -> tuple[str, float]:
    """The tag of the strongest emotion that has one, and its weight; ("", 0) for none."""
    felt = [(weight, FEELINGS[name.lower()]) for name, weight in priors.items() if name.lower() in FEELINGS]
    weight, tag = max(felt, default=(0.0, ""))
    return (tag, weight) if weight else ("", 0.0)


def knobs_of(row: EngineSettings, voice: Voice, timbre: str) -> tuple[Knobs, Mapping[str, Honour]]:
    """This engine's knobs and how well they keep the schema. Raises Refusal."""
    tag, weight = feeling_of(voice.emotion_priors)
    knobs: dict[str, int | float | str] = {
        "voice": timbre_of(row, timbre),
        "temperature": round(COOLEST + (WARMEST - COOLEST) * voice.prosody.range / 2, 6),
        "top_p": TOP_P,
        "repetition": REPETITION,
    }
    if tag:
        knobs |= {"emotion": tag, "emotion_share": weight}
    report = {
        "timbre": Honour.EXACT,
        "prosody.pitch": Honour.NONE,
        "prosody.range": Honour.APPROXIMATE,
        "prosody.volume": Honour.NONE,
        "accent": accent_of(row, voice.accent),
        "emotion_priors": Honour.APPROXIMATE if tag else Honour.NONE,
        "pace": Honour.NONE,
    }
    return knobs, report


def choice_of(knobs: Knobs) -> Choice:
    """How codes are chosen."""
    return Choice(
        float(knobs.get("temperature", TEMPERATURE)),
        float(knobs.get("top_p", TOP_P)),
        float(knobs.get("repetition", REPETITION)),
    )


def sound_of(knobs: Knobs, seed: int) -> str:
    """The tag before a sentence: a prior is the share of the sentences that have it, drawn from their seeds."""
    tag, share = str(knobs.get("emotion", "")), float(knobs.get("emotion_share", 0.0))
    return f"<{tag}> " if tag in TAGS and draw(seed, EMOTION_KEY) < share else ""
