"""The orchestrator in virtual time: speech, barge-in at every instant, faults, determinism."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.core.chunk import AudioChunk, Request
from peer.core.errors import Refusal
from peer.core.frame import Kind
from peer.core.machines import Speech
from peer.core.messages import Abandon, BargeIn, Mode, Pause, Resume, Say
from peer.core.orchestrator import Orchestrator
from peer.core.pcm import FRAME
from peer.core.timeline import Event
from peer.core.voice import Voice
from peer.core.wish import Setting
from SCENES.engines import Cost, ModelCast, ModelEngine
from SCENES.harness import Theatre

from .measure import TEXT, clicks, stops, word_starts


def told(text: str = TEXT, **more: object) -> Theatre:
    """The undisturbed run."""
    theatre = Theatre(**more)  # type: ignore[arg-type]
    theatre.say(text, utterance="u")
    return theatre.until_quiet()


def timeless(events: list[Event]) -> list[dict[str, object]]:
    """Events without what may differ between equal runs."""
    return [{k: v for k, v in e.to_wire().items() if not k.endswith("_ms")} for e in events]


# speech -------------------------------------------------------------------------------------


def test_speech_goes_from_idle_to_idle() -> None:
    """The SPEECH machine's moves, in order, and every word of the text once."""
    theatre = told()
    assert [e.fields["state"] for e in theatre.of("speech")] == ["PRIMING", "SPEAKING", "DRAINING", "IDLE"]
    starts = word_starts(theatre)
    assert starts == sorted(set(starts)) and {TEXT[s] for s in starts} >= {"T", "q", "2", "1", "b", "Y"}
    assert not clicks(theatre) and theatre.peer.finished


def test_each_frame_has_its_origin() -> None:
    """Voice frames resolve to chunks without a gap; positions follow each other."""
    theatre, at = told(), 0
    for heard in theatre.frames:
        if heard.pull.kind is Kind.VOICE:
            spans = heard.pull.spans
            assert heard.pull.position == spans[0].start == at
            assert all(a.end == b.start for a, b in itertools.pairwise(spans))
            at = spans[-1].end
    assert at == theatre.peer.ring.written


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 60), st.floats(0.01, 0.9))
def test_the_samples_do_not_depend_on_the_speed(seed: int, overhead: float, ratio: float) -> None:
    """Chunk sizes differ, the stream does not: as long as no hole had to be filled."""
    engine = ModelEngine(cost=Cost(overhead, ratio, 0.2), seed=seed)
    theatre = Theatre({"tone": engine}, mode=Mode.STEADY)
    theatre.say(TEXT, utterance="u")
    theatre.until_quiet()
    if not theatre.of("fill"):
        assert voice(theatre) == voice(told())


def voice(theatre: Theatre) -> bytes:
    """All voice samples that left, without the silence around them."""
    parts = [h.pcm[: sum(s.end - s.start for s in h.pull.spans)] for h in theatre.frames if h.pcm is not None]
    return b"".join(p.tobytes() for p in parts)


def test_the_same_inputs_give_the_same_pcm_and_events() -> None:
    """Twice the same story with the same render times: bytes and events are equal but for milliseconds."""

    def story() -> Theatre:
        engines = {"tone": ModelEngine(cost=Cost(30, 0.4, 0.5), faults={3: "die", 9: "nan"}), "b": ModelEngine()}
        theatre = Theatre(engines)
        theatre.say(TEXT, utterance="u")
        theatre.run(1234)
        theatre.barge_in()
        theatre.run(100)
        theatre.resume()
        theatre.run(2000)
        theatre.configure(adapter="b")
        return theatre.until_quiet()

    one, two = story(), story()
    assert np.array_equal(one.pcm, two.pcm) and timeless(one.events) == timeless(two.events)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 30), max_size=20), st.integers(0, 120))
