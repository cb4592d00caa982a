"""A call that breaks: the tab closes, the page reloads, the server goes; what was said is kept and said in words.

Knows no timer of the server's beyond "within seconds".
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Error

from .caller import Caller, Server, frames, until
from .conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

SOON_S = 8.0
"""A lost page is noticed after 3 s without its heartbeat; ICE alone would take 30."""
UNREACHABLE = "Failed to load resource|ERR_CONNECTION|ERR_INCOMPLETE|status of 404"


def test_a_closed_tab_is_noticed_within_seconds(caller: Caller) -> None:
    """Closing the tab while the voice speaks ends the voice and keeps the conversation."""
    session = caller.call()
    caller.speak()
    caller.page.close(run_before_unload=True)
    lost = caller.server.await_record(session, "peer_lost", SOON_S)
    barge = caller.server.await_record(session, "barge", SOON_S, cause="lost")
    assert barge["frame"] >= lost["frame"] - 1
    assert not caller.records(session, "end"), "the conversation is kept for a while"


def test_a_crashed_tab_is_noticed_within_seconds(caller: Caller) -> None:
    """A tab that says nothing at its end is missed by its heartbeat."""
    session = caller.call()
    caller.speak()
    crash(caller)
    caller.server.await_record(session, "peer_lost", SOON_S)


def crash(caller: Caller) -> None:
    """End the renderer of the page without a word of farewell."""
    with contextlib.suppress(Error):
        caller.page.goto("chrome://crash", timeout=5_000)


def test_a_reloaded_page_goes_on_from_the_last_word_heard(caller: Caller) -> None:
    """After a reload the button rejoins the held conversation, and the cut utterance is spoken to its end."""
    text = "A story that is interrupted by a reload of the page and told to its very end all the same."
    session = caller.call()
    caller.speak(text)
    caller.page.wait_for_timeout(2_000)
    caller.page.reload()
    caller.page.get_by_role("button", name="Rejoin the conversation").wait_for()
    caller.page.evaluate("synchrony.warm()")
    caller.find("call").click()
    assert caller.connected() == session
    caller.server.await_record(session, "recovered")
    caller.speech("speaking")
    caller.speech("idle")
    journal = caller.hang_up()
    (barge,) = [one for one in journal if one["kind"] == "barge"]
    (resume,) = [one for one in journal if one["kind"] == "resume"]
    assert 0 < barge["heard"] < len(text)
    assert barge["heard"] <= resume["source"] <= barge["heard"] + 1
    assert any(n > resume["frame"] and kind == "voice" for n, kind in frames(journal))
    words = [one for one in journal if one["kind"] == "word"]
    assert words, "the words that left are in the journal"


def test_a_server_that_is_gone_is_told_in_words(open_page: OpenPage, start_server: Callable[..., Server]) -> None:
    """With the server away the page says that it reconnects; a new server is found, and takes a new conversation."""
    server = start_server()
    caller = open_page(server=server, expected=UNREACHABLE)
    first = caller.call()
    port = server.port
    server.stop(signal.SIGKILL)
    caller.phase("reconnecting")
    assert "Reconnecting" in caller.find("status").inner_text()
    start_server(port=port)
    assert caller.connected(20_000) != first
    until(lambda: "new one" in caller.find("notices").inner_text(), "the page says that this is a new conversation")
    caller.speak("And the voice is back.")


def test_calling_a_server_that_is_not_there_is_an_error_in_words(
    open_page: OpenPage, start_server: Callable[..., Server]
) -> None:
    """The button answers with a sentence, not with silence."""
    server = start_server()
    caller = open_page(server=server, expected=UNREACHABLE)
    server.stop(signal.SIGKILL)
    caller.find("call").click()
    caller.find("error").wait_for()
    assert "does not answer" in caller.find("error").inner_text()
    caller.phase("idle")


def test_an_orderly_end_of_the_server_says_goodbye(open_page: OpenPage, start_server: Callable[..., Server]) -> None:
    """A server that shuts down tells its callers why the call ended."""
    server = start_server()
    caller = open_page(server=server, expected=UNREACHABLE)
    caller.call()
    server.stop()
    caller.phase("idle")
    assert caller.find("status").inner_text().count(".") == 1, "one sentence says why"
