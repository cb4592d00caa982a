"""The writing side: sentences become requests, pieces become stitched samples in the ring.

Knows neither who listens nor who interrupts; at most one chunk is outstanding.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from .cast import Cast
from .chronicle import Chronicle
from .chunk import AudioChunk, Request, Ticket, fault_of
from .drift import Correction, DriftGuard
from .frame import Provenance
from .machines import HEALTH, Health, HealthEvent, Machine
from .marks import Mark, Marks
from .messages import Mode, voice_of
from .pace import Ask, Cost, Pace
from .pcm import FADE, FRAME, RATE
from .rendering import Pending, Sentence, finish, seed_of, stitch
from .resample import Resampler
from .ring import Ring
from .script import Script, Utterance
from .segment import Hunger, Window
from .stitch import Overlap, Stitcher
from .timeline import Record
from .wish import Setting

ATTEMPTS = 3
"""Renders of one chunk before the engine counts as failed: one bad moment, one restart, one proof."""
SLACK = 4
"""A piece may hold this many times what was asked for; more is a fault, not generosity."""
PATIENCE_FRAMES = 15
"""300 ms: a typist's pause; text that waited so long without a delimiter is spoken as it is."""
QUIET = 64
"""int16 level (-54 dBFS) under which the end of a sentence counts as pause."""


class Verdict(Enum):
    """What became of a piece."""

    REFUSED = "refused"
    PIECE = "piece"
    LANDED = "landed"


