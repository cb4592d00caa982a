"""Cold Start: the first request after boot waits for the warm-up and for nothing else; later requests skip it.

The text that came while the engine was cold is kept and spoken whole. What is compared are the engine's own
starts, never times.
"""

from __future__ import annotations

import asyncio

from . import shapes
from .caller import Caller
from .live import perform
from .rehearsal import Rehearsal, rehearse
from .scene import COST, Performance, Stage
from .server import Server
from .shapes.figures import Finding, found
from .take import Take, number
from .texts import SHORT, STORY

WARM_S = 1.5
"""A model of some size, loaded from a disk; in virtual time it costs nothing."""
KEPT = ("pid", "restarts", "warm_ms")
"""Of an engine's process: another value would be another warm-up."""
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
    judged = [shape(take) for shape in (*shapes.ALWAYS, shapes.first_audio_before_silence)]
    return Performance(take, (*judged, warmed_once(take, rehearsal.host.warm_ups)))


def live(stage: Stage) -> Performance:
    """Against a real server, from the start of its process: the second request finds the engine as it was."""

    async def story(caller: Caller, _server: Server) -> list[Finding]:
        seen = []
        for text in (STORY[0], SHORT[1]):
            await caller.answer(caller.ask("say", text=text))
            await caller.until(lambda: caller.state() in ("SPEAKING", "DRAINING"))
            await caller.until(lambda: caller.state() == "IDLE")
            seen.append(await _engine(caller, stage.engine))
        first, second = seen
        faults = [f"{name}: {first[name]} then {second[name]}" for name in KEPT if first[name] != second[name]]
        faults += [] if first["restarts"] == 0 else ["it was started more than once"]
        faults += [] if first["warm_ms"] else ["nobody says what the warm-up took"]
        return [found("warmed_once", faults, **first)]

    return perform(stage, story)


async def _engine(caller: Caller, name: str) -> dict[str, object]:
    """What the server says of the engine's process."""
    health = (await caller.get("/capabilities"))["health"][name]
    return {field: health.get(field) for field in KEPT}


def warmed_once(take: Take, warm_ups: int) -> Finding:
    """One warm-up, before the first sound; none between the first request and the second."""
    ready = [number(row, "frame") for row in take.of("health") if row.get("state") == "READY"]
    faults = [] if warm_ups == 1 else [f"warmed up {warm_ups} times"]
    if len(ready) != 1:
        faults.append(f"became ready {len(ready)} times")
    elif take.sent and ready[0] > take.sent[0].n:
        faults.append("it spoke before it was ready")
    return found("warmed_once", faults, warm_ups=warm_ups, ready_at=ready)
