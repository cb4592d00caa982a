"""From 48 to 16 kHz for the ears, half a millisecond late: every 20 ms in is 20 ms out.

Knows no packets. The resampler library is not used here: its low-quality stream holds 6 ms back
and hands out blocks, its quickest does not filter at all.
"""

from __future__ import annotations

import numpy as np

from .pcm import Float

RATIO = 3
TAPS = 48
"""1 ms at 48 kHz, of which half is delay; 6 dB down at 7.6 kHz, 50 dB and more from 9.5 kHz on."""
CUTOFF = 7_600.0 / 48_000.0


def _taps() -> Float:
    """A sinc under a Hamming window, (48,) float32, unity at 0 Hz."""
    n = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.sinc(2 * CUTOFF * n) * np.hamming(TAPS)
    return np.asarray(taps / taps.sum(), np.float32)


class Decimator:
    """One stream. Sample counts that three does not divide are carried over."""

    __slots__ = ("_held", "_taps")

    def __init__(self) -> None:
        self._taps = _taps()
        self.reset()

    def reset(self) -> None:
        self._held = np.zeros(TAPS - RATIO, np.float32)

    def feed(self, pcm: Float) -> Float:
        """`pcm` (n,) float32 at 48 kHz to (n // 3,) float32 at 16 kHz, one or none more by what was carried."""
        held = np.concatenate((self._held, pcm))
        count = max((len(held) - TAPS) // RATIO + 1, 0)
        self._held = held[count * RATIO :].copy()
        if not count:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(held, TAPS)[::RATIO][:count]
        return np.asarray(windows @ self._taps, np.float32)
