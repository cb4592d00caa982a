"""Barge-in → last voiced packet at the wire, → silence in the browser, → last voiced frame by the server's own log.

Knows no target beyond its own; beside it a stock track that stops at its next frame.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from peer.logbook import rows

from . import browser, server, wire
from .budget import Budget
from .row import Row, pair
from .texts import STORY

BEFORE_S = (0.4, 0.75)
"""Into the speech: within its first sentence, past what begins it."""
AFTER_S = 0.25
SENT_ON = ("voice", "cut")


async def measure(budget: Budget) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with server.ours(journal=folder) as ours, server.stock() as stock:
            mine = await at_wire(ours.address, True, budget.trials)
            theirs = await at_wire(stock.address, False, budget.trials)
            rows = pair("barge-in → last voiced packet at the wire", "ms", mine, "stock, instant stop", theirs,
                        (33.0, None))  # fmt: skip
            if budget.browser and browser.available():
                rows += await in_browser(ours.address, stock.address, budget)
        frames = list(from_journal(Path(folder)))
    counted = "barge-ins of this run in the log"
    worst = float(max(frames, default=0))
    rows.append(Row("barge-in → last voiced frame at the server, worst", "frames", worst, counted, len(frames), 1.0))
    return rows


async def at_wire(address: str, ours: bool, trials: int) -> list[float]:
    """A trial without a voiced packet after the stop counts as zero."""
    found = []
    async with wire.caller(address, ours=ours) as caller:
        for trial in range(trials + 1):
            began = caller.say(STORY)
            await asyncio.sleep(random.uniform(*BEFORE_S))
            sent = caller.barge_in()
            await asyncio.sleep(AFTER_S)
            sounds = caller.sounds(began)
            caller.arrivals.clear()
            last = max((each.at for each in sounds if each.voiced), default=None)
            if trial and last is not None:
                found.append(max(0.0, 1000.0 * (last - sent)))
    return found


async def in_browser(ours: str, stock: str, budget: Budget) -> list[Row]:
    silent: list[float] = []
    flushed: list[float] = []
    theirs: list[float] = []
    async with browser.browser() as chromium:
        for _ in range(budget.page_sessions):
            async with browser.page(chromium, ours) as page:
                await browser.call(page)
                await page.evaluate("window.synchrony.warm()")
                for trial in range(budget.page_trials + 1):
                    if await browser.onset(page, STORY) is None:
                        continue
                    await asyncio.sleep(random.uniform(*BEFORE_S))
                    took = await browser.silence(page)
                    await asyncio.sleep(random.uniform(0.3, 0.5))
                    if trial and took is not None:
                        silent.append(took["silent"])
                        flushed.append(took["flush"])
            async with browser.page(chromium, stock) as page:
                await page.evaluate("window.stock.call()")
                await page.evaluate("window.stock.warm()")
                for trial in range(budget.page_trials + 1):
                    await browser.stock_onset(page)
                    await asyncio.sleep(random.uniform(*BEFORE_S))
                    quiet = await browser.stock_silence(page)
                    await asyncio.sleep(random.uniform(0.3, 0.5))
                    if trial and quiet is not None:
                        theirs.append(quiet)
    rows = pair("barge-in → silence in the browser, its own mute", "ms", silent, "stock, by RTP alone", theirs,
                (10.0, 15.0))  # fmt: skip
    name = "barge-in → the server's flush is in the page"
    return rows + pair(name, "ms", flushed, "stock, silence by RTP", theirs, (None, None))


def from_journal(folder: Path) -> Iterator[int]:
    """For every barge-in: frames from it to the last voiced one that belongs to the speech it cut."""
    for path in sorted(folder.glob("*.jsonl")):
        records = rows(path)
        kinds = dict(pair for record in records if record["kind"] == "frames" for pair in kinds_of(record))
        last = max(kinds, default=0)
        for record in records:
            if record["kind"] == "barge" and record["result"] == "ok":
                yield voiced_after(kinds, int(record["frame"]), last)


def kinds_of(record: dict[str, list[list[object]]]) -> Iterator[tuple[int, str]]:
    """(frame, kind) of every frame in one `frames` record; a run lasts until the next one begins."""
    runs = record["runs"]
    ends = [int(str(run[0])) for run in runs[1:]] + [int(str(record["to"]))]
    for run, end in zip(runs, ends, strict=True):
        for frame in range(int(str(run[0])), end):
            yield frame, str(run[1])


def voiced_after(kinds: dict[int, str], frame: int, last: int) -> int:
    """The distance from `frame` to the last voiced frame before the first one that is not."""
    at = frame
    while at <= last and kinds.get(at + 1, "") in SENT_ON:
        at += 1
    return at - frame
