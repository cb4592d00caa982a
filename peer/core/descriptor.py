"""What an engine says of itself; the orchestrator negotiates from this and from nothing else.

Knows no engine by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

CONTRACT = 2
"""Version of the adapter contract; an adapter states the one it speaks."""

SPOKEN = (1, 2)
"""Versions that this program works with: 2 added `network`, `lacks` and the error word "unspeakable"."""

LADDER = (8, 12, 16, 24, 32, 48, 64)
"""The discrete request sizes, in the engine's units."""


class Unit(StrEnum):
    TOKENS = "tokens"
    MS = "ms"


class Determinism(StrEnum):
    EXACT = "exact"
    PLATFORM = "platform"
    NONE = "none"


class Context(StrEnum):
    ROLLING = "rolling"
    MINIMAL = "minimal"
    NONE = "none"


class MarkerQuality(StrEnum):
    EXACT = "exact"
    ALIGNED = "aligned"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`unit_ms` is the audio one unit carries, `overlap_ms` what consecutive chunks share.

    `granularity` is in units; a rung of `g` units asks for `g * unit_ms` milliseconds.
    `markers` maps a kind ("word", "phoneme", "sentence") to its quality. `network` names the only hosts
    ("name:port") that the engine's process may reach; most have none.
    """

    name: str
    version: str
    unit: Unit
    unit_ms: float
    sample_rate: int
    voices: tuple[str, ...]
    languages: tuple[str, ...]
    licence: str
    granularity: tuple[int, ...] = LADDER
    overlap_ms: float = 0.0
    streaming: bool = True
    supports_barge_in: bool = True
    supports_seed: bool = True
    determinism: Determinism = Determinism.EXACT
    stateful_context: Context = Context.MINIMAL
    markers: Mapping[str, MarkerQuality] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    contract: int = CONTRACT

    def rungs_ms(self) -> tuple[float, ...]:
        """The ladder in milliseconds of audio, ascending."""
        return tuple(units * self.unit_ms for units in self.granularity)

    @property
    def words(self) -> MarkerQuality | None:
        """How well the engine says where its words lie; None if it does not."""
        return self.markers.get("word")

    def to_wire(self) -> dict[str, object]:
        """The brief's capability descriptor as plain JSON values."""
        return {
            "name": self.name,
            "version": self.version,
            "contract": self.contract,
            "unit": self.unit.value,
            "unit_ms": self.unit_ms,
            "sample_rate": self.sample_rate,
            "granularity": list(self.granularity),
            "overlap_ms": self.overlap_ms,
            "voices": list(self.voices),
            "languages": list(self.languages),
            "streaming": self.streaming,
            "supports_barge_in": self.supports_barge_in,
            "supports_seed": self.supports_seed,
            "determinism": self.determinism.value,
            "stateful_context": self.stateful_context.value,
            "markers": {kind: quality.value for kind, quality in self.markers.items()},
            "limits": dict(self.limits),
            "features": list(self.features),
            "network": list(self.network),
            "licence": self.licence,
        }
