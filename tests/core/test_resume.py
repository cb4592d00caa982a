"""Nothing lost, at most the cut word again: barge-in, pause and resume at a thousand instants."""

from __future__ import annotations

import random

import pytest

from peer.core.frame import Kind
from peer.core.machines import Speech
from peer.core.messages import Mode
from SCENES.engines import Cost, ModelEngine
from SCENES.harness import Theatre

from .measure import TEXT, clicks, said, word_starts

INSTANTS = 1000
COSTS = (Cost(1, 0.01), Cost(20, 0.6), Cost(100, 0.2), Cost(10, 0.3, 0.5))


def fresh(rng: random.Random) -> Theatre:
    """A conversation that speaks TEXT with an engine of some speed; its words begin at odd samples."""
    engine = ModelEngine(cost=rng.choice(COSTS), seed=rng.randrange(99))
    theatre = Theatre({"tone": engine}, mode=rng.choice(list(Mode)))
    theatre.configure(voice={"pace": rng.uniform(0.8, 1.3)})
    theatre.say(TEXT, utterance="u")
    return theatre


@pytest.fixture(scope="module")
def words() -> list[int]:
    """The words of the undisturbed run."""
    theatre = Theatre()
    theatre.say(TEXT, utterance="u")
    return word_starts(theatre.until_quiet())


def test_barge_in_and_resume_at_a_thousand_instants(words: list[int]) -> None:
    """Every word is heard, in order; each cut repeats at most the word it cut."""
    rng, cuts = random.Random(11), 0
    while cuts < INSTANTS:
        theatre = fresh(rng)
        mine = 0
        for _ in range(20):
            theatre.run(rng.uniform(0, 900))
            outcome = theatre.barge_in()
            mine += outcome.result == "done"
            theatre.run(rng.choice((0.0, rng.uniform(20, 300))))
            if outcome.result == "done":
                told = said(word_starts(theatre))[0]
                assert sum(w >= int(str(outcome.artifacts["heard"])) for w in told) <= 1, "only the cut word is owed"
            theatre.resume()
        theatre.until_quiet()
        kept, repeated = said(word_starts(theatre))
        assert kept == words and repeated <= mine, (cuts, kept, repeated, mine)
        cuts += mine


def test_a_cut_word_is_the_one_that_sounded(words: list[int]) -> None:
    """`heard` names the word whose sound was cut; before it everything was told as a word."""
    rng = random.Random(2)
    for _ in range(40):
        theatre = fresh(rng)
        theatre.run(rng.uniform(400, 5000))
        outcome = theatre.barge_in()
        heard = outcome.artifacts["heard"]
        told = word_starts(theatre)
        assert not told or heard in (told[-1], *[w for w in words if w > told[-1]][:1], len(TEXT))
        resumed = theatre.resume()
        assert resumed.artifacts["from"] == heard


def test_what_the_far_end_did_not_hear_is_said_again(words: list[int]) -> None:
    """With 200 ms on the way the cut falls where the listener is, not where the sender is."""
    rng = random.Random(8)
    for _ in range(40):
        theatre = fresh(rng)
        theatre.run(rng.uniform(500, 4000))
        left, lag = theatre.n, 10
        theatre.peer.played(left, left - lag)
        reached = [h.pull.position for h in theatre.frames[: left - lag + 1] if h.pull.kind is Kind.VOICE]
        outcome = theatre.barge_in()
        if outcome.result != "done" or not reached:
            continue
        marks = [(e.fields["position"], e.fields["from"]) for e in theatre.of("word")]
        sounding = [start for at, start in marks if int(str(at)) <= reached[-1] + 960]
        assert int(str(outcome.artifacts["heard"])) <= max(sounding[-1:] or [0]) + len(TEXT) // 8
        theatre.resume()
        theatre.until_quiet()
        assert said(word_starts(theatre))[0] == words


def test_the_end_of_an_utterance_is_not_lost_while_the_next_begins() -> None:
    """The first utterance left, but its last words are still on the way when the caller cuts in."""
    theatre = Theatre()
    theatre.say("One two three four five.", utterance="a")
    theatre.say("Six seven eight nine ten.", utterance="b")
    while "b" not in {e.fields["utterance"] for e in theatre.of("word")}:
        theatre.peer.played(theatre.n, max(0, theatre.n - 25))
        theatre.run(20)
    outcome = theatre.barge_in()
    assert outcome.artifacts["utterance"] == "a"
    theatre.resume()
    theatre.until_quiet()
    assert said(word_starts(theatre, "a"))[0] == [0, 4, 8, 14, 19]
    assert said(word_starts(theatre, "b"))[0] == [0, 4, 10, 16, 21]


def test_a_doubled_resume_is_a_no_op() -> None:
    """The second one finds nothing to do; so does one that nothing went before."""
    theatre = fresh(random.Random(1))
    assert theatre.resume().result == "noop"
    theatre.run(1000)
    theatre.barge_in()
    assert theatre.resume().result == "done" and theatre.resume().result == "noop"
    theatre.pause()
    assert theatre.pause().result == "noop"
    assert theatre.resume().result == "done" and theatre.resume().result == "noop"


def test_pause_and_resume_lose_and_repeat_nothing(words: list[int]) -> None:
    """At any instant, for any time: the same sample follows, no word twice, no click."""
    rng = random.Random(4)
    for _ in range(40):
        theatre = fresh(rng)
        for _ in range(3):
            theatre.run(rng.uniform(0, 1500))
            at = theatre.peer.ring.read
            done = theatre.pause().result == "done"
            theatre.run(rng.choice((0.0, 10.0, rng.uniform(0, 2000))))
            assert not done or theatre.peer.ring.read == at
            theatre.resume()
        theatre.until_quiet()
        assert word_starts(theatre) == words and not clicks(theatre)


def test_while_paused_the_engine_works_on_to_the_band() -> None:
    """A pause costs no silence afterwards: what was asked for arrives meanwhile."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(300, 0.5))})
    theatre.say(TEXT)
    theatre.run(200)
    theatre.pause()
    theatre.run(3000)
    assert theatre.peer.speech.state is Speech.PAUSED and theatre.peer.ring.depth > 0
    left = len(theatre.frames)
    theatre.resume()
    theatre.run(100)
    assert theatre.frames[left + 1].pull.kind is Kind.VOICE


def test_a_resumed_utterance_takes_more_text() -> None:
    """Pieces that come after the resume belong to it again."""
    theatre = Theatre()
    theatre.say("One two three four. ", utterance="u", end=False)
    theatre.run(500)
    theatre.barge_in()
    theatre.resume()
    assert theatre.say("Five six.", utterance="u").result == "done"
    theatre.until_quiet()
    assert said(word_starts(theatre))[0] == [0, 4, 8, 14, 20, 25]
