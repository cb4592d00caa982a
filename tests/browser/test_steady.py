"""A steady minute: the browser makes up no sound while one long narration plays.

Knows no clock of the server's: concealment is counted by the browser, late loops are read from the server's log.
"""

from __future__ import annotations

import time

import pytest

from .caller import LONG, Caller
from .conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

SETTLE_S = 5.0
"""NetEQ adapts to a new stream for so long."""
MINUTE_S = 60.0
HELD_UP = "the event loop was held up"
COUNTS = ("concealedSamples", "silentConcealedSamples", "concealmentEvents", "packetsLost", "packetsDiscarded")


def minute(caller: Caller) -> dict[str, float]:
    """What the browser counted in a minute of speech."""
    caller.call()
    caller.find("mode").select_option("steady")
    caller.page.get_by_text("In effect since chunk").wait_for()
    caller.speak(LONG)
    caller.page.wait_for_timeout(SETTLE_S * 1000)
    before, started = caller.stats(), time.monotonic()
    while time.monotonic() - started < MINUTE_S:
        caller.page.wait_for_timeout(5_000)
        assert caller.state["speech"] == "speaking"
    after = caller.stats()
    assert after["packetsReceived"] - before["packetsReceived"] > MINUTE_S * 50 * 0.95
    return {name: after[name] - before[name] for name in COUNTS}


def test_nothing_is_concealed_in_a_steady_minute(open_page: OpenPage) -> None:
    """No sample is made up by the browser; a minute in which the machine itself stood still is repeated once."""
    for last in (False, True):
        caller = open_page()
        log = len(caller.server.log())
        counted = minute(caller)
        print(counted)
        caller.hang_up()
        if counted["concealedSamples"] == 0 or last or HELD_UP not in caller.server.log()[log:]:
            break
    assert counted["concealedSamples"] == 0, counted
    assert counted["packetsLost"] == 0
