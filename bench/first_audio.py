"""Text on the data channel → first voiced packet at the wire, → first audible sample in the browser.

Knows no target beyond its own; beside it a stock track with a tone that is always there.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from . import browser, server, wire
from .budget import Budget
from .row import Row, pair
from .texts import OPENING
from .wire import Caller, Sound

LISTEN_S = 0.30
"""After the text: six times what the slowest start measured takes."""


@dataclass(slots=True)
class Starts:
    """Milliseconds per trial; `held` as a client sees it that keeps one packet until the next one came."""

    came: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    def add(self, sent: float, sounds: list[Sound]) -> None:
        for index, sound in enumerate(sounds):
            if sound.voiced and index + 1 < len(sounds):
                self.came.append(1000.0 * (sound.at - sent))
                self.held.append(1000.0 * (sounds[index + 1].at - sent))
                return


async def measure(budget: Budget) -> list[Row]:
    async with server.ours() as ours, server.stock() as stock:
        mine = await at_wire(ours.address, True, budget.trials)
        theirs = await at_wire(stock.address, False, budget.trials)
        rows = pair("text → first voiced packet at the wire", "ms", mine.came, "stock, instant tone", theirs.came,
                    (None, None))  # fmt: skip
        held = ("text → first audio, client that holds one packet", "ms", mine.held, "stock, instant tone", theirs.held)
        rows += pair(*held, (30.0, None))
        if budget.browser and browser.available():
            rows += await in_browser(ours.address, stock.address, budget)
    return rows


async def at_wire(address: str, ours: bool, trials: int) -> Starts:
    found = Starts()
    async with wire.caller(address, ours=ours) as caller:
        for trial in range(trials + 1):
            await asyncio.sleep(random.uniform(0.2, 0.35))
            sent = caller.say(OPENING)
            await asyncio.sleep(LISTEN_S)
            sounds = caller.sounds(sent)
            await _hush(caller)
            if trial:  # the first one warms both sides
                found.add(sent, sounds)
    return found


async def _hush(caller: Caller) -> None:
    caller.barge_in()
    await asyncio.sleep(0.15)
    caller.arrivals.clear()


async def in_browser(ours: str, stock: str, budget: Budget) -> list[Row]:
    mine: list[float] = []
    theirs: list[float] = []
    async with browser.browser() as chromium:
        for _ in range(budget.page_sessions):
            async with browser.page(chromium, ours) as page:
                await browser.call(page)
                await page.evaluate("window.synchrony.warm()")
                for trial in range(budget.page_trials + 1):
                    took = await browser.onset(page, OPENING)
                    await asyncio.sleep(random.uniform(0.25, 0.45))
                    await page.get_by_test_id("bargein").click()
                    await asyncio.sleep(random.uniform(0.5, 0.7))
                    if trial and took is not None:
                        mine.append(took)
            async with browser.page(chromium, stock) as page:
                await page.evaluate("window.stock.call()")
                await page.evaluate("window.stock.warm()")
                for trial in range(budget.page_trials + 1):
                    took = await browser.stock_onset(page)
                    await asyncio.sleep(random.uniform(0.25, 0.45))
                    await page.evaluate("window.stock.send('barge_in')")
                    await asyncio.sleep(random.uniform(0.5, 0.7))
                    if trial and took is not None:
                        theirs.append(took)
    name = "text → first audible sample in the browser"
    return pair(name, "ms", mine, "stock, instant tone", theirs, (30.0, 50.0))
