"""The tables: every request has a meaning in every state, and nothing else happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.core.errors import IllegalTransition
from peer.core.machines import (
    HEALTH,
    MACHINES,
    SESSION,
    SPEECH,
    SWAP,
    Conversation,
    ConversationEvent,
    Health,
    HealthEvent,
    Machine,
    Speech,
    SpeechEvent,
    Swap,
    SwapEvent,
    diagram,
)

S, E = Speech, SpeechEvent


def test_speech_is_the_table_of_the_architecture() -> None:
    """Row by row, as drawn."""
    rows = {
        S.IDLE: {E.TEXT: S.PRIMING, E.BARGE_IN: S.IDLE},
        S.PRIMING: {E.TEXT: S.PRIMING, E.FIRST_FRAME: S.SPEAKING, E.BARGE_IN: S.YIELDED},
        S.SPEAKING: {E.TEXT: S.SPEAKING, E.END_OF_STREAM: S.DRAINING, E.BARGE_IN: S.YIELDED},
        S.DRAINING: {E.TEXT: S.SPEAKING, E.DRAINED: S.IDLE, E.BARGE_IN: S.YIELDED},
        S.YIELDED: {E.TEXT: S.PRIMING, E.BARGE_IN: S.YIELDED, E.RESUME: S.PRIMING, E.ABANDON: S.IDLE},
        S.PAUSED: {E.RESUME: S.PRIMING, E.BARGE_IN: S.YIELDED},
    }
    for state, row in rows.items():
        for event, target in row.items():
            assert SPEECH[state, event] is target, (state, event)


@pytest.mark.parametrize("state", list(Speech))
def test_text_and_barge_in_mean_something_everywhere(state: Speech) -> None:
    """A caller never meets an illegal transition by talking."""
    assert (state, E.TEXT) in SPEECH and (state, E.BARGE_IN) in SPEECH


@pytest.mark.parametrize("name", list(MACHINES))
def test_every_state_can_be_reached_and_left(name: str) -> None:
    """No dead rows; only CLOSED is final."""
    table = MACHINES[name]
    states = {a for a, _ in table} | set(table.values())
    reached, todo = set(), [next(iter(table))[0]]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += [b for (a, _), b in table.items() if a is state]
    assert reached == states
    assert states - {a for a, _ in table} <= {Conversation.CLOSED}


def test_a_missing_entry_is_the_error() -> None:
    """It names machine, state and event, and leaves the state as it was."""
    machine = Machine("SPEECH", SPEECH, Speech.IDLE)
    with pytest.raises(IllegalTransition, match=r"SPEECH: drained in IDLE"):
        machine.fire(SpeechEvent.DRAINED)
    assert machine.state is Speech.IDLE and not machine.takes(SpeechEvent.DRAINED)


@given(st.lists(st.sampled_from(list(SpeechEvent)), max_size=30))
def test_any_walk_stays_in_the_table(events: list[SpeechEvent]) -> None:
    """`takes` and `fire` agree."""
    machine = Machine("SPEECH", SPEECH, Speech.IDLE)
    for event in events:
        if machine.takes(event):
            assert machine.fire(event) is machine.state
        else:
            with pytest.raises(IllegalTransition):
                machine.fire(event)


@pytest.mark.parametrize("state", [s for s in Conversation if s is not Conversation.CLOSED])
def test_a_session_can_always_be_hung_up(state: Conversation) -> None:
    """`timeout` and `hangup` lead to CLOSING from anywhere."""
    for event in (ConversationEvent.HANGUP, ConversationEvent.TIMEOUT):
        assert SESSION[state, event] is Conversation.CLOSING


@pytest.mark.parametrize("state", list(Swap))
def test_wishes_and_cuts_come_at_any_time(state: Swap) -> None:
    """A wish is accepted in every state of a swap, and a barge-in may cut every state."""
    assert (state, SwapEvent.REQUESTED) in SWAP and (state, SwapEvent.CUT) in SWAP


@pytest.mark.parametrize("state", list(Health))
def test_an_engine_may_fail_at_any_time(state: Health) -> None:
    """A fault is defined everywhere and leads to FAILED, from where READY leads out."""
    assert HEALTH[state, HealthEvent.FAULT] is Health.FAILED
    assert HEALTH[Health.FAILED, HealthEvent.READY] is Health.READY


@pytest.mark.parametrize("name", list(MACHINES))
def test_the_diagram_has_one_line_per_entry(name: str) -> None:
    """README's pictures are drawn from here."""
    assert len(diagram(name).splitlines()) == len(MACHINES[name]) + 1
