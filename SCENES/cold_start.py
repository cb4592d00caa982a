"""Cold Start: the first request after boot waits for the warm-up and for nothing else; later requests skip it.

The text that came while the engine was cold is kept and spoken whole. What is compared are the engine's own
starts, never times.
"""

from __future__ import annotations

import asyncio

from . import shapes
from .rehearsal import Rehearsal, rehearse
from .scene import COST, Performance, Stage
from .shapes.figures import Finding, found
from .take import Take, number
from .texts import SHORT, STORY

WARM_S = 1.5
"""A model of some size, loaded from a disk; in virtual time it costs nothing."""
BREATH_S = 2.0
"""Long enough for the line to fall silent between the two requests."""


def play(stage: Stage) -> Performance:
    async def story(session: Rehearsal) -> None:
        session.say(STORY[0])
        await asyncio.sleep(WARM_S / 2)
        assert not session.sent, "it spoke before its engine was warm"
        await session.quiet()
        await asyncio.sleep(BREATH_S)
        session.say(SHORT[1])
        await session.quiet()

    rehearsal = rehearse(story, stage.model(), stage.engine, WARM_S, COST)
    take = rehearsal.take()
    judged = [shape(take) for shape in (*shapes.ALWAYS, shapes.no_underflow, shapes.first_audio_before_silence)]
    return Performance(take, (*judged, warmed_once(take, rehearsal.host.warm_ups)))


def warmed_once(take: Take, warm_ups: int) -> Finding:
    """One warm-up, before the first sound; none between the first request and the second."""
    ready = [number(row, "frame") for row in take.of("health") if row.get("state") == "READY"]
    faults = [] if warm_ups == 1 else [f"warmed up {warm_ups} times"]
    if len(ready) != 1:
        faults.append(f"became ready {len(ready)} times")
    elif take.sent and ready[0] > take.sent[0].n:
        faults.append("it spoke before it was ready")
    return found("warmed_once", faults, warm_ups=warm_ups, ready_at=ready)
