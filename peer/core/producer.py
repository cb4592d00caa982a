"""The writing side: sentences become requests, pieces become stitched samples in the ring.

Knows neither who listens nor who interrupts; at most one chunk is outstanding.
"""

from __future__ import annotations

from enum import Enum

from . import accounts
from .cast import Cast
from .chronicle import Chronicle
from .chunk import AudioChunk, Request, Ticket, fault_of
from .descriptor import MarkerQuality
from .drift import Correction, DriftGuard
from .envelope import Match
from .frame import Provenance
from .lifeline import Lifeline
from .machines import HEALTH, Health, HealthEvent, Machine
from .marks import Mark, Marks
from .matching import Matching
from .messages import voice_of
from .pace import Ask, Cost, Pace
from .pcm import FADE, FRAME, FRAME_MS, RATE, as_float
from .rendering import Pending, Sentence, finish, grown, seed_of, stitch
from .resample import Resampler
from .ring import Ring, quiet
from .script import Script, Utterance
from .seam import Seam
from .segment import Hunger, Window
from .stitch import Overlap, Stitcher
from .tempo import Tempo, known, paced
from .timeline import Record
from .wish import Setting

ATTEMPTS = 3
"""Renders of one chunk before the engine counts as failed: one bad moment, one restart, one proof."""
SLACK = 4
"""A piece may hold this many times what was asked for; more is a fault, not generosity."""
PATIENCE_FRAMES = 15
"""300 ms: a typist's pause; text that waited so long without a delimiter is spoken as it is."""
RESERVE = 4 * FRAME
"""Samples that a piece leaves free: the stitcher's tail, a correction, and the frame that is being read."""
CLAUSE = 8
"""Words of one window where an engine does not say where its words lie: a swap waits for the window's end, and what
is lost from sight in a cut is a clause at most."""
MARGIN_FRAMES = 2
"""Beside what a stand-in takes: one frame until somebody looks, one that is being read."""
LETTER_MS = 15.0
"""A letter at pace 1 takes four times as long; abbreviations and letters that are not said are allowed for."""


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
        self.health = self._new_health()
        self.drift = DriftGuard()
        self._tempo = Tempo(cast, setting, clocked, chronicle)
        self.chunks = 0
        self._sentences = 0
        self._sentence: Sentence | None = None
        self._pending: Pending | None = None
        self.stock_ms = 0.0
        """The depth that the buffer shall reach so that another engine can begin; 0: none waits."""
        self._dry = True
        self._starved = False
        """Text was missing when a chunk was due: an empty buffer is not the engine's fault."""
        self._text_at = 0
        self._lifeline = Lifeline()
        self._matching = Matching(cast, ring, marks, setting.adapter)

    # what others ask ------------------------------------------------------------------------

    @property
    def pace(self) -> Pace:
        """The controller of the engine in force."""
        return self._tempo.pace

    @property
    def depth_ms(self) -> float:
        """Audio that can be played; what the stitcher keeps back is not counted."""
        return self._ring.depth * 1000.0 / RATE

    @property
    def ticket(self) -> Ticket | None:
        """The ticket that is out with an engine."""
        return None if self._pending is None or self._pending.due else self._pending.request.ticket

    @property
    def standing(self) -> dict[str, object]:
        """For the log: the outstanding chunk and how many of its native samples are stitched; empty without one."""
        pending = self._pending
        return {} if pending is None else {"chunk": pending.origin.chunk_id, "accepted": pending.accepted}

    @property
    def failed(self) -> bool:
        return self.health.state is Health.FAILED

    @property
    def in_sentence(self) -> bool:
        return self._sentence is not None

    @property
    def committed(self) -> bool:
        """A chunk is outstanding whose sentence has begun to sound."""
        return self._pending is not None and self._sentence is not None and not self._sentence.untouched

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

    def patient_until(self, n: int) -> int | None:
        """The frame at which text that waits unheard, or an engine that is silent, is looked at again."""
        if self._pending is not None:
            due = None if self._pending.due else self._lifeline.due(self._expected(self._pending))
            return None if due is None else max(n + 1, due)
        current = self._script.current
        if current is None or self._sentence is not None:
            return None
        return n + 1 if current.segmenter.ended else max(n + 1, self._text_at + PATIENCE_FRAMES)

    def text_came(self, n: int) -> None:
        self._text_at = n
        self._dry = False

    def begin(self, n: int) -> None:
        """Speech starts from an empty buffer."""
        self._tempo.begin(n, self._script.current, self.setting, self.depth_ms)
        self.drift.heard_anew()
        self._dry = False

    def stop(self) -> None:
        """What is outstanding is stale from now on."""
        self._sentence = None
        self._pending = None
        self._dry = True
        self._starved = False
        self.stock_ms = 0.0

    # asking an engine -----------------------------------------------------------------------

    def next_request(self, n: int, epoch: int, unheard: bool) -> Request | None:
        """What should be rendered now; `unheard`: nothing of this speech has sounded yet."""
        if self._pending is not None:
            return self._reissue()
        if self.failed:
            return None
        ask = self.pace.ask(self.depth_ms, self.stock_ms)
        if ask is None or self._ring.room < SLACK * ask.ms * RATE / 1000:
            return None
        if self._sentence is None and not self._next_sentence(n, epoch, unheard):
            return None
        primed = not self._starved and self._ring.depth >= FRAME
        self._starved = False
        return self._issue(n, epoch, ask, primed)

    def _hunger(self, n: int, unheard: bool) -> Hunger:
        if unheard:
            return Hunger.STARVING if n - self._text_at >= PATIENCE_FRAMES else Hunger.HUNGRY
        if self._ring.depth < FRAME:
            return Hunger.STARVING
        return Hunger.HUNGRY if self.depth_ms < self.pace.low() else Hunger.NONE

    def _next_sentence(self, n: int, epoch: int, unheard: bool) -> bool:
        sure = self._cast.descriptor(self.setting.adapter).words in (MarkerQuality.EXACT, MarkerQuality.ALIGNED)
        found = self._script.next_window(self._hunger(n, unheard), None if sure else CLAUSE)
        if found is None:
            self._dry = self._starved = True
            return False
        self._sentence = self._open(n, *found, epoch)
        window = self._sentence.window
        self._mark("sentence", self._stitcher.position, self._sentence, window.start, window.end)
        return True

    def _mark(self, kind: str, at: int, sentence: Sentence, start: int, end: int) -> None:
        self._marks.add(Mark(at, kind, sentence.utterance, start, end, sentence.number))

    def _open(self, n: int, utterance: Utterance, window: Window, epoch: int) -> Sentence:
        descriptor = self._cast.descriptor(self.setting.adapter)
        voice = self.match.apply(voice_of(utterance.voice, self.setting.voice))
        self._sentences += 1
        self._tempo.follow(n, utterance, self.setting)
        return Sentence(
            utterance=utterance.id,
            number=utterance.number,
            window=window,
            descriptor=descriptor,
            knobs=self._cast.knobs(self.setting.adapter, voice),
            stream=f"{self._session}.{epoch}.{self._sentences}",
            seed=seed_of(self._seed, utterance.number, window.start),
            out_start=self._stitcher.position,
            resampler=Resampler(descriptor.sample_rate),
            overlap=Overlap(round(descriptor.overlap_ms * descriptor.sample_rate / 1000)),
        )

    def _issue(self, n: int, epoch: int, ask: Ask, primed: bool) -> Request | None:
        sentence = self._sentence
        assert sentence is not None
        request = sentence.request(Ticket(epoch, self.chunks), self.setting.adapter, ask)
        window = (sentence.window.start, sentence.window.end)
        origin = Provenance(request.adapter, self.chunks, window, sentence.utterance, epoch)
        self._pending = Pending(request, origin, primed)
        self._lifeline.asked(n)
        self.chunks += 1
        facts = accounts.asked(sentence, request, ask, self.pace)
        facts |= {"position": self._stitcher.position, "curve": self._stitcher.curve, "stock_ms": self.stock_ms}
        self._log.note(Record.REQUEST, n, "request", **facts, depth_ms=round(self.depth_ms, 3))
        return self._reissue()

    def _reissue(self) -> Request | None:
        pending = self._pending
        if pending is None or not pending.due or self.failed:
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
        if why is None and chunk.last and not chunk.eos and chunk.cursor <= pending.request.cursor:
            why = "the render neither went on nor ended"
        if why is None and chunk.cursor > pending.request.cursor + pending.attempt_seen + len(chunk.pcm):
            why = "its cursor is ahead of its samples"
        if why is None and chunk.eos and self._too_short(sentence, chunk):
            why = "the sentence ended before it can have been said"
        if why is not None:
            self.fail(n, ticket, why)
            return Verdict.REFUSED
        if pending.met_ms is None:
            pending.met_ms = self.depth_ms
            pending.out_start, pending.curve = self._stitcher.position, self._stitcher.curve
            sentence.overlap.begin()
        self._lifeline.lives(n)
        pending.pieces += 1
        pending.digest.update(chunk.pcm.tobytes())
        sentence.mark(chunk, self._marks)
        pending.markers += [sentence.place(marker) for marker in chunk.markers]
        stitch(sentence, pending.fresh(chunk), pending.origin, self._stitcher)
        if not chunk.last:
            return Verdict.PIECE
        self._landed(n, pending, sentence, chunk)
        return Verdict.LANDED

    def _too_short(self, sentence: Sentence, chunk: AudioChunk) -> bool:
        """Nobody speaks so fast: something is missing. Where nobody else could say it, it has to do."""
        letters = sum(map(str.isalpha, sentence.window.text))
        least = letters * LETTER_MS / self.setting.voice.pace * sentence.descriptor.sample_rate / 1000
        if chunk.cursor >= least:
            return False
        return bool(self._cast.stand_ins(self.setting.adapter, self.setting.voice.accent))

    def _most(self, pending: Pending, sentence: Sentence) -> int:
        """Native samples that one piece may hold: a sane multiple of what was asked, and the ring's room."""
        rate, stream = sentence.descriptor.sample_rate, sentence.resampler
        owed = stream.position(stream.taken + sentence.overlap.samples) - stream.given
        room = (self._ring.room - owed - RESERVE) * rate // RATE
        return max(0, min(SLACK * pending.request.samples + rate, room))

    def fail(self, n: int, ticket: Ticket, why: str) -> None:
        """The render failed: the same chunk is asked for again; after ATTEMPTS the engine counts as failed."""
        pending = self._pending
        if pending is None or pending.due or pending.request.ticket != ticket:
            return
        self._log.note(Record.FAULT, n, "render", "retry", chunk=ticket.chunk_id, attempt=ticket.attempt, why=why)
        pending.again()
        if pending.request.ticket.attempt % ATTEMPTS == 0:
            self.engine_failed(n, why)

    def _landed(self, n: int, pending: Pending, sentence: Sentence, chunk: AudioChunk) -> None:
        kept = grown(sentence.state, chunk.state)
        sentence.cursor, sentence.state = chunk.cursor, chunk.state
        if chunk.eos:
            self._end_sentence(n, sentence, pending.origin)
        self._pending = None
        audio_ms = pending.accepted * 1000.0 / sentence.descriptor.sample_rate
        render_ms = round(chunk.render_ms, 3)
        facts = accounts.landed(sentence, pending, chunk) | {"position": self._stitcher.position} | kept
        self._log.note(Record.CHUNK, n, "render", "ok", render_ms, **facts)
        self._log.note(Record.STITCH, n, "stitch", **accounts.stitched(sentence, pending))
        self._tempo.landed(n, audio_ms, render_ms, pending.met_ms or 0.0, self.depth_ms, pending.primed)
        self._feel(n)

    def _end_sentence(self, n: int, sentence: Sentence, origin: Provenance) -> None:
        finish(sentence, origin, self._stitcher)
        end = self._ring.written
        self._marks.clamp(end)
        self.drift.wrote(sentence.resampler.taken, sentence.resampler.rate, sentence.resampler.given)
        self.drift.marked(sentence.out_start + sentence.resampler.position(sentence.marked_to), end)
        self._sentence = None
        correction = self.drift.at_pause(quiet(self._ring))
        if correction is not None:
            self._correct(n, correction, origin)
        self._mark("end", self._ring.written, sentence, sentence.window.end, sentence.window.end)

    def _correct(self, n: int, correction: Correction, origin: Provenance) -> None:
        if correction.samples > 0:
            self._stitcher.silence(correction.samples, origin)
        else:
            self._ring.truncate(self._ring.written + correction.samples)
            self._marks.clamp(self._ring.written)
        self._log.note(Record.DRIFT, n, "drift", samples=correction.samples, why=correction.why, chunk=origin.chunk_id)

    def _feel(self, n: int) -> None:
        """What the pace says of the engine's health."""
        event = HealthEvent.STRAIN if self.pace.strained else HealthEvent.RELIEF
        if self.health.takes(event):
            self._health(n, event)

    # the engine -----------------------------------------------------------------------------

    @staticmethod
    def _new_health(state: Health = Health.COLD) -> Machine[Health, HealthEvent]:
        return Machine("HEALTH", HEALTH, state)

    def _health(self, n: int, event: HealthEvent, **more: object) -> None:
        state = self.health.fire(event)
        self._log.note(Record.HEALTH, n, "health", state=state.value, adapter=self.setting.adapter, **more)

    def engine_ready(self, n: int) -> None:
        self._tempo.primed(n, self.setting.adapter)
        if self.health.state is not Health.READY:
            self._health(n, HealthEvent.READY)

    def engine_failed(self, n: int, why: str) -> None:
        """The text is held until the engine is back or another one takes over."""
        self._health(n, HealthEvent.FAULT, why=why)
        if self._pending is not None and not self._pending.due:
            self._pending.again()

    # another engine, and an engine that says nothing -----------------------------------------

    @property
    def match(self) -> Match:
        """What the engine in force changes to sound like the one before it."""
        return self._matching.of(self.setting.adapter)

    def _expected(self, pending: Pending) -> float:
        """ms that the chunk should take; 0 if nobody knows."""
        sentence = self._sentence
        rate = sentence.descriptor.sample_rate if sentence is not None else RATE
        return self.pace.cost.expect(pending.request.samples * 1000.0 / rate)

    def struggling(self, n: int) -> str | None:
        """Why another engine should go on, or None: the buffer will soon be empty, and this one is silent for longer
        than is its custom, or can never keep up.
        """
        pending = self._pending
        if not self._clocked or pending is None or pending.due:
            return None
        silent, grace = self._lifeline.silent_ms(n), self._lifeline.grace_ms(self._expected(pending))
        late = grace is not None and silent > grace
        slow = pending.primed and self._ring.depth < MARGIN_FRAMES * FRAME and self.pace.strained
        if not (late or slow) or self.left_ms > self._margin_ms():
            return None
        return f"nothing came for {silent:.0f} ms" if late else "it renders slower than it plays"

    @property
    def left_ms(self) -> float:
        """What can be played before another engine must begin: to the last word that has not begun, else all."""
        mark = None
        if self._sentence is not None and self._sentence.sure:
            mark = self._marks.last_word(self._ring.read, self._ring.written - FADE)
        end = self._ring.written if mark is None else mark.at
        return (end - self._ring.read) * 1000.0 / RATE

    def entry_ms(self, setting: Setting) -> float:
        """What must be left so that `setting` begins without a hole, as far as anybody knows; 0 where nobody waits."""
        if not self._clocked:
            return 0.0
        same = setting.adapter == self.setting.adapter
        return (self.pace if same else paced(self._cast, setting.adapter, setting.mode, True)).entry

    def _margin_ms(self) -> float:
        """How long before the end of what can be played a stand-in must be asked. Negative: there is none."""
        standing = self._cast.stand_ins(self.setting.adapter, self.setting.voice.accent)
        if not standing:
            return -1.0
        first = self._cast.descriptor(standing[0]).rungs_ms()[0]
        return MARGIN_FRAMES * FRAME_MS + known(self._cast, standing[0], Cost()).expect(first)

    def pass_over(self, n: int, why: str) -> None:
        """Nobody can say the sentence in hand: speech goes on behind it."""
        sentence, pending = self._sentence, self._pending
        if sentence is None or pending is None:
            return
        self._log.note(Record.FAULT, n, "text", "passed_over", why=why, utterance=sentence.utterance,
                       text_range=[sentence.window.start, sentence.window.end], **self.standing)  # fmt: skip
        self._end_sentence(n, sentence, pending.origin)
        self._pending = None

    def use(self, n: int, setting: Setting) -> None:
        """From now on `setting` is in force; called between two chunks."""
        changed = setting.adapter != self.setting.adapter
        self._matching.change(self.setting, setting)
        self.setting = setting
        if changed:
            self._lifeline = Lifeline()
            self._tempo.change(n, setting)
            self.health = self._new_health()
            self.begin(n)
            self.engine_ready(n)
        else:
            self._tempo.tune(n, self._script.current, setting)

    def hand_over(self, forced: bool) -> Seam | None:
        """The rest of the sentence begins anew, at the last word that has not begun to sound.

        None: no word begins in what is left. `forced` because the engine is gone: then at the
        word that sounds.
        """
        sentence, pending = self._sentence, self._pending
        assert sentence is not None
        if sentence.untouched:
            self._go_on(sentence.number, sentence.window.start)
            return Seam()
        chunk, accepted = (None, 0) if pending is None else (pending.origin.chunk_id, pending.accepted)
        after = self._ring.read + (0 if forced else FRAME)
        mark = self._marks.last_word(after, self._ring.written - FADE) if sentence.sure else None
        if mark is not None and mark.number == sentence.number:
            seam = Seam("blend", mark.at, chunk, accepted)
            self._blend(mark)
        elif forced:
            mark = self._marks.last_of(sentence.number) if sentence.sure else self._marks.at(self._ring.written)
            assert mark is not None
            seam = Seam("finish", None, chunk, accepted)
            self._stitcher.finish()
            self._marks.truncate(mark.at)
        else:
            return None
        self._go_on(mark.number, mark.start)
        return seam

    def _blend(self, mark: Mark) -> None:
        """Cut what is unplayed at `mark`; the old stream's next 5 ms are blended into the new one."""
        old = as_float(self._ring.copy(mark.at, mark.at + FADE))
        self._ring.truncate(mark.at)
        self._marks.truncate(mark.at)
        self._stitcher.drop()
        self._stitcher.begin(old)

    def _go_on(self, number: int, source: int) -> None:
        """Nothing is in hand: what comes next begins at that character."""
        self._sentence = self._pending = None
        self._script.rewind(number, source)
        self._dry = False
