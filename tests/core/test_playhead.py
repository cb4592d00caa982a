"""The pull side: frames, holes, stops and pauses at every position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peer.core.frame import Kind, Pull
from peer.core.pcm import FADE, FRAME, SILENCE, Float, Int16
from peer.core.playhead import HOLD_FRAMES, TAIL_FRAMES, Playhead, Stage
from peer.core.ring import Ring
from peer.core.stitch import Stitcher

from .measure import CLICK, jump, origin


class Stand:
    """A ring with a stitcher, a playhead, and what left so far."""

    def __init__(self) -> None:
        self.ring = Ring(50)
        self.stitcher = Stitcher(self.ring)
        self.head = Playhead(self.ring, self.stitcher)
        self.n = 0
        self.pcm: list[Int16] = []

    def write(self, samples: int) -> None:
        self.stitcher.write(tone(samples, self.stitcher.position), origin())

    def pull(self, expecting: bool = True) -> Pull:
        pull = self.head.read(self.n, expecting)
        self.n += 1
        self.pcm.append(SILENCE if pull.pcm is None else pull.pcm.copy())
        return pull

    def kinds(self, frames: int, expecting: bool = True) -> list[Kind]:
        return [self.pull(expecting).kind for _ in range(frames)]

    def all(self) -> Int16:
        return np.concatenate(self.pcm)


def tone(samples: int, start: int) -> Float:
    phase = np.arange(start, start + samples, dtype=np.float64) * 2 * np.pi * 431 / 48_000
    return (0.5 * np.sin(phase + 1)).astype(np.float32)


def test_a_stream_ends_with_a_short_tail_and_then_nothing() -> None:
    """Voice, a few frames of zeros so that no far end prolongs it, then idle."""
    stand = Stand()
    stand.write(3 * FRAME)
    stand.stitcher.finish()
    voice, tail, idle = [Kind.VOICE], [Kind.TAIL], [Kind.IDLE]
    assert stand.kinds(10, expecting=False) == 3 * voice + TAIL_FRAMES * tail + (7 - TAIL_FRAMES) * idle


def test_the_rest_of_less_than_a_frame_is_played_and_padded() -> None:
    """No sample is lost at the end."""
    stand = Stand()
    stand.write(FRAME + 100)
    stand.stitcher.finish()
    stand.pull(False)
    pull = stand.pull(False)
    assert pull.kind is Kind.VOICE and pull.pcm is not None and not pull.pcm[100:].any()
    assert stand.ring.depth == 0 and [(s.start, s.end) for s in pull.spans] == [(FRAME, FRAME + 100)]


def test_a_short_hole_is_held_and_goes_on_with_a_fade_in() -> None:
    """Nothing is sent, the far end conceals; the first samples after it rise from zero."""
    stand = Stand()
    stand.write(2 * FRAME + FADE)
    assert stand.kinds(4) == [Kind.VOICE, Kind.VOICE, Kind.HOLD, Kind.HOLD]
    stand.write(2 * FRAME)
    pull = stand.pull()
    assert pull.kind is Kind.VOICE and pull.pcm is not None and abs(int(pull.pcm[0])) < 8
    assert pull.position == 2 * FRAME, "a hole loses no sample"


def test_a_long_hole_is_filled() -> None:
    """After 100 ms the kept tail leaves faded, zeros follow, then idle; what comes later rises."""
    stand = Stand()
    stand.write(2 * FRAME)
    kinds = stand.kinds(2 + HOLD_FRAMES + TAIL_FRAMES + 1)
    assert kinds[1 : 1 + HOLD_FRAMES] == [Kind.HOLD] * HOLD_FRAMES
    assert kinds[1 + HOLD_FRAMES] is Kind.FILL
    assert kinds[2 + HOLD_FRAMES :] == [Kind.TAIL] * TAIL_FRAMES + [Kind.IDLE]
    fill = stand.pcm[1 + HOLD_FRAMES]
    assert stand.ring.depth == 0 and abs(int(fill[0])) < 8 and not fill[-1]
    stand.write(3 * FRAME)
    pull = stand.pull()
    assert pull.kind is Kind.VOICE and pull.pcm is not None and abs(int(pull.pcm[0])) < 8


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 6 * FRAME), st.integers(0, 8), st.booleans())
@example(3 * FRAME + 1, 8, True)
def test_a_stop_at_any_instant_fades_within_a_frame(samples: int, pulls: int, expecting: bool) -> None:
    """Whatever is in the ring and wherever the reader is: at most one more frame sounds, and it falls to zero."""
    stand = Stand()
    stand.write(samples)
    stand.kinds(pulls, expecting)
    flowing = stand.head.stage in (Stage.FLOWING, Stage.ENDING)
    stand.head.cut()
    assert stand.ring.depth == 0 and stand.stitcher.held == 0
    first = stand.pull(expecting)
    later = stand.kinds(TAIL_FRAMES + 2, expecting)
    assert Kind.VOICE not in {first.kind, *later} and Kind.CUT not in later
    assert not np.any(np.concatenate(stand.pcm[-TAIL_FRAMES - 2 :])) and later[-1] is Kind.IDLE
    if first.kind is Kind.CUT:
        assert flowing and first.pcm is not None and not first.pcm[FADE:].any()
    if flowing:
        assert jump(stand.all(), pulls * FRAME) < CLICK and jump(stand.all(), pulls * FRAME + FADE) < CLICK


def test_the_end_of_a_long_hole_is_not_torn() -> None:
    """More than a frame is left when the wait ends: the kept tail follows at once, no second wait in its fade."""
    stand = Stand()
    stand.write(2 * FRAME + FADE - 1)
    kinds = stand.kinds(1 + HOLD_FRAMES + 3)
    assert kinds[1 + HOLD_FRAMES :] == [Kind.VOICE, Kind.FILL, Kind.TAIL]
    assert stand.ring.depth == 0


def test_a_stop_with_an_empty_ring_fades_what_the_stitcher_kept() -> None:
    """The ring ran dry exactly at the frame's end: the kept 5 ms are the fade, else the stop would click."""
    stand = Stand()
    stand.write(2 * FRAME + FADE)
    stand.kinds(2)
    assert stand.ring.depth == 0 and stand.stitcher.held == FADE
    stand.head.cut()
    pull = stand.pull()
    assert pull.kind is Kind.CUT and pull.pcm is not None and pull.pcm[:FADE].any()
    assert jump(stand.all(), 2 * FRAME) < CLICK