def test_streamed_text_says_the_same_words(cuts: list[int], gap_ms: int) -> None:
    """Text in pieces of any size, with pauses between them: every word once, in order."""
    theatre, at = Theatre(), 0
    for cut in cuts:
        if piece := TEXT[at : at + cut]:
            theatre.say(piece, utterance="u", end=False)
            theatre.run(gap_ms)
        at += cut
    theatre.say(TEXT[at:], utterance="u")
    theatre.until_quiet()
    assert [s for s in word_starts(theatre) if TEXT[s].isalnum()] == [
        s for s in word_starts(told()) if TEXT[s].isalnum()
    ]


def test_late_text_is_not_the_engines_fault() -> None:
    """A buffer that runs dry because words were missing halves nothing."""
    theatre = Theatre()
    for word in ("One two three four five six. " * 12).split(". "):
        theatre.say(f"{word}. ", utterance="u", end=False)
        theatre.run(4000)
    assert not [e for e in theatre.of("pace") if e.fields["move"] == "halve"]
    assert theatre.peer.speech.state is Speech.SPEAKING, "an open utterance is not over"
    theatre.say("", utterance="u")
    theatre.until_quiet()
    assert theatre.peer.speech.state is Speech.IDLE


def test_queued_utterances_follow_each_other() -> None:
    """In the order in which they were said; the queue empties as they are heard."""
    theatre = Theatre()
    for name in "abc":
        theatre.say("One two three four. Five six.", utterance=name)
    theatre.run(3000)
    assert theatre.peer.script.first is not None and theatre.peer.script.first.id == "b"
    theatre.until_quiet()
    names = [str(e.fields["utterance"]) for e in theatre.of("word")]
    assert names == sorted(names) and len(names) == 18 and theatre.peer.script.empty


def test_a_name_may_come_again() -> None:
    """Marks of the finished utterance of that name do not mislead a barge-in into the new one."""
    theatre = Theatre()
    theatre.say("One two three four five six seven eight nine ten.", utterance="u")
    theatre.until_quiet()
    assert theatre.say("Eleven.", utterance="u").result == "done"
    outcome = theatre.barge_in()
    assert outcome.artifacts["heard"] == 0
    theatre.resume()
    theatre.until_quiet()
    assert word_starts(theatre)[-1] == 0


@pytest.mark.parametrize("text", ["🙂", "🙂🙂 🙂", "   \n ", "…", "\u200b"])
def test_what_cannot_be_heard_goes_back_to_idle(text: str) -> None:
    """Emoji only: PRIMING, then IDLE, no frame and no request."""
    theatre = Theatre()
    theatre.say(text)
    theatre.until_quiet(2000)
    assert [e.fields["state"] for e in theatre.of("speech")] == ["PRIMING", "IDLE"]
    assert not theatre.of("request") and set(theatre.kinds()) <= {Kind.IDLE}


def test_an_end_of_nothing_changes_nothing() -> None:
    """Closing an utterance of which no word was said is a no-op, also after a cut."""
    theatre = Theatre()
    theatre.say(TEXT, utterance="u")
    theatre.run(1000)
    theatre.barge_in()
    assert theatre.say("", utterance="other").result == "noop"
    assert theatre.peer.speech.state is Speech.YIELDED and theatre.resume().result == "done"


# barge-in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", [Cost(1, 0.01), Cost(30, 0.9), Cost(60, 1.3)])
def test_every_barge_in_instant(cost: Cost) -> None:
    """At any millisecond: at most one more frame of voice, a fade without a click, then silence."""
    rng = random.Random(5)
    for _ in range(60):
        theatre = Theatre({"tone": ModelEngine(cost=cost)})
        theatre.say(TEXT, utterance="u")
        theatre.run(rng.uniform(0, 6000))
        left = len(theatre.frames)
        outcome = theatre.barge_in()
        assert outcome.result == "done" and theatre.peer.ring.depth == 0
        theatre.run(400)
        after = theatre.frames[left:]
        assert all(h.pull.kind in (Kind.CUT, Kind.TAIL, Kind.IDLE) for h in after)
        assert not any(h.pcm is not None and h.pcm.any() for h in after[1:]), "one frame fades, all else is silent"
        assert all(s < left + 1 for s in stops(theatre.frames)) and not clicks(theatre)
        assert theatre.peer.speech.state is Speech.YIELDED


