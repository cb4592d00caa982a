"""Taking the floor: by message, by button, by Escape; the voice stops within one frame, the page is silent at once.

Knows no microphone. The journal proves the server's side, the page's output its own.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .caller import Caller, frames, loudness, until
from .conftest import OpenPage

pytestmark = pytest.mark.browser

KEEP_CHANNELS = """
    const make = RTCPeerConnection.prototype.createDataChannel;
    window.channels = {};
    RTCPeerConnection.prototype.createDataChannel = function (label, ...more) {
        return (window.channels[label] = make.call(this, label, ...more));
    };
"""
SEND = """([lane, cause]) => window.channels[lane].send(
    JSON.stringify({id: `test-${Date.now()}`, intent: 'barge_in', inputs: {cause}}))"""
CUT_WIRE = """
    const send = RTCDataChannel.prototype.send;
    RTCDataChannel.prototype.send = function (message) { if (!window.cut) send.call(this, message); };
"""

QUIET_MS = 150
"""From the wish to silence at the loudspeaker's side; 5 to 10 are usual, this is the order of magnitude."""


def by_message(caller: Caller) -> None:
    caller.page.evaluate(SEND, ["synchrony", "message"])


def by_fast_message(caller: Caller) -> None:
    caller.page.evaluate(SEND, ["synchrony.now", "message"])


def by_button(caller: Caller) -> None:
    caller.find("bargein").click()


def by_escape(caller: Caller) -> None:
    caller.page.keyboard.press("Escape")


@pytest.mark.parametrize("way", [by_message, by_fast_message, by_button, by_escape])
def test_the_voice_stops_within_one_frame(open_page: OpenPage, way: Callable[[Caller], None]) -> None:
    """The barge-in is heard at frame n, no voice leaves after n + 1, and nothing leaves once the tail is out."""
    caller = open_page(init=KEEP_CHANNELS)
    caller.call()
    caller.speak()
    caller.page.wait_for_timeout(900)
    way(caller)
    caller.speech("yielded")
    caller.begin_recording(0.4)
    assert loudness(caller.recorded()) < 1e-3
    journal = caller.hang_up()
    (barge,) = [one for one in journal if one["kind"] == "barge"]
    cause = "message" if way in (by_message, by_fast_message) else "button"
    assert barge["cause"] == cause
    assert barge["heard"] > 0
    left = dict(frames(journal))
    assert left[max(n for n in left if n < barge["frame"])] == "voice"
    after = [kind for n, kind in sorted(left.items()) if n > barge["frame"] + 1]
    assert "voice" not in after
    assert set(after) <= {"tail", "cut"}
    assert len(after) < 10


@pytest.mark.parametrize("way", [by_button, by_escape])
def test_the_page_is_silent_at_once(open_page: OpenPage, way: Callable[[Caller], None]) -> None:
    """The page mutes itself, even with no way to the server; unanswered it says so and opens again."""
    caller = open_page(init=CUT_WIRE)
    caller.call()
    caller.speak()
    until(lambda: caller.rms() > 0.005, "the voice is heard")
    caller.page.evaluate("() => { window.cut = true; window.off = synchrony.listen('off', {holdMs: 250}); }")
    way(caller)
    silent_at = caller.page.evaluate("window.off")
    marks = caller.marks
    assert marks["hushed"] - marks["bargein"] < QUIET_MS / 3
    assert silent_at - marks["bargein"] < QUIET_MS
    until(lambda: "did not answer" in caller.find("error").inner_text(), "the page says that nobody answered")
    until(lambda: caller.rms() > 0.005, "the voice, which never stopped, is heard again")


def test_new_text_is_heard_after_a_barge_in(caller: Caller) -> None:
    """The page opens again by itself: what is said next sounds, and what was cut never does."""
    caller.call()
    caller.speak()
    by_button(caller)
    caller.speech("yielded")
    caller.begin_recording(1.5)
    caller.speak("Now for something new, which is heard.")
    assert loudness(caller.recorded()) > 0.01
    assert caller.state["hushed"] is False


def test_resume_goes_on_from_the_last_word_heard(caller: Caller) -> None:
    """What was cut is continued where hearing ended, at the start of a word, and reaches the end of the text."""
    text = "One little story that is told from the beginning to its very end."
    caller.call()
    caller.speak(text)
    caller.page.wait_for_timeout(1_500)
    by_button(caller)
    caller.speech("yielded")
    shown = caller.find("history").inner_text()
    assert "cut off" in shown
    caller.find("resume").click()
    caller.speech("idle")
    barge, resume = (one for one in caller.hang_up() if one["kind"] in ("barge", "resume"))
    assert 0 < barge["heard"] < len(text)
    assert barge["heard"] <= resume["source"] <= barge["heard"] + 1
    assert text[resume["source"] - 1] == " " or text[resume["source"]] == " "
    (utterance,) = caller.state["utterances"]
    assert utterance["fate"] == "heard"
    assert utterance["heard"] >= len(text.rstrip("."))


def test_pause_keeps_and_resume_goes_on(caller: Caller) -> None:
    """A pause is silence without an end: resume goes on from the very sample."""
    caller.call()
    caller.speak()
    caller.find("pause").click()
    caller.speech("paused")
    caller.page.wait_for_timeout(300)
    caller.begin_recording(0.3)
    assert loudness(caller.recorded()) < 1e-3
    caller.begin_recording(1.0)
    caller.find("resume").click()
    caller.speech("speaking")
    assert loudness(caller.recorded()) > 0.01
    assert not caller.records("", "barge")


def test_a_barge_in_into_silence_changes_nothing(caller: Caller) -> None:
    """Escape while nobody speaks is answered, mutes nothing for long, and the next words are heard."""
    caller.call()
    by_escape(caller)
    caller.page.wait_for_timeout(200)
    assert caller.state["hushed"] is False
    assert caller.find("error").is_hidden()
    caller.speak("These words are heard.")
