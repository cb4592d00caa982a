"""A conversation: the orchestrator with what it needs of a real machine, whoever listens.

Knows no transport: outlets pull its frames, channels and HTTP submit messages, the journal takes its events.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from .config import Config
from .core.chunk import Request, Ticket
from .core.errors import AdapterError, Refusal, Unavailable
from .core.frame import Pull
from .core.ledger import Ledger
from .core.machines import Speech
from .core.messages import (
    PROTOCOL,
    Abandon,
    BargeIn,
    Cause,
    Configure,
    Describe,
    Message,
    Pause,
    Playout,
    Resume,
    Say,
)
from .core.orchestrator import Orchestrator, Outcome
from .core.pcm import FRAME, FRAME_MS, Int16
from .core.timeline import Event, Record
from .core.wish import Setting
from .engines import Engines
from .herald import Herald
from .journal import SCHEMA, Journal
from .seams import Reply
from .telemetry import Telemetry

log = logging.getLogger(__name__)

FAR_FRAMES = 18
"""350 ms of what was sent: as long as an echo may take back to the microphone."""
POLL_S = 0.1
"""Text that waits for its delimiter while nothing plays is looked at this often."""
RETRY_S = 1.0
"""Between two looks at an engine that cannot start."""
BUSY_S = 0.05
"""An engine whose queue is full is asked again after this."""
_BUG = Refusal("fault", "", "this conversation met a fault of ours and ends; call again")
TAP_FRAMES = 100
"""2 s of a tap's queue; who is slower is dropped."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`ident` names the session everywhere, `token` re-attaches to it and is shown to its page only."""

    ident: str
    token: str
    seed: int


