"""Failure Injection: the engine dies, falls silent or brings rubbish while it speaks; another one says the same words.

Nothing lost, at most the word under way said again, no hole; when it is well again the chosen engine comes back.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from itertools import pairwise

from adapters import registry

from . import shapes
from .caller import Caller
from .engines import Cost
from .harness import Theatre
from .live import perform
from .scene import Performance, Stage, together
from .server import Server
from .shapes.figures import Finding, found
from .take import Take, number
from .texts import narration

FAULTS = ("raise", "die", "mute", "nan", "rate", "clipped", "empty", "huge")
FULL = 100
"""Repeats from which every fault is played; fewer play three, drawn by the seed."""
COST = Cost(overhead_ms=20.0, ratio=0.3, jitter=0.05)
ILL_MS = 4000.0
"""How long the fault lasts: longer than any buffer."""
LONG_S = 120.0
"""For a narration of a minute, or for a worker to be back."""


def play(stage: Stage) -> Performance:
    """Every fault, each at a moment of its own."""
    rng = random.Random(stage.seed)
    faults = FAULTS if stage.repeats >= FULL else rng.sample(FAULTS, 3)
    return together([_act(stage, fault, rng.uniform(1200.0, 2500.0)) for fault in faults])


def _act(stage: Stage, fault: str, at_ms: float) -> Performance:
    name, stand_in = stage.stand_in()
    model = stage.model(COST)
    model.warmed = True
    model.ill = lambda now: fault if at_ms <= now < at_ms + ILL_MS else ""
    theatre = Theatre(engines={stage.engine: model, name: stand_in}, adapter=stage.engine)
    theatre.say(narration(5, stage.seed))
    theatre.run(at_ms + ILL_MS + 1500.0)
    theatre.say(narration(1, stage.seed + 1))
    take = theatre.until_quiet().take()
    judged = (
        *(shape(take) for shape in shapes.ALWAYS),
        went_on(take, fault),
        came_back(take, stage.engine),
    )
    return Performance(take, judged)


def live(stage: Stage) -> Performance:
    """A real worker is killed in mid-sentence, and the next one frozen; a real caller hears every word."""

    async def story(caller: Caller, server: Server) -> list[Finding]:
        await caller.answer(caller.ask("say", text=narration(7, stage.seed)))
        await caller.until(lambda: caller.state() == "SPEAKING")
        await asyncio.sleep(2.0)
        os.kill(await _worker(caller, stage.engine), signal.SIGKILL)
        await asyncio.sleep(5.0)
        if stage.engine != registry.DEFAULT:
            frozen = await _worker(caller, stage.engine)
            os.kill(frozen, signal.SIGSTOP)
            await asyncio.sleep(5.0)
            _thaw(frozen)
        await caller.until(lambda: caller.state() == "IDLE", LONG_S)
        return []

    performance = perform(stage, story)
    return Performance(performance.take, (*performance.findings, every_word(performance.take)))


async def _worker(caller: Caller, engine: str) -> int:
    """The pid of the engine's process, once it has one."""
    async with asyncio.timeout(LONG_S):
        while True:
            found = (await caller.get("/capabilities"))["health"].get(engine, {})
            if found.get("pid") and found.get("state") == "READY":
                return int(found["pid"])
            await asyncio.sleep(0.05)


def _thaw(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass  # the host has replaced it


def every_word(take: Take) -> Finding:
    """No word is missing; at most one is said again for each time that an engine lost its place."""
    starts = [number(row, "from") for row in take.of("word")]
    again = sum(b <= a for a, b in pairwise(starts))
    lost = [row for row in take.of("swap") if row.get("reason") in ("stall", "fault")]
    faults = [f"{again} words said again for {len(lost)} changes"] if again > len(lost) + 1 else []
    return found("every_word", faults, words=len(set(starts)), again=again, changes=len(lost))


def went_on(take: Take, fault: str) -> Finding:
    """Another engine took over, and frames of voice left all the while; one frame may be held, which nobody hears."""
    swaps = [row for row in take.of("swap") if row.get("stage") == "swap"]
    faults = [] if swaps and swaps[0]["reason"] in ("stall", "fault") else [f"{fault}: nobody took over"]
    holes = [row for row in take.of("fill") if row.get("stage") == "fill"]
    faults += [f"{fault}: a hole at frame {row['frame']}" for row in holes]
    return found("went_on", faults, stand_ins=sum(row["reason"] in ("stall", "fault") for row in swaps))


def came_back(take: Take, engine: str) -> Finding:
    """The last chunk is the chosen engine's again, and the return was at a word."""
    reasons = [str(row["reason"]) for row in take.of("swap") if row.get("stage") == "swap"]
    last = max(take.of("request"), key=lambda row: number(row, "chunk"))
    faults = [] if reasons and reasons[-1] == "recovered" else [f"it did not come back: {', '.join(reasons)}"]
    if last["adapter"] != engine:
        faults.append(f"at the end {last['adapter']} speaks")
    return found("came_back", faults, returns=reasons.count("recovered"))
