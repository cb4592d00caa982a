"""Marks and what was heard, beside plain lists."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from peer.core.heard import KEPT_FRAMES, Heard
from peer.core.marks import KEPT, Mark, Marks
from peer.core.pcm import FRAME


def word(at: int, start: int = 0, number: int = 1) -> Mark:
    return Mark(at, "word", "u", start, start + 1, number)


def test_words_pass_once_and_in_order() -> None:
    """A word counts from its first sample on, never twice."""
    marks = Marks()
    for i in range(4):
        marks.add(word(100 * i, i))
    assert [m.start for m in marks.pass_to(101)] == [0, 1]
    assert marks.pass_to(101) == [] and marks.pass_to(200) == []
    assert [m.start for m in marks.pass_to(1000)] == [2, 3]


def test_sentence_marks_place_but_are_no_words() -> None:
    """They answer where one is, and are not told as words."""
    marks = Marks()
    marks.add(Mark(0, "sentence", "u", 0, 10))
    marks.add(Mark(500, "end", "u", 10, 10))
    assert marks.pass_to(1000) == []
    found = marks.at(600)
    assert found is not None and found.kind == "end" and marks.at(-1) is None


def test_a_word_is_never_placed_before_the_one_before_it() -> None:
    """An engine that says otherwise is put right."""
    marks = Marks()
    marks.add(word(100, 0))
    marks.add(word(50, 1))
    assert [m.at for m in marks.pass_to(101)] == [100, 100]


def test_flushed_words_are_forgotten_but_heard_ones_stay() -> None:
    """Truncation does not touch what has passed."""
    marks = Marks()
    for i in range(4):
        marks.add(word(100 * i, i))
    marks.pass_to(150)
    marks.truncate(0)
    assert len(marks) == 2
    found = marks.at(10_000)
    assert found is not None and found.start == 1


def test_words_beyond_the_sound_are_moved_not_lost() -> None:
    """The sentence's end is the last place a word can have."""
    marks = Marks()
    for i in range(4):
        marks.add(word(100 * i, i))
    marks.clamp(150)
    assert [m.start for m in marks.pass_to(151)] == [0, 1, 2, 3]


def test_the_place_to_hand_over() -> None:
    """The last word within the bounds; None if there is none."""
    marks = Marks()
    for i in range(5):
        marks.add(word(100 * i, i))
    marks.add(Mark(450, "end", "u", 5, 5, 1))
    found = marks.last_word(0, 350)
    assert found is not None and found.start == 3
    assert marks.last_word(300, 399) is None and marks.last_word(400, 500) is None
    last = marks.last_of(1)
    assert last is not None and last.kind == "end" and marks.last_of(2) is None


def test_memory_is_bounded() -> None:
    """An hour of words keeps no more than the far end may still play."""
    marks = Marks()
    for i in range(20_000):
        marks.add(word(i * 9_600, i))
        marks.pass_to(i * 9_600)
    assert len(marks) < 2 * max(512, KEPT // 9_600)
    found = marks.at(20_000 * 9_600 - KEPT + 9_600)
    assert found is not None


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["add", "pass", "cut", "clamp"]), st.integers(0, 300)), max_size=40))
def test_any_history_agrees_with_a_list(steps: list[tuple[str, int]]) -> None:
    """Marks beside a naive list of (at, start)."""
    marks, model, passed, read, last = Marks(), [], 0, 0, 0
    for i, (what, value) in enumerate(steps):
        match what:
            case "add":
                last = max([at for at, _ in model] + [value + read])
                model.append((last, i))
                marks.add(word(value + read, i))
            case "pass":
                read += value
                due = [s for at, s in model[passed:] if at < read]
                passed += len(due)
                assert [m.start for m in marks.pass_to(read)] == due
            case "cut":
                model = model[:passed] + [m for m in model[passed:] if m[0] < read + value]
                marks.truncate(read + value)
            case "clamp":
                model = model[:passed] + [(min(at, read + value), s) for at, s in model[passed:]]
                marks.clamp(read + value)
        found = marks.at(read)
        here = [s for at, s in model if at <= read]
        assert (found.start if found else None) == (here[-1] if here else None)


def test_without_reports_all_that_left_was_heard() -> None:
    """The sender's own position is the best guess."""
    heard = Heard()
    heard.sent(3, 4 * FRAME)
    assert heard.position(3, 4 * FRAME) == 4 * FRAME


def test_the_far_end_lags() -> None:
    """After a report the position is that of the frame which plays now."""
    heard = Heard()
    for n in range(20):
        heard.sent(n, (n + 1) * FRAME)
    assert heard.report(19, 9) and heard.lag == 10
    assert heard.position(19, 20 * FRAME) == 10 * FRAME
    assert heard.position(24, 20 * FRAME) == 15 * FRAME, "the far end goes on playing"
    assert heard.position(60, 20 * FRAME) == 20 * FRAME, "never more than was sent"


def test_impossible_reports_are_ignored() -> None:
    """Neither the future nor the distant past."""
    heard = Heard()
    assert not heard.report(10, 11) and not heard.report(KEPT_FRAMES + 11, 10) and heard.lag == 0


@given(st.lists(st.booleans(), min_size=1, max_size=100), st.integers(0, 50))
def test_heard_never_runs_ahead(sent: list[bool], lag: int) -> None:
    """With holes anywhere the heard position is that of the last frame sent by then."""
    heard, position, history = Heard(), 0, []
    for n, voice in enumerate(sent):
        if voice:
            position += FRAME
            heard.sent(n, position)
        history.append(position)
    now = len(sent) - 1
    if lag <= now and any(sent):
        heard.report(now, now - lag)
        assert heard.position(now, position) == max(history[now - lag], FRAME)
