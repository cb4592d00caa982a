"""Mid-Stream Swap: while it speaks, the voice is changed for another of another cost, and back; the words go on.

One crossfade of at most a frame, no word lost or doubled, the schema of the voice kept.
"""

from __future__ import annotations

from adapters.voices.tone import Tone

from . import shapes
from .engines import Cost, ModelEngine
from .harness import Theatre
from .scene import COST, Performance, Stage, together
from .shapes.figures import Finding, found
from .take import Take, number
from .texts import STORY

SLOWER = Cost(overhead_ms=180.0, ratio=0.3, jitter=0.1)
"""A call costs more than the smallest chunk plays: beginning small after a hand-over would be a row of holes."""
PAIR = " ".join(STORY[:3])
"""What every pair says."""


def play(stage: Stage) -> Performance:
    """With a slow reference engine at length, then with every engine that has not played it with this one already."""
    acts = [_told(stage, f"{Tone.name} again", stage.model(SLOWER, engine=Tone.name), " ".join(STORY), 3, 3700)]
    acts += [_told(stage, name, stage.model(COST, engine=name), PAIR, 2, 2100) for name in stage.later()]
    return together(acts)


def _told(stage: Stage, other: str, second: ModelEngine, text: str, swaps: int, every_ms: float) -> Performance:
    engines = {stage.engine: stage.model(COST), other: second}
    for engine in engines.values():
        engine.warmed = True
    theatre = Theatre(engines=engines, adapter=stage.engine)
    theatre.say(text)
    for swap in range(swaps):
        theatre.run(every_ms)
        theatre.configure(adapter=stage.engine if swap % 2 else other)
        while theatre.peer.changeover.wishes.wanted is not None and not theatre.peer.finished:
            theatre.run(20)
    take = theatre.until_quiet().take()
    judged = (*(shape(take) for shape in (*shapes.ALWAYS, shapes.no_underflow)), handed_over(take, swaps))
    return Performance(take, judged)


def handed_over(take: Take, swaps: int) -> Finding:
    """Every wish took effect while speech went on: the frames before and after it are voice."""
    kinds = {frame.n: frame.kind for frame in take.sent}
    rows = [row for row in take.of("swap") if row.get("stage") == "swap"]
    faults = [] if len(rows) == swaps else [f"{len(rows)} of {swaps} swaps took effect"]
    chunks = take.chunks()
    for row in rows:
        n = number(row, "frame")
        if any(kinds.get(i) != "voice" for i in (n - 1, n, n + 1)):
            faults.append(f"speech stops at the swap of frame {n}")
        first = chunks.get(number(row, "chunk"))
        if first is None or first.adapter != row["adapter_to"]:
            faults.append(f"after the swap of frame {n} another engine speaks")
    return found("handed_over", faults, swaps=len(rows))