def test_a_stop_in_a_hole_sends_no_sound() -> None:
    """The far end conceals already; a faded rest would begin with a click."""
    stand = Stand()
    stand.write(2 * FRAME)
    assert stand.kinds(2) == [Kind.VOICE, Kind.HOLD]
    stand.head.cut()
    assert stand.kinds(2) == [Kind.TAIL, Kind.TAIL]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(0, 9), st.integers(0, 3 * FRAME))
def test_a_pause_keeps_every_sample(before: int, paused: int, more: int) -> None:
    """After any pause the same sample comes next; only 5 ms of it rise, and not even those if nothing was heard."""
    stand, plain = Stand(), Stand()
    for each in (stand, plain):
        each.write(20 * FRAME)
        each.kinds(before)
    stand.head.freeze()
    stand.head.freeze()
    stand.kinds(paused)
    stand.write(more)
    stand.head.thaw()
    pull, due = stand.pull(), plain.pull()
    assert pull.kind is Kind.VOICE and pull.position == due.position == before * FRAME
    assert pull.pcm is not None and due.pcm is not None
    assert np.array_equal(pull.pcm[FADE:], due.pcm[FADE:])
    assert np.array_equal(pull.pcm, due.pcm) == (paused == 0)
    assert jump(stand.all(), (before + paused) * FRAME) < CLICK and jump(stand.all(), before * FRAME) < CLICK


def test_while_paused_nothing_wakes_the_outlet() -> None:
    """The fade and its tail leave; then the outlet sleeps until thaw."""
    stand = Stand()
    stand.write(5 * FRAME)
    stand.pull()
    stand.head.freeze()
    assert stand.head.ready(True)
    assert stand.kinds(2 + TAIL_FRAMES)[-1] is Kind.IDLE
    assert not stand.head.ready(True) and stand.head.frozen
    stand.head.thaw()
    assert stand.head.ready(True)


def test_a_barge_in_right_after_a_pause_fades_once() -> None:
    """Pause, stop and new speech within one frame: one fade, then the new stream."""
    stand = Stand()
    stand.write(5 * FRAME)
    stand.pull()
    stand.head.freeze()
    stand.head.cut()
    stand.write(3 * FRAME)
    assert stand.kinds(2) == [Kind.CUT, Kind.VOICE]
    assert abs(int(stand.pcm[-1][0])) < 8


@pytest.mark.parametrize("expecting", [True, False])
def test_ready_tells_the_next_pull(expecting: bool) -> None:
    """`ready` is true exactly when the next pull carries samples, holes apart."""
    rng = np.random.default_rng(4)
    stand = Stand()
    for _ in range(400):
        if rng.random() < 0.3:
            stand.write(int(rng.integers(0, 2 * FRAME)))
        if rng.random() < 0.05:
            stand.head.cut()
        if rng.random() < 0.05:
            stand.head.freeze()
        if rng.random() < 0.1:
            stand.head.thaw()
        ready, holding = stand.head.ready(expecting), stand.head.stage is Stage.HOLDING
        pull = stand.pull(expecting)
        if not holding:
            assert ready == (pull.pcm is not None), (pull.kind, stand.n)
