"""The renders of one session: asked of an engine, accepted piece by piece, asked again, given up.

Knows no transport and no text: the core says what is due, the engines' hosts bring it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from .core.chunk import AudioChunk, Request, Ticket
from .core.errors import AdapterError, Refusal, Unavailable, Unspeakable
from .core.orchestrator import Orchestrator
from .core.pcm import Float
from .core.timeline import Event, Record
from .engines import Engines
from .larder import Larder
from .rerender import digest_of

RETRY_S = 1.0
"""Between two looks at an engine that cannot start, and before one that failed is asked again."""
LONGEST_RETRY_S = 8.0
"""The pause doubles while the same trouble lasts, up to this."""
PROVEN = 8
"""Chunks after which an engine that came back is trusted: the pause before the next probe begins anew."""
BUSY_S = 0.05
"""An engine whose queue is full is asked again after this; waiting in line is no fault."""

Spawn = Callable[[Callable[[], Coroutine[None, None, None]], str], asyncio.Task[None]]


@dataclass(slots=True)
class _Begun:
    """A chunk of which pieces were accepted and which has not landed. `pieces` only where they are to be kept."""

    request: Request
    samples: int = 0
    render_ms: float = 0.0
    pieces: list[Float] = field(default_factory=list)


class Studio:
    """`now` is the frame number, `after` is called after every call into the core, `spawn` owns the tasks,
    `record` takes what the core cannot know: what a chunk had cost that was cut before it landed.
    """

    def __init__(
        self, peer: Orchestrator, engines: Engines, render_s: float, now: Callable[[], int],
        after: Callable[[], None], spawn: Spawn, record: Callable[[Event], None], larder: Larder | None = None,
    ) -> None:  # fmt: skip
        self._peer = peer
        self._engines = engines
        self._render_s = render_s
        self._now = now
        self._after = after
        self._spawn = spawn
        self._record = record
        self._larder = larder
        self._clock = asyncio.get_running_loop().time
        self._render: tuple[Ticket, asyncio.Task[None]] | None = None
        self._warming: dict[str, asyncio.Task[None]] = {}
        self._begun: _Begun | None = None
        self._setbacks = 0
        self._probing: tuple[str, asyncio.Task[None]] | None = None
        self._probes: dict[str, int] = {}
        """Engine → probes since it was last trusted: the pause before the next one doubles."""
        self._landed = 0

    def attend(self, n: int) -> None:
        """End what is stale, start what is due."""
        if self._render is not None and self._render[0] != self._peer.outstanding:
            self._render[1].cancel()
            self._render = None
        request = self._peer.next_request(n)
        if request is not None:
            self._render = (request.ticket, self._spawn(partial(self._rendered, request), "render"))
        wanted = self._peer.wanted_adapter
        if wanted is not None:
            self.warm(wanted)
        self._look_after(self._peer.absent)

    def close(self) -> None:
        """Nothing is rendered or warmed any more."""
        if self._render is not None:
            self._render[1].cancel()
            self._render = None
        for task in self._warming.values():
            task.cancel()
        self._look_after(None)
        self._give_up()

    # one request ----------------------------------------------------------------------------

    async def _rendered(self, request: Request) -> None:
        """One request to its engine, its pieces to the core. Cancelled when it is stale."""
        started = self._clock()
        try:
            while not await self._tried(request, started):  # noqa: ASYNC110 (no event for "less busy")
                await asyncio.sleep(BUSY_S)
        except Unspeakable as fault:
            self._unspeakable(request, str(fault))
        except Unavailable as fault:
            self._peer.engine_failed(self._now(), request.adapter, str(fault))
            self._failed(request, str(fault))
        except (AdapterError, Refusal) as fault:
            self._failed(request, str(fault))
        else:
            if self._peer.outstanding == request.ticket:
                self._failed(request, "the render ended without its last piece")

    async def _tried(self, request: Request, started: float) -> bool:
        """False if the engine's queue is full. An engine that starts, or starts again, is waited for."""
        host = self._engines.host(request.adapter)
        await host.start()
        deadline = self._clock() + self._peer.producer.depth_ms / 1000.0 + self._render_s
        try:
            async for chunk in host.render(request, deadline):
                self._accept(request, replace(chunk, render_ms=(self._clock() - started) * 1000.0))
        except Refusal as refusal:
            if refusal.code != "busy":
                raise
            return False
        return True

    def _accept(self, request: Request, chunk: AudioChunk) -> None:
        if self._begun is not None and self._begun.request.ticket.chunk_id != request.ticket.chunk_id:
            self._give_up()
        if self._begun is not None and self._begun.request.ticket != request.ticket:
            self._begun = None  # another attempt at the same chunk brings it from its beginning
        if self._peer.accept(self._now(), request.ticket, chunk):
            self._begun = self._begun or _Begun(request)
            self._begun.samples += len(chunk.pcm)
            self._begun.render_ms = chunk.render_ms
            if self._larder is not None and not self._engines.descriptor(request.adapter).supports_seed:
                self._begun.pieces.append(chunk.pcm)
            if chunk.last:
                self._keep(self._begun)
                self._begun, self._setbacks = None, 0
                self._trust(request.adapter)
        self._after()

    def _keep(self, begun: _Begun) -> dict[str, object]:
        """What an engine said that never says it again goes where a replay finds it; its digest, if it was kept."""
        if self._larder is None or not begun.pieces:
            return {}
        pcm = np.concatenate(begun.pieces)
        digest = digest_of(pcm)
        return {"pcm_b2": digest} if self._larder.put(digest, pcm) else {}

    def _give_up(self) -> None:
        """Frames of a chunk that was cut have left: the log says what it had cost until then."""
        begun, self._begun = self._begun, None
        if begun is None:
            return
        ticket, ms = begun.request.ticket, round(begun.render_ms, 3)
        facts = {
            "chunk": ticket.chunk_id, "adapter": begun.request.adapter, "samples": begun.samples, "render_ms": ms,
            "attempt": ticket.attempt, **self._keep(begun),
        }  # fmt: skip
        self._record(Event(Record.CHUNK, self._now(), "render", "cut", "core", ms, facts))

    def _unspeakable(self, request: Request, why: str) -> None:
        self._forget(request)
        self._peer.unspeakable(self._now(), request.ticket, why)
        self._after()

    def _forget(self, request: Request) -> None:
        if self._render is not None and self._render[0] == request.ticket:
            self._render = None

    def _failed(self, request: Request, why: str) -> None:
        self._forget(request)
        self._peer.fail(self._now(), request.ticket, why)
        if not self._peer.healthy:
            self._setbacks += 1
            self.warm(request.adapter, min(RETRY_S * 2 ** (self._setbacks - 1), LONGEST_RETRY_S))
        self._after()

    # the engine -----------------------------------------------------------------------------

    def warm(self, name: str, pause_s: float = 0.0) -> None:
        """Have an engine started, and tell the core when it is there."""
        task = self._warming.get(name)
        if task is None or task.done():
            self._warming[name] = self._spawn(partial(self._warmed, name, pause_s), "warm")

    def stand_by(self, chain: tuple[str, ...]) -> None:
        """Have the last of the fallback chain started, so that somebody can always go on."""
        if chain and chain[-1] != self._peer.setting.adapter:
            self.warm(chain[-1])

    async def _warmed(self, name: str, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        why: str | None = None
        while (fault := await self._started(name)) is not None:
            if fault != why:
                why = fault
                self._peer.engine_failed(self._now(), name, fault)
                self._after()
            if name != self._peer.setting.adapter:
                return
            await asyncio.sleep(RETRY_S)
        self._peer.engine_ready(self._now(), name)
        self._after()
        facts = await self._engines.facts(name)
        self._record(Event(Record.ENGINE, self._now(), "ready", surface="shell", fields=facts))

    # an engine that another one stands in for -------------------------------------------------

    def _look_after(self, absent: str | None) -> None:
        """Probe it until it is well, and no other."""
        if self._probing is not None and self._probing[0] != absent:
            self._probing[1].cancel()
            self._probing = None
        if absent is not None and (self._probing is None or self._probing[1].done()):
            self._probing = (absent, self._spawn(partial(self._probed, absent), "probe"))

    async def _probed(self, name: str) -> None:
        """Ask it for a sentence that nobody hears, after a pause that doubles, until it keeps up."""
        while self._peer.absent == name:
            tries = self._probes.get(name, 0)
            self._probes[name] = tries + 1
            await asyncio.sleep(min(RETRY_S * 2**tries, LONGEST_RETRY_S))
            well = await self._well(name)
            facts = {"adapter": name, "tries": tries + 1}
            result = "ok" if well else "retry"
            self._record(Event(Record.HEALTH, self._now(), "probe", result, "shell", 0.0, facts))
            if well:
                self._peer.engine_recovered(self._now(), name)
                self._after()
                return

    async def _well(self, name: str) -> bool:
        """It renders faster than it plays."""
        try:
            audio_ms, render_ms = await self._engines.probe(name)
        except (AdapterError, Refusal):
            return False
        return render_ms < audio_ms

    def _trust(self, adapter: str) -> None:
        """A chunk landed; after some of them in a row what was is forgotten."""
        self._landed = self._landed + 1 if adapter in self._probes else 0
        if self._landed >= PROVEN:
            self._probes.pop(adapter, None)

    async def _started(self, name: str) -> str | None:
        """Why the engine cannot start, or None: it has."""
        try:
            await self._engines.warm(name)
        except (AdapterError, Refusal) as fault:
            return str(fault)
        return None
