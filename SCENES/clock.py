"""An event loop whose clock jumps to the next timer: minutes of asyncio in a fraction of a second.

Knows no scene. Real files and sockets are polled and never waited for; when nothing is ready and no timer runs,
everybody waits for somebody who will never come, and that is an error.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")
Ready = list[tuple[selectors.SelectorKey, int]]
TIE = 1e-9
"""Seconds between two timers of one instant: they fire in the order in which they were set."""


class Deadlock(RuntimeError):
    """Nothing is ready, no timer runs, and something is still awaited."""


class _Jump(selectors.BaseSelector):
    """Polls the real selector; the time it would have slept, passes at once."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._real = selectors.DefaultSelector()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Ready:
        ready = self._real.select(0)
        if not ready:
            if timeout is None:
                raise Deadlock("everything waits and no timer runs")
            self._loop.now += max(timeout, 0.0)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now` is the loop's time in seconds; it moves only when everybody waits."""

    def __init__(self) -> None:
        self.now = 1.0
        self._ties = 0
        super().__init__(_Jump(self))
        self._clock_resolution = 1e-12

    def time(self) -> float:
        return self.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self._ties = (self._ties + 1) % 1000
        return super().call_at(when + self._ties * TIE, callback, *args, context=context)


def run(main: Coroutine[Any, Any, Value]) -> Value:
    """`asyncio.run` in virtual time. Raises Deadlock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
