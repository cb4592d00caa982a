"""The engines of this process: one host each, started when first wanted, shared by all sessions.

Knows no session; the registry knows the names, a host knows how to run one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from adapters import registry
from adapters.base import Honour, Projection, TTSAdapter, nearest

from . import fingerprint
from .calibration import calibrated
from .core.cast import Renders
from .core.chunk import Knobs, Request, Ticket
from .core.descriptor import Descriptor
from .core.envelope import Envelope
from .core.errors import AdapterError, Refusal, Stalled, Unavailable
from .core.voice import Voice, beyond
from .host import EngineHost, ProcessHost
from .personas import Personas

log = logging.getLogger(__name__)

PROBE_TEXT = "One, two, three, four, five, six."
"""What an engine that failed is asked for, unheard."""
PROBE_MS = 1000.0
"""Audio of a probe: long enough that a single step does not decide."""
PROBE_S = 10.0
"""For a probe: an engine that takes ten times as long as it plays is not well."""

HostMaker = Callable[[str, type[TTSAdapter], asyncio.TaskGroup], EngineHost]


class Engines:
    """A `Cast` for the core and the hosts behind it. `tasks` owns what supervises the workers.

    `personas` are the voices that may be asked for by name; without them those that are shipped.
    """

    def __init__(
        self, tasks: asyncio.TaskGroup, make: HostMaker | None = None, personas: Personas | None = None
    ) -> None:
        self.personas = personas or Personas()
        self._tasks = tasks
        self._make: HostMaker = make or ProcessHost
        self._hosts: dict[str, EngineHost] = {}
        self._descriptors: dict[str, Descriptor] = {}
        self._measured: dict[str, Renders] = {}
        """Engine → what its last probe took: newer than its warm-up."""
        self._probes = 0
        self._envelopes: dict[str, Envelope | None] = {}
        self._calibrates = make is None
        """Engines in processes of their own are listened to; those on our loop belong to tests."""

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
        return _projected(name, voice).knobs

    def honours(self, name: str, voice: Voice) -> dict[str, str]:
        """How well the engine keeps each field of that voice; what it leaves out is "none". Empty: it cannot be had."""
        try:
            found = {field: honour.value for field, honour in _projected(name, voice).report.items()}
        except (Refusal, AdapterError):
            return {}
        # A persona that names timbres of other engines only has another one here.
        foreign = bool(voice.timbres) and not voice.timbre_for(name)
        return found | {"timbre": Honour.NONE.value} if foreign else found

    def check(self, name: str, voice: Voice) -> None:
        """Raises Refusal where the engine does not have what `voice` names; what a persona brings is no demand."""
        persona = self.personas.find(voice.persona)
        if persona is None:
            registry.load(name).project(voice)
            return
        try:
            registry.load(name).project(beyond(voice, persona.voice))
        except Refusal as refusal:
            part = refusal.field.removeprefix("voice.").partition(".")[0]
            if getattr(voice, part, None) != getattr(persona.voice, part, None):
                raise

    def prior(self, name: str) -> Renders:
        if name in self._measured:
            return self._measured[name]
        host = self._hosts.get(name)
        return renders(host.status().get("prior")) if host is not None else ()

    def envelope(self, name: str) -> Envelope | None:
        return self._envelopes.get(name)

    def stand_ins(self, name: str, accent: str) -> tuple[str, ...]:
        ready = (other for other in self.fallback() if other != name and self._ready(other))
        return tuple(other for other in ready if speaks(self.descriptor(other), accent))

    def _ready(self, name: str) -> bool:
        host = self._hosts.get(name)
        return host is not None and host.status().get("state") == "READY"

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
        host = self.host(name)
        await host.start()
        if self._calibrates and name not in self._envelopes:
            self._envelopes[name] = None
            self._tasks.create_task(self._calibrate(name, host), name=f"calibrate {name}")

    async def _calibrate(self, name: str, host: EngineHost) -> None:
        self._envelopes[name] = await calibrated(host, self.descriptor(name), self.knobs(name, Voice()))

    async def probe(self, name: str) -> tuple[float, float]:
        """(audio_ms, render_ms) of a sentence that nobody hears. Raises AdapterError, Refusal."""
        await self.warm(name)
        descriptor, loop = self.descriptor(name), asyncio.get_running_loop()
        samples = round(PROBE_MS * descriptor.sample_rate / 1000)
        self._probes += 1
        knobs = self.knobs(name, Voice())
        ticket, stream = Ticket(0, 0), f"probe {self._probes}"
        request = Request(ticket, name, stream, PROBE_TEXT, 0, samples, descriptor.granularity[-1], knobs, 1)
        began, audio_ms = loop.time(), 0.0
        try:
            async with asyncio.timeout(PROBE_S):
                async for chunk in self.host(name).render(request, began + PROBE_S):
                    audio_ms += chunk.duration_ms
        except TimeoutError as fault:
            raise Stalled(f"{name}: no answer to a probe in {PROBE_S:g} s") from fault
        took = audio_ms, 1000.0 * (loop.time() - began)
        self._measured[name] = (took,)
        return took

    async def facts(self, name: str) -> dict[str, object]:
        """For the log: what its samples depend on, besides the requests."""
        status, determinism = self.host(name).status(), self.descriptor(name).determinism.value
        files = fingerprint.files(name)
        digests = await asyncio.to_thread(fingerprint.digests, files) if files else {}
        return {**fingerprint.facts(name, status, determinism), "digests": digests}

    def health(self) -> dict[str, object]:
        return {name: dict(host.status()) for name, host in self._hosts.items()}

    def listing(self) -> list[dict[str, object]]:
        """Every engine with its descriptor, whether it is available, and if not, why and what helps."""
        return [self._entry(name) for name in registry.names()]

    def _entry(self, name: str) -> dict[str, object]:
        found = registry.availability(name)
        entry: dict[str, object] = {"name": name, "available": found.available}
        try:
            entry = {**self.descriptor(name).to_wire(), **entry, "honours": self.honours(name, Voice())}
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


def renders(prior: object) -> Renders:
    """What a worker said of its warm-up: pairs of milliseconds, or one pair alone; what is neither is nothing."""
    found = prior if isinstance(prior, list | tuple) else ()
    pairs = [found] if len(found) == 2 and all(isinstance(item, int | float) for item in found) else found
    numbers = [pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2]
    return tuple((float(a), float(b)) for a, b in numbers if isinstance(a, int | float) and isinstance(b, int | float))


def speaks(descriptor: Descriptor, accent: str) -> bool:
    """Whether one of the engine's languages is that of the BCP 47 tag; "und", "mul" or no list mean all."""
    spoken = {tag.lower().partition("-")[0] for tag in descriptor.languages}
    return not spoken or bool(spoken & {accent.lower().partition("-")[0], "und", "mul"})


@lru_cache(maxsize=256)
def _cached(name: str, voice: tuple[object, ...]) -> Projection:
    timbre, prosody, accent, emotions, pace = voice
    made = Voice(timbre, prosody, accent, dict(emotions), pace)  # type: ignore[arg-type, call-overload]
    return nearest(registry.load(name), made)


def _projected(name: str, voice: Voice) -> Projection:
    timbre, emotions = voice.timbre_for(name), tuple(sorted(voice.emotion_priors.items()))
    return _cached(name, (timbre, voice.prosody, voice.accent, emotions, voice.pace))
