"""What the tests of the shell stand on: a session with engines on this loop, and a whole server on loopback.

Knows nothing of what the tests assert.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp

from adapters import registry
from adapters.base import TTSAdapter
from adapters.voices.tone import Tone
from peer.config import Config, Limits
from peer.core.errors import Unavailable
from peer.core.frame import Kind, Pull
from peer.core.messages import Message, Mode, parse
from peer.core.voice import Voice
from peer.core.wish import Setting
from peer.engines import Engines
from peer.host import EngineHost, InlineHost
from peer.journal import Journal
from peer.larder import Larder
from peer.logbook import rows
from peer.portrait import Identity
from peer.serve import capabilities, house
from peer.session import Session
from peer.switchboard import Switchboard
from tests.shell.far import WAIT_S, FarPeer, until

RESTING = ("IDLE", "YIELDED", "PAUSED")
WORDS = "one two three four five six seven eight nine ten eleven twelve. "


class Down:
    """A host whose engine cannot start until `up` is set."""

    def __init__(self, inside: EngineHost) -> None:
        self.name = inside.name
        self.inside = inside
        self.up = False

    async def start(self) -> None:
        if not self.up:
            raise Unavailable(f"{self.name}: run make voices")
        await self.inside.start()

    def render(self, request, deadline):  # type: ignore[no-untyped-def]
        if not self.up:
            raise Unavailable(f"{self.name}: run make voices")
        return self.inside.render(request, deadline)

    def status(self) -> Mapping[str, object]:
        return {"state": "READY" if self.up else "FAILED", "text": "", "pid": None}

    async def close(self) -> None:
        await self.inside.close()


def inline(name: str, adapter: type[TTSAdapter], tasks: asyncio.TaskGroup) -> EngineHost:
    """Every engine is the reference engine, on this loop."""
    return InlineHost(Tone())


def config(**changes: object) -> Config:
    made = Config(port=0, adapter="tone", journal="", seed=1, resume_after_s=0.0)
    limits = changes.pop("limits", {})
    return replace(made, limits=replace(Limits(), **limits), **changes)  # type: ignore[arg-type]


@dataclass
class Talk:
    """A session of its own with all it answered and told, pulled by hand."""

    session: Session
    told: list[Mapping[str, object]] = field(default_factory=list)
    pulls: list[Pull] = field(default_factory=list)
    count: int = 0

    def ask(
        self, intent: str, surface: str = "test", id: str | None = None, **inputs: object
    ) -> list[Mapping[str, object]]:
        """The answers to a request; what comes later is appended to the same list."""
        answers: list[Mapping[str, object]] = []
        self.count += 1
        value = {"id": id or f"r{self.count}", "intent": intent, "inputs": inputs}
        if "mode" in inputs and intent == "say":
            value["mode"] = inputs.pop("mode")
        message: Message = parse(value)
        self.session.submit(message, surface, answers.append)
        return answers

    def one(self, intent: str, **inputs: object) -> Mapping[str, object]:
        """The one answer to a request."""
        answers = self.ask(intent, **inputs)
        assert len(answers) == 1, answers
        return answers[0]

    async def pull(self, most: int = 100_000) -> list[Pull]:
        """Up to `most` frames, as fast as they come; fewer when nothing more is owed."""
        found: list[Pull] = []
        async with asyncio.timeout(WAIT_S):
            peer = self.session.peer
            while len(found) < most:
                await self.session.until(lambda: peer.ready or self.state in RESTING or self.session.closed)
                if not peer.ready:
                    break
                pull = self.session.read_frame(self.session.now)
                if pull.pcm is not None:
                    found.append(replace(pull, pcm=pull.pcm.copy()))
                await asyncio.sleep(0)
        self.pulls += found
        return found

    async def tick(self, times: int = 20) -> None:
        """Let tasks run; no frame is pulled."""
        for _ in range(times):
            await asyncio.sleep(0)

    @property
    def state(self) -> str:
        return self.session.peer.speech.state.value

    def events(self, kind: str) -> list[Mapping[str, object]]:
        return [event for event in self.told if event.get("event") == kind]

    def records(self, kind: str) -> list[Mapping[str, object]]:
        return [r for _, r in self.session.telemetry._records if r["kind"] == kind]


def voice_frames(pulls: list[Pull]) -> int:
    return sum(pull.kind is Kind.VOICE for pull in pulls)


@asynccontextmanager
async def talk(
    make: Callable[..., EngineHost] | None = inline, journal: Journal | None = None, adapter: str = "tone",
    clocked: bool = False, larder: Larder | None = None, **changes: object,
) -> AsyncIterator[Talk]:  # fmt: skip
    """One session on the reference engine (`make` None: on real processes)."""
    made = config(**changes)
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks, make)
        session = Session(
            Identity("s" * 16, "token", 1), made, Setting(adapter, Voice(), Mode.LOW_LATENCY), engines,
            journal or Journal(None), tasks, lambda: capabilities(made.limits), clocked,
            larder,
        )  # fmt: skip
        found = Talk(session)
        session.subscribe(found.told.append)
        try:
            yield found
        finally:
            session.close("test")
            await engines.close()


@dataclass
class Served:
    """A server and a client for it."""

    board: Switchboard
    url: str
    http: aiohttp.ClientSession
    config: Config

    async def call(self, far: FarPeer, token: str | None = None) -> str:
        """A far peer's offer, answered and connected; returns the call's path."""
        headers = {"Content-Type": "application/sdp"} | ({"Synchrony-Session": token} if token else {})
        async with self.http.post(self.url + "/calls", data=await far.offer(), headers=headers) as response:
            assert response.status == 201, await response.text()
            await far.accept(await response.text())
            where = response.headers["Location"]
        await far.connected()
        await far.channels_open()
        await until(lambda: far.events("hello"))
        return where

    async def json(self, method: str, path: str, **more: object) -> tuple[int, dict[str, object]]:
        async with self.http.request(method, self.url + path, **more) as response:  # type: ignore[arg-type]
            return response.status, json.loads(await response.text() or "{}")


@asynccontextmanager
async def served(make: Callable[..., EngineHost] | None = inline, **changes: object) -> AsyncIterator[Served]:
    """The whole server on loopback, on the reference engine unless told otherwise."""
    made = config(**changes)
    registry.rows()
    async with house(made, make) as (board, address), aiohttp.ClientSession() as http:
        yield Served(board, address.partition("#")[0].rstrip("/"), http, made)


def lines(path: Path) -> list[dict[str, object]]:
    """The records of a log, whole."""
    return rows(path)