def test_pieces_of_a_cut_utterance_are_stale() -> None:
    """They are answered and never spoken; a new name is."""
    theatre = Theatre()
    theatre.say("One two three four five. ", utterance="u", end=False)
    theatre.run(500)
    theatre.barge_in()
    assert theatre.say("Six. ", utterance="u", end=False).result == "stale"
    assert theatre.peer.speech.state is Speech.YIELDED
    assert theatre.say("New words.", utterance="v").result == "done"
    assert theatre.say("Seven.", utterance="u").result == "stale"
    theatre.until_quiet()
    assert {e.fields["utterance"] for e in theatre.events if e.kind.value == "word" and e.frame > 30} == {"v"}


def test_a_render_of_before_the_cut_is_refused() -> None:
    """Late pieces of an old epoch never reach the ring, whatever they hold."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(500, 0.01))})
    theatre.say(TEXT)
    ticket = theatre.peer.outstanding
    assert ticket is not None
    theatre.barge_in()
    assert theatre.peer.outstanding is None
    piece = AudioChunk(np.ones(960, np.float32), 24_000, last=True, eos=True)
    assert not theatre.peer.accept(0, ticket, piece)
    theatre.run(3000)
    assert theatre.peer.ring.written == 0


IDS = itertools.count()
REQUESTS = {
    "say": lambda p, n: p.say(n, Say(f"s{next(IDS)}", "More words.")),
    "stale": lambda p, n: p.say(n, Say(f"t{n}", "", True, "nobody")),
    "barge_in": lambda p, n: p.barge_in(n, BargeIn(f"b{n}")),
    "pause": lambda p, n: p.pause(n, Pause(f"p{n}")),
    "resume": lambda p, n: p.resume(n, Resume(f"r{n}")),
    "abandon": lambda p, n: p.abandon(n, Abandon(f"a{n}")),
}
REACHED = {
    Speech.IDLE: [],
    Speech.PRIMING: ["say"],
    Speech.SPEAKING: ["say", 400],
    Speech.DRAINING: ["say", 700],
    Speech.YIELDED: ["say", 400, "barge_in"],
    Speech.PAUSED: ["say", 400, "pause"],
}


@pytest.mark.parametrize("request_", list(REQUESTS))
@pytest.mark.parametrize("state", list(Speech))
def test_every_request_is_defined_in_every_state(state: Speech, request_: str) -> None:
    """Done, no-op or refusal, never an illegal transition; asked twice, the second changes nothing more."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(5, 0.01))})
    for step in REACHED[state]:
        if isinstance(step, int):
            theatre.run(step)
        else:
            REQUESTS[step](theatre.peer, theatre.n)
            theatre.run(0)
    if state is Speech.DRAINING:
        while theatre.peer.speech.state is not Speech.DRAINING:
            theatre.run(20)
    assert theatre.peer.speech.state is state
    for _ in range(2):
        try:
            assert REQUESTS[request_](theatre.peer, theatre.n).result in ("done", "noop", "stale")
        except Refusal as refusal:
            assert refusal.code == "speaking"
            assert theatre.peer.speech.state is state
    if theatre.peer.speech.state is Speech.PAUSED:
        theatre.resume()
    if theatre.peer.speech.state is Speech.YIELDED:
        theatre.peer.abandon(theatre.n, Abandon("end"))
    theatre.until_quiet()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([*REQUESTS, "swap", "voice"]), st.floats(0, 700)), max_size=14),
    st.integers(0, 99),
)
def test_any_sequence_of_requests_ends_in_silence(steps: list[tuple[str, float]], seed: int) -> None:
    """No history raises, clicks, or leaves anything owed."""
    engines = {"tone": ModelEngine(cost=Cost(10, 0.3, 0.4), seed=seed), "b": ModelEngine(cost=Cost(60, 0.2))}
    theatre = Theatre(engines)
    for what, wait in steps:
        if what == "swap":
            theatre.configure(adapter="b" if theatre.peer.setting.adapter == "tone" else "tone", warm_ms=wait)
        elif what == "voice":
            theatre.configure(voice={"pace": 1.2})
        else:
            try:
                REQUESTS[what](theatre.peer, theatre.n)
            except Refusal:
                pass
        theatre.run(wait)
    theatre.resume()
    theatre.run(40)
    if theatre.peer.speech.state is Speech.YIELDED:
        theatre.peer.abandon(theatre.n, Abandon("end"))
    theatre.until_quiet()
    assert not clicks(theatre) and theatre.peer.ring.depth == 0


