"""All conversations of this process: made, held, found again, ended; and their calls.

Knows no HTTP: it is asked for a call with an offer, or for a conversation of its own.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiortc import RTCIceServer

from adapters.ears import start_ear

from . import guard
from .call import Call, Ears, Ending
from .config import Config
from .core.errors import Refusal, SessionLost
from .core.machines import SESSION, ConversationEvent, Machine
from .core.machines import Conversation as State
from .core.voice import Voice
from .core.wish import Setting
from .engines import Engines
from .journal import Journal
from .larder import Larder
from .microphone import Microphone
from .portrait import Identity
from .seams import Conversation
from .session import Session

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Line:
    """A session, the state it is in, and the call that carries it now."""

    session: Session
    machine: Machine[State, ConversationEvent] = field(default_factory=lambda: Machine("SESSION", SESSION, State.NEW))
    call: Call | None = None
    timer: asyncio.TimerHandle | None = None
    since: float = 0.0
    last_call: str = ""
    connections: int = 0
    """How many calls have carried it; without one there is nothing to hold."""


class Switchboard:
    """`tasks` owns every call. Lines are bounded by the configuration; a full board refuses."""

    def __init__(
        self, config: Config, engines: Engines, journal: Journal, tasks: asyncio.TaskGroup,
        capabilities: Callable[[], Mapping[str, object]], larder: Larder | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.engines = engines
        self.defaults = Setting(config.adapter, Voice(), config.mode)
        self._journal = journal
        self._larder = larder
        self._tasks = tasks
        self._capabilities = capabilities
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str, Line] = {}
        self._calls: dict[str, Line] = {}
        self._negotiating = asyncio.Lock()
        self._setting_up = 0
        self._closing = False
        self._count = 0

    # sessions -------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        return len(self._calls)

    @property
    def sessions(self) -> int:
        return len(self._lines)

    @property
    def half_open(self) -> int:
        """Calls that are being negotiated, and those answered that do not stand yet."""
        return self._setting_up + sum(line.machine.state is State.NEGOTIATING for line in self._calls.values())

    def noted_lag(self, late_ms: float) -> None:
        """The loop was held up: every log says so."""
        for line in self._lines.values():
            line.session.note("loop_lag", "late", late_ms=round(late_ms, 1))

    def open(self, clocked: bool, setting: Setting | None = None) -> Line:
        """A new conversation. Raises Refusal `full`."""
        if self._closing:
            raise Refusal("full", "", "the server is shutting down; call again later")
        if len(self._lines) >= self.config.limits.sessions:
            raise Refusal("full", "", f"all {self.config.limits.sessions} conversations are taken; call again later")
        self._count += 1
        seed = self.config.seed if self.config.seed is not None else secrets.randbits(31)
        identity = Identity(secrets.token_hex(8), secrets.token_urlsafe(16), seed)
        session = Session(
            identity, self.config, setting or self.defaults, self.engines, self._journal, self._tasks,
            self._capabilities, clocked, self._larder,
        )  # fmt: skip
        line = Line(session, since=self._loop.time())
        session.on_broken = lambda: self._break(line)
        self._lines[identity.ident] = line
        return line

    def end(self, line: Line, reason: str) -> None:
        """The conversation is over. Idempotent."""
        if line.machine.state in (State.CLOSING, State.CLOSED):
            return
        line.machine.fire(ConversationEvent.HANGUP)
        self._stop_timer(line)
        line.session.close(reason)
        self._lines.pop(line.session.identity.ident, None)
        line.machine.fire(ConversationEvent.CLOSED)

    def _break(self, line: Line) -> None:
        """A bug ended the conversation; its call hears of it and ends too."""
        call, line.call = line.call, None
        self.end(line, "fault")
        if call is not None:
            self._calls.pop(call.ident, None)
            self._hang_up(call, Ending.FAULT)

    # calls ----------------------------------------------------------------------------------

    async def answer(self, offer: bytes, token: str | None, aec: bool | None) -> tuple[str, str]:
        """(call id, SDP answer). `token` re-attaches to a held conversation. Raises Refusal; that changes nothing."""
        if self.half_open >= self.config.limits.half_open:
            raise Refusal("full", "", "too many calls are being set up; call again in a second")
        self._setting_up += 1
        try:
            async with self._negotiating:
                line = self._known(token) or self.open(clocked=True)
                call = self._call(line.session, aec)
                try:
                    answer = await call.answer(offer)
                except BaseException:
                    if line.machine.state is State.NEW:
                        self.end(line, "unanswered")
                    raise
        finally:
            self._setting_up -= 1
        if line.session.closed:
            await call.close(Ending.HANGUP)
            raise Refusal("full", "", "the conversation ended meanwhile; call again")
        self._attach(line, call)
        return call.ident, answer

    def _known(self, token: str | None) -> Line | None:
        """The conversation of a call that `token` names, if it is still here."""
        given = (token or "").encode("utf-8", "replace")
        found = None
        for line in self._lines.values():
            same = hmac.compare_digest(line.session.token.encode(), given)
            if same and line.machine.state is not State.NEW:
                found = line
        return found

    def _call(self, session: Session, aec: bool | None) -> Call:
        return Call(
            secrets.token_hex(16),
            session,
            microphone=self._microphone(session, aec),
            ice_servers=self._ice_servers(),
        )

    def _attach(self, line: Line, call: Call) -> None:
        """From now on `call` carries the conversation; the old call, if there is one, is over."""
        old, line.call = line.call, call
        if line.machine.state is State.NEW:
            line.machine.fire(ConversationEvent.OFFER)
        else:
            line.session.lost()
            line.machine.fire(ConversationEvent.REATTACH)
        if old is not None:
            self._calls.pop(old.ident, None)
            self._hang_up(old, Ending.HANGUP)
        self._stop_timer(line)
        line.session.on_connected = lambda: self._connected(line, call)
        self._calls[call.ident] = line
        self._tasks.create_task(self._run(line, call), name=f"call {call.ident}")

    def _hang_up(self, call: Call, ending: Ending) -> None:
        self._tasks.create_task(call.close(ending), name=f"close {call.ident}")

    def _microphone(self, session: Session, aec: bool | None) -> Callable[..., Ears]:
        def make(receiver: object, track: object) -> Ears:
            return Microphone(receiver, track, session, start_ear().ear, tap=guard.tap_rtp, aec=aec)  # type: ignore[arg-type]

        return make

    def _ice_servers(self) -> list[RTCIceServer]:
        name, word = self.config.turn_username or None, self.config.turn_credential or None
        return [
            RTCIceServer(url, name, word) if url.startswith("turn") else RTCIceServer(url)
            for url in self.config.ice_servers
        ]

    async def _run(self, line: Line, call: Call) -> None:
        """One call to its end; the one place where a fault of ours is caught, so that others live."""
        try:
            ending = await call.run()
        except Exception as fault:
            log.error("call %s failed", call.ident, exc_info=fault)
            ending = Ending.FAULT
        self._calls.pop(call.ident, None)
        if line.call is call:
            line.call = None
            self._ended(line, ending)

    def _connected(self, line: Line, call: Call) -> None:
        """The call stands. One that was hung up meanwhile, or says it twice, changes nothing."""
        if line.call is call and line.machine.state is State.NEGOTIATING:
            line.machine.fire(ConversationEvent.CONNECTED)
            line.connections += 1
            line.session.found()

    def _ended(self, line: Line, ending: Ending) -> None:
        if ending in (Ending.LOST, Ending.REMOTE, Ending.TIMEOUT) and line.connections:
            self._hold(line)
        else:
            self.end(line, ending.value)

    def _hold(self, line: Line) -> None:
        """Keep the conversation for a while; a new call may find it again."""
        if line.machine.state in (State.CLOSING, State.CLOSED):
            return
        line.machine.fire(ConversationEvent.LOST)
        line.session.lost()
        self._stop_timer(line)
        line.timer = self._loop.call_later(self.config.limits.hold_s, self.end, line, "not found again")

    def _stop_timer(self, line: Line) -> None:
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None

    # asked from outside ---------------------------------------------------------------------

    def find(self, call: str) -> Line:
        """The line of a live call. Raises SessionLost."""
        line = self._calls.get(call)
        if line is None:
            raise SessionLost("no such call: it has ended, or never was")
        return line

    async def hang_up(self, call: str, hold: bool) -> None:
        """End a call; with `hold` its conversation waits to be found again. Unknown calls are over."""
        line = self._calls.pop(call, None)
        if line is None or line.call is None:
            self._too_late(call, hold)
            return
        old, line.call = line.call, None
        if hold and line.connections:
            self._hold(line)
        else:
            self.end(line, "hangup")
        await old.close(Ending.HANGUP)

    def _too_late(self, call: str, hold: bool) -> None:
        """The connection was gone before the word came: then the conversation is held, and need not be."""
        held = next((line for line in self._lines.values() if line.last_call == call and line.call is None), None)
        if held is not None and not hold:
            self.end(held, "hangup")

    def reap(self) -> None:
        """End what is idle or has lasted too long; called every few seconds."""
        now, limits = self._loop.time(), self.config.limits
        for line in list(self._lines.values()):
            idle = now - line.session.touched > limits.idle_s
            if idle or now - line.since > limits.longest_s:
                call, line.call = line.call, None
                self.end(line, "idle" if idle else "too long")
                if call is not None:
                    self._calls.pop(call.ident, None)
                    self._hang_up(call, Ending.HANGUP)

    async def close(self) -> None:
        """Hang up everyone, and wait for it."""
        self._closing = True
        lines = list(self._lines.values())
        calls = [line.call for line in lines if line.call is not None]
        for line in lines:
            line.call = None
            self.end(line, "shutdown")
        self._calls.clear()
        async with asyncio.TaskGroup() as tasks:
            for call in calls:
                tasks.create_task(call.close(Ending.SHUTDOWN))


def conversation(session: Session) -> Conversation:
    """A session is what calls talk to; the checker sees that it fits."""
    return session
