"""Throttle & Recover: the machine becomes three times slower for a while; chunks shrink, then grow again.

No audible hiccup: what could not be written in time is a declared hole, and there is none.
"""

from __future__ import annotations

from . import shapes
from .engines import Cost
from .harness import Theatre
from .scene import Performance, Stage
from .shapes.figures import Finding, found
from .take import Take, number
from .texts import narration

COST = Cost(overhead_ms=15.0, ratio=0.2, jitter=0.05)
SLOW_MS = (15_000.0, 30_000.0)
FACTOR = 3.0
SHAPES = tuple(shape for shape in shapes.ALWAYS if shape is not shapes.blind_clicks)


def play(stage: Stage) -> Performance:
    model = stage.model(COST)
    model.slow = lambda now: FACTOR if SLOW_MS[0] <= now < SLOW_MS[1] else 1.0
    theatre = Theatre(engines={stage.engine: model}, adapter=stage.engine)
    theatre.say(narration(20))
    take = theatre.until_quiet().take()
    return Performance(take, (*(shape(take) for shape in SHAPES), shapes.no_underflow(take), recovered(take)))


def recovered(take: Take) -> Finding:
    """The last quarter has chunks as large as before the pressure, and the voice was never changed."""
    rungs = [(number(row, "frame") * 20, number(row, "rung")) for row in take.of("request")]
    before = max((rung for at, rung in rungs if at < SLOW_MS[0]), default=0)
    after = max((rung for at, rung in rungs if at > SLOW_MS[1]), default=0)
    faults = [] if after >= before else [f"chunks of rung {after} at most, {before} before the pressure"]
    return found("recovered", faults, largest_before=before, largest_after=after)
