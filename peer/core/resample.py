"""Native rate to 48 kHz, one stream per engine and sentence.

Knows no chunk: whatever the pieces were, the output is the same (soxr keeps its own state).
"""

from __future__ import annotations

import numpy as np
import soxr

from .pcm import EMPTY, RATE, Float

QUALITY = "HQ"
"""soxr's own default: 20-bit precision; inside a sentence it holds back 40 ms at 22 to 24 kHz (160 ms at 8 kHz)."""


class Resampler:
    """`push` returns what is complete and never waits; `flush` returns the rest and ends the stream."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.taken = 0
        self.given = 0
        self._stream = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality=QUALITY)

    def push(self, pcm: Float) -> Float:
        """(n,) float32 at the native rate to (m,) float32 at 48 kHz."""
        self.taken += len(pcm)
        out = pcm if self._stream is None else self._stream.resample_chunk(pcm, last=False)
        self.given += len(out)
        return out

    def flush(self) -> Float:
        if self._stream is None:
            return EMPTY
        out: Float = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        self._stream = None
        self.given += len(out)
        return out

    def position(self, native: int) -> int:
        """Where native sample `native` of this stream lies in the output."""
        return round(native * RATE / self.rate)
