"""The pace of an engine before anything was measured: from its descriptor and its warm-up.

Knows no sentence; the cast says what an engine is and what its first render cost.
"""

from __future__ import annotations

from .cast import Cast
from .messages import Mode
from .pace import Cost, Pace


def known(cast: Cast, adapter: str, cost: Cost) -> Cost:
    """`cost`, with what the engine's warm-up told where nothing was measured yet."""
    cost.prime(cast.prior(adapter))
    return cost


def tempo(cast: Cast, adapter: str, mode: Mode, clocked: bool) -> Pace:
    """A fresh controller for engine `adapter`."""
    return Pace(cast.descriptor(adapter).rungs_ms(), mode, known(cast, adapter, Cost()), clocked)
