"""The orchestrator: decides what to ask an engine for, blends what comes back, answers the pull.

Knows no clock, no thread and no engine by name: frame numbers and tickets come from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .cast import Cast
from .changeover import Changeover, Why
from .chronicle import Chronicle
from .chunk import AudioChunk, Request, Ticket
from .errors import Refusal
from .frame import Kind, Pull
from .heard import Heard
from .machines import SPEECH, Health, Machine, Speech, SpeechEvent
from .marks import Mark, Marks
from .messages import Abandon, BargeIn, Cause, Configure, Pause, Resume, Say, voice_of
from .playhead import Playhead, Stage
from .producer import Producer, Verdict
from .ring import Ring
from .script import Script
from .stitch import Stitcher
from .timeline import Event, Record
from .voice import Voice
from .wish import Setting, Settled

RING_FRAMES = 1500
"""30 s: more than any band; an engine that fills it is at fault, and the samples are 3 MB a call."""
_RENDERS = (Speech.PRIMING, Speech.SPEAKING, Speech.PAUSED)
_SILENT = (Speech.IDLE, Speech.YIELDED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: done, noop, stale, or pending (a wish that settles later)."""

    result: str
    artifacts: Mapping[str, object] = field(default_factory=dict)


class Orchestrator:
    """One conversation's voice. Every method takes the frame number `n` and never blocks.

    `clocked` is False for a listener that pulls as fast as it can; `dither` is a seed or None.
    """

    def __init__(
        self, cast: Cast, setting: Setting, seed: int, session: str = "s", ring_frames: int = RING_FRAMES,
        clocked: bool = True, dither: int | None = None, language: str = "en",
    ) -> None:  # fmt: skip
        self._cast = cast
        self._log = Chronicle()
        self.speech: Machine[Speech, SpeechEvent] = Machine("SPEECH", SPEECH, Speech.IDLE)
        self.ring = Ring(ring_frames)
        self.stitcher = Stitcher(self.ring, dither)
        self.playhead = Playhead(self.ring, self.stitcher)
        self.marks = Marks()
        self.heard = Heard()
        self.script = Script(language)
        self.producer = Producer(
            cast, setting, seed, session, self.script, self.ring, self.stitcher, self.marks, self._log, clocked
        )
        self.changeover = Changeover(cast, self.producer, self._log)
        self.epoch = 0
        self.yielded_to: Cause | None = None
        """Who took the floor last."""

    # what the shell reads -------------------------------------------------------------------

    @property
    def setting(self) -> Setting:
        return self.producer.setting

    @property
    def ready(self) -> bool:
        """True if the next pull brings samples: the outlet should be awake."""
        return self.playhead.ready(self.producer.expecting)

    @property
    def finished(self) -> bool:
        """True if nothing sounds and nothing is owed."""
        return self.speech.state is Speech.IDLE and not self.ready

    @property
    def sounding(self) -> bool:
        """True while voice frames leave."""
        return self.playhead.stage in (Stage.FLOWING, Stage.HOLDING)

    @property
    def outstanding(self) -> Ticket | None:
        """The ticket that an engine works on; a render of any other is wasted."""
        return self.producer.ticket

    def patient_until(self, n: int) -> int | None:
        """When to ask for the next request again although nothing plays: text waits for its delimiter."""
        return self.producer.patient_until(n) if self.speech.state is Speech.PRIMING else None

    @property
    def wanted_adapter(self) -> str | None:
        """The engine that a swap waits for, to be warmed."""
        return self.changeover.wanted_adapter

    @property
    def absent(self) -> str | None:
        """The engine whose place another one takes: whoever can, looks after it and says `engine_recovered`."""
        return self.changeover.absent

    @property
    def healthy(self) -> bool:
        return self.producer.health.state is not Health.FAILED

    def events(self) -> list[Event]:
        """What happened since the last call."""
        return self._log.take()

    def settled(self) -> list[Settled]:
        """Wishes that ended since the last call."""
        return self.changeover.take_settled()

    # what a person asks ---------------------------------------------------------------------

    def say(self, n: int, say: Say) -> Outcome:
        """Append text. Raises Refusal; a piece of a cut utterance is answered `stale`."""
        if say.voice is not None:
            self._cast.check(self.setting.adapter, voice_of(say.voice, Voice()))
        if self.script.empties(say):
            return Outcome("noop", {"utterance": say.utterance})
        placed = self.script.say(say)
        if placed is None:
            return Outcome("stale", {"utterance": say.utterance})
        begins = self.speech.state in _SILENT
        if self.speech.state is Speech.YIELDED:
            self.script.forget()
        self._fire(n, SpeechEvent.TEXT)
        if begins:
            self.producer.begin(n)
        self.producer.text_came(n)
        span = {"utterance": placed.utterance.id, "from": placed.start, "to": placed.end}
        self._log.note(Record.INPUT, n, "say", id=say.id, text=say.text, end=say.end, **span)
        return Outcome("done", span)

    def barge_in(self, n: int, barge: BargeIn) -> Outcome:
        """The caller takes the floor: one frame fades, the rest is flushed, the epoch rises."""
        if self.speech.state in _SILENT:
            return Outcome("noop", {"frame": n, "epoch": self.epoch})
        mark = self.marks.at(self.heard.position(n, self.ring.read))
        standing = self.producer.standing
        dropped = self._silence()
        stream = {"position": self.ring.read, "fades": self.playhead.fading, **standing}
        utterance, heard = self._rewind_to(mark)
        self.script.park()
        self._fire(n, SpeechEvent.BARGE_IN)
        self.yielded_to = barge.cause
        found = {"epoch": self.epoch, "utterance": utterance, "heard": heard}
        cause = barge.cause.value
        self._log.note(Record.BARGE, n, "barge_in", cause=cause, id=barge.id, dropped=dropped, **found, **stream)
        self.changeover.boundary(n, True)
        return Outcome("done", {"frame": n, **found})

    def pause(self, n: int, pause: Pause) -> Outcome:
        """Fade and keep everything; `resume` goes on from the same sample."""
        if not self.speech.takes(SpeechEvent.PAUSE):
            return Outcome("noop", {"frame": n})
        self.playhead.freeze()
        self._fire(n, SpeechEvent.PAUSE)
        stream = {"position": self.ring.read, "fades": self.playhead.fading, **self.producer.standing}
        self._log.note(Record.PAUSE, n, "pause", id=pause.id, **stream)
        return Outcome("done", {"frame": n})

    def resume(self, n: int, resume: Resume) -> Outcome:
        """After a pause: the same sample. After a barge-in: the last word that was heard."""
        if self.speech.state is Speech.PAUSED:
            self.playhead.thaw()
            self._fire(n, SpeechEvent.RESUME)
            self._log.note(Record.RESUME, n, "resume", id=resume.id, position=self.ring.read)
            return Outcome("done", {"frame": n})
        parked = self.script.parked
        if self.speech.state is not Speech.YIELDED or parked is None:
            return Outcome("noop", {"frame": n})
        source = parked.segmenter.position
        self.script.unpark()
        self._fire(n, SpeechEvent.RESUME)
        self.producer.begin(n)
        self._log.note(Record.RESUME, n, "resume", id=resume.id, utterance=parked.id, source=source)
        return Outcome("done", {"frame": n, "utterance": parked.id, "from": source})

    def abandon(self, n: int, abandon: Abandon) -> Outcome:
        """Forget what was cut or paused. Raises Refusal while it still sounds."""
        if self.speech.state is Speech.IDLE:
            return Outcome("noop")
        if not self.speech.takes(SpeechEvent.ABANDON):
            raise Refusal("speaking", "intent", "barge_in or pause first; only what was stopped can be abandoned")
        stream: dict[str, object] = {}
        if self.speech.state is Speech.PAUSED:
            standing = self.producer.standing
            self._silence()
            stream = {"position": self.ring.read, "fades": self.playhead.fading, **standing}
            self.script.park()
        parked = self.script.parked
        self.script.forget()
        self._fire(n, SpeechEvent.ABANDON)
        found = {"utterance": parked.id if parked else None}
        self._log.note(Record.SPEECH, n, "abandon", id=abandon.id, **found, **stream)
        self.changeover.boundary(n, True)
        return Outcome("done", found)

    def configure(self, n: int, configure: Configure) -> Outcome:
        """Wish for another engine, voice or mode from the next chunk boundary on. Raises Refusal."""
        wanted = self.changeover.wishes.wanted
        base = wanted.setting if wanted else self.setting
        adapter = configure.adapter or base.adapter
        if not self._cast.knows(adapter):
            raise Refusal("unknown_adapter", "inputs.adapter", f"choose one of {', '.join(self._cast.names())}")
        voice = voice_of(configure.voice, base.voice)
        if configure.voice is not None:
            self._cast.check(adapter, voice_of(configure.voice, Voice()))
        wish = self.changeover.ask(n, adapter, voice, configure.mode, named=configure.adapter is not None)
        self._boundary(n)
        return Outcome("pending", {"version": wish.version})

    # what an engine does --------------------------------------------------------------------

    def engine_ready(self, n: int, name: str) -> None:
        """Engine `name` is warm (again)."""
        if name == self.setting.adapter:
            self.producer.engine_ready(n)
        self.changeover.engine_ready(name)
        self._rescue(n, Why.FAULT, "another engine is there")
        self._boundary(n)

    def engine_recovered(self, n: int, name: str) -> None:
        """Engine `name`, which another one stands in for, renders faster than it plays again."""
        self.changeover.recovered(n, name)
        self._boundary(n)

    def engine_failed(self, n: int, name: str, why: str) -> None:
        """Engine `name` cannot be had now; the text of the current one is held, not lost."""
        if name == self.setting.adapter:
            self.producer.engine_failed(n, why)
        self.changeover.engine_failed(n, name, why)
        self._rescue(n, Why.FAULT, why)
        self._boundary(n)

    def next_request(self, n: int) -> Request | None:
        """What should be rendered now, if anything; at most one chunk is outstanding."""
        if self.speech.state not in _RENDERS:
            return None
        request = self.producer.next_request(n, self.epoch, self.speech.state is Speech.PRIMING)
        if request is None:
            self._ended(n)
        return request

    def accept(self, n: int, ticket: Ticket, chunk: AudioChunk) -> bool:
        """One piece of a render; False if its ticket is not outstanding or it is not audio."""
        verdict = self.producer.accept(n, ticket, chunk)
        if verdict is Verdict.REFUSED:
            self._rescue(n, Why.FAULT, "what it rendered is not audio")
            self._boundary(n)
            return False
        self.changeover.blended(n)
        if verdict is Verdict.LANDED:
            self._boundary(n)
        return True

    def fail(self, n: int, ticket: Ticket, why: str) -> None:
        """The render of `ticket` failed: the same chunk is asked for again, or the engine has failed."""
        self.producer.fail(n, ticket, why)
        self._rescue(n, Why.FAULT, why)
        self._boundary(n)

    def unspeakable(self, n: int, ticket: Ticket, why: str) -> None:
        """The engine has no voice for this text: another one says this sentence; nobody can: it is passed over."""
        if self.outstanding == ticket and not self.changeover.degrade(n, Why.TEXT, why):
            self.producer.pass_over(n, why)
        self._boundary(n)

    def watch(self, n: int) -> None:
        """An engine that is silent while the buffer runs out loses its place; asked at every frame, and when due."""
        why = self.producer.struggling(n)
        if why is not None:
            self.producer.engine_failed(n, why)
            self.changeover.degrade(n, Why.STALL, why)
        if self.changeover.put_off:
            self._boundary(n)

    # what the outlet does -------------------------------------------------------------------

    def read_frame(self, n: int) -> Pull:
        """Frame `n`, or the verdict that nothing leaves now."""
        before = self.playhead.stage
        pull = self.playhead.read(n, self.producer.expecting)
        if pull.spans:
            self._left(n)
        ended = before is Stage.HOLDING and (pull.kind is Kind.FILL or self.playhead.stage is Stage.ENDING)
        if ended:
            self._log.note(Record.FILL, n, "finish", position=self.ring.written, **self.producer.standing)
        if pull.kind is Kind.HOLD and before is not Stage.HOLDING:
            self._log.note(Record.FILL, n, "hold", position=self.ring.read, why="due")
        elif pull.kind is Kind.FILL:
            self._log.note(Record.FILL, n, "fill", position=self.ring.read, why="dry")
        self.watch(n)
        self._ended(n)
        return pull

    def played(self, n: int, played: int) -> None:
        """At frame `n` the far end reports that it plays frame `played`."""
        if self.heard.report(n, played) and self.speech.state is Speech.SPEAKING:
            self.producer.drift.heard(self.ring.read, self.heard.position(n, self.ring.read))

    # inside ---------------------------------------------------------------------------------

    def _rescue(self, n: int, why: Why, text: str) -> None:
        """The engine in force has failed: the next of the chain speaks, if one is warm."""
        if self.producer.failed:
            self.changeover.degrade(n, why, text)

    def _boundary(self, n: int) -> None:
        self.changeover.boundary(n, self.speech.state in _SILENT)

    def _silence(self) -> int:
        """Nothing of the present stream is heard any more but the 5 ms that fade; no word begins in those."""
        self.epoch += 1
        self.marks.truncate(self.ring.read)
        dropped = self.playhead.cut()
        self.producer.stop()
        self.changeover.cut()
        return dropped

    def _rewind_to(self, mark: Mark | None) -> tuple[str | None, int]:
        """Put the script back to what was heard last: the utterance that would go on, and from where."""
        if mark is not None and self.script.holds(mark.number):
            self.script.heard(mark.number)
            self.script.rewind(mark.number, mark.start)
            return mark.utterance, mark.start
        first = self.script.first
        if first is None:
            return None, 0
        self.script.rewind(first.number, first.origin)
        return first.id, first.origin

    def _left(self, n: int) -> None:
        """Samples leave: the machine moves, words are spoken, the far end will hear them."""
        if self.speech.state is Speech.PRIMING:
            self._fire(n, SpeechEvent.FIRST_FRAME)
        self.heard.sent(n, self.ring.read)
        for word in self.marks.pass_to(self.ring.read):
            span = {"utterance": word.utterance, "from": word.start, "to": word.end, "position": word.at}
            span |= {} if word.sure else {"sure": False}
            self._log.note(Record.WORD, n, "word", **span)
        if self.script.several:
            mark = self.marks.at(self.heard.position(n, self.ring.read))
            if mark is not None:
                self.script.heard(mark.number)

    def _ended(self, n: int) -> None:
        """Fire what follows from nothing being owed any more."""
        if not self.producer.finished:
            return
        if self.speech.state is Speech.SPEAKING:
            self._fire(n, SpeechEvent.END_OF_STREAM)
        quiet = self.ring.depth == 0 and self.playhead.stage in (Stage.TAILING, Stage.IDLE)
        if quiet and self.speech.takes(SpeechEvent.DRAINED):
            self._fire(n, SpeechEvent.DRAINED)
            self.script.drained()

    def _fire(self, n: int, event: SpeechEvent) -> None:
        before = self.speech.state
        after = self.speech.fire(event)
        if after is not before:
            self._log.note(Record.SPEECH, n, "speech", state=after.value, before=before.value, cause=event.value)
