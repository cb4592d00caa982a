"""Silence that is ordinary, and silence that is not."""

from __future__ import annotations

from peer.core.lifeline import GRACE, LEAST_MS, PATIENCE, Lifeline
from peer.core.pcm import FRAME_MS


def test_before_anything_was_measured_the_warm_up_counts() -> None:
    """Several times what was promised; nothing promised: nobody can tell."""
    line = Lifeline()
    line.asked(10)
    assert line.grace_ms(0.0) is None and line.due(0.0) is None
    assert line.grace_ms(200.0) == PATIENCE * 200.0
    assert line.silent_ms(20) == 10 * FRAME_MS
    assert line.due(200.0) == 10 + 50 + 1


def test_first_and_later_pieces_have_their_own_custom() -> None:
    """A long thought before the first piece says nothing of the pause between two pieces."""
    line = Lifeline()
    for start in range(0, 1000, 100):
        line.asked(start)
        line.lives(start + 20)
        line.lives(start + 22)
    line.asked(2000)
    assert line.grace_ms(5.0) == GRACE * 20 * FRAME_MS
    line.lives(2020)
    assert line.grace_ms(5.0) == GRACE * 2 * FRAME_MS


def test_a_fast_engine_has_three_frames() -> None:
    """What always came at once is not missed within the grain of the frames and a moment."""
    line = Lifeline()
    for n in range(50):
        line.asked(n)
        line.lives(n)
    line.asked(60)
    assert line.grace_ms(0.1) == LEAST_MS


def test_one_outlier_does_not_set_the_custom() -> None:
    """Of 32 silences the longest is forgotten."""
    line = Lifeline()
    for n in range(31):
        line.asked(n * 10)
        line.lives(n * 10 + (500 if n == 7 else 1))
    line.asked(999)
    assert line.grace_ms(1.0) == LEAST_MS
