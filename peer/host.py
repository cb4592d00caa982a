"""Where engines run: a worker process per engine, supervised; or the caller's own loop, for tests.

Knows the contract and the framing, no engine by name. Requests wait in one bounded queue ordered by the
deadline of the ring that waits; a render is a cancellable iterator of pieces. What an engine does wrong
becomes `Broken`, `Stalled` or `Unavailable`; replaying a request after that is the caller's decision,
because it alone knows how far the ring got.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from enum import StrEnum
from typing import Protocol

from adapters.base import TTSAdapter
from adapters.framing import MAX_ID, Frame, FramingError, Kind, encode
from adapters.sandbox import Confines

from . import confines as means
from .core.chunk import AudioChunk, Request, fault_of
from .core.errors import AdapterError, Broken, Refusal, Stalled, Unavailable, Unspeakable
from .life import Life, begin
from .pieces import Phase, Render, chunk_of, render_frame

QUEUE_LIMIT = 64
"""Requests that wait for one engine: every call asks for one chunk at a time, so this many calls queue."""

SILENCE_S = 10.0
"""Between two pieces of one render: fifty times what the slowest step measured takes; then it hangs."""

GRACE_S = 10.0
"""For a worker to leave a render that was cancelled: as long as for a step. Then it hangs, and is killed."""

WARM_S = 300.0
"""From the start of a worker to READY: a billion weights loaded and tried on a busy core took 110 s."""

BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Before the n-th restart in a row: at once, then doubling. What still fails after half a minute is not hurried:
loading a model again and again costs the calls that are well, and a server that refuses us is not to be flooded."""

STEADY_S = 10.0
"""A worker that was ready for this long had not failed because of its start: the backoff begins anew."""

FAULTS: Mapping[object, type[AdapterError]] = {"unavailable": Unavailable, "unspeakable": Unspeakable}
"""The words of an ERROR; every other one is Broken."""

log = logging.getLogger(__name__)


class State(StrEnum):
    """HEALTH as far as a process has it; STRAINED is the session's business."""

    COLD = "COLD"
    WARMING = "WARMING"
    READY = "READY"
    FAILED = "FAILED"
    CLOSED = "CLOSED"


class EngineHost(Protocol):
    """One engine, wherever it runs."""

    name: str

    async def start(self) -> None:
        """Returns when the engine is ready; idempotent. Raises Unavailable with what helps."""
        ...

    def render(self, request: Request, deadline: float) -> AsyncIterator[AudioChunk]:
        """The pieces of one request. Raises Refusal at once when the queue is full, AdapterError on the way.

        `deadline` (s, the loop's clock) orders the queue, and the first piece must come before it.
        Cancelling the task that iterates cancels the render.
        """
        ...

    def status(self) -> Mapping[str, object]: ...

    async def close(self) -> None: ...


