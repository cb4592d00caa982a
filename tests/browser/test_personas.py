"""The persona beside the engine: chosen, heard, kept through a change of engine and a reload, its report in words.

Knows no module of the page: only what is labelled, shown and pressed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .caller import Caller, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

LOW, QUICK = "low newsreader", "quick assistant"
SENTENCE = "The same words again, to be measured."


def test_a_persona_is_chosen_heard_and_kept(caller: Caller) -> None:
    """Another persona is another voice; another engine keeps it as well as it can, and the page says how well."""
    kept = caller.find("kept")
    until(lambda: caller.find("persona").locator("option").count() == 6, "five personas and none are listed")
    session = caller.call()
    caller.find("persona").select_option(QUICK)
    until(lambda: caller.state["config"]["voice"]["persona"] == QUICK, "the persona is acknowledged")
    assert caller.find("pace").input_value() == "1.25"
    assert caller.find("voice-timbre").input_value() == "f5"
    caller.speak(SENTENCE)
    caller.find("persona").select_option(LOW)
    until(lambda: caller.state["config"]["voice"]["persona"] == LOW, "the other one is acknowledged")
    assert caller.find("pitch").input_value() == "-3"
    caller.page.get_by_text("Deep and matter of fact").wait_for()
    assert "nearly" in kept.locator("summary").inner_text()
    kept.locator("summary").click()
    assert "Pitch nearly" in " ".join(kept.inner_text().split())
    if folder := os.environ.get("SCREENSHOTS"):
        caller.page.screenshot(path=Path(folder) / "persona.png", full_page=True)
    caller.find("adapter").select_option("tone")
    until(lambda: caller.state["config"]["adapter"] == "tone", "the engine is acknowledged", 20.0)
    assert caller.find("persona").input_value() == LOW
    until(lambda: "Accent not" in " ".join(kept.inner_text().split()), "the report is that of the engine")
    knobs = [one["knobs"]["voice"] for one in caller.server.records(session, "request") if one["adapter"] == "espeak"]
    assert knobs[0].endswith("+f5")


def test_a_persona_and_what_was_changed_over_it_are_remembered(caller: Caller) -> None:
    """After a reload and in a new conversation; "None" is the neutral voice again."""
    until(lambda: caller.find("persona").locator("option").count() == 6, "personas are listed")
    caller.find("persona").select_option(QUICK)
    caller.find("pitch").fill("4")
    caller.page.reload()
    until(lambda: caller.find("persona").input_value() == QUICK, "the persona is chosen again")
    assert (caller.find("pitch").input_value(), caller.find("pace").input_value()) == ("4", "1.25")
    caller.call()
    until(lambda: caller.state["config"]["voice"]["persona"] == QUICK, "the conversation is told")
    voice = caller.state["config"]["voice"]
    assert (voice["prosody"]["pitch"], voice["pace"]) == (4, 1.25)
    caller.find("persona").select_option("")
    until(lambda: caller.state["config"]["voice"]["persona"] == "", "no persona is acknowledged")
    assert (caller.find("pitch").input_value(), caller.find("pace").input_value()) == ("0", "1")
