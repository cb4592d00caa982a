"""The voices there are, as data: name, where its class lives, what it needs, its licence.

Imports no engine until one is asked for by name; knows nothing of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import MappingProxyType

from peer.core.descriptor import SPOKEN, Descriptor
from peer.core.errors import Refusal, Unavailable

from .base import TTSAdapter

GROUP = "synchrony.adapters"
"""Entry points of this group add engines of third parties; they cannot replace one of ours."""


@dataclass(frozen=True, slots=True)
class Row:
    """`target` is "module:Class", `needs` the modules it imports when it warms up.

    `extra` names what pip installs them with ("" = the base install). Only rows with `fallback`
    may stand in for a failed engine: one that loses words must not. `memory_mb` bounds the private memory
    of its process where the operator says nothing; `secrets` are the environment variables it may read.
    """

    target: str
    licence: str
    extra: str = ""
    needs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    fallback: bool = False
    memory_mb: int = 0
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Availability:
    """`reason` says why not, `remedy` which command helps; both empty where it is available."""

    available: bool
    reason: str = ""
    remedy: str = ""


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "espeak": Row("adapters.voices.espeak:Espeak", "GPL-3.0-or-later", needs=("espeakng_loader",), fallback=True),
        "piper": Row(
            "adapters.voices.piper:Piper",
            "GPL-3.0-or-later; each voice has its own",
            "piper",
            ("piper", "onnx", "onnxruntime"),
            fallback=True,
            memory_mb=2048,
        ),
        "snac_llamacpp": Row(
            "adapters.voices.snac_llamacpp:SnacLlamaCpp",
            "MIT; Orpheus weights Apache-2.0",
            "snac",
            ("llama_cpp", "snac", "torch"),
            aliases=("orpheus",),
            memory_mb=12_288,
        ),
        "xtts": Row(
            "adapters.voices.xtts:Xtts",
            "MPL-2.0; XTTS v2 weights are for non-commercial use (CPML)",
            "xtts",
            ("TTS", "torch", "torchaudio"),
            aliases=("coqui",),
            memory_mb=12_288,
        ),
        "outetts": Row(
            "adapters.voices.outetts:OuteTTS",
            "MIT; each model has its own, some are non-commercial",
            "outetts",
            ("llama_cpp", "torch"),
            aliases=("ouleTTS", "ouletts", "oute"),
            memory_mb=8192,
        ),
        "openai_speech": Row(
            "adapters.voices.openai_speech:OpenAISpeech",
            "the service's own",
            needs=("aiohttp",),
            memory_mb=1024,
            secrets=("SYNCHRONY_SPEECH_KEY", "OPENAI_API_KEY"),
        ),
        "tone": Row("adapters.voices.tone:Tone", "the program's own", needs=("numpy",)),
    }
)

DEFAULT = "espeak"


@cache
def rows() -> Mapping[str, Row]:
    """Our engines, then those that installed packages bring."""
    found = dict(ROWS)
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, Row(point.value, "see the package that brings it"))
    return MappingProxyType(found)


@cache
def _aliases() -> Mapping[str, str]:
    return {alias: name for name, row in rows().items() for alias in row.aliases}


def names() -> tuple[str, ...]:
    """Every engine that can be asked for, ours first."""
    return tuple(rows())


def fallback() -> tuple[str, ...]:
    """Who stands in for a failed engine, in this order: the embedded one last, because it is always there."""
    return tuple(sorted((name for name, row in rows().items() if row.fallback), key=lambda name: name == DEFAULT))


def resolve(name: str) -> str:
    """The registered name behind `name` or one of its aliases. Raises Refusal."""
    known = rows()
    found = name if name in known else _aliases().get(name)
    if found is None:
        raise Refusal("unknown_adapter", "adapter", f"choose one of {', '.join(known)}")
    return found


def load(name: str) -> type[TTSAdapter]:
    """The class of an engine, cold. Raises Refusal for an unknown name, Unavailable if it does not import."""
    found = resolve(name)
    module, _, attribute = rows()[found].target.partition(":")
    try:
        adapter: type[TTSAdapter] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise Unavailable(f"{found}: {error}") from error
    return adapter


def describe(name: str) -> Descriptor:
    """What the engine says of itself, cold. Raises as `load`, and Unavailable for another contract."""
    descriptor = load(name).describe()
    if descriptor.contract not in SPOKEN:
        spoken = " and ".join(map(str, SPOKEN))
        raise Unavailable(f"{name} speaks contract {descriptor.contract}, this program {spoken}")
    return descriptor


def availability(name: str) -> Availability:
    """Whether what the engine needs is installed and a model is there; imports none of it."""
    row = rows()[resolve(name)]
    missing = [module for module in row.needs if find_spec(module) is None]
    if missing:
        remedy = "make engines" if row.extra else "make setup"
        return Availability(False, f"missing: {', '.join(missing)}", remedy)
    try:
        lacks = getattr(load(name), "lacks", None)
    except Unavailable as fault:
        return Availability(False, str(fault), "install its package again")
    lack = lacks() if lacks is not None else None
    return Availability(True) if lack is None else Availability(False, lack.reason, lack.remedy)
