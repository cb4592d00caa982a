"""Another engine, voice or mode in the middle of a word: nothing lost, nothing twice, no click."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from adapters.voices.tone import Tone
from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import Descriptor, MarkerQuality
from peer.core.errors import Refusal
from peer.core.frame import Kind
from peer.core.machines import Health, Speech, Swap
from peer.core.messages import Mode
from peer.core.pcm import FADE
from SCENES.engines import Cost, ModelEngine
from SCENES.harness import Theatre

from .measure import CLICK, TEXT, clicks, holes, jump, said, word_starts


class Guessed(Tone):
    """It does not know where its words lie."""

    @classmethod
    def describe(cls) -> Descriptor:
        return replace(super().describe(), markers={"word": MarkerQuality.ESTIMATED})


COSTS = (Cost(1, 0.01), Cost(20, 0.6), Cost(100, 0.2), Cost(10, 0.3, 0.5))


def stage(rng: random.Random | None = None, **more: object) -> Theatre:
    """Three engines of some speed."""
    pick = Cost if rng is None else (lambda: rng.choice(COSTS))
    return Theatre({name: ModelEngine(cost=pick()) for name in ("tone", "b", "c")}, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def words() -> list[int]:
    theatre = stage()
    theatre.say(TEXT, utterance="u")
    return word_starts(theatre.until_quiet())


def test_a_swap_at_any_instant_loses_and_doubles_no_word(words: list[int]) -> None:
    """Engines of any speed, warm after any time."""
    rng = random.Random(3)
    for _ in range(50):
        theatre = stage(rng, mode=rng.choice(list(Mode)))
        theatre.say(TEXT, utterance="u")
        for name in ("b", "c"):
            theatre.run(rng.uniform(0, 3000))
            theatre.configure(adapter=name, warm_ms=rng.uniform(0, 600))
        theatre.until_quiet()
        assert word_starts(theatre) == words and not clicks(theatre)
        assert [s.result for s in theatre.settled][-1] == "done" and theatre.peer.setting.adapter == "c"


def test_it_is_acknowledged_with_its_chunk() -> None:
    """`chunk` is the first of the new engine, and every chunk before it is the old one's."""
    theatre = stage()
    theatre.say(TEXT)
    theatre.run(1500)
    outcome = theatre.configure(adapter="b")
    assert outcome.result == "pending" and not theatre.settled
    theatre.until_quiet()
    (settled,) = theatre.settled
    assert settled.version == outcome.artifacts["version"] and settled.artifacts["adapter"] == "b"
    by_chunk = {e.fields["chunk"]: e.fields["adapter"] for e in theatre.of("request")}
    for chunk, adapter in by_chunk.items():
        assert adapter == ("b" if int(str(chunk)) >= int(str(settled.artifacts["chunk"])) else "tone")


def test_it_happens_at_a_word_and_takes_at_most_a_frame() -> None:
    """The frame in which the engine changes holds both; where they meet a word of the new one begins."""
    theatre = stage()
    theatre.say(TEXT)
    theatre.run(1500)
    theatre.configure(adapter="b")
    theatre.until_quiet()
    mixed = [h for h in theatre.frames if len({s.origin.adapter for s in h.pull.spans}) > 1]
    assert len(mixed) <= 1
    seam = next(s.start for h in theatre.frames for s in h.pull.spans if s.origin.adapter == "b")
    assert seam in [e.fields["position"] for e in theatre.of("word")]


def test_the_seam_in_the_middle_of_sound_is_blended() -> None:
    """An engine whose words begin elsewhere than it says: the old sound falls while the new one rises."""

    class Shifted(ModelEngine):
        def render(self, request: Request, now_ms: float):  # type: ignore[no-untyped-def]
            for at, piece in super().render(request, now_ms):
                if isinstance(piece, AudioChunk):
                    piece = replace(piece, markers=tuple(replace(m, at=m.at + 1_777) for m in piece.markers))
                yield at, piece

    for wait in range(600, 3000, 150):
        theatre = Theatre({name: Shifted() for name in ("tone", "b")})
        theatre.say(TEXT)
        theatre.run(wait)
        theatre.configure(adapter="b")
        theatre.until_quiet()
        voice = np.concatenate([h.pcm for h in theatre.frames if h.pull.kind is Kind.VOICE and h.pcm is not None])
        seam = next(s.start for h in theatre.frames for s in h.pull.spans if s.origin.adapter == "b")
        assert max(jump(voice, seam), jump(voice, seam + FADE)) < CLICK


