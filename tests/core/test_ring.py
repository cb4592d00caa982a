"""The ring against a list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peer.core.pcm import FRAME, Int16
from peer.core.ring import QUIET, Ring, quiet

from .measure import origin

CAPACITY = 3


def ramp(start: int, samples: int) -> Int16:
    """(samples,) int16, each told from its neighbours."""
    return (np.arange(start, start + samples) % 30_011).astype(np.int16)


class RingModel(RuleBasedStateMachine):
    """Every sequence of writes, reads and cuts, beside a plain list of (sample, chunk)."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(CAPACITY)
        self.queue: list[tuple[int, int]] = []
        self.read = 0
        self.origins = [origin(i) for i in range(4)]

    @rule(samples=st.integers(0, CAPACITY * FRAME), chunk=st.integers(0, 3), value=st.integers(0, 9999))
    def write(self, samples: int, chunk: int, value: int) -> None:
        pcm = ramp(value, samples)
        if samples > CAPACITY * FRAME - len(self.queue):
            with pytest.raises(OverflowError):
                self.ring.write(pcm, self.origins[chunk])
            return
        assert self.ring.write(pcm, self.origins[chunk]) == self.read + len(self.queue)
        self.queue += [(int(s), chunk) for s in pcm]

    @rule(samples=st.integers(0, FRAME))
    def advance(self, samples: int) -> None:
        samples = min(samples, len(self.queue))
        self.ring.advance(samples)
        self.read += samples
        del self.queue[:samples]

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        keep = data.draw(st.integers(-5, len(self.queue)))
        dropped = self.ring.truncate(self.read + keep)
        assert dropped == len(self.queue) - max(keep, 0)
        del self.queue[max(keep, 0) :]

    @invariant()
    def agrees(self) -> None:
        assert self.ring.depth == len(self.queue) and self.ring.room == CAPACITY * FRAME - len(self.queue)
        view = self.ring.peek()
        assert view.tolist() == [s for s, _ in self.queue[:FRAME]]
        assert not view.flags.writeable and view.flags.c_contiguous
        told = [s.origin.chunk_id for s in self.ring.origins() for _ in range(s.end - s.start)]
        assert told == [c for _, c in self.queue[:FRAME]]
        whole = self.ring.copy(self.ring.read, self.ring.written)
        assert whole.tolist() == [s for s, _ in self.queue]


RingModel.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestRing = RingModel.TestCase


def test_a_view_is_contiguous_wherever_it_starts() -> None:
    """The frame across the end of the buffer is one view, not two, and no copy."""
    ring = Ring(2)
    for i in range(40):
        ring.write(ramp(i * 700, 700), origin())
        view = ring.peek(700)
        assert view.base is not None and view.tolist() == ramp(i * 700, 700).tolist()
        ring.advance(700)


def test_neighbours_of_one_origin_are_one_span() -> None:
    """Provenance does not grow with the number of pieces."""
    ring, first, second = Ring(2), origin(1), origin(2)
    for who in (first, first, second, first):
        ring.write(ramp(0, 10), who)
    assert [(s.start, s.end, s.origin.chunk_id) for s in ring.origins()] == [(0, 20, 1), (20, 30, 2), (30, 40, 1)]


def test_one_cannot_read_what_is_not_written() -> None:
    """The reader never overtakes the writer."""
    with pytest.raises(ValueError):
        Ring(2).advance(1)
    with pytest.raises(ValueError):
        Ring(1)
    with pytest.raises(ValueError):
        Ring(2).copy(0, 1)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_quiet_is_counted_from_the_end(loud: int, silent: int) -> None:
    """At most one frame, never across a loud sample."""
    ring = Ring(5)
    ring.write(np.full(loud, QUIET + 1, np.int16), origin())
    ring.write(np.full(silent, -QUIET, np.int16), origin())
    assert quiet(ring) == min(silent, FRAME)
