"""The page for people: keyboard, choices, typing, errors in words, the proof of sound.

Knows no module of the page: only what is labelled, shown and pressed.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from .caller import Caller, chunks, until
from .conftest import FLAGS, Launch, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

CLICK_WITHOUT_A_PERSON = """
    addEventListener('load', () => document.getElementById('call').click());
"""
SENTENCE = "The same words again, to be measured."


def tab_to(caller: Caller, name: str) -> None:
    """Press Tab until the named control has the focus."""
    for _ in range(40):
        caller.page.keyboard.press("Tab")
        if caller.find(name).evaluate("(one) => one === document.activeElement"):
            return
    raise AssertionError(f"{name} is not reached by Tab")


def test_the_whole_call_by_keyboard(caller: Caller) -> None:
    """Call, type, interrupt, resume and hang up without a pointer, and the focus is never lost."""
    tab_to(caller, "call")
    caller.page.keyboard.press("Enter")
    caller.connected()
    assert caller.find("hangup").evaluate("(one) => one === document.activeElement")
    tab_to(caller, "text")
    caller.page.keyboard.type("Typed by keyboard alone, and long enough to be interrupted in the middle of it.")
    caller.page.keyboard.press("Enter")
    caller.speech("speaking")
    caller.page.keyboard.press("Escape")
    caller.speech("yielded")
    caller.page.keyboard.press("ArrowUp")
    assert caller.find("text").input_value().startswith("Typed by keyboard")
    tab_to(caller, "resume")
    caller.page.keyboard.press("Space")
    caller.speech("speaking")
    tab_to(caller, "hangup")
    caller.page.keyboard.press("Enter")
    caller.phase("idle")
    assert caller.find("call").evaluate("(one) => one === document.activeElement")


def test_words_are_spoken_while_they_are_typed(caller: Caller) -> None:
    """With the switch on, what is typed sounds before Enter, as one utterance of the history."""
    caller.call()
    caller.find("stream-toggle").check()
    caller.find("text").press_sequentially("Spoken while it is typed, word by word, ", delay=10)
    caller.speech("speaking")
    assert caller.find("text").input_value() != ""
    caller.find("text").press_sequentially("to the end.", delay=10)
    caller.find("text").press("Enter")
    (utterance,) = caller.state["utterances"]
    assert utterance["text"] == "Spoken while it is typed, word by word, to the end."
    caller.speech("idle")
    until(lambda: caller.state["utterances"][0]["fate"] == "heard", "all of it was heard")
    assert len([one for one in caller.records("", "input") if one.get("stage") == "say"]) != 1


def test_the_spoken_line_grows_as_words_are_heard(caller: Caller) -> None:
    """The line shows what was heard so far, word by word, and the history keeps what was typed."""
    text = "Every word of this sentence appears as it is heard, and not before."
    caller.call()
    caller.speak(text)
    lengths: set[int] = set()
    heard = caller.page.locator("#heard")

    def all_heard() -> bool:
        lengths.add(len(heard.inner_text()))
        return len(heard.inner_text()) >= len(text) - 1

    until(all_heard, "the whole line")
    assert len(lengths) > 3
    assert caller.find("spoken").inner_text().strip() == text
    assert text in caller.find("history").inner_text()


def test_say_hello_proves_the_sound(caller: Caller) -> None:
    """One button places the call, speaks and says in words that sound is playing."""
    caller.find("hello").click()
    caller.find("proof").get_by_text("Sound is playing").wait_for(timeout=15_000)


def test_the_volume_is_obeyed_and_choices_are_remembered(caller: Caller) -> None:
    """Volume zero is silence; volume, engine, pace, accent, delivery and microphone survive a reload."""
    caller.call()
    caller.find("volume").fill("0")
    caller.say("Nobody hears this sentence.")
    caller.speech("speaking")
    caller.page.wait_for_timeout(400)
    assert caller.rms() < 1e-4
    caller.find("volume").fill("40")
    caller.find("pace").fill("1.5")
    caller.find("accent").select_option("en-gb")
    caller.find("mode").select_option("steady")
    caller.find("mic").uncheck()
    until(lambda: (caller.state["config"] or {}).get("mode") == "steady", "the delivery is confirmed")
    caller.find("hangup").click()
    caller.page.reload()
    caller.page.locator("body[data-phase=idle]").wait_for()
    until(lambda: caller.find("accent").input_value() == "en-gb", "the accent is chosen again")
    assert caller.find("volume").input_value() == "40"
    assert caller.find("pace").input_value() == "1.5"
    assert caller.find("mode").input_value() == "steady"
    assert not caller.find("mic").is_checked()
    caller.call()
    config = until(lambda: (found := caller.state["config"]) and found["mode"] == "steady" and found, "choices told")
    assert config["voice"]["pace"] == 1.5


def test_pace_accent_and_engine_change_what_is_heard(caller: Caller) -> None:
    """Each change is acknowledged with its chunk; the doubled pace is shorter, the other engine really speaks."""
    session = caller.call()
    caller.speak(SENTENCE)
    caller.speech("idle")
    caller.find("pace").fill("2")
    caller.page.get_by_text("In effect since chunk").wait_for()
    caller.speak(SENTENCE)
    caller.speech("idle")
    caller.speak()
    caller.find("accent").select_option("en-US")
    until(lambda: caller.state["config"]["voice"]["accent"].lower() == "en-us", "the accent is acknowledged")
    caller.find("adapter").select_option("tone")
    until(lambda: caller.state["config"]["adapter"] == "tone", "the engine is acknowledged", 20.0)
    caller.server.await_record(session, "swap", adapter_to="tone")
    first = caller.server.await_record(session, "chunk", adapter="tone")["chunk"]
    until(lambda: first in {chunk for _, chunk in chunks(caller.records())}, "the other engine's samples leave", 20.0)
    until(lambda: caller.rms() > 0.005, "and sound")
    journal = caller.hang_up()
    lengths: Counter[str] = Counter()
    for one in journal:
        if one["kind"] == "chunk":
            lengths[one["utterance"]] += one["samples"]
    plain, quick, *_ = lengths.values()
    assert plain > 1.4 * quick


def test_engines_that_cannot_speak_are_listed_with_the_remedy(caller: Caller) -> None:
    """The list of engines is the server's, and every engine in it that is missing says what would bring it."""
    listed = caller.page.request.get(f"{caller.server.url}adapters").json()["adapters"]
    options = caller.find("adapter").locator("option")
    until(lambda: options.count() == len(listed), "all engines are listed")
    for one in listed:
        entry = caller.page.locator(f"[data-testid=adapter] option[value='{one['name']}']")
        assert entry.is_disabled() is (not one["available"])
        if not one["available"]:
            assert one["remedy"] in caller.page.locator("#missing").inner_text() or one["remedy"] != ""


