"""Virtual time: the real core, engines of modelled cost, one listener; a story is a few lines.

Knows no network and no clock: time is a number that jumps to whatever happens next.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from peer.core.chunk import AudioChunk, Ticket
from peer.core.frame import Kind, Pull
from peer.core.ledger import Ledger
from peer.core.messages import BargeIn, Configure, Mode, Pause, Resume, Say
from peer.core.orchestrator import Orchestrator, Outcome
from peer.core.pcm import FRAME, FRAME_MS, SILENCE, Float, Int16
from peer.core.timeline import Event
from peer.core.voice import Voice
from peer.core.wish import Setting, Settled

from .engines import ModelCast, ModelEngine
from .take import Take, sent_of

PROBE_MS = 1000.0
"""Between two probes."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame that left, or did not: `pcm` (960,) int16 is a copy, None where nothing was sent."""

    pull: Pull
    pcm: Int16 | None


@dataclass(slots=True)
class Theatre:
    """A conversation in virtual time. `now` is in ms; frame n is due at n * 20.

    `keep_raw` remembers what the engines rendered, for shapes that compare; a long run does without.
    """

    engines: dict[str, ModelEngine] = field(default_factory=lambda: {"tone": ModelEngine()})
    mode: Mode = Mode.LOW_LATENCY
    seed: int = 7
    adapter: str = "tone"
    clocked: bool = True
    keep_raw: bool = True
    now: float = 0.0
    frames: list[Heard] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    depths: list[tuple[int, float]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    raw: dict[tuple[int, int], list[Float]] = field(default_factory=dict)
    """(chunk, attempt) → the pieces that were accepted of it."""
    peer: Orchestrator = field(init=False)
    probes: bool = True
    """An engine that was replaced is asked again and again whether it is well."""
    _probing: bool = False
    _ledger: Ledger = field(default_factory=Ledger)
    _next_frame: int = 0
    _queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        setting = Setting(self.adapter, Voice(), self.mode)
        self.peer = Orchestrator(ModelCast(self.engines), setting, self.seed, clocked=self.clocked)
        self.peer.engine_ready(0, self.adapter)

    # the story's verbs ----------------------------------------------------------------------

    @property
    def n(self) -> int:
        return int(self.now // FRAME_MS)

    def say(self, text: str, **more: object) -> Outcome:
        say = Say(id=self._id(), text=text, **more)  # type: ignore[arg-type]
        outcome = self.peer.say(self.n, say)
        if outcome.result == "done":
            name = say.utterance or say.id
            self.texts[name] = self.texts.get(name, "") + text
        self._after()
        return outcome

    def barge_in(self) -> Outcome:
        outcome = self.peer.barge_in(self.n, BargeIn(self._id()))
        self._after()
        return outcome

    def pause(self) -> Outcome:
        outcome = self.peer.pause(self.n, Pause(self._id()))
        self._after()
        return outcome

    def resume(self) -> Outcome:
        outcome = self.peer.resume(self.n, Resume(self._id()))
        self._after()
        return outcome

    def configure(self, warm_ms: float = 50.0, **more: object) -> Outcome:
        outcome = self.peer.configure(self.n, Configure(self._id(), **more))  # type: ignore[arg-type]
        wanted = self.peer.changeover.wanted_adapter
        if wanted is not None:
            self.at(self.now + warm_ms, lambda: self.peer.engine_ready(self.n, wanted))
        self._after()
        return outcome

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (max(when, self.now), next(self._order), what))

    def run(self, ms: float) -> Theatre:
        """Let `ms` pass."""
        end = self.now + ms
        while True:
            due = self._next_frame * FRAME_MS
            if self._queue and self._queue[0][0] <= min(due, end):
                self.now, _, what = heapq.heappop(self._queue)
                what()
                self._after()
            elif due <= end:
                self.now = max(self.now, float(due))
                self._pull()
            else:
                self.now = end
                return self

    def until_quiet(self, most_ms: float = 600_000) -> Theatre:
        """Until nothing sounds and nothing is owed; a story that never ends is an error."""
        end = self.now + most_ms
        while not self.peer.finished or len(self._queue) > self._probing:
            if self.now >= end:
                raise TimeoutError(f"not quiet after {most_ms} ms: {self.peer.speech.state}")
            self.run(FRAME_MS)
        return self

    # what it leaves -------------------------------------------------------------------------

    @property
    def pcm(self) -> Int16:
        """All that was sent, frames that were not sent as zeros: (n * 960,) int16 on the frame clock."""
        return np.concatenate([SILENCE if h.pcm is None else h.pcm for h in self.frames] or [SILENCE])

    def kinds(self) -> list[Kind]:
        return [h.pull.kind for h in self.frames]

    def of(self, kind: str) -> list[Event]:
        return [e for e in self.events if e.kind.value == kind]

    def words(self) -> list[str]:
        """Source words in the order in which they began to sound."""
        return [f"{e.fields['utterance']}:{e.fields['from']}" for e in self.of("word")]

    def take(self) -> Take:
        """Everything so far, for the shapes; the ledger's open record is closed."""
        done = self._ledger.flush()
        if done is not None:
            self.events.append(done)
        cast = ModelCast(self.engines)
        return Take(
            texts=dict(self.texts),
            sent=tuple(sent_of(h.pull) for h in self.frames if h.pcm is not None),
            rows=tuple(event.to_wire() for event in self.events),
            raw=self._longest(),
            rates={name: cast.descriptor(name).sample_rate for name in self.engines},
            slots=tuple((h.pull.n, h.pull.kind.value) for h in self.frames),
            depths=tuple(self.depths),
        )

    # inside ---------------------------------------------------------------------------------

    def _id(self) -> str:
        return f"i{next(self._ids)}"

    def _pull(self) -> None:
        n, self._next_frame = self._next_frame, self._next_frame + 1
        pull = self.peer.read_frame(n)
        pcm = None if pull.pcm is None else pull.pcm.copy()
        if pcm is not None:
            done = self._ledger.add(pull)
            if done is not None:
                self.events.append(done)
            pull = replace(pull, pcm=pcm)
        self.frames.append(Heard(pull, pcm))
        self.depths.append((n, self.peer.producer.depth_ms))
        self._after()

    def _after(self) -> None:
        request = self.peer.next_request(self.n)
        if request is not None:
            engine = self.engines[request.adapter]
            for when, piece in engine.render(request, self.now):
                self.at(when, self._delivery(request.ticket, piece))
        self.events += self.peer.events()
        self.settled += self.peer.settled()
        if self.probes and self.peer.absent is not None and not self._probing:
            self._probing = True
            self.at(self.now + PROBE_MS, self._probe)

    def _probe(self) -> None:
        """What the shell does for an engine that another one stands in for."""
        self._probing = False
        name = self.peer.absent
        if name is not None and self.engines[name].well(self.now):
            self.peer.engine_recovered(self.n, name)

    def _delivery(self, ticket: Ticket, piece: AudioChunk | str) -> Callable[[], None]:
        if isinstance(piece, str):
            return lambda: self.peer.fail(self.n, ticket, piece)
        return lambda: self._accept(ticket, piece)

    def _accept(self, ticket: Ticket, piece: AudioChunk) -> None:
        if not self.peer.accept(self.n, ticket, piece) or not self.keep_raw:
            return
        self.raw.setdefault((ticket.chunk_id, ticket.attempt), []).append(piece.pcm)

    def _longest(self) -> dict[int, Float]:
        """Per chunk the attempt that got furthest: every attempt begins at the chunk's first sample."""
        found: dict[int, Float] = {}
        for (chunk, _), pieces in sorted(self.raw.items()):
            whole = np.concatenate(pieces)
            if len(whole) >= len(found.get(chunk, ())):
                found[chunk] = whole
        return found


def seconds(theatre: Theatre) -> float:
    return len(theatre.frames) * FRAME / 48_000
