"""A minute of speech in the browser: samples concealed, inserted, removed.

Beside it, in the same browser at the same time, stock aiortc's own track.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import browser, server
from .budget import Budget
from .row import Row
from .texts import long

if TYPE_CHECKING:
    from playwright.async_api import Page

SETTLE_S = 4.0
"""The jitter buffer finds its length in the first seconds of a stream."""
PER_S = 20
"""Characters of text for one second of speech, more than any voice takes."""
COUNTS = ("concealedSamples", "insertedSamplesForDeceleration", "removedSamplesForAcceleration")
NAMES = ("concealed", "inserted", "removed")


async def measure(budget: Budget) -> list[Row]:
    if not (budget.browser and browser.available()):
        return []
    text = long(int((budget.steady_s + SETTLE_S + 5.0) * PER_S))
    async with (
        server.ours() as ours, server.stock(speaking=True) as stock, browser.browser() as chromium,
        browser.page(chromium, ours.address) as mine, browser.page(chromium, stock.address) as theirs,
    ):  # fmt: skip
        await browser.call(mine)
        await theirs.evaluate("window.stock.call()")
        await browser.onset(mine, text)
        await asyncio.sleep(SETTLE_S)
        before = await _counts(mine, "synchrony"), await _counts(theirs, "stock")
        await asyncio.sleep(budget.steady_s)
        after = await _counts(mine, "synchrony"), await _counts(theirs, "stock")
    span = f"in {budget.steady_s:g} s"
    rows = []
    for count, name in zip(COUNTS, NAMES, strict=True):
        figures = [float(end[count] - start[count]) for start, end in zip(before, after, strict=True)]
        rows.append(Row(f"samples {name} {span} of speech", "", figures[0], "stock at the same time", figures[1], 0.0))
    delays = [
        1000.0
        * (end["jitterBufferDelay"] - start["jitterBufferDelay"])
        / max(1.0, end["jitterBufferEmittedCount"] - start["jitterBufferEmittedCount"])
        for start, end in zip(before, after, strict=True)
    ]
    return [
        *rows,
        Row("playout delay of the jitter buffer", "ms", delays[0], "stock at the same time", delays[1], 45.0),
    ]


async def _counts(page: Page, name: str) -> Mapping[str, float]:
    found: Mapping[str, float] | None = await page.evaluate(f"window.{name}.stats()")
    if found is None:
        raise RuntimeError(f"{name}: no sound arrives")
    return found
