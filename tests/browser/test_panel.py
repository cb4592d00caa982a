"""The live panel: depth, chunk sizes and events are drawn, as pixels and as a list for everybody else.

Knows no number that telemetry should show, only that it moves and is drawn.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .caller import Caller, until

pytestmark = pytest.mark.browser

COLOURS = """(canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Map();
    for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] < 200) continue;
        const key = data[at] << 16 | data[at + 1] << 8 | data[at + 2];
        seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    return [...seen.values()].filter((many) => many > 20).length;
}"""
KINDS = "(list) => [...new Set([...list.children].map((item) => item.dataset.group))]"


def colours(caller: Caller) -> int:
    """How many opaque colours the canvas has that fill more than a speck."""
    return int(caller.find("panel").evaluate(COLOURS))


def test_the_panel_draws_depth_chunks_and_events(caller: Caller, tmp_path: Path) -> None:
    """Before a call the strip is empty; afterwards it shows colours, figures, a band, rungs, marks and a list."""
    blank = colours(caller)
    caller.call()
    caller.speak()
    caller.page.wait_for_timeout(2_500)
    caller.find("bargein").click()
    caller.speech("yielded")
    caller.find("resume").click()
    caller.speech("speaking")
    caller.find("accent").select_option("en-gb")
    caller.page.get_by_text("In effect since chunk").wait_for()
    caller.page.wait_for_timeout(1_000)
    series = caller.page.evaluate("synchrony.series()")
    points = series["points"]
    assert len(points) > 10
    assert len({point["depthMs"] for point in points}) > 3
    assert any(0 < point["low"] < point["high"] for point in points)
    assert len(series["rungs"]) > 1
    assert {point["rung"] for point in points if point["rung"]} <= set(series["rungs"])
    assert {"text", "cut", "hold", "chunk", "swap"} <= {mark["group"] for mark in series["marks"]}
    caller.find("panel").scroll_into_view_if_needed()
    until(lambda: colours(caller) >= blank + 4, "the strip is drawn")
    assert {"text", "cut", "hold", "swap"} <= set(caller.find("events").evaluate(KINDS))
    assert caller.page.locator("#fig-depth").inner_text().endswith("ms")
    assert int(caller.page.locator("#fig-frame").inner_text()) > 0
    caller.page.screenshot(path=str(Path(os.environ.get("SCREENSHOTS", tmp_path)) / "panel.png"), full_page=True)


def test_the_panel_is_read_with_arrow_keys(caller: Caller) -> None:
    """With the keyboard on the strip a cursor moves over the frames and says in words what is there."""
    caller.call()
    caller.speak()
    caller.page.wait_for_timeout(1_000)
    caller.find("panel").focus()
    caller.page.keyboard.press("ArrowLeft")
    first = until(lambda: caller.page.locator("#readout").inner_text(), "the readout speaks")
    for _ in range(5):
        caller.page.keyboard.press("ArrowLeft")
    until(lambda: caller.page.locator("#readout").inner_text() != first, "the readout moves")
