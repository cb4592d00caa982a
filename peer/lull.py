"""Waiting for quiet after a spoken barge-in that nobody understood.

Knows no microphone and no session: it is told who speaks, and calls when it was quiet for long enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Lull:
    """Calls `then` after `after_s` of quiet, once per `begin`; 0 never calls. Speech starts the count anew."""

    def __init__(self, after_s: float, then: Callable[[], None]) -> None:
        self._after_s = after_s
        self._then = then
        self._loop = asyncio.get_running_loop()
        self._allowed = True
        self._speaking = False
        self._waiting = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> bool:
        return self._waiting

    def allow(self, allowed: bool) -> None:
        """Whether it may call at all: the caller's choice."""
        self._allowed = allowed
        if not allowed:
            self.cancel()

    def begin(self) -> None:
        """From now on quiet counts."""
        self.cancel()
        self._waiting = self._allowed and self._after_s > 0
        self._count()

    def cancel(self) -> None:
        self._waiting = False
        self._stop()

    def hear(self, speaking: bool) -> None:
        """The caller began or stopped to speak."""
        self._speaking = speaking
        self._stop()
        self._count()

    def _count(self) -> None:
        if self._waiting and not self._speaking:
            self._timer = self._loop.call_later(self._after_s, self._over)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._waiting, self._timer = False, None
        self._then()