# faults -------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(0, 12), st.sampled_from(["raise", "die", "nan", "rate", "huge"]), max_size=3))
def test_a_retry_gives_the_same_bytes(faults: dict[int, str]) -> None:
    """Whatever fails and when: the samples that were accepted before are dropped, the stream is the undisturbed one."""
    faults = {k: v for k, v in faults.items() if not {k - 1, k - 2} <= faults.keys()}
    theatre = told(engines={"tone": ModelEngine(faults=dict(faults))})
    if not [e for e in theatre.of("fill") if e.stage == "fill"] and theatre.peer.healthy:
        assert voice(theatre) == voice(told())
        assert word_starts(theatre) == word_starts(told())


BROKEN = {
    "nan": lambda c: replace(c, pcm=np.full(10, np.nan, np.float32)),
    "infinite": lambda c: replace(c, pcm=np.full(10, np.inf, np.float32)),
    "loud": lambda c: replace(c, pcm=np.full(10, 1e6, np.float32)),
    "rate": lambda c: replace(c, sample_rate=c.sample_rate + 1),
    "no rate": lambda c: replace(c, sample_rate=0),
    "stereo": lambda c: replace(c, pcm=np.zeros((10, 2), np.float32)),
    "double": lambda c: replace(c, pcm=np.zeros(10, np.float64)),
    "list": lambda c: replace(c, pcm=[0.0] * 10),
    "huge": lambda c: replace(c, pcm=np.zeros(10**7, np.float32)),
    "stuck": lambda c: replace(c, pcm=np.zeros(0, np.float32), cursor=0, last=True, eos=False),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_is_no_audio_never_reaches_the_ring(name: str) -> None:
    """It is a fault; after three the engine counts as failed, the text is held and spoken when it is back."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(10, 0.01))})
    peer = theatre.peer
    peer.say(0, Say("i", TEXT, True, "u"))
    good = AudioChunk(np.zeros(100, np.float32), 24_000, cursor=100)
    for _ in range(3):
        request = peer.next_request(0)
        assert request is not None and not peer.accept(0, request.ticket, BROKEN[name](good))
    assert peer.ring.written == 0 and peer.next_request(0) is None and not peer.healthy
    peer.engine_ready(1, "tone")
    theatre.run(0)
    theatre.until_quiet()
    assert word_starts(theatre) == word_starts(told())


def test_a_failed_engine_is_not_asked_until_it_is_back() -> None:
    """The outstanding chunk is asked for again, as one attempt more of the same request."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(10, 0.01))})
    peer = theatre.peer
    peer.say(0, Say("i", TEXT))
    first = peer.next_request(0)
    assert first is not None
    peer.engine_failed(0, "tone", "gone")
    assert peer.next_request(0) is None and peer.outstanding is None
    peer.engine_ready(0, "tone")
    again = peer.next_request(0)
    assert again is not None and again.ticket.attempt == 1
    assert replace(again, ticket=first.ticket) == first


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(25, 90))
def test_the_ring_never_overflows(seed: int, frames: int) -> None:
    """An engine that sends pieces of any size beyond what was asked is a fault, not an exception."""
    rng = np.random.default_rng(seed)
    cast = ModelCast({"tone": ModelEngine()})
    peer = Orchestrator(cast, Setting("tone", Voice(), Mode.STEADY), 1, ring_frames=frames)
    peer.engine_ready(0, "tone")
    peer.say(0, Say("i", TEXT * 5))
    for n in range(300):
        request = peer.next_request(n)
        for _ in range(int(rng.integers(0, 6)) if request else 0):
            assert request is not None
            size = int(rng.integers(0, 30_000))
            end = bool(rng.random() < 0.3)
            pcm = (rng.standard_normal(size) * 0.1).astype(np.float32)
            peer.accept(n, request.ticket, AudioChunk(pcm, 24_000, cursor=request.cursor + size + 1, last=end, eos=end))
        if peer.outstanding is not None:
            peer.fail(n, peer.outstanding, "late")
        if not peer.healthy:
            peer.engine_ready(n, "tone")
        peer.read_frame(n)
        assert peer.ring.depth <= peer.ring.capacity


