"""From the offer to the connection and the first RTP, from the click to the connection.

Beside it stock aiortc on both sides, and a page that gathers before it calls.
"""

from __future__ import annotations

import asyncio

import aiohttp

from . import browser, loopback, server
from .budget import Budget
from .row import Row, median, pair, quantile
from .texts import OPENING
from .wire import WAIT_S, Caller


async def measure(budget: Budget) -> list[Row]:
    async with server.ours("tone") as ours, server.stock(speaking=True) as stock:
        connected, spoken = await at_wire(ours.address, True, budget.setups)
        theirs, first = await at_wire(stock.address, False, budget.setups)
        rows = pair("offer → connected, aiortc client", "ms", connected, "stock on both sides", theirs, (10.0, None))
        peer = "stock on both sides, sends at once"
        rows += pair("offer → first RTP, text sent at hello", "ms", spoken, peer, first, (None, None))
        if budget.browser and browser.available():
            rows += await in_browser(ours.address, stock.address, budget)
    return rows


async def at_wire(address: str, ours: bool, setups: int) -> tuple[list[float], list[float]]:
    connected, first = [], []
    with loopback.ice(ours):
        async with aiohttp.ClientSession() as http:
            for trial in range(setups + 1):
                caller = Caller()
                try:
                    await caller.call(http, address)
                    if ours:
                        async with asyncio.timeout(WAIT_S):
                            await caller.hello.wait()
                        caller.say(OPENING)
                    at = await caller.first_packet()
                finally:
                    await caller.close()
                if trial:
                    connected.append(1000.0 * (caller.connected - caller.began))
                    first.append(1000.0 * (at - caller.began))
                await asyncio.sleep(0.1)
    return connected, first


async def in_browser(ours: str, stock: str, budget: Budget) -> list[Row]:
    warm: list[float] = []
    fresh: list[float] = []
    theirs: list[float] = []
    theirs_fresh: list[float] = []
    async with browser.browser() as chromium:
        for _ in range(budget.page_sessions):
            async with browser.page(chromium, ours) as page:
                for trial in range(budget.page_setups + 1):
                    took = await browser.call(page)
                    (warm if trial else fresh).append(took)
                    await page.evaluate(browser.HANG_UP)
            async with browser.page(chromium, stock) as page:
                for trial in range(budget.page_setups + 1):
                    took = float(await page.evaluate("window.stock.call()"))
                    (theirs if trial else theirs_fresh).append(took)
                    await page.evaluate("window.stock.hangUp()")
                    await asyncio.sleep(0.3)
    peer = "stock, gathers first"
    return [
        Row("click → connected, warm page, median", "ms", median(warm), peer, median(theirs), 40.0),
        Row("click → connected, warm page, p95", "ms", quantile(warm, 0.95), peer, quantile(theirs, 0.95), None),
        Row("click → connected, fresh page, median", "ms", median(fresh), peer, median(theirs_fresh), 130.0),
    ]
