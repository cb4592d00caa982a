"""PCM arithmetic by value and by property."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peer.core.pcm import EMPTY, FADE, SILENCE, as_float, crossfade, dither_at, fade_in, fade_out, quantise, rise


def test_rise_and_fall_add_up_to_one() -> None:
    """A fade-out is the mirror of the fade-in, so an equal-gain blend keeps the level."""
    gain = rise(FADE)
    assert np.allclose(gain + gain[::-1], 1.0, atol=1e-6)
    assert gain[0] < 1e-4 and gain[-1] > 0.9999 and bool(np.all(np.diff(gain) > 0))


def test_shared_arrays_cannot_be_written() -> None:
    """Silence, emptiness and gain curves are shared by everyone."""
    assert not any(a.flags.writeable for a in (SILENCE, EMPTY, rise(FADE)))


@given(st.integers(0, 1000))
def test_fades_start_and_end_in_silence(samples: int) -> None:
    """Any length fades, also one shorter than the fade; the argument stays as it was."""
    wave = np.ones(samples, np.float32)
    opened, closed = fade_in(wave), fade_out(wave)
    assert len(opened) == len(closed) == samples and bool(np.all(wave == 1.0))
    if samples:
        assert opened[0] < 0.5001 and closed[-1] < 0.5001
        assert np.allclose(opened, closed[::-1], atol=1e-6)


def test_crossfade_of_equals_is_the_same() -> None:
    """Blending a wave with itself changes nothing."""
    wave = np.sin(np.arange(100, dtype=np.float32))
    assert np.allclose(crossfade(wave, wave), wave, atol=1e-6)


def test_quantise_saturates_and_rounds() -> None:
    """Overload clips instead of wrapping."""
    wave = np.array([0.0, 1.0, -1.0, 3.9, -3.9, 0.5 / 32767], np.float32)
    assert quantise(wave).tolist() == [0, 32767, -32767, 32767, -32768, 0]


@given(st.lists(st.integers(-32767, 32767), max_size=64))
def test_int16_survives_the_way_back(values: list[int]) -> None:
    """What was quantised and is blended again loses nothing."""
    pcm = np.array(values, np.int16)
    assert quantise(as_float(pcm)).tolist() == values


@given(st.integers(0, 2**40), st.integers(0, 500), st.integers(0, 500), st.integers(0, 2**31))
def test_dither_depends_on_the_position_alone(position: int, first: int, second: int, seed: int) -> None:
    """However a span is chunked, its noise is the same; it stays within one step."""
    whole = dither_at(position, first + second, seed)
    parts = (dither_at(position, first, seed), dither_at(position + first, second, seed))
    assert np.array_equal(whole, np.concatenate(parts))
    assert float(np.abs(whole).max(initial=0.0)) <= 1.0


def test_dither_is_triangular_noise() -> None:
    """Mean zero, variance of two uniform halves (1/6), no correlation with its neighbour."""
    noise = dither_at(0, 100_000, 3)
    assert abs(float(noise.mean())) < 0.01 and abs(float(noise.var()) - 1 / 6) < 0.01
    assert abs(float(np.mean(noise[1:] * noise[:-1]))) < 0.01
