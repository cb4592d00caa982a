"""Utterances in order: said, cut, parked, resumed, forgotten."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.core.errors import Refusal
from peer.core.messages import Say
from peer.core.script import MAX_PENDING, MAX_UTTERANCES, REMEMBERED, Script
from peer.core.segment import Hunger

STORY = "One two three. Four five six! Seven, eight nine? Ten. "


def say(text: str, utterance: str = "u", end: bool = True) -> Say:
    return Say("i", text, end, utterance)


def drained(script: Script, hunger: Hunger = Hunger.NONE) -> list[tuple[str, int, int]]:
    """All windows that can be had: (utterance, start, end)."""
    found = []
    while (one := script.next_window(hunger)) is not None:
        found.append((one[0].id, one[1].start, one[1].end))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), max_size=30))
def test_pieces_of_any_size_make_the_same_windows(cuts: list[int]) -> None:
    """Streamed text is cut as if it had come at once."""
    whole, script, at, found = Script(), Script(), 0, []
    whole.say(say(STORY))
    for cut in cuts:
        script.say(say(STORY[at : at + cut] or " ", end=False))
        at += cut
        found += drained(script)
    script.say(say(STORY[at:] or "", end=True))
    found += drained(script)
    assert found[: len(drained(whole))] or not STORY
    fresh = Script()
    fresh.say(say(STORY))
    assert [(u, s) for u, s, _ in found] == [(u, s) for u, s, _ in drained(fresh)]


def test_windows_cover_the_source_without_a_gap() -> None:
    """Each window starts where the one before ended; utterances follow in order."""
    script = Script()
    script.say(say(STORY, "a"))
    script.say(say(STORY, "b"))
    found = drained(script)
    for name in "ab":
        mine = [(s, e) for u, s, e in found if u == name]
        assert mine[0][0] == 0 and all(x[1] == y[0] for x, y in itertools.pairwise(mine))
    assert [u for u, _, _ in found] == sorted(u for u, _, _ in found)


def test_an_open_utterance_waits_and_holds_those_behind_it() -> None:
    """What is not ended is not overtaken."""
    script = Script()
    script.say(say("One two three. Four fi", "a", end=False))
    script.say(say("Later.", "b"))
    assert [u for u, _, _ in drained(script)] == ["a"]
    script.say(say("ve.", "a"))
    assert [u for u, _, _ in drained(script)] == ["a", "b"]
    assert script.current is None


def test_a_cut_utterance_is_stale_until_it_is_resumed() -> None:
    """Late pieces are never spoken; after `unpark` they belong again."""
    script = Script()
    script.say(say("One two. ", end=False))
    script.park()
    assert script.say(say("Three. ", end=False)) is None and script.empty
    assert script.unpark() and not script.unpark()
    assert script.say(say("Three.")) is not None


def test_what_is_forgotten_stays_stale() -> None:
    """A new utterance begins; pieces of the old one are still not spoken."""
    script = Script()
    script.say(say("One two. ", "old", end=False))
    script.park()
    script.forget()
    assert script.parked is None and not script.unpark()
    assert script.say(say("Three.", "old")) is None


def test_the_memory_of_the_cut_is_bounded() -> None:
    """The oldest identities are forgotten first."""
    script = Script()
    for i in range(REMEMBERED + 10):
        script.say(say("One.", f"u{i}"))
        script.park()
    assert script.say(say("Two.", "u0")) is not None and script.say(say("Two.", "u20")) is None


def test_rewind_renders_again_from_that_character_and_all_behind_it() -> None:
    """Utterances after it begin at their beginning."""
    script = Script()
    script.say(say("One two. Three.", "a"))
    script.say(say("Four.", "b"))
    drained(script)
    first = script.first
    assert first is not None
    script.rewind(first.number, 4)
    assert drained(script) == [("a", 4, 9), ("a", 9, 15), ("b", 0, 5)]


def test_heard_utterances_are_done_only_to_their_end() -> None:
    """Those before the one that is heard leave the queue, if all of them was rendered."""
    script = Script()
    for name in "abc":
        script.say(say("One.", name))
    script.next_window(Hunger.NONE)
    script.heard(3)
    assert script.first is not None and script.first.id == "b", "b was not rendered yet"
    drained(script)
    script.heard(3)
    assert script.first.id == "c" and script.current is None and not script.several


def test_limits_are_refused_by_name_and_change_nothing() -> None:
    """Too many utterances, too much text, and text after the end."""
    script = Script()
    for i in range(MAX_UTTERANCES):
        script.say(say("One.", f"u{i}"))
    with pytest.raises(Refusal) as many:
        script.say(say("One.", "more"))
    assert many.value.code == "too_many"
    with pytest.raises(Refusal) as ended:
        script.say(say("One.", "u3"))
    assert ended.value.code == "ended"
    with pytest.raises(Refusal) as long:
        Script().say(say("x" * (MAX_PENDING + 1)))
    assert long.value.code == "too_long"
    assert script.pending == 4 * MAX_UTTERANCES


def test_an_end_of_nothing_is_nothing() -> None:
    """A mind that said no word may still close its utterance."""
    script = Script()
    assert script.empties(say("", "new")) and not script.empties(say("x", "new"))
    script.say(say("One. ", "u", end=False))
    assert not script.empties(say("", "u"))
    script.park()
    assert not script.empties(say("", "u")), "a cut one is stale"


def test_text_without_a_name_is_an_utterance_of_its_own() -> None:
    """Its request's id names it."""
    script = Script()
    placed = script.say(Say("i7", "Hello."))
    assert placed is not None and placed.utterance.id == "i7" and (placed.start, placed.end) == (0, 6)
