"""The synchrony panel of a live call: its lanes are drawn, as pixels and as a list for everybody else.

Knows no number that a call should show, only that it is there, moves and is drawn in its place.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .caller import Caller, Json, until

pytestmark = pytest.mark.browser

LANE = """async (canvas, name) => {
    const { stacked } = await import('/lanes.js');
    const lane = stacked().find((one) => one.name === name);
    const ratio = canvas.width / canvas.getBoundingClientRect().width;
    const left = Math.round(82 * ratio);
    const [y, height] = [Math.ceil(lane.y * ratio), Math.floor(lane.height * ratio)];
    const { data } = canvas.getContext('2d').getImageData(left, y, canvas.width - left - 8, height);
    const seen = new Map();
    for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] < 100) continue;
        const key = `${data[at]},${data[at + 1]},${data[at + 2]}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    return Object.fromEntries(seen);
}"""
COLOUR = """(name) => {
    const pen = document.createElement('canvas').getContext('2d');
    pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).join(',');
}"""
KINDS = "(list) => [...new Set([...list.children].map((item) => item.dataset.group))]"
SPECK = 12
"""Pixels: fewer of a colour are the edge of something else."""


def panel(caller: Caller) -> Json:
    """What the panel says of itself."""
    found: Json = caller.page.evaluate("synchrony.panel()")
    return found


def has_colour(caller: Caller, lane: str, colour: str) -> bool:
    """Whether more than a speck of a colour of the style sheet stands in a lane."""
    wanted = caller.page.evaluate(COLOUR, colour)
    seen = caller.find("panel").evaluate(LANE, lane)
    return bool(seen.get(wanted, 0) > SPECK)


def picture(caller: Caller, name: str, tmp_path: Path) -> None:
    """A screenshot of the panel, for eyes."""
    caller.page.locator("#panel-card").screenshot(
        path=str(Path(os.environ.get("SCREENSHOTS", tmp_path)) / f"{name}.png")
    )


def test_a_live_call_fills_its_lanes(caller: Caller, tmp_path: Path) -> None:
    """Text, words, windows, sound, depth, ladder, swap, barge-in, what was heard: each in its lane and colour."""
    assert panel(caller)["draws"] == 0
    caller.call()
    caller.speak()
    caller.page.wait_for_timeout(2_500)
    caller.find("bargein").click()
    caller.speech("yielded")
    caller.find("resume").click()
    caller.speech("speaking")
    caller.find("accent").select_option("en-gb")
    caller.page.get_by_text("In effect since chunk").wait_for()
    caller.find("panel").scroll_into_view_if_needed()
    until(lambda: panel(caller)["extent"]["end"] > 200 and panel(caller)["draws"] > 3, "the panel is drawn and follows")
    for lane, colour in (
        ("inputs", "--c-text"), ("words", "--ink"), ("audio", "--c-engine0"), ("depth", "--c-depth"),
        ("ladder", "--c-ladder"), ("engine", "--c-swap"), ("floor", "--c-cut"), ("heard", "--c-heard"),
    ):  # fmt: skip
        until(lambda lane=lane, colour=colour: has_colour(caller, lane, colour), f"{colour} stands in the lane {lane}")
    seen = panel(caller)
    assert seen["live"] and seen["view"]["follow"]
    assert all(seen["lanes"][name] > 0 for name in ("inputs", "chunks", "words", "pace", "engine", "floor", "held"))
    assert {"text", "cut", "hold", "swap"} <= set(caller.find("events").evaluate(KINDS))
    assert caller.page.locator("#fig-depth").inner_text().endswith("ms")
    assert int(caller.page.locator("#fig-frame").inner_text()) > 0
    picture(caller, "panel-live", tmp_path)


def test_every_frame_shown_has_its_provenance(caller: Caller) -> None:
    """What the panel says of a frame is what the journal says: engine, chunk, window and cost."""
    session = caller.call()
    caller.speak()
    caller.page.wait_for_timeout(1_500)
    record = caller.server.await_record(session, "frames")
    frame = next(run[0] for run in record["runs"] if run[1] == "voice" and len(run[3]) == 1)
    chunk = next(run[3][0][0] for run in record["runs"] if run[0] == frame)
    asked = next(one for one in caller.records(session, "request") if one["chunk"] == chunk)
    made = next(one for one in caller.records(session, "chunk") if one["chunk"] == chunk)

    def told() -> Json | None:
        found: Json = caller.page.evaluate(f"synchrony.provenance({frame})")
        return found if found["chunk_id"] is not None and found["render_ms"] is not None else None

    facts = until(told, "the panel knows the frame")
    wanted = {"adapter": asked["adapter"], "chunk_id": chunk, "window_tokens": asked["window"]}
    assert {name: facts[name] for name in wanted} == wanted
    assert facts["render_ms"] == made["render_ms"]
    assert facts["kind"] == "voice"


def test_words_light_up_when_they_are_heard(caller: Caller) -> None:
    """No word of the line is lit before the loudspeaker is at its frame: what left is not yet heard."""
    caller.call()
    caller.speak()
    look = "() => ({ lit: synchrony.state().utterances[0].heard, frame: synchrony.heard() })"
    samples = [caller.page.evaluate(look) for _ in range(40) if caller.page.wait_for_timeout(50) is None]
    words = {one["to"]: one["frame"] for one in caller.hang_up() if one["kind"] == "word"}
    seen = [one for one in samples if one["lit"] in words]
    assert len({one["lit"] for one in seen}) >= 3, "words were lit one after the other"
    assert [one for one in seen if one["frame"] < words[one["lit"]]] == []


def test_the_panel_is_read_with_the_keyboard(caller: Caller) -> None:
    """Arrows move a cursor that is put into words, brackets jump to events, plus narrows, F follows again."""
    caller.call()
    caller.speak()
    caller.page.wait_for_timeout(1_500)
    caller.find("panel").focus()
    keyboard, readout = caller.page.keyboard, caller.find("readout")
    keyboard.press("ArrowLeft")
    first = until(lambda: readout.inner_text() or None, "the readout speaks")
    assert not panel(caller)["view"]["follow"] or first.startswith("frame ")
    for _ in range(5):
        keyboard.press("ArrowLeft")
    until(lambda: readout.inner_text() != first, "the readout moves")
    keyboard.press("Home")
    until(lambda: readout.inner_text().startswith("frame "), "the beginning is told")
    keyboard.press("]")
    mark = until(lambda: readout.inner_text() or None, "an event is told")
    keyboard.press("]")
    until(lambda: readout.inner_text() != mark, "the next event is told")
    before = panel(caller)["view"]["span"]
    keyboard.press("+")
    until(lambda: panel(caller)["view"]["span"] < before, "fewer frames are shown")
    keyboard.press("f")
    until(lambda: panel(caller)["view"]["follow"], "it follows again")
    label = caller.find("panel").get_attribute("aria-label") or ""
    assert label.startswith("Timeline of frames")


def test_the_panels_buttons_do_not_stand_in_the_way(caller: Caller) -> None:
    """Tab passes the buttons, the lanes and the list of events in a stop each; arrows walk within them."""
    focused = "() => document.activeElement.id || document.activeElement.className"
    caller.call()
    caller.speak()
    until(lambda: panel(caller)["lanes"]["call"] > 0, "something is listed")
    caller.find("follow").focus()
    caller.page.keyboard.press("ArrowRight")
    assert caller.page.evaluate(focused) == "zoom-out"
    stops = []
    for _ in range(3):
        caller.page.keyboard.press("Tab")
        stops.append(caller.page.evaluate(focused))
    assert stops[0] == "panel" and stops[2] == "events"
    caller.page.keyboard.press("ArrowDown")
    assert caller.page.evaluate(focused) == "at"


def test_a_drag_scrubs_back_and_the_button_follows_again(caller: Caller) -> None:
    """Who drags the lanes to the right looks at what was; the call goes on, and one press catches up."""
    caller.call()
    caller.speak()
    caller.page.wait_for_timeout(2_500)
    caller.find("panel").scroll_into_view_if_needed()
    caller.find("zoom-in").click()
    caller.find("zoom-in").click()
    caller.find("zoom-in").click()
    box = caller.find("panel").bounding_box()
    assert box is not None
    before = panel(caller)["view"]["from"]
    caller.page.mouse.move(box["x"] + 300, box["y"] + 200)
    caller.page.mouse.down()
    caller.page.mouse.move(box["x"] + 500, box["y"] + 200, steps=5)
    caller.page.mouse.up()
    view = until(lambda: (v := panel(caller)["view"]) and not v["follow"] and v, "it stands still")
    assert view["from"] < before + 50
    caller.page.wait_for_timeout(500)
    assert panel(caller)["view"]["from"] == view["from"]
    assert caller.find("follow").get_attribute("aria-pressed") == "false"
    caller.find("follow").click()
    until(lambda: panel(caller)["view"]["follow"], "it follows again")
