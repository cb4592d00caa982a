"""Copies of what leaves, for listeners besides the call.

Know no HTTP; who is slower than two seconds is dropped, the call never waits.
"""

from __future__ import annotations

import asyncio

from .core.errors import Refusal
from .core.pcm import Int16

TAP_FRAMES = 100
"""2 s of a listener's queue."""

Tap = asyncio.Queue[bytes | None]
"""s16le per frame; None ends it."""


class Taps:
    """At most `most` listeners of one session."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queues: set[Tap] = set()

    def __len__(self) -> int:
        return len(self._queues)

    def open(self) -> Tap:
        """What leaves from now on. Raises Refusal."""
        if len(self._queues) >= self._most:
            raise Refusal("busy", "call", f"at most {self._most} listeners besides the call")
        found: Tap = asyncio.Queue(TAP_FRAMES)
        self._queues.add(found)
        return found

    def shut(self, tap: Tap) -> None:
        self._queues.discard(tap)

    def feed(self, pcm: Int16) -> None:
        """One frame to everyone; a full queue ends."""
        if not self._queues:
            return
        data = pcm.tobytes()
        for tap in list(self._queues):
            if tap.full():
                self._end(tap)
            else:
                tap.put_nowait(data)

    def close(self) -> None:
        for tap in list(self._queues):
            self._end(tap)

    def _end(self, tap: Tap) -> None:
        self._queues.discard(tap)
        if tap.full():
            tap.get_nowait()
        tap.put_nowait(None)
