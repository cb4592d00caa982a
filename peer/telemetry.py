"""What the panel is told of a session: recent records and the state of the buffer, bounded.

Knows no HTTP; a listener waits for the next change and takes what came since its last number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

KEPT = 2000
"""Records a listener may be behind: a minute of a talkative session."""
MOST = 200
"""Records of one batch: about 40 kB."""

QUIET_KINDS = frozenset({"frames", "header"})
"""Records that are for the log alone."""


class Telemetry:
    """A bounded tail of a session's records, numbered from 1. `moves` counts every change."""

    def __init__(self) -> None:
        self._records: deque[tuple[int, Mapping[str, object]]] = deque(maxlen=KEPT)
        self._waiters: set[asyncio.Future[None]] = set()
        self.last = 0
        self.moves = 0

    def add(self, record: Mapping[str, object]) -> None:
        if record.get("kind") in QUIET_KINDS:
            return
        self.last += 1
        self._records.append((self.last, record))
        self.touch()

    def touch(self) -> None:
        """Something moved, perhaps without a record (the depth of the buffer)."""
        self.moves += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def since(self, number: int) -> tuple[int, int, list[Mapping[str, object]]]:
        """(last number, how many were dropped, records after `number`), at most `MOST`."""
        found = [(i, r) for i, r in self._records if i > number]
        dropped = (found[0][0] - number - 1) if found and number else 0
        taken = found[-MOST:]
        return self.last, dropped + len(found) - len(taken), [r for _, r in taken]

    async def changed(self, moves: int) -> None:
        """Until more than `moves` changes were made; several may wait."""
        if self.moves > moves:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
