"""What is known of the far end's clock: RTP timestamps against frame numbers.

Knows no packet and no session; timestamps are modulo 2^32.
"""

from __future__ import annotations

from .core.pcm import FRAME

WRAP = 2**32


class FarEnd:
    """`last` is the newest frame that it said it plays; None before the first report of a call."""

    def __init__(self) -> None:
        self._zero: int | None = None
        self.last: int | None = None

    def sent(self, n: int, rtp: int | None) -> None:
        """Frame `n` left with that timestamp."""
        if rtp is not None and self._zero is None:
            self._zero = (rtp - n * FRAME) % WRAP

    def rtp_of(self, n: int) -> int | None:
        """The timestamp of frame `n`; None before anything left."""
        return None if self._zero is None else (self._zero + n * FRAME) % WRAP

    def plays(self, n: int, rtp: int) -> int | None:
        """At frame `n` it plays `rtp`: which frame that is, or None if that cannot be."""
        if self._zero is None:
            return None
        ago = (n * FRAME + self._zero - rtp) % WRAP
        played = n - ago // FRAME
        if ago >= WRAP // 2 or played < 0:
            return None
        self.last = played
        return played

    def forget(self) -> None:
        """That call is over; the next has timestamps of its own."""
        self._zero = self.last = None
