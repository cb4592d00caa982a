"""Barge-In: at any point, whatever was going on, speech stops at the next frame boundary and goes on coherently.

Thousands of times at random: one frame fades within 5 ms, zeros follow, nothing that was written before is ever
heard; then the caller resumes, says something else, or lets it be. No word is lost or doubled but the cut one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

from . import shapes
from .caller import Caller
from .engines import Cost
from .harness import Theatre
from .live import perform
from .scene import Performance, Stage, judged, together
from .server import Server
from .shapes.figures import Finding
from .texts import STORY

AN_ACT = 50
"""Barge-ins of one conversation: enough for every order of events, few enough to be looked at."""
LIVE = 6
"""Barge-ins of a live story: a few seconds; the thousands are told in virtual time."""
COSTS = (Cost(1.0, 0.01), Cost(12.0, 0.25, 0.2), Cost(30.0, 0.7, 0.3))
"""Instant, middling, hardly fast enough: the point of the stop falls into every stage."""
SHAPES = (
    shapes.text_oracle, shapes.clicks, shapes.provenance, shapes.log_equals_pcm, shapes.remade, shapes.monotonic,
    shapes.holes_declared, shapes.hard_stop, shapes.flushed, shapes.fast_reseed, shapes.zero_run,
)  # fmt: skip


def play(stage: Stage) -> Performance:
    return together(judged(take.take(), *SHAPES) for take in _acts(stage))


def _acts(stage: Stage) -> Iterator[Theatre]:
    done = 0
    while done < stage.repeats:
        rng = random.Random(f"{stage.seed}/{done}")
        barge_ins = min(AN_ACT, stage.repeats - done)
        yield _act(stage, rng, barge_ins)
        done += barge_ins


def _act(stage: Stage, rng: random.Random, barge_ins: int) -> Theatre:
    theatre = stage.theatre(cost=rng.choice(COSTS), seed=rng.randrange(1 << 30))
    while len(theatre.of("barge")) < barge_ins:
        if theatre.peer.finished:
            theatre.say(" ".join(rng.sample(STORY, 3)))
        theatre.run(rng.choice((rng.uniform(0, 60), rng.uniform(0, 1500))))
        if theatre.barge_in().result == "done":
            theatre.run(rng.choice((0.0, rng.uniform(0, 30), rng.uniform(0, 400))))
            _go_on(theatre, rng)
    return theatre.until_quiet()


def _go_on(theatre: Theatre, rng: random.Random) -> None:
    """What the caller does with the floor."""
    match rng.randrange(4):
        case 0:
            theatre.say(rng.choice(STORY))
        case 1:
            theatre.resume()
            theatre.run(rng.uniform(0, 200))
            theatre.pause()
            theatre.run(rng.uniform(0, 100))
            theatre.resume()
        case _:
            theatre.resume()


def live(stage: Stage) -> Performance:
    """Against a real server: stopped at random points on both channels; the packets fall silent at the flush."""
    rng = random.Random(stage.seed)

    async def story(caller: Caller, _server: Server) -> list[Finding]:
        await caller.answer(caller.ask("say", text=" ".join(STORY)))
        for _ in range(LIVE):
            await caller.until(lambda: caller.state() == "SPEAKING")
            await asyncio.sleep(rng.uniform(0.05, 0.8))
            ident = caller.ask("barge_in", rng.choice(("synchrony", "synchrony.now")))
            assert (await caller.answer(ident))["result"] == "done"
            await caller.until(lambda: caller.state() == "YIELDED")
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            await caller.answer(caller.ask("resume"))
        await caller.until(lambda: caller.state() == "SPEAKING")
        await caller.answer(caller.ask("barge_in"))
        await caller.answer(caller.ask("say", text=STORY[1]))
        await caller.until(lambda: caller.state() == "IDLE")
        return []

    performance = perform(stage, story)
    more = (shapes.hard_stop, shapes.flushed)
    return Performance(performance.take, (*performance.findings, *(shape(performance.take) for shape in more)))
