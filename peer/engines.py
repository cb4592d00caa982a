"""The engines of this process: one host each, started when first wanted, shared by all sessions.

Knows no session; the registry knows the names, a host knows how to run one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from adapters import registry
from adapters.base import TTSAdapter, nearest

from .core.chunk import Knobs
from .core.descriptor import Descriptor
from .core.errors import AdapterError, Refusal, Unavailable
from .core.voice import Voice
from .host import EngineHost, ProcessHost

log = logging.getLogger(__name__)

HostMaker = Callable[[str, type[TTSAdapter], asyncio.TaskGroup], EngineHost]


class Engines:
    """A `Cast` for the core and the hosts behind it. `tasks` owns what supervises the workers."""

    def __init__(self, tasks: asyncio.TaskGroup, make: HostMaker | None = None) -> None:
        self._tasks = tasks
        self._make: HostMaker = make or ProcessHost
        self._hosts: dict[str, EngineHost] = {}
        self._descriptors: dict[str, Descriptor] = {}

    # the core's view ------------------------------------------------------------------------

    def knows(self, name: str) -> bool:
        try:
            self.descriptor(name)
        except (Refusal, AdapterError):
            return False
        return registry.resolve(name) == name

    def names(self) -> tuple[str, ...]:
        return registry.names()

    def availability(self, name: str) -> registry.Availability:
        """Whether what the engine needs is installed. Raises Refusal for an unknown name."""
        return registry.availability(name)

    def descriptor(self, name: str) -> Descriptor:
        if name not in self._descriptors:
            self._descriptors[name] = registry.describe(name)
        return self._descriptors[name]

    def knobs(self, name: str, voice: Voice) -> Knobs:
        """What the engine does not have of that voice is left out."""
        return _projected(name, voice)

    def check(self, name: str, voice: Voice) -> None:
        """Raises Refusal where the engine does not have what `voice` names."""
        registry.load(name).project(voice)

    def prior(self, name: str) -> tuple[float, float] | None:
        host = self._hosts.get(name)
        found = host.status().get("prior") if host is not None else None
        return (float(found[0]), float(found[1])) if isinstance(found, list | tuple) and len(found) == 2 else None

    # the shell's view -----------------------------------------------------------------------

    def host(self, name: str) -> EngineHost:
        """The engine's host; made, not yet started, when it is first asked for."""
        if name not in self._hosts:
            self._hosts[name] = self._make(name, registry.load(name), self._tasks)
        return self._hosts[name]

    async def warm(self, name: str) -> None:
        """Returns when the engine is ready. Raises Unavailable, whose text says what helps."""
        found = registry.availability(name)
        if not found.available:
            raise Unavailable(f"{name}: {found.reason}; {found.remedy}")
        await self.host(name).start()

    def health(self) -> dict[str, object]:
        return {name: dict(host.status()) for name, host in self._hosts.items()}

    def listing(self) -> list[dict[str, object]]:
        """Every engine with its descriptor, whether it is available, and if not, why and what helps."""
        return [self._entry(name) for name in registry.names()]

    def _entry(self, name: str) -> dict[str, object]:
        found = registry.availability(name)
        entry: dict[str, object] = {"name": name, "available": found.available}
        try:
            entry = {**self.descriptor(name).to_wire(), **entry}
        except AdapterError as error:
            entry |= {"available": False, "reason": str(error)}
        if not found.available:
            entry |= {"reason": found.reason, "remedy": found.remedy}
        host = self._hosts.get(name)
        status: Mapping[str, object] = host.status() if host is not None else {"state": "COLD"}
        return {**entry, "health": status.get("state"), "text": status.get("text", "")}

    def fallback(self) -> tuple[str, ...]:
        return registry.fallback()

    async def close(self) -> None:
        for host in self._hosts.values():
            await host.close()


@lru_cache(maxsize=256)
def _cached(name: str, voice: tuple[object, ...]) -> Knobs:
    timbre, prosody, accent, emotions, pace = voice
    made = Voice(timbre, prosody, accent, dict(emotions), pace)  # type: ignore[arg-type, call-overload]
    return nearest(registry.load(name), made).knobs


def _projected(name: str, voice: Voice) -> Knobs:
    key = (voice.timbre, voice.prosody, voice.accent, tuple(sorted(voice.emotion_priors.items())), voice.pace)
    return _cached(name, key)
