"""A fake microphone that speaks: it stops the voice, which goes on by itself once it is quiet.

Knows no detector. The microphone's file speaks all the time; the page's own mute decides who hears it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .caller import Caller, frames, loudness, until
from .conftest import spoken_wav

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

WORDS = (
    "Wait a moment please, I have a question about that, because it is not what I wanted to hear, "
    "and I would like to say something else before you go on with your very long story about the sea."
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spoken_wav(tmp_path_factory.mktemp("capture") / "speech.wav", WORDS, "-v", "en-us", "-a", "150")


@pytest.fixture
def muted(caller: Caller) -> Caller:
    """A call whose microphone is open and muted."""
    caller.call()
    caller.find("mute").wait_for()
    caller.find("mute").click()
    until(lambda: caller.state["mic"]["muted"], "the page's mute")
    caller.page.wait_for_timeout(1_000)
    return caller


def level(caller: Caller) -> int:
    return int(caller.find("level").get_attribute("aria-valuenow") or 0)


def test_speech_stops_the_voice_which_then_goes_on_by_itself(muted: Caller) -> None:
    """An onset at the microphone is a barge-in of cause voice; after the quiet time the same utterance goes on."""
    caller = muted
    caller.speak()
    caller.page.wait_for_timeout(1_500)
    session, began = caller.session, len(caller.records("", "barge"))
    assert began == 0, "nobody had spoken yet"
    caller.find("mute").click()
    barge = caller.server.await_record(session, "barge", cause="voice")
    caller.speech("yielded")
    caller.find("mute").click()
    resume = caller.server.await_record(session, "resume", 15.0)
    assert resume["utterance"] == barge["utterance"]
    assert resume["source"] >= barge["heard"] > 0
    caller.begin_recording(1.0)
    caller.speech("speaking")
    assert loudness(caller.recorded()) > 0.005
    journal = caller.hang_up()
    left = dict(frames(journal))
    between = [kind for n, kind in left.items() if barge["frame"] + 1 < n < resume["frame"]]
    assert left[max(n for n in left if n < barge["frame"])] == "voice"
    assert "voice" not in between


def test_speech_while_the_peer_is_silent_is_heard_and_stops_nothing(muted: Caller) -> None:
    """The page shows the level and that it is heard; the journal has the speech and no barge-in."""
    caller = muted
    session = caller.session
    assert level(caller) == 0
    caller.find("mute").click()
    until(lambda: level(caller) > 20, "the input level moves")
    until(lambda: caller.find("status").inner_text().startswith("Hearing you"), "the page says that it hears")
    caller.server.await_record(session, "mic", speaking=True)
    caller.find("mute").click()
    until(lambda: level(caller) == 0, "the level falls")
    caller.server.await_record(session, "mic", speaking=False)
    assert not caller.records(session, "barge")
    caller.speak("And still the voice can speak.")


def test_switching_the_microphone_off_and_on_keeps_the_call(muted: Caller) -> None:
    """The track leaves and comes back without a new call; its device is listed by name."""
    caller = muted
    session = caller.session
    caller.find("mic").uncheck()
    until(lambda: caller.state["mic"]["state"] == "off", "the microphone is off")
    assert caller.find("mute").is_hidden()
    caller.find("mic").check()
    until(lambda: caller.state["mic"]["state"] == "on", "the microphone is on again")
    assert caller.find("device").locator("option").count() >= 1
    assert caller.find("device").locator("option").first.inner_text() != ""
    assert caller.session == session