@pytest.mark.parametrize("rate_gap", [0, 1, 500])
def test_an_engine_that_never_stops_fills_the_ring_and_no_more(rate_gap: int) -> None:
    """Pieces as large as are taken, until nothing is; then the sentence's end still finds its room."""
    for frames in range(45, 60):
        peer = Orchestrator(
            ModelCast({"tone": ModelEngine()}), Setting("tone", Voice(), Mode.LOW_LATENCY), 1, ring_frames=frames
        )
        peer.engine_ready(0, "tone")
        peer.say(0, Say("i", TEXT))
        request = peer.next_request(0)
        assert request is not None
        size, given_ = 8_000, 0
        while size > rate_gap:
            room = peer.producer._most(peer.producer._pending, peer.producer._sentence)  # type: ignore[arg-type]
            if size > room:
                size //= 2
                continue
            given_ += size
            assert peer.accept(0, request.ticket, AudioChunk(np.full(size, 0.5, np.float32), 24_000, cursor=given_))
        assert peer.accept(0, request.ticket, AudioChunk(cursor=given_, last=True, eos=True))
        assert peer.ring.room >= 0


def test_markers_from_nowhere_do_not_lose_words() -> None:
    """Words placed before the start or far beyond the end of a sentence are put right, each heard once."""

    count = itertools.count()

    class Liar(ModelEngine):
        def render(self, request: Request, now_ms: float):  # type: ignore[no-untyped-def]
            for at, piece in super().render(request, now_ms):
                if isinstance(piece, AudioChunk):
                    lies = (10**7 if next(count) % 2 else -50_000 for _ in piece.markers)
                    moved = tuple(replace(m, at=m.at + lie) for m, lie in zip(piece.markers, lies, strict=True))
                    piece = replace(piece, markers=moved)
                yield at, piece

    theatre = told("One two three four. Five six seven. Eight nine.", engines={"tone": Liar()})
    assert len(word_starts(theatre)) == 9


def test_every_sample_is_of_a_whole_frame() -> None:
    """What leaves is always 960 samples, read-only, at a stop and at the end too."""
    theatre = Theatre()
    theatre.say(TEXT)
    theatre.run(1000)
    for n in range(60, 120):
        pull = theatre.peer.read_frame(n)
        assert pull.pcm is None or (len(pull.pcm) == FRAME and not pull.pcm.flags.writeable)
        if n == 70:
            theatre.peer.barge_in(n, BargeIn("b"))


def test_markers_of_every_kind_are_carried_into_output_samples() -> None:
    """A stitch record places each word where the word event says that it sounds."""
    theatre = Theatre()
    theatre.say("One two three four. Five six seven")
    theatre.until_quiet()
    placed = [m for e in theatre.of("stitch") for m in e.fields["markers"] if m[0] == "word"]
    sounded = [[e.fields["position"], e.fields["from"], e.fields["to"]] for e in theatre.of("word")]
    assert [[m[1], m[2], m[3]] for m in placed] == sounded and len(sounded) == 7
    assert [e.fields["curve"] for e in theatre.of("stitch")].count("rise") == 2
    assert all(e.fields["chunk"] == i for i, e in enumerate(theatre.of("stitch")))


def test_new_speech_after_a_cut_carries_nothing_of_the_old_chunk() -> None:
    """The first frame after a barge-in names the new chunk alone."""
    theatre = Theatre()
    theatre.say("one two three four five six seven eight nine ten")
    theatre.run(500)
    theatre.barge_in()
    theatre.run(200)
    before = len(theatre.frames)
    theatre.say("eleven twelve thirteen")
    theatre.until_quiet()
    first = next(h.pull for h in theatre.frames[before:] if h.pull.spans)
    assert {s.origin.epoch for s in first.spans} == {1} and all(s.start < s.end for s in first.spans)
