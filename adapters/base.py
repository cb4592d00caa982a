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


class TTSAdapter(Protocol):
    """One engine. `describe`, `project` and `worker_command` are cold: they import nothing heavy.

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
    """`voice` as well as the engine can: a timbre or an accent that it does not have is left out.

    So a persona survives a swap: at worst the timbre shifts. Raises Refusal for what is no engine's fault.
    """
    try:
        return adapter.project(voice)
    except Refusal:
        plain = replace(voice, timbre="")
    try:
        return adapter.project(plain)
    except Refusal:
        return adapter.project(replace(plain, accent=Voice().accent))


def python_worker(name: str) -> list[str]:
    """The command of the common worker: this interpreter, one adapter, one thread."""
    return [sys.executable, "-m", "adapters.worker", name]