def test_the_last_wish_wins() -> None:
    """An overtaken wish is answered `superseded`; what it did name stays wished."""
    theatre = stage()
    theatre.say(TEXT)
    theatre.run(500)
    theatre.configure(adapter="b", warm_ms=900)
    theatre.configure(mode=Mode.STEADY, warm_ms=900)
    theatre.configure(adapter="c", warm_ms=100)
    theatre.until_quiet()
    assert [(s.version, s.result) for s in theatre.settled] == [(1, "superseded"), (2, "superseded"), (3, "done")]
    assert (theatre.peer.setting.adapter, theatre.peer.setting.mode) == ("c", Mode.STEADY)


def test_an_engine_that_does_not_come_changes_nothing(words: list[int]) -> None:
    """`failed`, the old voice goes on, also when the wanted engine dies while it waits for its word."""
    theatre = stage()
    theatre.say(TEXT)
    theatre.run(500)
    theatre.configure(adapter="b", warm_ms=10**6)
    theatre._queue.clear()
    theatre.peer.engine_failed(theatre.n, "b", "no model")
    theatre.run(0)
    theatre.until_quiet()
    assert [s.result for s in theatre.settled] == ["failed"] and theatre.peer.changeover.swap.state is Swap.STEADY
    assert theatre.peer.setting.adapter == "tone"


def test_a_failed_engine_hands_over_to_another(words: list[int]) -> None:
    """The engine dies for good in the middle of a chunk: the other one goes on; at most the word that sounded again."""
    rng = random.Random(9)
    for _ in range(40):
        first = rng.randrange(0, 12)
        theatre = stage(rng)
        theatre.engines["tone"].faults = {i: rng.choice(["raise", "die", "nan"]) for i in range(first, first + 40)}
        theatre.say(TEXT, utterance="u")
        while theatre.peer.healthy and theatre.peer.speech.state is not Speech.IDLE:
            theatre.run(20)
        if theatre.peer.speech.state is Speech.IDLE:
            continue
        assert theatre.peer.producer.health.state is Health.FAILED
        theatre.run(rng.uniform(0, 2000))
        theatre.configure(adapter="b", warm_ms=rng.uniform(0, 500))
        theatre.until_quiet()
        kept, repeated = said(word_starts(theatre))
        assert kept == words and repeated <= 1 and theatre.peer.healthy
        assert theatre.peer.setting.adapter == "b"


def test_a_barge_in_during_a_swap(words: list[int]) -> None:
    """At any instant between the wish and its effect: the cut works, the wish is kept, the words too."""
    rng = random.Random(6)
    for _ in range(50):
        theatre = stage(rng)
        theatre.say(TEXT, utterance="u")
        theatre.run(rng.uniform(0, 4000))
        theatre.configure(adapter="b", warm_ms=rng.uniform(0, 400))
        theatre.run(rng.uniform(0, 500))
        cuts = theatre.barge_in().result == "done"
        theatre.run(rng.uniform(0, 500))
        theatre.resume()
        theatre.until_quiet()
        kept, repeated = said(word_starts(theatre))
        assert kept == words and repeated <= cuts and not clicks(theatre)
        assert theatre.peer.setting.adapter == "b" and len(theatre.settled) == 1


def test_a_swap_while_paused(words: list[int]) -> None:
    """What is in the ring is played, then the new voice goes on."""
    rng = random.Random(7)
    for _ in range(30):
        theatre = stage(rng)
        theatre.say(TEXT, utterance="u")
        theatre.run(rng.uniform(100, 3000))
        theatre.pause()
        theatre.configure(adapter="b", warm_ms=rng.uniform(0, 300))
        theatre.run(rng.uniform(0, 1000))
        theatre.resume()
        theatre.until_quiet()
        assert word_starts(theatre) == words and not clicks(theatre)


@pytest.mark.parametrize("at_ms", range(900, 2100, 150))
@pytest.mark.parametrize("words", ["exact", "estimated"])
def test_an_engine_that_is_slow_to_begin_is_waited_for_by_the_buffer(at_ms: int, words: str) -> None:
    """Its first chunk costs more than the buffer holds: the old engine lays in what it takes, and no longer."""
    tone = Tone() if words == "exact" else Guessed()
    slow = ModelEngine(cost=Cost(250, 0.2), warmed=True)
    theatre = Theatre({"tone": ModelEngine(tone, Cost(5, 0.1), warmed=True), "b": slow})
    theatre.say(TEXT)
    theatre.run(at_ms)
    theatre.configure(adapter="b")
    theatre.run(3000)
    assert theatre.peer.setting.adapter == "b" and theatre.peer.producer.stock_ms == 0
    theatre.until_quiet()
    assert holes(theatre) == 0 and not clicks(theatre)


