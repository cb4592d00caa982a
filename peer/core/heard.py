"""What the far end hears now: reports of its playout against the frames that were sent.

Knows no RTP: reports are frame numbers. Positions are the ring's samples.
"""

from __future__ import annotations

from collections import deque

KEPT_FRAMES = 1000
"""20 s of frames: an older report belongs to a call that is lost."""


class Heard:
    """Maps frames to positions and follows how far the far end lags behind the sender."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, int]] = deque(maxlen=KEPT_FRAMES)
        self.lag = 0
        """Frames between sending and hearing, from the last report; 0 before the first."""

    def sent(self, n: int, end: int) -> None:
        """Frame `n` carried samples up to position `end`."""
        self._frames.append((n, end))

    def report(self, now: int, played: int) -> bool:
        """At frame `now` the far end plays frame `played`. False: that cannot be."""
        lag = now - played
        if not 0 <= lag <= KEPT_FRAMES:
            return False
        self.lag = lag
        return True

    def position(self, now: int, sent: int) -> int:
        """The position heard at frame `now`, where `sent` is what has left."""
        if not self.lag:
            return sent
        heard = now - self.lag
        for n, end in reversed(self._frames):
            if n <= heard:
                return min(end, sent)
        return min(self._frames[0][1], sent) if self._frames else sent
