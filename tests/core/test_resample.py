"""Native rates to 48 kHz: the pieces do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.core.pcm import RATE, Float
from peer.core.resample import BLOCK, Resampler

RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)


def through(rate: int, pcm: Float, cuts: list[int]) -> Float:
    """`pcm` in pieces of the given lengths, the rest in one."""
    stream, out, at = Resampler(rate), [], 0
    for cut in cuts:
        out.append(stream.push(pcm[at : at + cut]))
        at += cut
    return np.concatenate([*out, stream.push(pcm[at:]), stream.flush()])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 900), max_size=12), st.integers(0, 2**31))
def test_every_chunking_gives_the_same_samples(rate: int, cuts: list[int], seed: int) -> None:
    """Bytes are equal whatever the pieces were, so that a retry or a replay may cut otherwise."""
    pcm = (np.random.default_rng(seed).standard_normal(5_000) * 0.1).astype(np.float32)
    assert np.array_equal(through(rate, pcm, cuts), through(rate, pcm, []))


@pytest.mark.parametrize("rate", RATES)
def test_the_length_is_the_ratio(rate: int) -> None:
    """A flushed stream is as long as its input, to one sample."""
    stream = Resampler(rate)
    given_ = len(stream.push(np.zeros(rate + 7, np.float32))) + len(stream.flush())
    assert abs(given_ - (rate + 7) * RATE / rate) <= 1
    assert stream.taken == rate + 7 and stream.given == given_
    assert stream.position(rate) == RATE


def test_a_tone_keeps_its_place() -> None:
    """Word markers are put at native position times ratio: the wave must lie there too."""
    rate = 24_000
    pcm = np.zeros(rate, np.float32)
    pcm[6_000:6_240] = np.hanning(240)
    out = through(rate, pcm, [100, 5_000])
    assert abs(int(np.argmax(out)) - Resampler(rate).position(6_000 + 120)) <= 2


def test_after_the_flush_nothing_is_owed() -> None:
    """A second flush is empty: the sentence's stream has ended."""
    stream = Resampler(16_000)
    stream.push(np.ones(100, np.float32))
    stream.flush()
    assert len(stream.flush()) == 0


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 44_100])
def test_what_is_there_depends_on_how_much_came_alone(rate: int) -> None:
    """After so many samples so many are given back, however they were cut: a replay cuts otherwise."""
    pcm = np.random.default_rng(1).normal(0, 0.1, rate).astype(np.float32)
    counts: dict[int, set[int]] = {}
    for step in (7, 64, 441, 5000):
        stream = Resampler(rate)
        for start in range(0, len(pcm), step):
            stream.push(pcm[start : start + step])
            counts.setdefault(stream.taken // BLOCK, set()).add(stream.given)
    assert all(len(given) == 1 for given in counts.values())
