"""A steady minute: the browser makes up no sound while one long narration plays.

Knows no clock of the server's: concealment is counted by the browser, and a witness beside it tells of the machine.
"""

from __future__ import annotations

import pytest

from .caller import LONG, Caller
from .conftest import OpenPage
from .witness import Witness

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(340)]

SETTLE_S = 5.0
"""NetEQ adapts to a new stream for so long."""
MINUTE_S = 60.0
COUNTS = ("concealedSamples", "silentConcealedSamples", "concealmentEvents", "packetsLost", "packetsDiscarded")


def minute(caller: Caller) -> dict[str, float]:
    """What the browser counted in a minute of speech."""
    caller.call()
    caller.find("mode").select_option("steady")
    caller.page.get_by_text("In effect since chunk").wait_for()
    caller.speak(LONG)
    caller.page.wait_for_timeout(SETTLE_S * 1000)
    before = caller.stats()
    caller.page.wait_for_timeout(MINUTE_S * 1000)
    after = caller.stats()
    assert caller.state["speech"] == "speaking"
    assert after["packetsReceived"] - before["packetsReceived"] > MINUTE_S * 50 * 0.9
    return {name: after[name] - before[name] for name in COUNTS}


def test_nothing_is_concealed_in_a_steady_minute(open_page: OpenPage) -> None:
    """No sample is made up by the browser; a minute in which the machine was busy with others is told again."""
    for _ in range(3):
        caller = open_page()
        with Witness() as witness:
            counted = minute(caller)
        caller.hang_up()
        print(f"{counted}; the machine was late {witness.late} times")
        if counted["concealedSamples"] == 0 or witness.late == 0:
            break
    assert counted["concealedSamples"] == 0, f"{counted}; the machine was late {witness.late} times"
    assert counted["packetsLost"] == 0
