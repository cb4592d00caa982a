"""The real session in virtual time: its clock jumps, its engine takes as long as the story says, a listener pulls.

Knows no network: the track's own pacer stands for the call.
"""
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from peer.config import Config
from peer.core.chunk import AudioChunk, Request
from peer.core.messages import BargeIn, Message, Mode, Resume, Say
from peer.core.voice import Voice
from peer.core.wish import Setting
from peer.engines import Engines
from peer.journal import Journal
from peer.portrait import Identity
from peer.session import Session
from peer.track import Pacer

from .clock import run
from .engines import Cost, ModelEngine
from .replayed import raw_of
from .take import Row, Sent, Take, sent_of

ABOUT: Mapping[str, object] = {"libraries": {}, "guard": {}}


class SlowHost:
    """An engine on this loop that takes its time: to warm up, and for every piece. Counts its warm-ups."""

    def __init__(self, name: str, model: ModelEngine, warm_s: float) -> None:
        self.name = name
        self.warm_ups = 0
        self._ready = asyncio.Event()
        self._starting = asyncio.Lock()
        self._model = model
        self._warm_s = warm_s

    async def start(self) -> None:
        async with self._starting:
            if self._ready.is_set():
                return
            await asyncio.sleep(self._warm_s)
            self._model.adapter.warm_up()
            self.warm_ups += 1
            self._ready.set()

    async def render(self, request: Request, deadline: float) -> AsyncIterator[AudioChunk]:
        loop = asyncio.get_running_loop()
        await self._ready.wait()
        for when_ms, piece in self._model.render(request, loop.time() * 1000.0):
            await asyncio.sleep(max(0.0, when_ms / 1000.0 - loop.time()))
            assert isinstance(piece, AudioChunk)
            yield piece

    def status(self) -> Mapping[str, object]:
        return {"state": "READY" if self._ready.is_set() else "COLD", "warm_ups": self.warm_ups}

    async def close(self) -> None:
        self._ready.clear()


class Notes(Journal):
    """A journal that keeps its records in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.rows: list[Row] = []

    def put(self, session: str, record: Row | None) -> bool:
        if record is not None:
            self.rows.append(record)
        return True


@dataclass(slots=True, repr=False)
class Rehearsal:
    """One session and its listener. Verbs are for stories; `take` is what they leave."""

    session: Session
    host: SlowHost
    notes: Notes
    model: ModelEngine
    sent: list[Sent] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    def say(self, text: str) -> None:
        ident = self._id()
        self.texts[ident] = text
        self._submit(Say(id=ident, text=text))

    def barge_in(self) -> None:
        self._submit(BargeIn(self._id()))

    def resume(self) -> None:
        self._submit(Resume(self._id()))

    async def quiet(self, most_s: float = 3600.0) -> None:
        """Until everything was heard."""
        async with asyncio.timeout(most_s):
            while not self.session.peer.finished:  # nobody tells; time is virtual
                await asyncio.sleep(0.02)

    async def listen(self) -> None:
        """What a call does: wait for each frame's deadline, pull it."""
        pacer = Pacer(self.session, asyncio.get_running_loop().time, asyncio.sleep)
        while True:
            self.sent.append(sent_of(await pacer.next()))

    def take(self) -> Take:
        descriptor = self.model.adapter.describe()
        return Take(
            texts=dict(self.texts),
            sent=tuple(self.sent),
            rows=tuple(self.notes.rows),
            raw=raw_of(self.notes.rows, self.model.adapter.render),
            rates={self.host.name: descriptor.sample_rate},
        )

    def _id(self) -> str:
        return f"i{next(self._ids)}"

    def _submit(self, message: Message) -> None:
        self.session.submit(message, "scene", lambda _answer: None)


Story = Callable[[Rehearsal], Awaitable[None]]


def rehearse(story: Story, model: ModelEngine, name: str, warm_s: float = 0.0, cost: Cost | None = None) -> Rehearsal:
    """Tell `story` to a session of its own, from its beginning to its end; returns what it left."""
    if cost is not None:
        model.cost = cost
    return run(_rehearsed(story, model, name, warm_s))


async def _rehearsed(story: Story, model: ModelEngine, name: str, warm_s: float) -> Rehearsal:
    notes = Notes()
    host = SlowHost(name, model, warm_s)
    rehearsal: Rehearsal
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks, make=lambda _name, _adapter, _tasks: host)
        setting = Setting(name, Voice(), Mode.LOW_LATENCY)
        identity = Identity("scene", "token", 7)
        session = Session(identity, Config(journal=""), setting, engines, notes, tasks, lambda: ABOUT)
        rehearsal = Rehearsal(session, host, notes, model)
        listener = tasks.create_task(rehearsal.listen())
        try:
            await story(rehearsal)
        finally:
            listener.cancel()
            session.close("the end")
            await engines.close()
    return rehearsal
