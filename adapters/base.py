"""The contract an engine fulfils: describe cold, project a voice, warm up, render pieces, close.

Knows no engine and no process: `peer.host` decides where an adapter runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Protocol

from peer.core.chunk import AudioChunk, Knobs, Request
from peer.core.descriptor import Descriptor
from peer.core.errors import Refusal
from peer.core.voice import Voice

from . import settings


class Honour(StrEnum):
    """How well an engine keeps one field of the voice schema."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Projection:
    """`knobs` are the engine's own parameters, `report` says per schema field how well it is kept."""

    knobs: Knobs = field(default_factory=dict)
    report: Mapping[str, Honour] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lack:
    """What an engine misses here besides its packages, mostly a model: why, and the one command that helps."""

    reason: str
    remedy: str


class TTSAdapter(Protocol):
    """One engine. `describe`, `project` and `worker_command` are cold: they import nothing heavy.

    A class may also have `lacks() -> Lack | None`, cold as well: without it, packages are all it needs; and
    `persona(stem, value) -> Mapping | None`, cold: a speaker file of its own, named `stem`, as a persona's JSON, None
    where it is not one. Raises Refusal where it is a broken one.

    The rest runs in the engine's own process. `render` yields pieces of one request; the last has
    `last=True`. It is a pure function of the request: what it keeps between calls is a cache.
    Closing the generator cancels the render at the engine's smallest step.
    """

    name: ClassVar[str]

    @classmethod
    def describe(cls) -> Descriptor: ...

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        """The schema in this engine's knobs. Raises Refusal where a value cannot be spoken."""
        ...

    @classmethod
    def worker_command(cls) -> list[str]:
        """How to start this engine's process; its socket is file descriptor 3 (docs: framing)."""
        ...

    def warm_up(self) -> None:
        """Load, compile, preallocate. Raises Unavailable, whose text says which command helps."""
        ...

    def render(self, request: Request) -> Iterator[AudioChunk]: ...

    def close(self) -> None: ...


def nearest(adapter: type[TTSAdapter] | TTSAdapter, voice: Voice) -> Projection:
    """`voice` as well as the engine can: a timbre or an accent that it does not have is left out, and reported so.

    So a persona survives a swap: at worst the timbre shifts. Raises Refusal for what is no engine's fault.
    """
    for left_out in ((), ("timbre",), ("accent",)):
        try:
            return _without(adapter, voice, left_out)
        except Refusal:
            continue
    return _without(adapter, voice, ("timbre", "accent"))


def _without(adapter: type[TTSAdapter] | TTSAdapter, voice: Voice, left_out: tuple[str, ...]) -> Projection:
    if "timbre" in left_out:
        voice = replace(voice, timbre="", timbres={})
    if "accent" in left_out:
        spoken = adapter.describe().languages
        plain = Voice().accent
        english = not spoken or any(tag.lower().startswith(plain[:2]) for tag in spoken)
        voice = replace(voice, accent=plain if english else spoken[0])
    made = adapter.project(voice)
    return Projection(made.knobs, {**made.report, **dict.fromkeys(left_out, Honour.NONE)}) if left_out else made


def python_worker(name: str) -> list[str]:
    """The command of the common worker: the engine's interpreter (by default ours), one adapter."""
    return [settings.of(name).interpreter or sys.executable, "-m", "adapters.worker", name]
