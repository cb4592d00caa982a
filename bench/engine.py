"""The embedded voice: text to the first PCM outside its process; beside it the part inside the worker.

Knows only the host.
"""

from __future__ import annotations

from .budget import Budget
from .first_piece import measure as first_piece
from .row import Row

ENGINE = "espeak"


async def measure(budget: Budget) -> list[Row]:
    found = await first_piece(ENGINE, budget.renders)
    outside, inside = found["first_ms"], found["worker_ms"]
    assert isinstance(outside, dict) and isinstance(inside, dict)
    peer = "inside the worker"
    return [
        Row(f"{ENGINE}: first PCM out of its process, median", "ms", outside["p50"], peer, inside["p50"], 3.0),
        Row(f"{ENGINE}: first PCM out of its process, p95", "ms", outside["p95"], peer, inside["p95"]),
    ]
