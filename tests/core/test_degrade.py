"""An engine that stalls, dies or renders rubbish loses its place to one that says the same words; then it is back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import Descriptor, MarkerQuality
from peer.core.machines import Health
from peer.core.messages import Mode
from SCENES.engines import Cost, ModelEngine
from SCENES.harness import Theatre

from .measure import TEXT, clicks, holes, word_starts


class Stalling(ModelEngine):
    """Says nothing any more from render `stalls` on, after `pieces` pieces of it; until the story mends it."""

    stalls = 3
    pieces = 0
    sick = True

    def render(self, request: Request, now_ms: float) -> Iterator[tuple[float, AudioChunk | str]]:
        mute = self.sick and self.renders >= self.stalls
        for i, found in enumerate(super().render(request, now_ms)):
            if mute and i >= self.pieces:
                return
            yield found


def stage(engine: ModelEngine, **more: object) -> Theatre:
    """The engine under test, and one that is warm and may stand in."""
    engines = {"tone": engine, "b": ModelEngine(stands_in=True, warmed=True)}
    return Theatre(engines, probes=False, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def words() -> list[int]:
    theatre = stage(ModelEngine())
    theatre.say(TEXT, utterance="u")
    return word_starts(theatre.until_quiet())


def reasons(theatre: Theatre) -> list[object]:
    """Why the engine changed, each time."""
    return [event.fields["reason"] for event in theatre.of("swap") if event.stage == "swap"]


@pytest.mark.parametrize("stalls", range(1, 9))
@pytest.mark.parametrize("pieces", [0, 1])
def test_a_stall_costs_neither_word_nor_frame(words: list[int], stalls: int, pieces: int) -> None:
    """Whenever the engine falls silent, the other goes on with the next word before the buffer is empty.

    In the first two chunks the buffer is still shorter than the silence that proves a stall: there the word under
    way may be said again, once.
    """
    engine = Stalling(cost=Cost(20, 0.3), grain_ms=90.0, warmed=True)
    engine.stalls, engine.pieces = stalls, pieces
    theatre = stage(engine, mode=Mode.STEADY)
    theatre.say(TEXT, utterance="u")
    theatre.until_quiet()
    assert theatre.peer.setting.adapter == "b"
    said = [word for word in word_starts(theatre) if word]
    assert list(dict.fromkeys(said)) == words[1:] and len(said) - len(words[1:]) <= (stalls <= 2)
    assert not clicks(theatre) and holes(theatre) == 0
    assert reasons(theatre) == ["stall"]


def test_nothing_is_lost_when_the_buffer_is_short(words: list[int]) -> None:
    """In low latency, with any speed: every word is there, and at most the one under way is said twice."""
    rng = random.Random(5)
    for _ in range(60):
        engine = Stalling(cost=Cost(rng.uniform(1, 80), rng.uniform(0.05, 0.7), 0.2), grain_ms=90.0, warmed=True)
        engine.stalls, engine.pieces, engine.seed = rng.randrange(9), rng.randrange(3), rng.randrange(99)
        theatre = stage(engine)
        theatre.say(TEXT, utterance="u")
        theatre.until_quiet()
        said = word_starts(theatre)
        again = sum(a == b for a, b in pairwise(said))
        assert sorted(set(said)) == words and again <= 1 and not clicks(theatre)


def test_a_slow_thinker_is_not_taken_for_a_dead_one() -> None:
    """An engine with rare long renders keeps its place while the buffer lasts."""
    engine = ModelEngine(cost=Cost(60, 0.4, 0.15), grain_ms=90.0, warmed=True)
    theatre = stage(engine, mode=Mode.STEADY)
    theatre.say(" ".join([TEXT] * 6))
    theatre.until_quiet()
    assert theatre.peer.setting.adapter == "tone" and not theatre.of("swap")


def test_an_engine_that_cannot_keep_up_is_replaced(words: list[int]) -> None:
    """Slower than it plays at every size: the buffer runs dry once or twice, not for ever."""
    engine = ModelEngine(cost=Cost(20, 1.6), grain_ms=90.0, warmed=True)
    theatre = stage(engine)
    theatre.say(TEXT, utterance="u")
    theatre.until_quiet()
    assert theatre.peer.setting.adapter == "b" and sorted(set(word_starts(theatre))) == words
    assert "slower" in str(theatre.of("swap")[0].fields["why"])


def test_it_comes_back_at_a_word_when_it_is_well(words: list[int]) -> None:
    """The preferred engine goes on where the stand-in is, and the setting is what it was."""
    engine = Stalling(cost=Cost(20, 0.3), grain_ms=90.0, warmed=True)
    theatre = stage(engine, mode=Mode.STEADY)
    before = theatre.peer.setting
    theatre.say(TEXT + " " + TEXT, utterance="u")
    while theatre.peer.absent is None:
        theatre.run(20)
    assert theatre.peer.absent == "tone"
    theatre.run(600)
    engine.sick = False
    theatre.peer.engine_recovered(theatre.n, "tone")
    theatre.until_quiet()
    assert theatre.peer.setting == before and theatre.peer.absent is None
    assert reasons(theatre) == ["stall", "recovered"]
    said = word_starts(theatre)
    assert said == sorted(set(said)) and said[: len(words)] == words and not clicks(theatre)


@pytest.mark.parametrize("fault", ["raise", "die", "nan", "rate", "huge", "clipped", "empty"])
def test_rubbish_never_reaches_the_ring(words: list[int], fault: str) -> None:
    """After three attempts another engine says the same words; what was wrong is in the log."""
    engine = ModelEngine(cost=Cost(5, 0.1), grain_ms=90.0, warmed=True, faults=dict.fromkeys(range(4, 99), fault))
    theatre = stage(engine, mode=Mode.STEADY)
    theatre.say(TEXT, utterance="u")
    theatre.until_quiet()
    said = word_starts(theatre)
    assert theatre.peer.setting.adapter == "b" and sorted(set(said)) == words and len(said) <= len(words) + 1
    assert not clicks(theatre) and theatre.of("fault")


def test_without_a_stand_in_the_text_is_kept() -> None:
    """Nobody else is warm: silence, then every word when somebody is."""
    engine = Stalling(cost=Cost(20, 0.3), grain_ms=90.0, warmed=True)
    theatre = stage(engine)
    theatre.engines["b"].stands_in = False
    theatre.say(TEXT, utterance="u")
    theatre.run(8000)
    theatre.peer.engine_failed(theatre.n, "tone", "it is gone")
    theatre.run(1000)
    assert theatre.peer.producer.health.state is Health.FAILED
    theatre.engines["b"].stands_in = True
    theatre.peer.engine_ready(theatre.n, "b")
    theatre._after()
    theatre.until_quiet()
    assert theatre.peer.setting.adapter == "b" and len(set(word_starts(theatre))) == len(TEXT.split())


class Monoglot(ModelEngine):
    """Has no voice for German, and says so."""

    house: Theatre

    def render(self, request: Request, now_ms: float) -> Iterator[tuple[float, AudioChunk | str]]:
        if "Zwei" not in request.text:
            return super().render(request, now_ms)
        peer, house = self.house.peer, self.house
        house.at(now_ms, lambda: peer.unspeakable(house.n, request.ticket, "no German here"))
        return iter(())


def test_a_text_that_the_voice_cannot_say_is_said_by_another() -> None:
    """Only that sentence: the engine is well, and speaks the next one."""
    theatre = stage(Monoglot(cost=Cost(5, 0.1), warmed=True))
    theatre.engines["tone"].house = theatre  # type: ignore[attr-defined]
    theatre.say("One is here. Zwei ist hier. Three is here.", utterance="u")
    theatre.until_quiet()
    spoken = [(e.fields["adapter"], e.fields["text"]) for e in theatre.of("request")]
    assert {str(t).split()[0] for a, t in spoken if a == "b"} == {"Zwei"}
    assert spoken[-1][0] == "tone" and theatre.peer.setting.adapter == "tone" and theatre.peer.absent is None


def test_a_text_that_nobody_can_say_is_passed_over() -> None:
    """Speech goes on behind it; the log says what was left out."""
    theatre = Theatre({"tone": Monoglot(cost=Cost(5, 0.1), warmed=True)})
    theatre.engines["tone"].house = theatre  # type: ignore[attr-defined]
    theatre.say("One is here. Zwei ist hier. Three is here.", utterance="u")
    theatre.until_quiet()
    assert [e.fields["why"] for e in theatre.of("fault") if e.stage == "text"] == ["no German here"]
    assert theatre.words()[-1] == "u:37"


def test_a_wish_during_the_stall_is_kept(words: list[int]) -> None:
    """Who asks for another mode does not call the absent engine back; who asks for a third engine gets it."""
    engine = Stalling(cost=Cost(20, 0.3), grain_ms=90.0, warmed=True)
    theatre = stage(engine, mode=Mode.STEADY)
    theatre.engines["c"] = ModelEngine(warmed=True)
    theatre.say(TEXT, utterance="u")
    while theatre.peer.absent is None:
        theatre.run(20)
    theatre.configure(mode=Mode.LOW_LATENCY)
    theatre.run(500)
    assert theatre.peer.setting.adapter == "b" and theatre.peer.setting.mode is Mode.LOW_LATENCY
    assert theatre.peer.changeover.preferred is not None
    assert theatre.peer.changeover.preferred.mode is Mode.LOW_LATENCY
    theatre.configure(adapter="c")
    theatre.until_quiet()
    assert theatre.peer.setting.adapter == "c" and theatre.peer.absent is None and word_starts(theatre) == words


class Guessing(ModelEngine):
    """An engine whose word places are estimates."""

    late = 0.0

    def render(self, request: Request, now_ms: float) -> Iterator[tuple[float, AudioChunk | str]]:
        for at, piece in super().render(request, now_ms):
            if isinstance(piece, AudioChunk) and self.late:
                moved = tuple(replace(m, at=round(m.at * (1 - self.late))) for m in piece.markers)
                piece = replace(piece, markers=moved)
            yield at, piece


@pytest.fixture
def guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every "guess" engine says that its words are estimates."""
    from SCENES import engines as scenes

    plain = scenes.ModelCast.descriptor

    def descriptor(self: scenes.ModelCast, name: str) -> Descriptor:
        found = plain(self, name)
        return replace(found, markers={"word": MarkerQuality.ESTIMATED}) if name == "guess" else found

    monkeypatch.setattr(scenes.ModelCast, "descriptor", descriptor)