class ProcessHost:
    """An engine in its own process: started once, restarted when it dies, shared by all calls."""

    def __init__(
        self,
        name: str,
        adapter: type[TTSAdapter],
        tasks: asyncio.TaskGroup,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._adapter = adapter
        self._tasks = tasks
        self._extra = dict(environment or {})
        self._descriptor = adapter.describe()
        self._concurrency = self._descriptor.limits.get("concurrency", 1)
        self._state = State.COLD
        self._text = ""
        self._changed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._confines = Confines()
        self._life: Life | None = None
        self._waiting: list[tuple[float, int, Render]] = []
        self._sent: dict[int, Render] = {}
        self._leaving: dict[int, asyncio.TimerHandle] = {}
        self._ids = itertools.cycle(range(1, MAX_ID + 1))
        self._order = itertools.count()
        self._restarts = 0
        self._last_end = ""
        self._facts: Mapping[str, object] = {}

    # --- what callers use ---

    async def start(self) -> None:
        """Waits until the engine is READY. Raises Unavailable; the supervisor tries again all the same."""
        if self._supervisor is None and self._state is not State.CLOSED:
            self._supervisor = self._tasks.create_task(self._supervise(), name=f"host {self.name}")
        while self._state in (State.COLD, State.WARMING):
            self._changed.clear()
            await self._changed.wait()
        if self._state is not State.READY:
            raise Unavailable(self._text or f"{self.name} is closed")

    def render(self, request: Request, deadline: float) -> Render:
        """See EngineHost."""
        if self._state in (State.FAILED, State.CLOSED, State.COLD):
            raise Unavailable(self._text or f"{self.name} is not running")
        if len(self._waiting) >= QUEUE_LIMIT:
            raise Refusal("busy", "adapter", f"{QUEUE_LIMIT} requests wait for {self.name}; try again soon")
        render = Render(request, deadline, self._drop)
        loop = asyncio.get_running_loop()
        render.timer = loop.call_at(deadline, self._stall, render, "no sound before its deadline")
        heapq.heappush(self._waiting, (deadline, next(self._order), render))
        self._pump()
        return render

    def status(self) -> dict[str, object]:
        """Facts for the health page; plain JSON values."""
        life = self._life
        return {
            "state": self._state.value,
            "text": self._text,
            "pid": life.pid if life is not None else None,
            "rss_mb": life.rss_mb() if life is not None else None,
            "restarts": self._restarts,
            "last_end": self._last_end,
            "waiting": len(self._waiting),
            "rendering": len(self._sent),
            "sandbox": self._facts.get("sandbox"),
            "limits": means.to_wire(self.name, self._confines),
            "version": self._facts.get("version"),
            "warm_ms": self._facts.get("warm_ms"),
            "prior": self._facts.get("prior"),
        }

    async def close(self) -> None:
        """Ends the process and every render; twice is once."""
        self._become(State.CLOSED, f"{self.name} is closed")
        self._fail_all(Unavailable(self._text))
        if self._life is not None:
            self._life.end("was closed")
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            if self._life is None:
                supervisor.cancel()
            await asyncio.wait([supervisor])

    # --- requests ---

    def _drop(self, render: Render) -> None:
        """The caller gave up: forget it here, and tell the worker."""
        self._forget(render)
        render.finish()
        self._pump()

    def _forget(self, render: Render) -> None:
        if render.phase is Phase.WAITING:
            self._waiting = [entry for entry in self._waiting if entry[2] is not render]
            heapq.heapify(self._waiting)
        elif render.phase is Phase.SENT and self._sent.pop(render.id, None) is not None:
            self._cancel(render.id)

    def _cancel(self, id: int) -> None:
        """Tell the worker. One that answers keeps its place until it has, so that nothing waits behind what hangs."""
        self._write(encode(Kind.CANCEL, id))
        life = self._life
        if life is not None and life.facts.get("leaves") is True:
            loop = asyncio.get_running_loop()
            self._leaving[id] = loop.call_later(GRACE_S, life.kill, f"did not leave a render within {GRACE_S:g} s")

    def _left(self, id: int) -> None:
        timer = self._leaving.pop(id, None)
        if timer is not None:
            timer.cancel()
            self._pump()

    def _stall(self, render: Render, why: str) -> None:
        self._forget(render)
        render.finish(Stalled(f"{self.name}: {why}"))
        self._pump()

    def _pump(self) -> None:
        """Send what may be sent, the most urgent first."""
        while self._state is State.READY and self._waiting and self._free():
            _, _, render = heapq.heappop(self._waiting)
            try:
                frame = render_frame(id := self._free_id(), render.request)
            except FramingError as error:
                render.finish(Refusal("too_large", "text", str(error)))
                continue
            render.id, render.phase = id, Phase.SENT
            self._sent[id] = render
            self._write(frame)

    def _free(self) -> bool:
        alive = self._life is not None and self._life.alive
        return alive and len(self._sent) + len(self._leaving) < self._concurrency

    def _free_id(self) -> int:
        return next(id for id in self._ids if id not in self._sent and id not in self._leaving)

    def _write(self, frame: bytes) -> None:
        if self._life is not None:
            self._life.write(frame)

    def _fail_all(self, fault: AdapterError) -> None:
        """Everything outstanding ends with `fault`; what waits does too, once there is nobody to wait for."""
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        sent, self._sent = self._sent, {}
        waiting = []
        if self._state in (State.FAILED, State.CLOSED):
            waiting, self._waiting = self._waiting, []
        for render in [*sent.values(), *(entry[2] for entry in waiting)]:
            render.finish(type(fault)(str(fault)))

    # --- frames from the worker ---

    def take(self, frame: Frame) -> None:
        """One frame of the worker. Raises FramingError where it makes no sense."""
        match frame.kind:
            case Kind.READY:
                self._ready(frame)
            case Kind.PIECE:
                render = self._sent.get(frame.id)
                if render is not None:
                    self._piece(render, frame)
            case Kind.ERROR:
                self._error(frame)
            case Kind.LEFT:
                self._left(frame.id)
            case _:
                raise FramingError(f"{frame.kind.name} is not for the host")

    def _ready(self, frame: Frame) -> None:
        life = self._life
        if life is None or life.ready_at is not None:
            raise FramingError("READY twice")
        rate = self._descriptor.sample_rate
        if frame.fields.get("sample_rate") != rate:
            raise FramingError(f"it speaks at {frame.fields.get('sample_rate')} Hz, its descriptor says {rate}")
        life.ready_at = asyncio.get_running_loop().time()
        self._facts = life.facts = frame.fields
        self._become(State.READY)
        self._pump()

    def _piece(self, render: Render, frame: Frame) -> None:
        chunk = chunk_of(frame)
        why = fault_of(chunk, self._descriptor.sample_rate, render.left)
        if why is not None:
            self._forget(render)
            render.finish(Broken(f"{self.name}: {why}"))
            self._pump()
            return
        render.put(chunk)
        if chunk.last:
            del self._sent[render.id]
            render.finish()
            self._pump()
            return
        if render.timer is not None:
            render.timer.cancel()
        loop = asyncio.get_running_loop()
        render.timer = loop.call_later(SILENCE_S, self._stall, render, f"nothing for {SILENCE_S:g} s")

    def _error(self, frame: Frame) -> None:
        text = f"{self.name}: {frame.fields.get('text', '')}"
        fault = FAULTS.get(frame.fields.get("error"), Broken)(text)
        if frame.fields.get("ends") is True and self._life is not None:
            self._life.end("gave up")
        if frame.id == 0:
            self._become(State.FAILED, text)
            self._fail_all(fault)
            return
        render = self._sent.pop(frame.id, None)
        if render is not None:
            render.finish(fault)
            self._pump()

    # --- the process ---

    def _closed(self) -> bool:
        return self._state is State.CLOSED

    def _become(self, state: State, text: str = "") -> None:
        if self._state is not State.CLOSED:
            self._state, self._text = state, text
            self._changed.set()

    async def _supervise(self) -> None:
        """One life after the other, with growing pauses while they are short."""
        short = 0
        while not self._closed():
            if self._state is not State.FAILED:
                self._become(State.WARMING)
            began = asyncio.get_running_loop().time()
            steady = await self._live()
            short = 0 if steady else short + 1
            if self._closed():
                return
            self._restarts += 1
            pause = BACKOFF_S[min(max(short - 1, 0), len(BACKOFF_S) - 1)]
            log.warning("%s is restarted in %g s (it lived %.1f s)", self.name, pause, _since(began))
            await asyncio.sleep(pause)

    async def _live(self) -> bool:
        """One process from start to end; true if it was ready for long."""
        try:
            life = await self._begin()
        except Unavailable as error:
            self._fail(str(error))
            return False
        except OSError as error:
            self._fail(f"{self.name}: {error}")
            return False
        try:
            why = await life.lived(WARM_S)
        finally:
            self._life = None
        self._bury(life, why)
        return life.ready_at is not None and _since(life.ready_at) > STEADY_S

    async def _begin(self) -> Life:
        self._confines = means.confines_of(self.name, self._descriptor)
        environment = means.environment_of(self.name, self._confines) | self._extra
        command, memory_mb = self._adapter.worker_command(), self._confines.memory_mb
        self._life = await begin(self.name, command, environment, memory_mb, self.take)
        return self._life

    def _bury(self, life: Life, why: str) -> None:
        """A worker is gone: who waits for a restart waits on, unless it never became ready."""
        text = self._last_end = f"{self.name}: {why}"
        if life.ready_at is None and (self._state is State.WARMING or life.starved):
            self._fail(text)
        elif self._state is State.READY:
            self._become(State.WARMING, text)
        self._fail_all(Broken(text))

    def _fail(self, text: str) -> None:
        log.error("%s cannot start: %s", self.name, text)
        self._become(State.FAILED, text)
        self._fail_all(Unavailable(text))


def _since(then: float) -> float:
    return asyncio.get_running_loop().time() - then


class InlineHost:
    """An engine on the caller's loop: for tests, and only for engines that compute in microseconds."""

    def __init__(self, adapter: TTSAdapter) -> None:
        self.name = adapter.name
        self._adapter = adapter
        self._state = State.COLD
        self._rendering = 0

    async def start(self) -> None:
        """Warms up on the loop; twice is once."""
        if self._state is State.COLD:
            self._adapter.warm_up()
            self._state = State.READY

    async def render(self, request: Request, deadline: float) -> AsyncIterator[AudioChunk]:
        """See EngineHost; other tasks run between two pieces."""
        if self._state is not State.READY:
            raise Unavailable(f"{self.name} is not running")
        pieces: Iterator[AudioChunk] = self._adapter.render(request)
        self._rendering += 1
        try:
            for chunk in pieces:
                if chunk.last or len(chunk.pcm) or chunk.markers:
                    yield chunk
                await asyncio.sleep(0)
        finally:
            self._rendering -= 1

    def status(self) -> dict[str, object]:
        return {"state": self._state.value, "text": "", "pid": None, "restarts": 0, "rendering": self._rendering}

    async def close(self) -> None:
        if self._state is not State.CLOSED:
            self._state = State.CLOSED
            self._adapter.close()
