"""Sessions that were, in the panel: a log by file, an hour of it, one from the list, and the sound of a mark again.

Knows no live number; the long log is made up by the same program that feeds the tests under node.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
from playwright.sync_api import Browser

from .caller import Caller, Server, until
from .conftest import OpenPage, missing
from .recogniser import SENTENCES, Recogniser
from .test_panel import has_colour, panel, picture

pytestmark = pytest.mark.browser

HOUR = 180_000
RATE = 48_000
PROGRAM = Path(__file__).parents[1] / "web" / "synthetic.mjs"
MOST_PRIMITIVES = 10
"""For each pixel of the canvas's width: the same bound as under node, with room for the axis and its words."""
TEXT = "The harbour was quiet in the morning. Seven boats came home before the storm."


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary session of an hour, as a log file."""
    node = shutil.which("node")
    if node is None:
        missing("node is missing: apt-get install nodejs (version 20 or later)")
    path = tmp_path_factory.mktemp("logs") / "hour.jsonl"
    with path.open("wb") as out:
        subprocess.run([node, str(PROGRAM), str(HOUR)], stdout=out, check=True, timeout=30)
    return path


def open_file(caller: Caller, path: Path) -> None:
    """Open a log file by the page's own button."""
    if caller.find("sessions-box").get_attribute("open") is None:
        caller.find("sessions-box").locator("summary").click()
    caller.find("log-file").set_input_files(path)


@pytest.fixture
def hourly(caller: Caller, hour: Path) -> Iterator[Caller]:
    """A page that shows the hour."""
    open_file(caller, hour)
    until(lambda: panel(caller)["extent"]["end"] >= HOUR, "the hour is read", 30)
    caller.find("panel").scroll_into_view_if_needed()
    yield caller


def test_an_hour_long_log_opens_and_scrolls(hourly: Caller, tmp_path: Path) -> None:
    """All of it and a second of it are drawn, in either case with a number of strokes that pixels bound."""
    canvas = hourly.find("panel")
    canvas.focus()
    hourly.page.keyboard.press("0")
    until(lambda: panel(hourly)["view"]["span"] >= HOUR, "all is shown")
    width = canvas.bounding_box()["width"]  # type: ignore[index]
    picture(hourly, "panel-hour", tmp_path)
    spans: list[float] = []
    for _ in range(8):
        for key in ("PageDown", "PageDown", "PageUp"):
            hourly.page.keyboard.press(key)
            hourly.page.wait_for_timeout(40)
        seen = panel(hourly)
        spans.append(seen["view"]["span"])
        assert seen["primitives"] <= MOST_PRIMITIVES * width
        print(f"{seen['view']['span']:9.0f} frames: {seen['primitives']} primitives, {seen['ms']:.1f} ms of script")
        for _ in range(4):
            hourly.page.keyboard.press("+")
    until(lambda: panel(hourly)["view"]["span"] < 100, "a second or two is shown")
    assert spans == sorted(spans, reverse=True)
    hourly.page.keyboard.press("End")
    until(lambda: panel(hourly)["view"]["from"] > HOUR - 500, "the end is shown")
    assert not hourly.find("findings").is_visible(), "an ordinary hour has no shape of trouble"


def test_the_strip_leads_anywhere(hourly: Caller) -> None:
    """A press in the strip of the whole session shows that part; both engines have their colour there."""
    box = hourly.find("strip").bounding_box()
    assert box is not None
    hourly.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 10)
    until(lambda: abs(panel(hourly)["view"]["from"] + 1_500 - HOUR / 2) < HOUR / 100, "the middle is shown")
    hourly.find("zoom-all").click()
    until(lambda: has_colour(hourly, "audio", "--c-engine0"), "the one engine is seen")
    until(lambda: has_colour(hourly, "audio", "--c-engine1"), "the other too")


def test_what_a_file_cannot_give_is_said(hourly: Caller) -> None:
    """A file's sound is not played from nowhere: the page says who could make it, and offers no empty exports."""
    hourly.find("audition").click()
    hourly.page.get_by_text("Only a server that has this log").wait_for()
    assert hourly.find("wav-whole").get_attribute("aria-disabled") == "true"
    hourly.find("back").click()
    until(lambda: panel(hourly)["shown"] == "this call", "the call's own timeline is back")


def test_a_file_that_is_no_log_is_told(caller: Caller, tmp_path: Path) -> None:
    """Foreign files change nothing but say what they are not; a torn log shows what is whole."""
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_bytes(os.urandom(20_000) + b"\n[1, 2]\n{}\n")
    open_file(caller, foreign)
    caller.page.get_by_text("foreign.jsonl is no log of a session").wait_for()
    torn = tmp_path / "torn.jsonl"
    records = [
        {"kind": "header", "frame": 0, "schema": 2, "session": "torn"},
        {"kind": "log_gap", "frame": 9, "records": 41, "why": "disk"},
    ]
    torn.write_bytes(b"\n".join(orjson.dumps(one) for one in records) + b'\n{"kind":"fra')
    open_file(caller, torn)
    caller.page.get_by_text("1 lines of torn.jsonl could not be read").wait_for()
    gap = caller.find("gap")
    gap.wait_for()
    assert "41 records" in gap.inner_text()