@pytest.mark.usefixtures("guessing")
def test_estimated_words_hand_over_at_the_end_of_the_clause() -> None:
    """Both ways and in a storm: windows are clauses of eight words at most, no word is cut, lost or doubled."""
    rng = random.Random(11)
    for _ in range(30):
        theatre = Theatre({"guess": Guessing(cost=Cost(15, 0.2)), "b": ModelEngine()}, adapter="guess")
        theatre.engines["guess"].late = 0.2  # type: ignore[attr-defined]
        theatre.say(TEXT, utterance="u")
        for name in ("b", "guess", "b"):
            theatre.run(rng.uniform(0, 2500))
            theatre.configure(adapter=name)
        theatre.until_quiet()
        asked = [e.fields for e in theatre.of("request") if e.fields["adapter"] == "guess"]
        assert asked and all(len(str(fields["text"]).split()) <= 8 for fields in asked)
        spans = sorted({tuple(map(int, f["text_range"])) for f in asked})  # type: ignore[arg-type]
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        said = word_starts(theatre)
        assert said == sorted(set(said)) and not clicks(theatre)


@pytest.mark.usefixtures("guessing")
def test_a_cut_in_estimated_words_loses_nothing() -> None:
    """A barge-in and resume where the estimate is a fifth too early: whatever was not surely heard is said again."""
    plain = Theatre({"guess": Guessing(cost=Cost(15, 0.2))}, adapter="guess")
    plain.say(TEXT, utterance="u")
    true = {int(str(e.fields["from"])): int(str(e.fields["position"])) for e in plain.until_quiet().of("word")}
    for wait in range(700, 4000, 130):
        theatre = Theatre({"guess": Guessing(cost=Cost(15, 0.2))}, adapter="guess")
        theatre.engines["guess"].late = 0.2  # type: ignore[attr-defined]
        theatre.say(TEXT, utterance="u")
        theatre.run(wait)
        theatre.barge_in()
        barge = theatre.of("barge")[-1].fields
        read = theatre.peer.ring.read
        theatre.run(300)
        theatre.resume()
        theatre.until_quiet()
        assert true[int(str(barge["heard"]))] <= read
        assert len(set(word_starts(theatre))) == len(TEXT.split())


def test_a_mended_voice_keeps_its_envelope() -> None:
    """Another engine is brought to the loudness, pitch and pace that were heard; back again nothing is changed."""
    from peer.core.envelope import Envelope

    loud, low = ModelEngine(warmed=True), ModelEngine(warmed=True)
    low.envelope = Envelope(-18.0, 150.0, 8.0)
    theatre = Theatre({"tone": loud, "b": low})
    theatre.say(TEXT)
    theatre.run(2500)
    theatre.configure(adapter="b")
    theatre.run(2500)
    theatre.configure(adapter="tone")
    theatre.until_quiet()
    there, back = (e.fields["match"] for e in theatre.of("swap") if e.stage == "swap")
    assert there["volume"] > 1.15 and there["pace"] > 1.12  # type: ignore[index]
    assert back == {"semitones": 0.0, "pace": 1.0, "volume": 1.0}
    knobs = [e.fields["knobs"] for e in theatre.of("request") if e.fields["adapter"] == "b"]
    assert all(k["volume"] == there["volume"] for k in knobs)  # type: ignore[index]
    assert np.all(np.isfinite(theatre.pcm))
