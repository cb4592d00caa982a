"""A conversation: the orchestrator with what it needs of a real machine, whoever listens.

Knows no transport: outlets pull its frames, channels and HTTP submit messages, the journal takes its events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar, assert_never

from .answers import Answers
from .config import Config
from .core.errors import Refusal
from .core.frame import Kind, Pull
from .core.machines import Speech
from .core.messages import (
    Abandon,
    AfterVoice,
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
from .core.pcm import FRAME_MS, Int16
from .core.timeline import Event, Record
from .core.wish import Setting
from .engines import Engines
from .farend import FarEnd
from .herald import Herald
from .journal import Journal
from .larder import Larder
from .lull import Lull
from .microphone import SURFACE as MICROPHONE
from .portrait import Identity, header, hello, snapshot
from .seams import Reply
from .studio import Studio
from .taps import Taps
from .telemetry import Telemetry
from .trail import SILENT_DB, Trail

log = logging.getLogger(__name__)

Spoken = TypeVar("Spoken", Say, Configure)
"""Messages that may name a voice."""

_BUG = Refusal("fault", "", "this conversation met a fault of ours and ends; call again")
_GONE = Refusal("gone", "", "this conversation has ended; call again")


HEARD_FRAMES = 50
"""A report a second goes into the log, and each that tells of concealment; the page sends five."""


class Session:
    """One conversation. `tasks` owns its renders; `clocked` False lets the outlet's pulls be the clock.

    Two lanes need no two queues: `submit` performs at once, because the core never blocks. So control
    never waits behind data, and is never refused because something is full.
    """

    def __init__(
        self, identity: Identity, config: Config, setting: Setting, engines: Engines, journal: Journal,
        tasks: asyncio.TaskGroup, capabilities: Callable[[], Mapping[str, object]], clocked: bool = True,
        larder: Larder | None = None,
    ) -> None:  # fmt: skip
        self.identity = identity
        self.telemetry = Telemetry()
        self.herald = Herald()
        self.taps = Taps(config.limits.taps)
        self._engines = engines
        self._journal = journal
        self._tasks = tasks
        self._capabilities = capabilities
        self._loop = asyncio.get_running_loop()
        self._clocked = clocked
        self._origin = self._loop.time()
        self._pulled = 0
        self._flowing = False
        """The last pull was not idle: a frame number that is left out now is a frame that was late."""
        self._trail = Trail()
        self._moved = asyncio.Event()
        self._answers = Answers(config.limits.answers)
        self._lull = Lull(config.resume_after_s, lambda: self._attempt(self._resume_by_itself))
        self._patience: asyncio.TimerHandle | None = None
        self._patience_due = 0
        self._far = FarEnd()
        self._lost_at: int | None = None
        self._heard_at = -HEARD_FRAMES
        self._concealed = 0
        self._logged = True
        """False while records of this session are being lost."""
        self.touched = self._loop.time()
        """When something was last said, by either side."""
        self.closed = False
        self.on_broken: Callable[[], None] = lambda: None
        """Called when a bug of ours ended the conversation."""
        self.on_connected: Callable[[], None] = lambda: None
        """Called when a call's connection stands."""
        dither = identity.seed if config.dither else None
        self.peer = Orchestrator(engines, setting, identity.seed, identity.ident, clocked=clocked, dither=dither)
        self._studio = Studio(
            self.peer, engines, config.limits.render_s, lambda: self.now, lambda: self._after(self.now), self._spawn,
            self._record, larder,
        )  # fmt: skip
        self.herald.utterance = self._utterance
        self.herald.honoured = self.honoured
        version = engines.descriptor(setting.adapter).version
        self._record(header(identity, clocked, config.dither, setting, version, capabilities()))
        self._studio.warm(setting.adapter)
        self._studio.stand_by(engines.fallback())

    # the clock ------------------------------------------------------------------------------
    @property
    def now(self) -> int:
        """The frame number now; without a clock, that of the next pull."""
        if not self._clocked:
            return self._pulled
        return int((self._loop.time() - self._origin) * 1000.0 / FRAME_MS)

    # Source: what an outlet pulls -----------------------------------------------------------
    @property
    def origin(self) -> float:
        return self._origin

    def read_frame(self, n: int) -> Pull:
        """Frame `n`. Never blocks, never raises."""
        if self.closed:
            return Pull(n, Kind.IDLE)
        try:
            if n > self._pulled and self._flowing:
                late = {"from": self._pulled, "to": n, "late_ms": (n - self._pulled) * FRAME_MS}
                self._record(Event(Record.LOOP_LAG, n, "late", surface="transport", fields=late))
            pull = self.peer.read_frame(n)
            self._pulled = n + 1
            self._flowing = pull.kind is not Kind.IDLE
            if pull.pcm is not None:
                self._leaves(pull, pull.pcm)
            self.herald.tick(n)
            self._after(n)
        except Exception as bug:
            self._broken(bug)
            return Pull(n, Kind.IDLE)
        return pull

    def _leaves(self, pull: Pull, pcm: Int16) -> None:
        done = self._trail.add(pull, pcm)
        if done is not None:
            self._record(done)
        self.taps.feed(pcm)
        self.telemetry.touch()
        if pull.kind is Kind.VOICE:
            self.touched = self._loop.time()

    async def wake(self) -> None:
        """Returns when the next pull brings samples."""
        await self.until(lambda: self.peer.ready and not self.closed)

    async def until(self, true: Callable[[], bool]) -> None:
        """Returns when `true()` holds; asked after everything that happens here."""
        while not true():
            self._moved.clear()
            await self._moved.wait()

    def sent(self, n: int, rtp: int | None) -> None:
        self._far.sent(n, rtp)

    # Conversation: what a call talks to -----------------------------------------------------
    @property
    def source(self) -> Session:
        return self

    @property
    def token(self) -> str:
        return self.identity.token

    def hello(self) -> Mapping[str, object]:
        return {**hello(self.identity, self.peer, self.now), "honoured": self.honoured()}

    def subscribe(self, listener: Reply) -> Callable[[], None]:
        return self.herald.subscribe(listener)

    def speaking(self) -> bool:
        return self.peer.sounding

    def far_level_db(self) -> float:
        """dBFS of the last 350 ms sent; -120 when nothing was."""
        return self._trail.level_db() if self.peer.sounding else SILENT_DB

    def note(self, stage: str, result: str = "ok", **facts: object) -> None:
        """A fact of the transport or the microphone. After the end nobody asks for it."""
        if self.closed:
            return
        kind = {"mic": Record.MIC, "ear": Record.MIC, "loop_lag": Record.LOOP_LAG}.get(stage, Record.CALL)
        self._record(Event(kind, self.now, stage, result, "transport", 0.0, facts))
        if stage == "call" and result == "connected":
            self._attempt(self.on_connected)
        if stage == "mic" and "speaking" in facts:
            self._mic(bool(facts["speaking"]), facts.get("level_db"))

    def submit(self, message: Message, surface: str, reply: Reply) -> None:
        """Perform a message now: the core never blocks, so there is no queue that control could wait in."""
        if isinstance(message, Playout):
            return None if self.closed else self._playout(message)
        self.touched = self._loop.time()
        if isinstance(message, Describe):
            return reply({"id": message.id, "result": "done", "artifacts": self._description()})
        # Our own microphone numbers its barge-ins itself; a caller's id may be the same word.
        ident = message.id if surface != MICROPHONE else f"{MICROPHONE}\n{message.id}"
        if self._answers.again(ident, reply):
            return None
        if self.closed:
            return reply({"id": message.id, "result": {"refusal": _GONE.to_wire()}})
        n = self.now
        try:
            outcome = self._perform(n, message)
        except Refusal as refusal:
            self._answers.give(ident, {"result": {"refusal": refusal.to_wire()}}, reply)
        except Exception as bug:
            reply({"id": message.id, "result": {"refusal": _BUG.to_wire()}})
            return self._broken(bug)
        else:
            if outcome.result == "pending":
                self._answers.later(ident, int(str(outcome.artifacts["version"])), reply)
            else:
                self._answers.give(ident, {"result": outcome.result, "artifacts": dict(outcome.artifacts)}, reply)
        return self._attempt(lambda: self._after(n))

    def _perform(self, n: int, message: Message) -> Outcome:
        match message:
            case Say():
                return self._settled_by(self.peer.say(n, self._cast(message)))
            case BargeIn():
                return self._barge_in(n, message)
            case Pause():
                return self.peer.pause(n, message)
            case Resume():
                return self._settled_by(self.peer.resume(n, message))
            case Abandon():
                return self._settled_by(self.peer.abandon(n, message))
            case Configure():
                return self._configure(n, self._cast(message))
            case Describe() | Playout():
                raise Refusal("unknown_intent", "intent", "this is answered elsewhere")
            case _:
                assert_never(message)

    def _cast(self, message: Spoken) -> Spoken:
        """The message with the voice that a persona's name stands for. Raises Refusal for an unknown name."""
        return replace(message, voice=self._engines.personas.resolved(message.voice))

    def honoured(self) -> Mapping[str, str]:
        """How well the engine in force keeps each field of the voice in force."""
        return self._engines.honours(self.peer.setting.adapter, self.peer.setting.voice)

    def _configure(self, n: int, message: Configure) -> Outcome:
        """Who goes on after a spoken barge-in is decided here, and at once; the rest is the core's."""
        named = (message.adapter, message.voice, message.mode) != (None, None, None)
        outcome = self.peer.configure(n, message) if named else Outcome("done")
        if message.after_voice is None:
            return outcome
        self._lull.allow(message.after_voice is AfterVoice.RESUME)
        facts = {"after_voice": message.after_voice.value}
        self._record(Event(Record.CONFIG, n, "after_voice", surface="session", fields=facts))
        about = {"frame": n, **facts, **self.peer.setting.to_wire(), "honoured": self.honoured()}
        return outcome if named else Outcome("done", about)

    def _settled_by(self, outcome: Outcome) -> Outcome:
        """Someone said how to go on; a late piece of what was cut (`stale`) did not."""
        if outcome.result == "done":
            self._lull.cancel()
        return outcome

    # barge-in and what follows --------------------------------------------------------------

    def _barge_in(self, n: int, message: BargeIn) -> Outcome:
        outcome = self.peer.barge_in(n, message)
        if message.cause is not Cause.VOICE:
            self._lull.cancel()
        if outcome.result == "done":
            # Two frames on, nothing of the old speech is due any more: the fade may be the next one.
            about = {"cause": message.cause.value, "id": message.id, "rtp": self._far.rtp_of(n + 2)}
            flush = {"epoch": self.peer.epoch, **about}
            self.herald.tell({"event": "flush", "frame": n, **flush})
            if message.cause is Cause.VOICE:
                self._lull.begin()
        return outcome

    def _resume_by_itself(self) -> None:
        """It was quiet after a spoken barge-in, and nobody said what to do."""
        if self.peer.speech.state is Speech.YIELDED:
            n = self.now
            self.peer.resume(n, Resume("quiet"))
            self._after(n)

    def _mic(self, speaking: bool, level_db: object) -> None:
        self.touched = self._loop.time()
        self.herald.tell({"event": "mic", "frame": self.now, "speaking": speaking, "level_db": level_db})
        self._lull.hear(speaking)

    # held and found again -------------------------------------------------------------------

    def lost(self) -> None:
        """The far end is gone: what it did not hear will be said again when it is back."""
        if self.closed or self._lost_at is not None:
            return
        n = self.now
        self._lost_at = n
        if self._far.last is not None:
            self.peer.played(n, self._far.last)
        self._far.forget()
        self._lull.cancel()
        self._lull.hear(False)
        if self.peer.speech.state in (Speech.PRIMING, Speech.SPEAKING, Speech.DRAINING):
            self.peer.barge_in(n, BargeIn("lost", Cause.LOST))
        self._record(Event(Record.PEER_LOST, n, "held", surface="transport"))
        self._after(n)

    def found(self) -> None:
        """A new call re-attached: go on from the last word that was heard."""
        if self.closed or self._lost_at is None:
            return
        n = self.now
        self._lost_at = None
        if self.peer.speech.state is Speech.YIELDED and self.peer.yielded_to is Cause.LOST:
            self.peer.resume(n, Resume("reattached"))
        self._record(Event(Record.RECOVERED, n, "reattached", surface="transport"))
        self._after(n)

    def _playout(self, report: Playout) -> None:
        n = self.now
        played = self._far.plays(n, report.rtp)
        if played is not None:
            self.peer.played(n, played)
            if n - self._heard_at < HEARD_FRAMES and report.concealed == self._concealed:
                return
            self._heard_at, self._concealed = n, report.concealed
            facts = {"played": played, "jitter_ms": report.jitter_ms, "concealed": report.concealed}
            self._record(Event(Record.HEARD, n, "heard", "ok", "channel", 0.0, facts))

    # after every call into the core ---------------------------------------------------------

    def _after(self, n: int) -> None:
        """Start what is due, tell what happened, wake who waits."""
        if self.closed:
            return
        self._studio.attend(n)
        for event in self.peer.events():
            self._record(event)
        for settled in self.peer.settled():
            kept = {"honoured": self.honoured()} if settled.result == "done" else {}
            answer = {"result": settled.result, "artifacts": {**settled.artifacts, **kept}}
            self._answers.settle(settled.version, answer)
        self._moved.set()
        due = self.peer.patient_until(n) if self.peer.healthy else None
        if due is not None and (self._patience is None or due < self._patience_due):
            if self._patience is not None:
                self._patience.cancel()
            pause_s, self._patience_due = (due - n) * FRAME_MS / 1000.0, due
            self._patience = self._loop.call_later(pause_s, self._attempt, partial(self._ran_out, due))

    def _ran_out(self, due: int) -> None:
        """Nobody finished the sentence in time: it is spoken as it is. Or the engine says nothing."""
        self._patience = None
        if not self._clocked:
            self._pulled = max(self._pulled, due)
        self.peer.watch(self.now)
        self._after(self.now)

    # our own mistakes -----------------------------------------------------------------------

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]], name: str) -> asyncio.Task[None]:
        return self._tasks.create_task(self._supervised(work), name=f"{name} {self.identity.ident}")

    async def _supervised(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """The one broad except of a session: its bug ends it, and nobody else."""
        try:
            await work()
        except Exception as bug:
            self._broken(bug)

    def _attempt(self, work: Callable[[], None]) -> None:
        """What a timer, a caller or a connection set off: its fault is ours to answer for, not theirs."""
        try:
            work()
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
        logged = self._journal.put(self.identity.ident, record)
        self.telemetry.add(record)
        self.herald.hear(event)
        if logged is not self._logged:
            self._logged = logged
            self.herald.logged(event.frame, logged)

    def _utterance(self) -> str | None:
        found = self.peer.script.first or self.peer.script.parked
        return found.id if found is not None else None

    def _description(self) -> dict[str, object]:
        return {**self._capabilities(), "session": {**self.hello(), "health": self._engines.health()}}

    def snapshot(self) -> dict[str, object]:
        """The state of the buffer now, for the panel."""
        return snapshot(self.peer, self.now)

    # the end --------------------------------------------------------------------------------

    def close(self, reason: str) -> None:
        """Nothing is rendered and nothing leaves any more; the log ends. Idempotent."""
        if self.closed:
            return
        self._lull.cancel()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._studio.close()
        for event in self.peer.events():
            self._record(event)
        last = self._trail.flush()
        if last is not None:
            self._record(last)
        self._record(Event(Record.END, self.now, "end", reason, fields=self._trail.total()))
        self.closed = True
        self._journal.put(self.identity.ident, None)
        self._answers.close(_GONE)
        self.taps.close()
        self.telemetry.touch()
        self._moved.set()
