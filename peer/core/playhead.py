"""The pull side of the ring: which frame leaves now, or that none does.

Knows no engine and no text; a hole is declared, a stop is a fade, silence is a short tail.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from .frame import Kind, Pull
from .pcm import FADE, FRAME, SILENCE, Float, Int16, rise
from .ring import Ring
from .stitch import Stitcher

HOLD_FRAMES = 5
"""100 ms: so long the far end conceals a hole without a silent run (measured in Chromium)."""
TAIL_FRAMES = 4
"""80 ms of zeros before nothing is sent: without them the far end's concealment prolongs speech."""


class Stage(StrEnum):
    IDLE = "idle"
    FLOWING = "flowing"
    HOLDING = "holding"
    ENDING = "ending"
    CLOSING = "closing"
    TAILING = "tailing"


def faded(head: Int16) -> Int16:
    """A frame that falls to silence over `head` (at most 5 ms) and stays there: (960,) int16, read-only."""
    pcm = np.zeros(FRAME, np.int16)
    pcm[: len(head)] = _scaled(head, 1.0 - rise(len(head)))
    pcm.flags.writeable = False
    return pcm


def risen(pcm: Int16, samples: int) -> Int16:
    """A copy of `pcm`, the first 5 ms of whose `samples` samples rise from silence; read-only."""
    out = pcm.copy()
    k = min(FADE, samples)
    out[:k] = _scaled(out[:k], rise(FADE)[:k])
    out.flags.writeable = False
    return out


def _scaled(pcm: Int16, gain: Float) -> Int16:
    out: Int16 = np.rint(pcm.astype(np.float32) * gain).astype(np.int16)
    return out


class Playhead:
    """Reads `ring`. One frame per call; what it returns is a view valid until the next call."""

    def __init__(self, ring: Ring, stitcher: Stitcher) -> None:
        self._ring = ring
        self._stitcher = stitcher
        self.stage = Stage.IDLE
        self._hole = 0
        self._tail_left = 0
        self._closing: Pull | None = None
        self._frozen = False
        self._fade_in = False

    @property
    def frozen(self) -> bool:
        return self._frozen

    def ready(self, expecting: bool) -> bool:
        """True if the next pull would bring samples."""
        if self._closing is not None or self.stage is Stage.TAILING:
            return True
        if self._frozen:
            return self.stage is Stage.FLOWING
        if expecting and self.stage is not Stage.ENDING:
            return self._ring.depth >= FRAME
        return self._ring.depth > 0 or self.stage is Stage.FLOWING

    def read(self, n: int, expecting: bool) -> Pull:
        """Frame `n`; `expecting`: an engine owes samples, so an empty ring is a hole, not an end."""
        if self._closing is not None:
            pull = Pull(n, self._closing.kind, self._closing.pcm, self._closing.position, self._closing.spans)
            self._closing = None
            self._rest(TAIL_FRAMES)
            return pull
        if self._frozen:
            return self._silence(n)
        if self._ring.depth >= FRAME:
            return self._voice(n)
        if expecting and self.stage in (Stage.FLOWING, Stage.HOLDING):
            return self._hold(n)
        if self._ring.depth and self.stage is Stage.ENDING:
            return self._last(n, Kind.FILL)
        if self._ring.depth and not expecting:
            return self._last(n, Kind.VOICE)
        return self._silence(n)

    @property
    def fading(self) -> int | None:
        """The position of the 5 ms that leave faded in the frame that is due; None: nothing fades."""
        return None if self._closing is None else self._closing.position

    def cut(self) -> int:
        """Stop: the frame that is due fades within 5 ms, all else is flushed.

        Returns how many samples were dropped; the next frame is the fade, then silence.
        """
        if not self._frozen and self._close():
            self._ring.advance(min(FADE, self._ring.depth))
        dropped = self._ring.truncate(self._ring.read) + self._stitcher.held
        self._stitcher.drop()
        self._frozen = False
        self._fade_in = False
        return dropped

    def freeze(self) -> None:
        """Pause: fade as at a stop, but keep every sample; the same ones come again at `thaw`."""
        if not self._frozen:
            self._close()
            self._frozen = True

    def thaw(self) -> None:
        """Go on from the same sample, fading in; where the fade out has not left yet, as if nothing had been."""
        self._frozen = False
        if self._closing is not None:
            self._closing = None
            self.stage = Stage.FLOWING
            return
        self._fade_in = True
        if self.stage is Stage.TAILING:
            self._rest(0)

    def _close(self) -> bool:
        """Nothing more may sound: what flows fades in the frame that is due. False: there is nothing to fade."""
        if self.stage is Stage.HOLDING:
            self._rest(TAIL_FRAMES)
        if self.stage not in (Stage.FLOWING, Stage.ENDING):
            return False
        self._closing = self._fading()
        if self._closing is not None:
            self.stage = Stage.CLOSING
        return self._closing is not None

    def _fading(self) -> Pull | None:
        """The next 5 ms, of the ring and what the stitcher keeps back, falling to silence; None: it is silent."""
        head = self._ring.peek(FADE)
        if len(head) < FADE:
            head = np.concatenate((head, self._stitcher.preview()))[:FADE]
        if not len(head):
            return None
        return Pull(0, Kind.CUT, faded(head), self._ring.read, self._ring.origins(FADE))

    def _voice(self, n: int) -> Pull:
        position, spans, rises = self._ring.read, self._ring.origins(FRAME), self._fade_in
        pcm = self._opened(self._ring.peek(FRAME))
        self._ring.advance(FRAME)
        self.stage = Stage.FLOWING
        return Pull(n, Kind.VOICE, pcm, position, spans, rises)

    def _opened(self, pcm: Int16) -> Int16:
        """After a hole that the stitcher did not see, the first 5 ms rise."""
        if not self._fade_in:
            return pcm
        self._fade_in = False
        return risen(pcm, len(pcm))

    def _hold(self, n: int) -> Pull:
        if self.stage is Stage.FLOWING:
            self._hole = n
            self.stage = Stage.HOLDING
        if n - self._hole < HOLD_FRAMES:
            self._fade_in = True
            return Pull(n, Kind.HOLD)
        self._stitcher.finish()
        if self._ring.depth <= FRAME:
            return self._last(n, Kind.FILL)
        pull = self._voice(n)
        self.stage = Stage.ENDING
        return pull

    def _last(self, n: int, kind: Kind) -> Pull:
        """What is left, less than a frame, then silence."""
        depth = self._ring.depth
        position, spans, rises = self._ring.read, self._ring.origins(depth), self._fade_in
        pcm = np.zeros(FRAME, np.int16)
        pcm[:depth] = self._opened(self._ring.peek(depth))
        pcm.flags.writeable = False
        self._ring.advance(depth)
        self._fade_in = False
        self._rest(TAIL_FRAMES)
        return Pull(n, kind, pcm, position, spans, rises)

    def _rest(self, tail: int) -> None:
        self._tail_left = tail
        self.stage = Stage.TAILING if tail else Stage.IDLE

    def _silence(self, n: int) -> Pull:
        if self.stage is Stage.FLOWING:
            self._rest(TAIL_FRAMES)
        if self.stage is Stage.TAILING and self._tail_left:
            self._tail_left -= 1
            if not self._tail_left:
                self.stage = Stage.IDLE
            return Pull(n, Kind.TAIL, SILENCE, self._ring.read)
        self.stage = Stage.IDLE
        return Pull(n, Kind.IDLE)
