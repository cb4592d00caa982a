"""Native rate to 48 kHz, one stream per engine and sentence.

Knows no chunk: whatever the pieces were, the output is the same, and so is how much of it is there after so many
samples; a replay depends on both.
"""

from __future__ import annotations

import numpy as np
import soxr

from .pcm import EMPTY, RATE, Float

QUALITY = "HQ"
"""soxr's own default: 20-bit precision; inside a sentence it holds back 40 ms at 22 to 24 kHz (160 ms at 8 kHz)."""

BLOCK = 64
"""Native samples that soxr gets at a time, 3 ms: how much it gives back at once depends on how it is fed."""


class Resampler:
    """`push` returns what is complete and never waits; `flush` returns the rest and ends the stream."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.taken = 0
        self.given = 0
        self._rest = EMPTY
        self._stream = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality=QUALITY)

    def push(self, pcm: Float) -> Float:
        """(n,) float32 at the native rate to (m,) float32 at 48 kHz."""
        self.taken += len(pcm)
        out = pcm if self._stream is None else self._whole(self._stream, pcm)
        self.given += len(out)
        return out

    def _whole(self, stream: soxr.ResampleStream, pcm: Float) -> Float:
        """What comes of all whole blocks; the rest waits for more."""
        joined = np.concatenate((self._rest, pcm))
        end = len(joined) - len(joined) % BLOCK
        self._rest = joined[end:].copy()
        blocks = range(0, end, BLOCK)
        return np.concatenate([EMPTY, *(stream.resample_chunk(joined[at : at + BLOCK], last=False) for at in blocks)])

    def flush(self) -> Float:
        if self._stream is None:
            return EMPTY
        out: Float = self._stream.resample_chunk(self._rest, last=True)
        self._stream, self._rest = None, EMPTY
        self.given += len(out)
        return out

    def position(self, native: int) -> int:
        """Where native sample `native` of this stream lies in the output."""
        return round(native * RATE / self.rate)
