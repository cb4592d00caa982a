"""Speaking calls per core: more and more, until the 99th percentile of frame lateness passes 20 ms.

Knows only what the server under test says of itself; beside it stock aiortc's own track, in the same way.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

from . import server
from .budget import Budget
from .row import Row
from .server import OTHER_CORE, OURS_CORE, Child

LATE_MS = 20.0
EASY_MS, EASY_CPU = 4.0, 0.6
"""Below both of these the next step is the large one."""
LARGE, SMALL = 20, 8
AGAIN = 2
"""Looks at a step that is too late: one stall of a shared machine is not the limit."""


@dataclass(frozen=True, slots=True)
class Load:
    """A step that held: `us` is the process's CPU time per frame, `p99` its lateness in ms."""

    calls: int = 0
    us: float = float("nan")
    p99: float = float("nan")
    cpu: float = float("nan")


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
    """The last step that held."""
    held = Load()
    calls = budget.first_calls
    async with server.child("bench.crowd", [target.address, "--core", str(OTHER_CORE)]) as crowd:
        while calls <= budget.most_calls:
            await crowd.ask(f"grow {calls}")
            await target.ask(f"measure {budget.settle_s}")
            found = await _look(target, calls, budget)
            if found is None:
                break
            held = found
            calls += LARGE if found.p99 < EASY_MS and found.cpu < EASY_CPU else SMALL
    return held


async def _look(target: Child, calls: int, budget: Budget) -> Load | None:
    """None when it is too late, or when not all of them speak."""
    for _ in range(AGAIN):
        facts = await target.ask(f"measure {budget.window_s}")
        whole = facts["per_s"] >= 0.95 * calls * 50
        if whole and facts["p99"] <= LATE_MS:
            return Load(calls, facts["us_per_frame"], facts["p99"], facts["cpu"])
    return None
