"""A narration in virtual time: seconds of speech per second of CPU; beside it the engine alone.

Knows no network.
"""

from __future__ import annotations

import asyncio
import time

from adapters.voices.tone import RATE as NATIVE
from adapters.voices.tone import Tone
from peer.core.chunk import Request, Ticket
from peer.core.voice import Voice
from peer.outlets import frames
from SCENES.harness import Theatre, seconds

from .budget import Budget
from .row import Row
from .steps import session
from .texts import STORY, long

PER_S = 16
"""Characters of the reference engine's speech in a second."""


async def measure(budget: Budget) -> list[Row]:
    text = long(int(budget.narration_s * PER_S))
    alone = _engine_alone(text)
    peer = "the engine alone"
    rows = []
    began = time.process_time()
    theatre = Theatre()
    theatre.say(text)
    theatre.until_quiet(most_ms=10_000_000)
    spoken = seconds(theatre)
    rows.append(
        Row(
            "narration in virtual time, core alone", "×", spoken / (time.process_time() - began), peer, alone, more=True
        )
    )
    async with session(text, clocked=False) as (found, _):
        began = time.process_time()
        count = 0
        async with asyncio.timeout(budget.narration_s):
            async for _ in frames(found):
                count += 1
        speed = count * 0.020 / (time.process_time() - began)
    rows.append(Row("narration, real session with its log", "×", speed, peer, alone, 300.0, more=True))
    return rows


def _engine_alone(text: str) -> float:
    """Times real time, sentence by sentence, in pieces of its own choice."""
    engine = Tone()
    engine.warm_up()
    knobs = Tone.project(Voice()).knobs
    began, samples = time.process_time(), 0
    for number in range(len(text) // len(STORY)):
        request = Request(Ticket(0, number), "tone", f"s{number}", STORY, 0, 10**7, 10**6, knobs, 1)
        samples += sum(len(piece.pcm) for piece in engine.render(request))
    return samples / NATIVE / (time.process_time() - began)
