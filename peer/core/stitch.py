"""The stitcher: pieces become one stream without a click.

Knows no engine and no clock: it is told where a stream begins, goes on and ends, and fades there.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .frame import Provenance
from .pcm import EMPTY, FADE, Float, Int16, dither_at, fade_out, quantise, rise


class Joint:
    """Blends the head of a new stream into what is left of an old one, piece by piece.

    With `old` empty it is a fade-in over `FADE` samples.
    """

    def __init__(self, old: Float = EMPTY) -> None:
        self.blends = len(old) > 0
        self._length = len(old) or FADE
        self._old = old if len(old) else np.zeros(FADE, np.float32)
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= self._length

    def push(self, pcm: Float) -> Float:
        """(n,) float32 in, (n,) out: blended where the joint is not yet passed."""
        k = min(self._length - self._at, len(pcm))
        if k <= 0:
            return pcm
        gain = rise(self._length)[self._at : self._at + k]
        out = pcm.astype(np.float32, copy=True)
        out[:k] = self._old[self._at : self._at + k] * (1.0 - gain) + pcm[:k] * gain
        self._at += k
        return out


class Overlap:
    """Overlap-add of consecutive chunks that share `samples` samples, at the native rate.

    Each chunk's last `samples` are kept back and blended with the head of the next; `flush` gives them.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self._kept = EMPTY
        self._joint: Joint | None = None

    @property
    def empty(self) -> bool:
        """Nothing is kept back."""
        return not len(self._kept)

    def begin(self) -> None:
        """A new chunk starts: its head repeats the tail of the last one."""
        if self.samples and len(self._kept):
            self._joint = Joint(self._kept)
            self._kept = EMPTY

    def push(self, pcm: Float) -> Float:
        if not self.samples:
            return pcm
        if self._joint is not None:
            pcm = self._joint.push(pcm)
            if self._joint.done:
                self._joint = None
        joined = np.concatenate((self._kept, pcm))
        cut = max(0, len(joined) - self.samples)
        self._kept = joined[cut:]
        return joined[:cut]

    def flush(self) -> Float:
        out, self._kept, self._joint = self._kept, EMPTY, None
        return out


class Sink(Protocol):
    """Where stitched samples go: the ring, or a tape."""

    @property
    def written(self) -> int: ...

    def write(self, pcm: Int16, origin: Provenance, /) -> int: ...


class Stitcher:
    """Writes the ring. While more is due the last 5 ms stay here, so that they can still be faded.

    `dither` is the seed of a triangular dither keyed by position, or None for none.
    """

    def __init__(self, ring: Sink, dither: int | None = None) -> None:
        self._ring = ring
        self._dither = dither
        self._tail = EMPTY
        self._joint: Joint | None = Joint()
        self._origin: Provenance | None = None

    @property
    def position(self) -> int:
        """The position that the next sample handed in will have."""
        return self._ring.written + len(self._tail)

    @property
    def held(self) -> int:
        """Samples that are kept back."""
        return len(self._tail)

    @property
    def curve(self) -> str:
        """How the next sample handed in joins: "rise" from silence, "blend" with an old stream, or "none"."""
        if self._joint is None:
            return "none"
        return "blend" if self._joint.blends else "rise"

    def preview(self) -> Int16:
        """What is kept back, as it would sound, (held,) int16; nothing is taken."""
        return quantise(self._tail)

    def begin(self, old: Float = EMPTY) -> None:
        """A new stream starts here: faded in, or blended with `old`, what would have come otherwise."""
        self._joint = Joint(old)

    def write(self, pcm: Float, origin: Provenance) -> None:
        """(n,) float32 at 48 kHz, the continuation of the stream."""
        if not len(pcm):
            return
        if self._joint is not None:
            pcm = self._joint.push(pcm)
            if self._joint.done:
                self._joint = None
        joined = np.concatenate((self._tail, pcm))
        cut = max(0, len(joined) - FADE)
        kept = min(len(self._tail), cut)
        if kept and self._origin is not None:
            self._emit(joined[:kept], self._origin)
        self._emit(joined[kept:cut], origin)
        self._tail = joined[cut:]
        self._origin = origin

    def finish(self) -> None:
        """The stream ends: the tail leaves, faded to silence; the next samples fade in."""
        if len(self._tail) and self._origin is not None:
            self._emit(fade_out(self._tail), self._origin)
        self._reset()

    def drop(self) -> None:
        """A stop: the tail never leaves; the next samples fade in."""
        self._reset()

    def silence(self, samples: int, origin: Provenance) -> None:
        """`samples` zeros between two streams (a pause that is made longer)."""
        self._emit(np.zeros(samples, np.float32), origin)

    def _reset(self) -> None:
        self._tail = EMPTY
        self._joint = Joint()
        self._origin = None

    def _emit(self, pcm: Float, origin: Provenance) -> None:
        if not len(pcm):
            return
        noise = None if self._dither is None else dither_at(self._ring.written, len(pcm), self._dither)
        self._ring.write(quantise(pcm, noise), origin)
