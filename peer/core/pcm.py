"""PCM arithmetic: rates, fades and the one point where float becomes int16.

Knows nothing of engines, rings or time; positions are sample counters at 48 kHz.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

RATE = 48_000
FRAME = 960
FRAME_MS = 20
FADE = 240
"""5 ms: long enough that no click is audible, short enough to fit four times into a frame."""

Float = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]

EMPTY: Float = np.zeros(0, np.float32)
SILENCE: Int16 = np.zeros(FRAME, np.int16)
SILENCE.flags.writeable = False
EMPTY.flags.writeable = False


@lru_cache(maxsize=32)
def rise(samples: int) -> Float:
    """Raised-cosine gain from 0 to 1, (samples,) float32; the matching fall is `1 - rise`."""
    phase = (np.arange(samples, dtype=np.float64) + 0.5) / samples
    curve = (0.5 - 0.5 * np.cos(np.pi * phase)).astype(np.float32)
    curve.flags.writeable = False
    return curve


def fade_in(pcm: Float, samples: int = FADE) -> Float:
    """A copy of `pcm` (n,) float32 whose first min(samples, n) samples rise from silence."""
    out = pcm.astype(np.float32, copy=True)
    n = min(samples, len(out))
    if n:
        out[:n] *= rise(n)
    return out


def fade_out(pcm: Float, samples: int = FADE) -> Float:
    """A copy of `pcm` (n,) float32 whose last min(samples, n) samples fall to silence."""
    out = pcm.astype(np.float32, copy=True)
    n = min(samples, len(out))
    if n:
        out[len(out) - n :] *= 1.0 - rise(n)
    return out


def crossfade(old: Float, new: Float) -> Float:
    """Blend two float32 arrays of one length, equal gain: `old` falls while `new` rises."""
    gain = rise(len(new))
    out: Float = (old * (1.0 - gain) + new * gain).astype(np.float32)
    return out


def quantise(pcm: Float, dither: Float | None = None) -> Int16:
    """Float32 in [-1, 1] to int16, saturating; the only place where samples lose precision.

    `dither` (n,) float32 in least significant bits is added before rounding.
    """
    scaled = pcm * np.float32(32767.0)
    if dither is not None:
        scaled = scaled + dither
    out: Int16 = np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
    return out


def as_float(pcm: Int16) -> Float:
    """(n,) int16 back to float32 in [-1, 1]; `quantise` gives the same samples again."""
    return pcm.astype(np.float32) / np.float32(32767.0)


def dither_at(position: int, samples: int, seed: int) -> Float:
    """Triangular dither of +-1 LSB for `samples` samples from absolute `position`.

    Keyed by position (an integer hash, after the SplitMix64 finaliser), so that the same span
    gets the same noise however it was chunked. Returns (samples,) float32 in LSB.
    """
    index = np.arange(position, position + samples, dtype=np.uint64) + np.uint64(seed & 0xFFFFFFFF)
    with np.errstate(over="ignore"):
        z = index * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    low = (z & np.uint64(0xFFFFFFFF)).astype(np.float64)
    high = (z >> np.uint64(32)).astype(np.float64)
    return ((low - high) / 2.0**32).astype(np.float32)
