"""A real browser on the real page, driven through its buttons and `window.synchrony`; and on the stock page.

Knows no measurement; all times are the page's own `Date.now()`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
)
WAIT_MS = 15_000
HOLD_MS = 60
"""Below the threshold for so long is silence: a sentence's own gaps are longer, so barge-ins fall into words."""
NO_MICROPHONE = f"localStorage.setItem('synchrony.choices', {json.dumps(json.dumps({'mic': False}))})"
"""The fake device beeps, and a beep is a caller who speaks."""

ONSET = """async ([text, timeoutMs]) => {
  const heard = window.synchrony.listen('on', { timeoutMs });
  await new Promise((done) => setTimeout(done, 40));
  document.querySelector('[data-testid=text]').value = text;
  const began = Date.now();
  document.querySelector('[data-testid=send]').click();
  const at = await heard;
  return at === null ? null : at - began;
}"""
SILENCE = """async ([holdMs]) => {
  const quiet = window.synchrony.listen('off', { holdMs, timeoutMs: 4000 });
  await new Promise((done) => setTimeout(done, 20));
  const began = Date.now();
  document.querySelector('[data-testid=bargein]').click();
  const at = await quiet;
  await new Promise((done) => setTimeout(done, 100));
  const { flush, hushed } = window.synchrony.marks;
  return at === null ? null : { silent: at - began, flush: flush - began, hushed: hushed - began };
}"""
STOCK_ONSET = """async ([timeoutMs]) => {
  const heard = window.stock.listen('on', { timeoutMs });
  await new Promise((done) => setTimeout(done, 40));
  const began = Date.now();
  window.stock.send('say');
  const at = await heard;
  return at === null ? null : at - began;
}"""
STOCK_SILENCE = """async ([holdMs]) => {
  const quiet = window.stock.listen('off', { holdMs, timeoutMs: 4000 });
  await new Promise((done) => setTimeout(done, 20));
  const began = Date.now();
  window.stock.send('barge_in');
  const at = await quiet;
  return at === null ? null : at - began;
}"""
CALL = """async () => {
  const began = Date.now() - 1;
  document.querySelector('[data-testid=call]').click();
  const until = Date.now() + 15000;
  const there = () => window.synchrony.state().phase === 'live' && window.synchrony.marks.connected >= began;
  while (!there()) {
    if (Date.now() > until) return null;
    await new Promise((done) => setTimeout(done, 5));
  }
  return window.synchrony.marks.connected - began;
}"""
HANG_UP = """async () => {
  document.querySelector('[data-testid=hangup]').click();
  await new Promise((done) => setTimeout(done, 300));
}"""


def available() -> bool:
    """Whether there is a browser, and what drives it."""
    try:
        import playwright.async_api  # noqa: F401
    except ImportError:
        return False
    return CHROMIUM.exists()


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        found = await driver.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=list(FLAGS))
        try:
            yield found
        finally:
            await found.close()


@asynccontextmanager
async def page(of: Browser, address: str) -> AsyncIterator[Page]:
    """A fresh context with the page loaded; errors of the page are shown."""
    context = await of.new_context(permissions=["microphone"])
    context.set_default_timeout(WAIT_MS)
    try:
        await context.add_init_script(NO_MICROPHONE)
        found = await context.new_page()
        found.on("pageerror", lambda error: print(f"page: {error}"))
        await found.goto(address)
        await found.wait_for_function("window.synchrony || window.stock")
        await found.wait_for_load_state("networkidle")
        yield found
    finally:
        await context.close()


async def call(on: Page) -> float:
    """Click → connected, ms. Raises TimeoutError."""
    took = await on.evaluate(CALL)
    if took is None:
        raise TimeoutError(f"no call: {await on.evaluate('window.synchrony.state().error')}")
    return float(took)


async def onset(on: Page, text: str) -> float | None:
    """Text sent → first audible block, ms."""
    return _number(await on.evaluate(ONSET, [text, 4_000]))


async def silence(on: Page) -> dict[str, float] | None:
    """Barge-in pressed → `silent`, → `flush` heard from the server, ms."""
    found: dict[str, float] | None = await on.evaluate(SILENCE, [HOLD_MS])
    return found


async def stock_onset(on: Page) -> float | None:
    return _number(await on.evaluate(STOCK_ONSET, [4_000]))


async def stock_silence(on: Page) -> float | None:
    return _number(await on.evaluate(STOCK_SILENCE, [HOLD_MS]))


def _number(found: Any) -> float | None:
    return None if found is None else float(found)
