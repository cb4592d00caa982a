"""The herald: what a page is told, how often, and that trouble is told once."""

from __future__ import annotations

from collections.abc import Mapping

from peer.core.timeline import Event, Record
from peer.herald import Herald


def _herald() -> tuple[Herald, list[Mapping[str, object]]]:
    found, told = Herald(), []  # type: ignore[var-annotated]
    found.subscribe(told.append)
    return found, told


def _word(n: int, start: int, end: int) -> Event:
    return Event(Record.WORD, n, "word", fields={"utterance": "u", "from": start, "to": end})


def test_words_are_gathered() -> None:
    """At most ten `spoken` events a second, none of the words missing."""
    herald, told = _herald()
    for n in range(50):
        herald.hear(_word(n, 2 * n, 2 * n + 1))
        herald.tick(n)
    assert 9 <= len(told) <= 10
    assert told[0]["from"] == 0
    herald.tick(60)
    assert told[-1]["to"] == 99


def test_last_word_does_not_wait_for_the_next() -> None:
    """A word before a pause of the text is told 100 ms later, not when text comes again."""
    herald, told = _herald()
    herald.hear(_word(0, 0, 3))
    herald.hear(_word(2, 4, 7))
    for n in range(3, 8):
        herald.tick(n)
    assert [event["to"] for event in told] == [3, 7]


def test_trouble_is_told_once() -> None:
    """An engine that fails again and again is one notice, its return another."""
    herald, told = _herald()
    for state in ("FAILED", "FAILED", "FAILED", "READY", "READY", "STRAINED", "FAILED"):
        herald.hear(Event(Record.HEALTH, 1, "health", fields={"state": state, "adapter": "a", "why": "x"}))
    assert [event["code"] for event in told] == ["engine_failed", "engine_back", "engine_failed"]


def test_unsubscribed_hears_nothing() -> None:
    """Whoever has left is told nothing, twice leaving is once."""
    herald, told = _herald()
    stop = herald.subscribe(told.append)
    stop()
    stop()
    herald.notice(1, "info", "code", "text")
    assert len(told) == 1
