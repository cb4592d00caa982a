"""How an engine's own voice sounds: a short sentence that nobody hears, measured once it is warm.

Knows no engine by name and no session; what it finds lets a swap keep loudness, pitch and pace.
"""

from __future__ import annotations

import asyncio

import numpy as np

from .core.chunk import Knobs, Marker, Request, Ticket
from .core.descriptor import Descriptor, MarkerQuality
from .core.envelope import Envelope, measure
from .core.errors import AdapterError, Refusal
from .core.pcm import EMPTY, Float
from .host import EngineHost

TEXT = "The harbour was quiet when the first boats came home."
SECONDS = 2.0
"""Audio that is listened to: enough voiced windows for a median, and a dozen words."""
DEADLINE_S = 30.0
"""From the question to the first sound; callers' requests have nearer deadlines and come first."""


async def calibrated(host: EngineHost, descriptor: Descriptor, knobs: Knobs) -> Envelope | None:
    """The envelope of the engine with `knobs`; None where it does not say anything. Gives way to who waits."""
    rate = descriptor.sample_rate
    ticket, samples = Ticket(0, 0), round(SECONDS * rate)
    request = Request(ticket, host.name, "calibration", TEXT, 0, samples, descriptor.granularity[-1], knobs, 1)
    pieces: list[Float] = []
    markers: list[Marker] = []
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for chunk in host.render(request, asyncio.get_running_loop().time() + DEADLINE_S):
                pieces.append(chunk.pcm)
                markers += chunk.markers
                if host.status().get("waiting"):
                    break
    except (AdapterError, Refusal, TimeoutError):
        return None
    sure = descriptor.words in (MarkerQuality.EXACT, MarkerQuality.ALIGNED)
    return measure(np.concatenate([EMPTY, *pieces]), rate, letters_s(markers, rate) if sure else None)


def letters_s(markers: list[Marker], rate: int) -> float | None:
    """Letters per second between the first and the last word; None of fewer than three words."""
    words = [marker for marker in markers if marker.kind == "word"]
    if len(words) < 3 or words[-1].at <= words[0].at:
        return None
    return sum(word.end - word.start for word in words[:-1]) * rate / (words[-1].at - words[0].at)