class Session:
    """One conversation. `tasks` owns its renders; `clocked` False lets the outlet's pulls be the clock."""

    def __init__(
        self, identity: Identity, config: Config, setting: Setting, engines: Engines, journal: Journal,
        tasks: asyncio.TaskGroup, capabilities: Callable[[], Mapping[str, object]], clocked: bool = True,
    ) -> None:  # fmt: skip
        self.identity = identity
        self.telemetry = Telemetry()
        self.herald = Herald()
        self._config = config
        self._engines = engines
        self._journal = journal
        self._tasks = tasks
        self._capabilities = capabilities
        self._loop = asyncio.get_running_loop()
        self._clocked = clocked
        self._origin = self._loop.time()
        self._pulled = 0
        self._ledger = Ledger()
        self._wake = asyncio.Event()
        self._answers: OrderedDict[str, Mapping[str, object] | list[Reply]] = OrderedDict()
        self._wishes: dict[int, str] = {}
        self._render: tuple[Ticket, asyncio.Task[None]] | None = None
        self._warming: dict[str, asyncio.Task[None]] = {}
        self._poll: asyncio.TimerHandle | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._rtp_zero: int | None = None
        self._far: deque[Int16] = deque(maxlen=FAR_FRAMES)
        self._taps: set[asyncio.Queue[bytes | None]] = set()
        self._last_played: int | None = None
        self.touched = self._loop.time()
        self._lost_at: int | None = None
        self.closed = False
        self.on_broken: Callable[[], None] = lambda: None
        """Called when a bug of ours ended the conversation."""
        self.on_connected: Callable[[], None] = lambda: None
        """Called when a call's connection stands."""
        dither = identity.seed if config.dither else None
        self.peer = Orchestrator(engines, setting, identity.seed, identity.ident, clocked=clocked, dither=dither)
        self._header(setting)
        self._warm(setting.adapter)

    # the clock ------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The frame number now."""
        if not self._clocked:
            return self._pulled
        return int((self._loop.time() - self._origin) * 1000.0 / FRAME_MS)

    # Source: what an outlet pulls -----------------------------------------------------------

    @property
    def origin(self) -> float:
        return self._origin

    def read_frame(self, n: int) -> Pull:
        """Frame `n`. Never blocks."""
        pull = self.peer.read_frame(n)
        self._pulled = n + 1
        if pull.pcm is not None:
            done = self._ledger.add(pull)
            if done is not None:
                self._record(done)
            self._far.append(pull.pcm)
            if self._taps:
                self._tap(pull.pcm)
            self.telemetry.touch()
        self._after(n)
        return pull

    async def wake(self) -> None:
        """Returns when the next pull brings samples."""
        while not self.peer.ready:
            self._wake.clear()
            await self._wake.wait()

    def sent(self, n: int, rtp: int | None) -> None:
        if rtp is not None and self._rtp_zero is None:
            self._rtp_zero = (rtp - n * FRAME) % 2**32

    # Conversation: what a call talks to -----------------------------------------------------

    @property
    def source(self) -> Session:
        return self

    @property
    def token(self) -> str:
        return self.identity.token

    def hello(self) -> Mapping[str, object]:
        return {
            "protocol": PROTOCOL,
            "session": self.identity.ident,
            "token": self.identity.token,
            "frame": self.now,
            "speech": self.peer.speech.state.value,
            **self.peer.setting.to_wire(),
        }

    def subscribe(self, listener: Reply) -> Callable[[], None]:
        return self.herald.subscribe(listener)

    def speaking(self) -> bool:
        return self.peer.sounding

    def far_level_db(self) -> float:
        """dBFS of the last 350 ms sent; -120 when nothing was."""
        if not self.peer.sounding or not self._far:
            return -120.0
        power = max(float(np.mean(np.square(pcm.astype(np.float32)))) for pcm in self._far)
        return 10.0 * float(np.log10(max(power / 32768.0**2, 1e-12)))

    def note(self, stage: str, result: str = "ok", **facts: object) -> None:
        """A fact of the transport or the microphone."""
        kind = {"mic": Record.MIC, "ear": Record.MIC}.get(stage, Record.CALL)
        self._record(Event(kind, self.now, stage, result, "transport", 0.0, facts))
        if stage == "call" and result == "connected":
            self.on_connected()
        if stage == "mic" and "speaking" in facts:
            self._mic(bool(facts["speaking"]), facts.get("level_db"))

    def submit(self, message: Message, surface: str, reply: Reply) -> None:
        """Perform a message now: the core never blocks, so there is no queue that control could wait in."""
        self.touched = self._loop.time()
        if isinstance(message, Playout):
            return self._playout(message)
        if isinstance(message, Describe):
            return reply({"id": message.id, "result": "done", "artifacts": self._description()})
        known = self._answers.get(message.id)
        if isinstance(known, list):
            known.append(reply)
            return None
        if known is not None:
            return reply(known)
        n = self.now
        try:
            outcome = self._perform(n, message)
        except Refusal as refusal:
            self._answer(message.id, {"result": {"refusal": refusal.to_wire()}}, reply)
        except Exception as bug:
            reply({"id": message.id, "result": {"refusal": _BUG.to_wire()}})
            return self._broken(bug)
        else:
            if outcome.result == "pending":
                self._wishes[int(str(outcome.artifacts["version"]))] = message.id
                self._remember(message.id, [reply])
            else:
                self._answer(message.id, {"result": outcome.result, "artifacts": dict(outcome.artifacts)}, reply)
        return self._after(n)

    def _perform(self, n: int, message: Message) -> Outcome:
        match message:
            case Say():
                self._cancel_quiet()
                return self.peer.say(n, message)
            case BargeIn():
                return self._barge_in(n, message)
            case Pause():
                return self.peer.pause(n, message)
            case Resume():
                self._cancel_quiet()
                return self.peer.resume(n, message)
            case Abandon():
                self._cancel_quiet()
                return self.peer.abandon(n, message)
            case Configure():
                return self.peer.configure(n, message)
            case Describe() | Playout():
                raise Refusal("unknown_intent", "intent", "this is answered elsewhere")
            case _:
                assert_never(message)

    # barge-in and what follows --------------------------------------------------------------

    def _barge_in(self, n: int, message: BargeIn) -> Outcome:
        outcome = self.peer.barge_in(n, message)
        if outcome.result == "done":
            # Two frames on, nothing of the old speech is due any more: the fade may be the next one.
            rtp = None if self._rtp_zero is None else (self._rtp_zero + (n + 2) * FRAME) % 2**32
            flush = {"epoch": self.peer.epoch, "cause": message.cause.value, "id": message.id, "rtp": rtp}
            self.herald.tell({"event": "flush", "frame": n, **flush})
            self._cancel_quiet()
            if message.cause is Cause.VOICE:
                self._wait_for_quiet()
        return outcome

    def _wait_for_quiet(self) -> None:
        """After a spoken barge-in nobody understood: go on by ourselves once it is quiet."""
        self._cancel_quiet()
        if self._config.resume_after_s > 0:
            self._quiet = self._loop.call_later(self._config.resume_after_s, self._resume_by_itself)

    def _resume_by_itself(self) -> None:
        self._quiet = None
        if self.peer.speech.state is Speech.YIELDED:
            self._attempt(lambda: self._resumed(Resume("quiet")))

    def _resumed(self, resume: Resume) -> None:
        n = self.now
        self.peer.resume(n, resume)
        self._after(n)

    def _cancel_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _mic(self, speaking: bool, level_db: object) -> None:
        self.touched = self._loop.time()
        self.herald.tell({"event": "mic", "frame": self.now, "speaking": speaking, "level_db": level_db})
        if self._quiet is None:
            return
        self._wait_for_quiet()
        if speaking and self._quiet is not None:
            self._quiet.cancel()

    # held and found again -------------------------------------------------------------------

    def lost(self) -> None:
        """The far end is gone: what it did not hear will be said again when it is back."""
        n = self.now
        self._lost_at = n
        self._rtp_zero = None
        if self._last_played is not None:
            self.peer.played(n, self._last_played)
        self._cancel_quiet()
        if self.peer.speech.state in (Speech.PRIMING, Speech.SPEAKING, Speech.DRAINING):
            self.peer.barge_in(n, BargeIn("lost", Cause.LOST))
        self._record(Event(Record.PEER_LOST, n, "held", surface="transport"))
        self._last_played = None
        self._after(n)

    def found(self) -> None:
        """A new call re-attached: go on from the last word that was heard."""
        n = self.now
        if self._lost_at is None:
            return
        self._lost_at = None
        if self.peer.speech.state is Speech.YIELDED and self.peer.yielded_to is Cause.LOST:
            self.peer.resume(n, Resume("reattached"))
        self._record(Event(Record.RECOVERED, n, "reattached", surface="transport"))
        self._after(n)

    def _playout(self, report: Playout) -> None:
        if self._rtp_zero is None:
            return
        n = self.now
        ago = ((n * FRAME + self._rtp_zero) - report.rtp) % 2**32
        played = n - ago // FRAME
        if ago < 2**31 and played >= 0:
            self._last_played = played
            self.peer.played(n, played)
            facts = {"played": played, "jitter_ms": report.jitter_ms, "concealed": report.concealed}
            self._record(Event(Record.HEARD, n, "heard", "ok", "channel", 0.0, facts))

    # rendering ------------------------------------------------------------------------------

    def _after(self, n: int) -> None:
        """After every call into the core: start what is due, tell what happened, wake who waits."""
        ticket = self.peer.outstanding
        if self._render is not None and self._render[0] != ticket:
            self._render[1].cancel()
            self._render = None
        request = self.peer.next_request(n)
        if request is not None:
            self._render = (request.ticket, self._spawn(self._rendered(request), "render"))
        for event in self.peer.events():
            self._record(event)
        for settled in self.peer.settled():
            ident = self._wishes.pop(settled.version, None)
            if ident is not None:
                self._answer(ident, {"result": settled.result, "artifacts": dict(settled.artifacts)}, None)
        wanted = self.peer.wanted_adapter
        if wanted is not None:
            self._warm(wanted)
        if self.peer.ready:
            self._wake.set()
        if self._poll is None and self.peer.speech.state is Speech.PRIMING and ticket is None and request is None:
            self._poll = self._loop.call_later(POLL_S, self._polled)

    def _polled(self) -> None:
        self._poll = None
        self._attempt(lambda: self._after(self.now))

    def _attempt(self, work: Callable[[], None]) -> None:
        """A timer's work: what it raises is ours to answer for, not the loop's."""
        try:
            work()
        except Exception as bug:
            self._broken(bug)

    async def _rendered(self, request: Request) -> None:
        """One request to its engine, its pieces to the core. Cancelled when it is stale."""
        started = self._loop.time()
        deadline = started + self.peer.producer.depth_ms / 1000.0 + self._config.limits.render_s
        try:
            async for chunk in self._engines.host(request.adapter).render(request, deadline):
                took = (self._loop.time() - started) * 1000.0
                self.peer.accept(self.now, request.ticket, replace(chunk, render_ms=took))
                self._after(self.now)
        except Refusal as refusal:
            await asyncio.sleep(BUSY_S)
            self._failed(request, str(refusal))
        except Unavailable as fault:
            self.peer.engine_failed(self.now, request.adapter, str(fault))
            self._failed(request, str(fault))
            self._warm(request.adapter)
        except AdapterError as fault:
            self._failed(request, str(fault))

    def _failed(self, request: Request, why: str) -> None:
        n = self.now
        self.peer.fail(n, request.ticket, why)
        self._render = None
        self._after(n)
        if not self.peer.healthy:
            self._warm(request.adapter)

    def _warm(self, name: str) -> None:
        """Have an engine started, and tell the core when it is there."""
        task = self._warming.get(name)
        if task is None or task.done():
            self._warming[name] = self._spawn(self._warmed(name), "warm")

    async def _warmed(self, name: str) -> None:
        while True:
            try:
                await self._engines.warm(name)
            except (AdapterError, Refusal) as fault:
                self.peer.engine_failed(self.now, name, str(fault))
                self._after_warming(name, str(fault))
                if name != self.peer.setting.adapter:
                    return
                await asyncio.sleep(RETRY_S)
            else:
                self.peer.engine_ready(self.now, name)
                self._after(self.now)
                return

    def _after_warming(self, name: str, why: str) -> None:
        self.herald.notice(self.now, "error", "engine_unavailable", f"{name} cannot speak: {why}. Your text is kept.")
        self._after(self.now)

    # our own mistakes -----------------------------------------------------------------------

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        return self._tasks.create_task(self._supervised(work), name=f"{name} {self.identity.ident}")

    async def _supervised(self, work: Coroutine[None, None, None]) -> None:
        """The one broad except of a session: its bug ends it, and nobody else."""
        try:
            await work
        except Exception as bug:
            self._broken(bug)

    def _broken(self, bug: Exception) -> None:
        """A state machine met what it does not know, or worse: this session ends, loudly."""
        log.error("session %s failed", self.identity.ident, exc_info=bug)
        self._record(Event(Record.FAULT, self.now, "session", "bug", "core", 0.0, {"why": repr(bug)}))
        self.herald.notice(self.now, "error", "fault", "This conversation met a fault of ours and ends. Call again.")
        self.on_broken()

    # telling --------------------------------------------------------------------------------

    def _record(self, event: Event) -> None:
        record = event.to_wire()
        self._journal.put(self.identity.ident, record)
        self.telemetry.add(record)
        self.herald.hear(event)

    def _header(self, setting: Setting) -> None:
        facts = {"schema": SCHEMA, "session": self.identity.ident, "seed": self.identity.seed, "sample_rate": 48_000}
        more = {"frame_samples": FRAME, "clocked": self._clocked, **setting.to_wire()}
        about = self._capabilities()
        engine = {"version": self._engines.descriptor(setting.adapter).version}
        known = {"adapters": {setting.adapter: engine}, "libs": about["libraries"], "guard": about["guard"]}
        self._record(Event(Record.HEADER, 0, "begin", fields={**facts, **more, **known}))

    def _answer(self, ident: str, response: Mapping[str, object], reply: Reply | None) -> None:
        """Answer now, and remember it for who asks again."""
        waiting = self._answers.get(ident)
        full = {"id": ident, **response}
        self._remember(ident, full)
        if isinstance(waiting, list):
            for each in waiting:
                each(full)
        if reply is not None:
            reply(full)

    def _remember(self, ident: str, answer: Mapping[str, object] | list[Reply]) -> None:
        self._answers[ident] = answer
        while len(self._answers) > self._config.limits.answers:
            self._answers.popitem(last=False)

    def _description(self) -> dict[str, object]:
        return {**self._capabilities(), "session": {**self.hello(), "health": self._engines.health()}}

    def snapshot(self) -> dict[str, object]:
        """The state of the buffer now, for the panel."""
        pace = self.peer.producer.pace
        low, high = pace.band
        return {
            "frame": self.now,
            "speech": self.peer.speech.state.value,
            "adapter": self.peer.setting.adapter,
            "mode": pace.mode.value,
            "depth_ms": round(self.peer.producer.depth_ms, 1),
            "band": [round(low, 1), round(high, 1)],
            "rung": pace.rung,
            "rungs": [round(ms, 1) for ms in pace.rungs_ms],
            "sounding": self.peer.sounding,
        }

    # taps -----------------------------------------------------------------------------------

    def tap(self) -> asyncio.Queue[bytes | None]:
        """A copy of what leaves from now on, s16le per frame; None ends it. Raises Refusal."""
        if len(self._taps) >= self._config.limits.taps:
            raise Refusal("too_many", "call", f"at most {self._config.limits.taps} listeners besides the call")
        found: asyncio.Queue[bytes | None] = asyncio.Queue(TAP_FRAMES)
        self._taps.add(found)
        return found

    def untap(self, found: asyncio.Queue[bytes | None]) -> None:
        self._taps.discard(found)

    def _tap(self, pcm: Int16) -> None:
        data = pcm.tobytes()
        for queue in list(self._taps):
            if queue.full():
                self._taps.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(data)

    # the end --------------------------------------------------------------------------------

    def close(self, reason: str) -> None:
        """Nothing is rendered any more; the log ends. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._cancel_quiet()
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if self._render is not None:
            self._render[1].cancel()
            self._render = None
        for task in self._warming.values():
            task.cancel()
        for queue in self._taps:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        self._taps.clear()
        last = self._ledger.flush()
        if last is not None:
            self._record(last)
        self._record(Event(Record.END, self.now, "end", reason))
        self._journal.put(self.identity.ident, None)
        self.telemetry.touch()
