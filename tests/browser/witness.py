"""Whether the machine itself kept time: a thread that only sleeps, and how often it was woken too late.

Knows nothing of what else goes on; a real-time test that failed beside it may be repeated once.
"""

from __future__ import annotations

import threading
import time

LATE_S = 0.015
"""Who sleeps 20 ms and is woken this late shares the machine with somebody else."""


class Witness:
    """A thread that only sleeps: how often the machine woke it too late. Ends with the `with` block."""

    def __init__(self) -> None:
        self.late = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            due = time.monotonic() + 0.02
            time.sleep(0.02)
            self.late += time.monotonic() - due > LATE_S