class Producer:
    """Owns the pace, the sentence in hand, the outstanding chunk and the engine's health."""

    def __init__(
        self, cast: Cast, setting: Setting, seed: int, session: str, script: Script, ring: Ring, stitcher: Stitcher,
        marks: Marks, chronicle: Chronicle, clocked: bool,
    ) -> None:  # fmt: skip
        self._cast = cast
        self._seed = seed
        self._session = session
        self._script = script
        self._ring = ring
        self._stitcher = stitcher
        self._marks = marks
        self._log = chronicle
        self._clocked = clocked
        self.setting = setting
        self.health: Machine[Health, HealthEvent] = Machine("HEALTH", HEALTH, Health.COLD)
        self.drift = DriftGuard()
        self.pace = self._new_pace()
        self.chunks = 0
        self._sentences = 0
        self._sentence: Sentence | None = None
        self._pending: Pending | None = None
        self._dry = True
        self._text_at = 0

    # what others ask ------------------------------------------------------------------------

    @property
    def depth_ms(self) -> float:
        """Audio that can be played; what the stitcher keeps back is not counted."""
        return self._ring.depth * 1000.0 / RATE

    @property
    def outstanding(self) -> bool:
        return self._pending is not None

    @property
    def ticket(self) -> Ticket | None:
        """The ticket that is out with an engine."""
        return None if self._pending is None or self._pending.due else self._pending.request.ticket

    @property
    def in_sentence(self) -> bool:
        return self._sentence is not None

    @property
    def expecting(self) -> bool:
        """An engine owes samples: an empty ring is a hole, not an end."""
        if self._sentence is not None or self._pending is not None:
            return True
        return not self._dry and self._script.current is not None

    @property
    def finished(self) -> bool:
        """Nothing is owed and no more text can come from what was begun."""
        return self._sentence is None and self._pending is None and self._script.current is None

    def text_came(self, n: int) -> None:
        self._text_at = n
        self._dry = False

    def begin(self, mode: Mode | None) -> None:
        """Speech starts from an empty buffer."""
        current = self._script.current
        self.pace.mode = mode or self.setting.mode
        target = current.hints.target_chunk if current else None
        if current is not None and current.hints.cadence is not None:
            self.pace.mode = current.hints.cadence
        unit_ms = self._cast.descriptor(self.setting.adapter).unit_ms
        self.pace.start(None if target is None else target * unit_ms)
        self._dry = False

    def stop(self) -> None:
        """What is outstanding is stale from now on."""
        self._sentence = None
        self._pending = None
        self._dry = True

    # asking an engine -----------------------------------------------------------------------

    def next_request(self, n: int, epoch: int, unheard: bool) -> Request | None:
        """What should be rendered now; `unheard`: nothing of this speech has sounded yet."""
        if self._pending is not None:
            return self._reissue()
        if self.health.state is Health.FAILED:
            return None
        ask = self.pace.ask(self.depth_ms)
        if ask is None or self._ring.room < SLACK * ask.ms * RATE / 1000:
            return None
        if self._sentence is None and not self._next_sentence(n, epoch, unheard):
            return None
        return self._issue(n, epoch, ask, primed=not unheard or self._ring.depth > 0)

    def _hunger(self, n: int, unheard: bool) -> Hunger:
        if unheard:
            return Hunger.STARVING if n - self._text_at >= PATIENCE_FRAMES else Hunger.HUNGRY
        if self._ring.depth < FRAME:
            return Hunger.STARVING
        return Hunger.HUNGRY if self.depth_ms < self.pace.low() else Hunger.NONE

    def _next_sentence(self, n: int, epoch: int, unheard: bool) -> bool:
        found = self._script.next_window(self._hunger(n, unheard))
        if found is None:
            self._dry = True
            return False
        self._sentence = self._open(*found, epoch)
        window = self._sentence.window
        self._marks.add(Mark(self._stitcher.position, "sentence", self._sentence.utterance, window.start, window.end))
        return True

    def _open(self, utterance: Utterance, window: Window, epoch: int) -> Sentence:
        descriptor = self._cast.descriptor(self.setting.adapter)
        self._sentences += 1
        return Sentence(
            utterance=utterance.id,
            window=window,
            descriptor=descriptor,
            knobs=self._cast.knobs(self.setting.adapter, voice_of(utterance.voice, self.setting.voice)),
            stream=f"{self._session}.{epoch}.{self._sentences}",
            seed=seed_of(self._seed, utterance.number, window.start),
            out_start=self._stitcher.position,
            resampler=Resampler(descriptor.sample_rate),
            overlap=Overlap(round(descriptor.overlap_ms * descriptor.sample_rate / 1000)),
        )

    def _issue(self, n: int, epoch: int, ask: Ask, primed: bool) -> Request | None:
        sentence = self._sentence
        assert sentence is not None
        request = Request(
            ticket=Ticket(epoch, self.chunks),
            adapter=self.setting.adapter,
            stream=sentence.stream,
            text=sentence.window.text,
            cursor=sentence.cursor,
            samples=round(ask.ms * sentence.descriptor.sample_rate / 1000),
            units=sentence.descriptor.granularity[ask.rung],
            knobs=sentence.knobs,
            seed=sentence.seed,
            state=sentence.state,
        )
        window = (sentence.window.start, sentence.window.end)
        origin = Provenance(request.adapter, self.chunks, window, sentence.utterance, epoch)
        self._pending = Pending(request, origin, primed)
        self.chunks += 1
        self._log.note(
            Record.REQUEST, n, "request", chunk=origin.chunk_id, adapter=request.adapter, text_range=list(window),
            window=[request.cursor, request.cursor + request.samples], n=request.units, seed_chunk=request.seed,
            mode=self.pace.mode.value, low_latency=ask.low_latency, utterance=sentence.utterance, epoch=epoch,
            stream=request.stream, text=request.text, knobs=dict(request.knobs), rung=ask.rung, move=self.pace.move.value, depth_ms=round(self.depth_ms, 3),
        )  # fmt: skip
        return self._reissue()

    def _reissue(self) -> Request | None:
        pending = self._pending
        if pending is None or not pending.due or self.health.state is Health.FAILED:
            return None
        pending.due = False
        return pending.request

    # what comes back ------------------------------------------------------------------------

    def accept(self, n: int, ticket: Ticket, chunk: AudioChunk) -> Verdict:
        """One piece; refused if its ticket is not outstanding or it is not audio."""
        pending, sentence = self._pending, self._sentence
        if pending is None or sentence is None or pending.due or pending.request.ticket != ticket:
            return Verdict.REFUSED
        why = fault_of(chunk, sentence.descriptor.sample_rate, self._most(pending, sentence))
        if why is not None:
            self.fail(n, ticket, why)
            return Verdict.REFUSED
        if pending.met_ms is None:
            pending.met_ms = self.depth_ms
            sentence.overlap.begin()
        pending.pieces += 1
        pending.digest.update(chunk.pcm.tobytes())
        sentence.mark(chunk, self._marks)
        stitch(sentence, pending.fresh(chunk), pending.origin, self._stitcher)
        if not chunk.last:
            return Verdict.PIECE
        self._landed(n, pending, sentence, chunk)
        return Verdict.LANDED

    def _most(self, pending: Pending, sentence: Sentence) -> int:
        """Native samples that one piece may hold: a sane multiple of what was asked, and the ring's room."""
        rate = sentence.descriptor.sample_rate
        room = (self._ring.room - 4 * FRAME) * rate // RATE
        return max(0, min(SLACK * pending.request.samples + rate, room))

    def fail(self, n: int, ticket: Ticket, why: str) -> bool:
        """The render failed: the same chunk is asked for again. True: the engine counts as failed."""
        pending = self._pending
        if pending is None or pending.due or pending.request.ticket != ticket:
            return False
        self._log.note(Record.FAULT, n, "render", "retry", chunk=ticket.chunk_id, attempt=ticket.attempt, why=why)
        pending.again()
        return pending.request.ticket.attempt % ATTEMPTS == 0

    def _landed(self, n: int, pending: Pending, sentence: Sentence, chunk: AudioChunk) -> None:
        sentence.cursor, sentence.state = chunk.cursor, chunk.state
        if chunk.eos:
            self._end_sentence(n, sentence, pending.origin)
        self._pending = None
        audio_ms = pending.accepted * 1000.0 / sentence.descriptor.sample_rate
        self._log.note(
            Record.CHUNK, n, "render", "ok", round(chunk.render_ms, 3), chunk=pending.origin.chunk_id,
            adapter=pending.origin.adapter, samples=pending.accepted, pcm_b2=pending.digest.hexdigest(),
            render_ms=round(chunk.render_ms, 3), attempt=pending.request.ticket.attempt, pieces=pending.pieces,
            eos=chunk.eos, position=self._stitcher.position, utterance=sentence.utterance,
        )  # fmt: skip
        self.pace.landed(audio_ms, chunk.render_ms, pending.met_ms or 0.0, self.depth_ms, pending.primed)
        self._note_pace(n)

    def _end_sentence(self, n: int, sentence: Sentence, origin: Provenance) -> None:
        finish(sentence, origin, self._stitcher)
        end = self._ring.written
        self.drift.wrote(sentence.resampler.taken, sentence.resampler.rate, sentence.resampler.given)
        self.drift.marked(sentence.out_start + sentence.resampler.position(max(sentence.marked_to, 0)), end)
        self._sentence = None
        correction = self.drift.at_pause(self._pause_length())
        if correction is not None:
            self._correct(n, correction, origin)
        at, source = self._ring.written, sentence.window.end
        self._marks.add(Mark(at, "end", sentence.utterance, source, source))

    def _correct(self, n: int, correction: Correction, origin: Provenance) -> None:
        if correction.samples > 0:
            self._stitcher.silence(correction.samples, origin)
        else:
            self._ring.truncate(self._ring.written + correction.samples)
            self._marks.truncate(self._ring.written)
        self._log.note(Record.DRIFT, n, "drift", samples=correction.samples, why=correction.why)

    def _pause_length(self) -> int:
        """Samples of quiet at the end of what is written and not yet read, at most 20 ms."""
        start = max(self._ring.read, self._ring.written - FRAME)
        written = self._ring.copy(start, self._ring.written).astype(np.int32)
        loud = np.flatnonzero(np.abs(written) > QUIET)
        return len(written) - (int(loud[-1]) + 1 if len(loud) else 0)

    def _note_pace(self, n: int) -> None:
        low, high = self.pace.band
        self._log.note(
            Record.PACE, n, "pace", rung=self.pace.rung, move=self.pace.move.value, depth_ms=round(self.depth_ms, 3),
            low_ms=round(low, 3), high_ms=round(high, 3), ratio_ms=round(self.pace.cost.ratio, 5),
        )  # fmt: skip
        event = HealthEvent.STRAIN if self.pace.strained else HealthEvent.RELIEF
        if self.health.takes(event):
            self._health(n, event)

    # the engine -----------------------------------------------------------------------------

    def _new_pace(self) -> Pace:
        cost = Cost()
        prior = self._cast.prior(self.setting.adapter)
        if prior is not None:
            cost.learn(*prior)
        rungs = self._cast.descriptor(self.setting.adapter).rungs_ms()
        return Pace(rungs, self.setting.mode, cost, self._clocked)

    def _health(self, n: int, event: HealthEvent, **more: object) -> None:
        state = self.health.fire(event)
        self._log.note(Record.HEALTH, n, "health", state=state.value, adapter=self.setting.adapter, **more)

    def engine_ready(self, n: int) -> None:
        if self.health.state is not Health.READY:
            self._health(n, HealthEvent.READY)

    def engine_failed(self, n: int, why: str) -> None:
        """The text is held until the engine is back or another one takes over."""
        self._health(n, HealthEvent.FAULT, why=why)

    def use(self, n: int, setting: Setting) -> None:
        """From now on `setting` is in force; called between two chunks."""
        changed = setting.adapter != self.setting.adapter
        self.setting = setting
        self.pace.mode = setting.mode
        if changed:
            self.pace = self._new_pace()
            self.begin(None)
            self.engine_ready(n)

    def hand_over(self) -> bool:
        """Cut the unplayed audio at its last word's start; that word will begin anew.

        The old stream's next 5 ms are blended into the new one. False: no word begins in what is left.
        """
        mark = self._marks.last_word(self._ring.read + FRAME, self._ring.written - FADE)
        if mark is None or self._sentence is None or mark.utterance != self._sentence.utterance:
            return False
        old = self._ring.copy(mark.at, mark.at + FADE).astype(np.float32) / np.float32(32767.0)
        self._ring.truncate(mark.at)
        self._marks.truncate(mark.at)
        self._stitcher.drop()
        self._stitcher.begin(old)
        self._sentence = None
        self._script.rewind(mark.utterance, mark.start)
        self._dry = False
        return True
