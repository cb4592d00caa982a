"""Speaking calls per core: more and more, until the 99th percentile of frame lateness passes 20 ms.

Knows only what the server under test says of itself; beside it stock aiortc's own track, in the same way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

from . import server
from .budget import Budget
from .row import Row
from .server import OTHER_CORE, OURS_CORE, Child

LATE_MS = 20.0
EASY_MS, EASY_CPU = 4.0, 0.6
"""Below both of these the next step is the large one."""
LARGE, SMALL = 20, 8
ALL, PER_S = 0.95, 50
"""Of the frames that so many calls owe in a second: whoever holds for want of samples does not speak."""
AGAIN = 2
"""Looks at a step that is too late: one stall of a shared machine is not the limit."""


@dataclass(frozen=True, slots=True)
class Load:
    """A step: `us` is the process's CPU time per frame, `p99` its lateness in ms."""

    calls: int
    us: float
    p99: float
    cpu: float
    held: bool

    @classmethod
    def of(cls, calls: int, facts: Mapping[str, float]) -> Load:
        """Held, when nothing was too late and all of the calls spoke."""
        held = facts["p99"] <= LATE_MS and facts["per_s"] >= ALL * calls * PER_S
        return cls(calls, facts["us_per_frame"], facts["p99"], facts["cpu"], held)


async def measure(budget: Budget) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with server.ours("tone", timed=True, core=OURS_CORE, journal=folder) as child:
            child.send_away(OTHER_CORE)
            mine = await climb(child, budget)
    async with server.stock(timed=True, core=OURS_CORE, speaking=True) as child:
        theirs = await climb(child, budget)
    peer = "stock aiortc track"
    return [
        Row("speaking calls per core, p99 lateness ≤ 20 ms", "calls", mine.calls, peer, theirs.calls, 110, more=True),
        Row("CPU per frame at that load", "µs", mine.us, peer, theirs.us),
        Row("p99 lateness at that load", "ms", mine.p99, peer, theirs.p99, LATE_MS),
    ]


async def climb(target: Child, budget: Budget) -> Load:
    """The last step that held; if none did, the first one, as no calls at all."""
    best: Load | None = None
    calls = budget.first_calls
    async with server.child("bench.crowd", [target.address, "--core", str(OTHER_CORE)]) as crowd:
        while calls <= budget.most_calls:
            await crowd.ask(f"grow {calls}")
            await target.ask(f"measure {budget.settle_s}")
            found = await _look(target, calls, budget)
            if not found.held:
                return best or replace(found, calls=0)
            best = found
            calls += LARGE if found.p99 < EASY_MS and found.cpu < EASY_CPU else SMALL
    assert best is not None
    return best


async def _look(target: Child, calls: int, budget: Budget) -> Load:
    for _ in range(AGAIN):
        found = Load.of(calls, await target.ask(f"measure {budget.window_s}"))
        if found.held:
            break
    return found