def test_a_call_without_permission_goes_on_as_text(open_page: OpenPage) -> None:
    """A refused microphone is told in words that name the remedy, and the voice works all the same."""
    caller = open_page(microphone=False)
    caller.call()
    caller.find("error").wait_for()
    assert re.search("allow", caller.find("error").inner_text())
    caller.speak("Text works without a microphone.")


def test_a_machine_without_a_microphone_calls_as_text(launch: Launch, open_page: OpenPage) -> None:
    """Where there is no device at all the page says so, and the voice works all the same."""
    caller = open_page(browser=launch(FLAGS[1]))
    caller.call()
    caller.find("error").wait_for()
    assert "No microphone was found" in caller.find("error").inner_text()
    caller.speak("Text works without a microphone.")


def test_blocked_sound_is_heard_after_a_tap(launch: Launch, open_page: OpenPage) -> None:
    """Where the browser blocks sound until a gesture, the page offers a tap, and the tap brings the sound."""
    browser = launch(FLAGS[0], "--autoplay-policy=document-user-activation-required")
    caller = open_page(browser=browser, microphone=False, init=CLICK_WITHOUT_A_PERSON)
    # whatever the driver evaluates counts as a gesture: let the call come to its end without it
    time.sleep(3.0)
    caller.find("tap").wait_for(timeout=2_000)
    assert caller.state["sound"] == "blocked"
    caller.find("tap").click()
    until(lambda: caller.state["sound"] == "playing", "the sound plays")
    assert caller.find("tap").is_hidden()
    caller.say("And now it is heard.")
    until(lambda: caller.rms() > 0.005, "sound at the output")


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_nothing_runs_out_of_the_window(caller: Caller, size: tuple[int, int], tmp_path: Path) -> None:
    """On a desk and on a telephone the page is as wide as its window, and its buttons are inside."""
    caller.page.set_viewport_size({"width": size[0], "height": size[1]})
    caller.call()
    caller.say("A sentence to look at.")
    caller.speech("speaking")
    assert caller.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for name in ("hangup", "bargein", "pause", "resume", "send", "volume", "adapter"):
        box = caller.find(name).bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= size[0] + 0.5, name
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    caller.page.screenshot(path=str(folder / f"page-{size[0]}.png"), full_page=True)