def test_a_shape_is_named_and_leads_to_where_it_was(caller: Caller, tmp_path: Path) -> None:
    """A comb of fills in a log is named with cause and remedy; its link puts the cursor there."""
    path = tmp_path / "comb.jsonl"
    records = [{"kind": "header", "frame": 0, "schema": 2, "session": "comb"}]
    records += [{"kind": "fill", "stage": "hold", "frame": 4_000 + 60 * n, "why": "due"} for n in range(20)]
    path.write_bytes(b"\n".join(orjson.dumps(one) for one in records))
    open_file(caller, path)
    found = caller.find("findings").locator("[data-shape=comb]")
    found.wait_for()
    assert "Comb of fills" in found.inner_text()
    found.get_by_role("button").click()
    until(lambda: caller.find("readout").inner_text().startswith("frame 4000"), "the cursor is there")
    picture(caller, "panel-comb", tmp_path)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_fits_any_screen(
    browser: Browser, server: Server, hour: Path, scheme: str, width: int, tmp_path: Path
) -> None:
    """On a telephone as on a desk, in light as in dark: nothing is wider than the page, and the lanes have colour."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
    try:
        caller = Caller(context.new_page(), server)
        caller.page.goto(server.url)
        open_file(caller, hour)
        until(lambda: panel(caller)["extent"]["end"] >= HOUR, "the hour is read", 30)
        caller.find("panel").scroll_into_view_if_needed()
        until(lambda: has_colour(caller, "audio", "--c-engine0"), "the sound is drawn")
        assert caller.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        picture(caller, f"panel-{scheme}-{width}", tmp_path)
    finally:
        context.close()


def spoken_call(caller: Caller) -> str:
    """A call that says two sentences to their end and is over; its session."""
    session = caller.call()
    caller.speak(TEXT)
    caller.speech("idle", 30_000)
    caller.hang_up()
    return session


def test_an_old_session_is_found_in_the_list(open_page: OpenPage) -> None:
    """After the call its log stands in the list; another page opens it, and may take it along."""
    session = spoken_call(open_page())
    other = open_page()
    other.find("sessions-box").locator("summary").click()
    row = other.find("sessions").locator(f"[data-session='{session}']")
    row.wait_for()
    row.click()
    until(lambda: panel(other)["about"]["session"] == session, "it is shown")
    other.find("zoom-all").click()
    other.find("panel").scroll_into_view_if_needed()
    until(lambda: has_colour(other, "audio", "--c-engine0"), "its sound is drawn")
    links = {name: other.find(name).get_attribute("href") or "" for name in ("wav-whole", "wav-part", "json")}
    assert links["wav-whole"].startswith(f"/sessions/{session}/audio")
    assert "from=" in links["wav-part"] and links["json"].startswith(f"/sessions/{session}/timeline")
    answer = other.page.request.get(other.server.url.rstrip("/") + links["wav-part"])
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.body()[:4] == b"RIFF"


def test_a_mark_is_heard_again(open_page: OpenPage) -> None:
    """From the mark of a text its own words sound, not those before it, and they light up one after the other."""
    listener = Recogniser()
    first = open_page()
    session = first.call()
    first.find("accent").select_option("en-gb")
    first.page.get_by_text("In effect since chunk").wait_for()
    for sentence in SENTENCES[:3]:
        first.speak(f"{sentence}.")
        first.speech("idle", 30_000)
        first.page.wait_for_timeout(1_500)
    marks = [record["frame"] for record in first.hang_up() if record["kind"] == "input"]
    page = open_page()
    page.find("sessions-box").locator("summary").click()
    page.find("sessions").locator(f"[data-session='{session}']").click()
    until(lambda: panel(page)["about"]["session"] == session, "it is shown")
    page.find("panel").focus()
    page.page.keyboard.press("Home")
    while not page.find("readout").inner_text().startswith(f"frame {marks[1]} "):
        page.page.keyboard.press("]")
        page.page.wait_for_timeout(50)
    page.page.keyboard.press("Enter")
    page.find("captions").locator(".now").wait_for()
    source = page.find("audition-sound").evaluate(
        "(audio) => new URL(audio.currentSrc).pathname + new URL(audio.currentSrc).search"
    )
    lit: list[str] = []

    def over() -> bool:
        word = str(panel(page)["audition"])
        if word and lit[-1:] != [word]:
            lit.append(word)
        return page.find("audition").get_attribute("data-state") == "idle"

    until(over, "it was played to its end", 30)
    words = SENTENCES[1].split()
    began = words.index(lit[0])
    assert began <= 2, "the first may be over before one looks"
    assert [word.strip(".") for word in lit][: len(words) - began] == words[began:]
    wav = page.page.request.get(page.server.url.rstrip("/") + source).body()
    pcm = np.frombuffer(wav[44:], "<i2").astype(np.float32) / 32768.0
    assert listener.hear(pcm[: 3 * RATE]) == SENTENCES[1]
