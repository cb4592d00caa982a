"""A real engine for virtual time: its own worker process, asked now, its pieces played whenever the story wants.

Knows no story. Time stands still while it renders; what a render costs is modelled, what it sounds like is not.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, ClassVar

from adapters import registry
from adapters.base import Projection, nearest
from peer.calibration import calibrated
from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import Descriptor
from peer.core.envelope import Envelope
from peer.core.voice import Voice
from peer.host import ProcessHost

PATIENCE_S = 120.0
"""For one request, or for the engine to start: far beyond what any takes; then the scene is red, not stuck."""
KEPT = 4096
"""Requests whose pieces are remembered: a story told many times renders once. About 80 MB of espeak at most."""

Key = tuple[object, ...]


class Worker:
    """One engine in its own process; `render` blocks. It has an adapter's methods, so it may stand for one."""

    name: ClassVar[str] = "worker"

    def __init__(self, name: str) -> None:
        self.engine = name
        self._adapter = registry.load(name)
        self._loop = asyncio.new_event_loop()
        self._started: Future[ProcessHost] = Future()
        self._stop = asyncio.Event()
        self.envelope: Envelope | None = None
        """How its own voice sounds."""
        self._memory: OrderedDict[Key, tuple[AudioChunk, ...]] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name=f"worker {name}", daemon=True)
        self._thread.start()
        self._host = self._started.result(PATIENCE_S)

    def describe(self) -> Descriptor:
        return registry.describe(self.engine)

    def project(self, voice: Voice) -> Projection:
        return self._adapter.project(voice)

    def worker_command(self) -> list[str]:
        return self._adapter.worker_command()

    def warm_up(self) -> None:
        """It is warm: the host has waited for it."""

    def render(self, request: Request) -> Iterator[AudioChunk]:
        """The pieces of `request`. Raises AdapterError."""
        knobs = tuple(sorted(request.knobs.items()))
        key = (request.text, request.cursor, request.samples, knobs, request.seed, request.state)
        if key not in self._memory:
            self._memory[key] = self._ask(request)
            while len(self._memory) > KEPT:
                self._memory.popitem(last=False)
        return iter(self._memory[key])

    def status(self) -> dict[str, object]:
        return self._host.status()

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE_S)

    # on its own thread ----------------------------------------------------------------------

    def _ask(self, request: Request) -> tuple[AudioChunk, ...]:
        return asyncio.run_coroutine_threadsafe(self._pieces(request), self._loop).result(PATIENCE_S)

    async def _pieces(self, request: Request) -> tuple[AudioChunk, ...]:
        deadline = self._loop.time() + PATIENCE_S
        return tuple([piece async for piece in self._host.render(request, deadline)])

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as fault:
            if not self._started.done():
                self._started.set_exception(fault)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            host = ProcessHost(self.engine, self._adapter, tasks)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await host.start()
            except BaseException as fault:
                await host.close()
                self._started.set_exception(fault)
                return
            knobs = nearest(self._adapter, Voice()).knobs
            self.envelope = await calibrated(host, self._adapter.describe(), knobs)
            self._started.set_result(host)
            await self._stop.wait()
            await host.close()


class Company:
    """The engines of a run of scenes, each started when first wanted; a context manager that ends them."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Company:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def engine(self, name: str) -> Any:
        """An adapter for `name`: what loses words in microseconds runs here, all else in its own process."""
        from adapters.voices.tone import Tone

        if name == Tone.name:
            return Tone()
        if name not in self._workers:
            self._workers[name] = Worker(name)
        return self._workers[name]

    def render(self, request: Request) -> Iterator[AudioChunk]:
        """The pieces of a request, from the engine that it names."""
        return self.engine(request.adapter).render(request)  # type: ignore[no-any-return]

    def envelope(self, name: str) -> Envelope | None:
        """How its warm-up sounded."""
        worker = self._workers.get(name)
        return None if worker is None else worker.envelope

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
