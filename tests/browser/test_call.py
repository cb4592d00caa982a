"""A call from a real browser: it connects, it sounds, it ends, and two of them do not disturb each other.

Knows no protocol: buttons are pressed, the page's meter and the server's journal are read.
"""

from __future__ import annotations

import pytest

from .caller import Caller, frames, loudness, until
from .conftest import OpenPage

pytestmark = pytest.mark.browser


def test_text_becomes_sound_in_the_browser(caller: Caller) -> None:
    """After text the browser decodes energy, the page's output is loud, and before it there was silence."""
    caller.call()
    caller.begin_recording(0.5)
    assert loudness(caller.recorded()) < 1e-3
    before = caller.stats()
    caller.begin_recording(2.0)
    caller.speak("A voice that speaks what is typed, in one long and steady sentence.")
    assert loudness(caller.recorded()) > 0.01
    after = caller.stats()
    assert after["packetsReceived"] > before["packetsReceived"] + 20
    assert after["totalSamplesReceived"] > before["totalSamplesReceived"]
    assert after["packetsLost"] == 0


def test_the_browsers_own_energy_grows_where_its_element_plays(open_page: OpenPage) -> None:
    """Without Web Audio the audio element plays, unmuted, and `totalAudioEnergy` grows with the speech."""
    caller = open_page(init="delete window.AudioContext; delete window.webkitAudioContext;")
    caller.find("call").click()
    caller.phase("live")
    until(lambda: caller.page.evaluate("synchrony.route()") == "element", "the element plays")
    before = caller.stats()["totalAudioEnergy"]
    caller.say("A voice that speaks what is typed, in one long and steady sentence.")
    until(lambda: caller.stats()["totalAudioEnergy"] > before + 1e-3, "energy of the received sound")


def test_hanging_up_ends_call_and_conversation(caller: Caller) -> None:
    """The button ends the call on both sides, and the page can call again at once."""
    first = caller.call()
    (end,) = [one for one in caller.hang_up() if one["kind"] == "end"]
    assert end["result"] == "hangup"
    assert "hung up" in caller.find("status").inner_text()
    assert caller.call() != first


def test_every_frame_that_left_is_in_the_journal(caller: Caller) -> None:
    """The frames of a call rise by one from the first voice to the tail, each with its kind."""
    caller.call()
    caller.speak("Short, but complete.")
    caller.speech("idle")
    left = list(frames(caller.hang_up()))
    numbers = [n for n, _ in left]
    assert numbers == sorted(set(numbers))
    kinds = [kind for _, kind in left]
    assert kinds[0] == "voice"
    assert kinds[-1] == "tail"
    assert kinds.count("voice") > 25


def test_two_pages_at_once_do_not_disturb_each_other(open_page: OpenPage) -> None:
    """One caller interrupts and hangs up; the other's speech goes on, in a session of its own."""
    one, other = open_page(), open_page()
    assert one.call() != other.call()
    one.speak()
    other.speak()
    one.find("bargein").click()
    one.speech("yielded")
    other.begin_recording(1.0)
    one.hang_up()
    assert loudness(other.recorded()) > 0.01
    assert other.state["speech"] == "speaking"
    assert not other.records("", "barge")