def test_the_wait_for_the_buffer_has_an_end() -> None:
    """The old engine renders hardly faster than it plays, the new one takes seconds: after a second it is taken."""
    engines = {"tone": ModelEngine(cost=Cost(0, 0.9), warmed=True), "b": ModelEngine(cost=Cost(1900), warmed=True)}
    theatre = Theatre(engines)
    theatre.say(TEXT)
    theatre.run(1200)
    theatre.configure(adapter="b")
    theatre.run(500)
    assert theatre.peer.setting.adapter == "tone"
    theatre.run(1500)
    assert theatre.peer.setting.adapter == "b"


def test_while_silent_it_takes_effect_at_once() -> None:
    """Nothing sounds: no word to wait for."""
    theatre = stage()
    theatre.configure(adapter="b", warm_ms=20)
    theatre.run(40)
    assert theatre.settled[0].result == "done" and theatre.peer.setting.adapter == "b"


def test_an_engine_that_never_answered_is_not_waited_for(words: list[int]) -> None:
    """Not one sample of the sentence is there: another engine may have it from its beginning."""
    theatre = stage()
    theatre.engines["tone"].cost = Cost(60_000, 0.1)
    theatre.say(TEXT, utterance="u")
    theatre.run(100)
    theatre.configure(adapter="b", warm_ms=50)
    theatre.run(3000)
    assert theatre.peer.setting.adapter == "b" and word_starts(theatre)
    theatre.until_quiet()
    assert word_starts(theatre) == words


def test_the_voice_is_kept_across_engines() -> None:
    """The schema stays and becomes the new engine's knobs; a change of voice alone is heard from the next word."""
    theatre = stage()
    theatre.say(TEXT)
    theatre.run(700)
    theatre.configure(voice={"pace": 1.5, "timbre": "reed"})
    theatre.run(700)
    theatre.configure(adapter="b")
    theatre.until_quiet()
    last = theatre.engines["b"].asked[-1]
    assert last.knobs["pace"] == 1.5 and last.knobs["timbre"] == "reed"


def test_a_change_of_mode_waits_for_a_chunk_and_cuts_nothing() -> None:
    """It is not audible: no hand-over, the stream is the same."""
    theatre, plain = stage(), stage()
    for each in (theatre, plain):
        each.say(TEXT)
        each.run(900)
    theatre.configure(mode=Mode.STEADY)
    for each in (theatre, plain):
        each.until_quiet()
    assert np.array_equal(theatre.pcm, plain.pcm) and theatre.settled[0].result == "done"


def test_no_wish_takes_effect_inside_a_chunk() -> None:
    """While the engine owes a chunk that has begun to arrive the wish waits, whatever it names."""
    for wish in ({"adapter": "b"}, {"mode": Mode.STEADY}, {"voice": {"pace": 1.2}}):
        theatre = stage()
        theatre.engines["tone"].cost = Cost(5, 0.9)
        theatre.say(TEXT)
        while not (theatre.peer.outstanding is not None and theatre.peer.producer.committed):
            theatre.run(1)
        theatre.configure(warm_ms=0, **wish)
        while theatre.peer.outstanding is not None and theatre.peer.producer.committed and not theatre.of("chunk"):
            assert not theatre.settled
            theatre.run(1)
        theatre.until_quiet()
        assert theatre.settled[0].result == "done"


def test_what_cannot_be_had_is_refused() -> None:
    """An unknown engine, a voice that no knob can express: nothing changes."""
    theatre = stage()
    with pytest.raises(Refusal) as unknown:
        theatre.configure(adapter="nobody")
    assert unknown.value.code == "unknown_adapter" and "b" in unknown.value.remedy
    with pytest.raises(Refusal):
        theatre.configure(voice={"timbre": "trumpet"})
    assert theatre.peer.setting.adapter == "tone" and not theatre.settled


def test_health_belongs_to_the_engine() -> None:
    """A strained engine's successor starts as ready, with a pace of its own."""
    theatre = stage()
    theatre.engines["tone"].cost = Cost(50, 1.3)
    theatre.say(TEXT * 3)
    theatre.run(8000)
    assert theatre.peer.producer.health.state is Health.STRAINED
    theatre.configure(adapter="b", warm_ms=10)
    theatre.run(3000)
    states = [e.fields["state"] for e in theatre.of("health") if e.fields["adapter"] == "b"]
    assert states == ["READY"] and theatre.peer.producer.pace.cost.ratio < 0.1
