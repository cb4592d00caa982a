"""Which RTP packets are worth hearing now: in arrival order, each once, nothing that comes too late.

Knows no audio and no clock. Nothing is held back: a hole costs its own sound and no time.
"""

from __future__ import annotations

RESTART_AFTER = 100
"""Packets behind the newest: fewer is reordering (2 s of it), more is a sender that began anew."""

_SEQUENCES = 1 << 16
_TIMES = 1 << 32


class Arrivals:
    """The newest packet of one stream."""

    __slots__ = ("_sequence", "_source", "_time")

    def __init__(self) -> None:
        self._source: int | None = None
        self._sequence = 0
        self._time = 0

    def admit(self, source: int, sequence: int, time: int) -> int | None:
        """Samples of RTP time since the packet before, 0 for the first of a source; None: late or a duplicate."""
        ahead = (sequence - self._sequence) % _SEQUENCES
        fresh = self._source != source or RESTART_AFTER < (_SEQUENCES - ahead) <= _SEQUENCES // 2
        if not fresh and not 0 < ahead < _SEQUENCES // 2:
            return None
        passed = 0 if fresh else (time - self._time) % _TIMES
        self._source, self._sequence, self._time = source, sequence, time
        return passed
