"""Long Read: five minutes of narration without a hole; chunk sizes settle within the first of them and stay.

The real session on a clock that jumps, a track's pacer as its listener.
"""

from __future__ import annotations

from . import shapes
from .rehearsal import Rehearsal, rehearse
from .scene import COST, Performance, Stage, judged
from .texts import narration

SENTENCES = 90
"""About five minutes at a reader's pace."""
SHAPES = tuple(shape for shape in shapes.ALWAYS if shape is not shapes.blind_clicks)
"""Prediction takes two seconds a minute; the boundaries, where faults could be, are all looked at."""


def play(stage: Stage) -> Performance:
    async def story(session: Rehearsal) -> None:
        session.say(narration(SENTENCES))
        await session.quiet()

    take = rehearse(story, stage.model(), stage.engine, cost=COST).take()
    return judged(take, *SHAPES, shapes.no_underflow, shapes.depth_in_band, shapes.converges)
