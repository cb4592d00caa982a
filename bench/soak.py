"""Twenty calls for an hour (`SOAK_MINUTES`): memory's slope, tasks, threads, descriptors, the loop's lag.

Knows only what the server says of itself; speech is asked for again and again, and interrupted.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import aiohttp
import numpy as np

from . import loopback, server
from .budget import Budget
from .row import Row
from .texts import STORY
from .wire import Caller

CALLS = 20
LOOK_S = 10.0
WARM = 0.2
"""Of the time: caches fill and the allocator settles."""
MINUTES = "SOAK_MINUTES"


async def measure(budget: Budget) -> list[Row]:
    minutes = float(os.environ.get(MINUTES, "60"))
    looks: list[dict[str, float]] = []
    calls = CALLS if minutes >= 1 else 3
    with loopback.ice(True):
        async with server.ours("tone", timed=True) as child, aiohttp.ClientSession() as http:
            empty = await child.ask("census")
            callers = [Caller() for _ in range(calls)]
            try:
                for caller in callers:
                    await caller.call(http, child.address)
                looks = await _watch(child, callers, minutes * 60.0)
            finally:
                await asyncio.gather(*(caller.close() for caller in callers), return_exceptions=True)
            for path in range(40):
                left = await child.ask("census")
                if left["tasks"] <= empty["tasks"] or path == 39:
                    break
                await asyncio.sleep(1.0)
    return _rows(looks, empty, left, minutes)


async def _watch(child: server.Child, callers: list[Caller], seconds: float) -> list[dict[str, float]]:
    talk = [asyncio.create_task(_talk(caller)) for caller in callers]
    looks = []
    try:
        end = time.monotonic() + seconds
        every = min(LOOK_S, seconds / 10)
        while time.monotonic() < end:
            await asyncio.sleep(every)
            looks.append({"at": time.monotonic(), **await child.ask("census")})
    finally:
        for task in talk:
            task.cancel()
        await asyncio.gather(*talk, return_exceptions=True)
    return looks


async def _talk(caller: Caller) -> None:
    while True:
        caller.say(STORY)
        await asyncio.sleep(random.uniform(5.0, 20.0))
        if random.random() < 0.5:
            caller.barge_in()
            await asyncio.sleep(random.uniform(0.1, 1.0))


def _rows(looks: list[dict[str, float]], empty: dict[str, float], left: dict[str, float], minutes: float) -> list[Row]:
    settled = looks[int(len(looks) * WARM) :]
    hours = np.array([look["at"] for look in settled]) / 3600.0
    slope = float(np.polyfit(hours - hours[0], [look["rss_mb"] for look in settled], 1)[0])
    first, last = settled[0], settled[-1]
    lag = max(look["lag_p999"] for look in settled)
    limit = f"after {minutes * WARM:.3g} of {minutes:g} minutes"
    return [
        Row("memory's slope", "MB/h", slope, "MB " + limit, first["rss_mb"], 1.0),
        Row("tasks at the end", "", last["tasks"], limit, first["tasks"]),
        Row("threads at the end", "", last["threads"], limit, first["threads"]),
        Row("descriptors at the end", "", last["fds"], limit, first["fds"]),
        Row("tasks after all hung up", "", left["tasks"], "before the first call", empty["tasks"], empty["tasks"]),
        Row("descriptors after all hung up", "", left["fds"], "before the first call", empty["fds"], empty["fds"]),
        Row("loop lag, worst p99.9 of a look", "ms", lag, "one frame", 20.0, 10.0),
    ]
