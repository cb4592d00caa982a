"""The data channels: what comes in is read or refused, what goes out is bounded, nothing raises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from aiortc.exceptions import InvalidStateError
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.channel import MAIN, MAX_WAITING, NOW, Channels, Limits
from peer.core.messages import MAX_MESSAGE, BargeIn, Playout

from .far import FakeConversation, FakeSource


class FakeChannel:
    """A data channel whose buffer drains only when the test says so."""

    def __init__(self, label: str = MAIN, state: str = "open") -> None:
        self.label = label
        self.readyState = state
        self.bufferedAmount = 0
        self.bufferedAmountLowThreshold = 0
        self.out: list[dict[str, object]] = []
        self.handlers: dict[str, Callable[..., object]] = {}
        self.clogged = 0

    def on(self, event: str, handler: Callable[..., object]) -> None:
        self.handlers[event] = handler

    def send(self, text: str) -> None:
        if self.readyState != "open":
            raise InvalidStateError
        self.out.append(json.loads(text))
        self.bufferedAmount += self.clogged and len(text)

    def drain(self) -> None:
        self.bufferedAmount = 0
        self.handlers["bufferedamountlow"]()

    def close(self) -> None:
        self.readyState = "closed"

    def say(self, message: object) -> None:
        self.handlers["message"](message if isinstance(message, str | bytes) else json.dumps(message))

    def refusals(self) -> list[dict[str, object]]:
        return [m for m in self.out if isinstance(m.get("result"), dict)]


class Desk:
    """Channels over fakes, with a clock in the test's hand."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 0.0
        self.floods: list[int] = []
        source = FakeSource.__new__(FakeSource)
        self.conversation = FakeConversation(source)
        self.channels = Channels(
            self.conversation,
            clock=lambda: self.now,
            greeting=lambda: {"call": "c"},
            on_flood=lambda: self.floods.append(1),
            limits=limits or Limits(),
        )
        self.main, self.quick = FakeChannel(MAIN), FakeChannel(NOW)

    def open(self) -> Desk:
        for channel in (self.main, self.quick):
            self.channels.adopt(channel)  # type: ignore[arg-type]
        return self


def say(ident: str = "a") -> dict[str, object]:
    return {"id": ident, "intent": "say", "inputs": {"text": "hello"}}


def test_hello_comes_first_and_once() -> None:
    """The opened channel greets before anything else, with the session's fields and the call's."""
    desk = Desk().open()
    desk.main.say(say())
    assert desk.main.out[0] == {"event": "hello", "protocol": 1, "session": "s", "token": "token", "call": "c"}
    assert desk.main.out[1] == {"id": "a", "result": "done"}


def test_a_channel_that_opens_later_greets_then() -> None:
    """Where `open` still comes, hello waits for it."""
    desk = Desk()
    desk.main.readyState = "connecting"
    desk.channels.adopt(desk.main)  # type: ignore[arg-type]
    assert desk.main.out == []
    desk.main.readyState = "open"
    desk.main.handlers["open"]()
    assert desk.main.out[0]["event"] == "hello"


def test_refusals_carry_the_id_where_one_is_readable() -> None:
    """A bad request with an id is answered under it; without one the refusal goes out bare."""
    desk = Desk().open()
    desk.main.say({"id": "x", "intent": "sing"})
    desk.main.say("{nonsense")
    desk.main.say({"id": "y", "intent": "say", "inputs": {"text": "a", "colour": 1}})
    bad = desk.main.refusals()
    assert [m.get("id") for m in bad] == ["x", None, "y"]
    assert [m["result"]["refusal"]["code"] for m in bad] == ["unknown_intent", "malformed", "unknown_field"]  # type: ignore[index]
    assert desk.conversation.messages == []


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300),
        st.recursive(st.none() | st.integers() | st.text(max_size=9), lambda s: st.dictionaries(st.text(), s)).map(
            json.dumps
        ),
    )
)
def test_no_message_raises(raw: bytes | str) -> None:
    """Whatever arrives is submitted or refused; an exception would cost the call."""
    desk = Desk().open()
    desk.main.say(raw)
    desk.quick.say(raw)
    assert desk.channels.counts["faults"] == 0


def test_a_bug_behind_the_channel_is_noted_and_survived() -> None:
    """What the conversation raises ends here, on the record."""
    desk = Desk().open()
    desk.conversation.bug = RuntimeError("ours")
    desk.main.say(say())
    assert desk.conversation.noted("channel", "fault") and desk.channels.counts["faults"] == 1


def test_requests_are_limited_and_recover() -> None:
    """A burst of a hundred passes, then fifty a second; the refusal says so under its id."""
    desk = Desk().open()
    for i in range(150):
        desk.main.say(say(str(i)))
    assert len(desk.conversation.messages) == 100
    refusal = desk.main.refusals()[-1]
    assert refusal["id"] == "149" and refusal["result"]["refusal"]["code"] == "too_fast"  # type: ignore[index]
    desk.now += 1.0
    for i in range(150, 250):
        desk.main.say(say(str(i)))
    assert len(desk.conversation.messages) == 150


def test_stopping_works_in_any_flood() -> None:
    """Barge-in, pause, resume and abandon pass when requests are refused and when they are many themselves."""
    desk = Desk().open()
    for i in range(200):
        desk.main.say(say(str(i)))
    before = len(desk.conversation.messages)
    for i in range(200):
        desk.main.say({"id": f"b{i}", "intent": "barge_in"})
    desk.main.say({"id": "p", "intent": "pause"})
    assert len(desk.conversation.messages) == before + 201


def test_playout_is_cheap_and_apart() -> None:
    """Reports take nothing from the requests' allowance, are never answered, and are thinned when too many."""
    desk = Desk().open()
    out = len(desk.main.out)
    for i in range(300):
        desk.quick.say({"intent": "playout", "inputs": {"rtp": i}})
    kept = [m for m, _ in desk.conversation.messages if isinstance(m, Playout)]
    assert len(kept) == 40 and len(desk.main.out) == out and desk.quick.out == []
    desk.main.say(say())
    assert {"id": "a", "result": "done"} in desk.main.out


def test_too_many_violations_end_the_call_once() -> None:
    """More than five hundred broken rules are no accident."""
    desk = Desk().open()
    for _ in range(500):
        desk.main.say("rubbish")
    assert desk.floods == []
    for _ in range(20):
        desk.main.say("rubbish")
    assert desk.floods == [1]


def test_three_copies_of_a_barge_in_count_once() -> None:
    """Copies on both channels are one barge-in: answered where the first came by, and once on `synchrony`."""
    desk = Desk().open()
    message = {"id": "b", "intent": "barge_in", "inputs": {"cause": "button"}}
    for channel in (desk.quick, desk.main, desk.quick, desk.quick):
        channel.say(message)
    assert [m.id for m, _ in desk.conversation.messages if isinstance(m, BargeIn)] == ["b"]
    assert desk.quick.out == [{"id": "b", "result": "done"}]
    assert desk.main.out.count({"id": "b", "result": "done"}) == 1
    desk.main.say({**message, "id": "c"})
    assert desk.main.out.count({"id": "c", "result": "done"}) == 1 and len(desk.quick.out) == 1


def test_captions_wait_and_are_joined_when_much_is_queued() -> None:
    """Above the soft limit `spoken` is joined and `mic` replaced, responses go on; all leave when there is room."""
    desk = Desk().open()
    desk.main.bufferedAmount = 40_000
    for i in range(10):
        desk.channels.tell({"event": "spoken", "utterance": "u", "from": i * 5, "to": i * 5 + 5})
        desk.channels.tell({"event": "mic", "speaking": bool(i % 2), "level_db": -i})
    desk.channels.tell({"event": "flush", "epoch": 1})
    desk.main.say(say())
    assert [m.get("event") for m in desk.main.out] == ["hello", "flush", None]
    desk.main.drain()
    assert desk.main.out[3:] == [
        {"event": "spoken", "utterance": "u", "from": 0, "to": 50},
        {"event": "mic", "speaking": True, "level_db": -9},
    ]


def test_a_far_end_that_takes_nothing_costs_a_bounded_buffer() -> None:
    """Beyond the hard limit everything is dropped and counted; nothing blocks, nothing raises."""
    desk = Desk(Limits(soft=1_000, hard=5_000)).open()
    desk.main.clogged = 1
    for i in range(2_000):
        desk.channels.tell({"event": "notice", "level": "info", "code": "x", "text": str(i)})
    assert desk.main.bufferedAmount <= 5_000 and desk.channels.counts["dropped"] > 1_900


def test_what_waits_for_the_channel_is_bounded() -> None:
    """Before `synchrony` is there at most fifty messages wait, and come after hello."""
    desk = Desk()
    for i in range(200):
        desk.channels.tell({"event": "notice", "text": str(i)})
    desk.open()
    assert len(desk.main.out) == MAX_WAITING + 1
    assert desk.main.out[0]["event"] == "hello" and desk.main.out[1]["text"] == "0"


def test_an_answer_too_large_becomes_a_refusal_under_its_id() -> None:
    """No message over 16 KiB leaves; the asker still gets an answer. An event of that size is dropped."""
    desk = Desk().open()
    desk.channels._send(MAIN, {"id": "a", "result": "done", "artifacts": "x" * MAX_MESSAGE})
    assert desk.main.out[-1]["id"] == "a" and desk.main.refusals()
    before = len(desk.main.out)
    desk.channels.tell({"event": "notice", "text": "x" * MAX_MESSAGE})
    assert len(desk.main.out) == before


def test_what_cannot_be_written_is_our_fault_not_the_calls() -> None:
    """An answer that is no JSON is noted, and the channel goes on."""
    desk = Desk().open()
    desk.channels.tell({"event": "notice", "text": object()})
    assert desk.channels.counts["faults"] == 1
    desk.main.say(say())
    assert desk.main.out[-1]["id"] == "a"


def test_strange_and_second_channels_are_closed() -> None:
    """Unknown labels and doubles of known ones are closed and count as violations."""
    desk = Desk().open()
    for label in ("telemetry", MAIN, NOW):
        extra = FakeChannel(label)
        desk.channels.adopt(extra)  # type: ignore[arg-type]
        assert extra.readyState == "closed"
    assert desk.channels.counts["violations"] == 3


def test_closing_ends_the_subscription_and_the_listening() -> None:
    """After close nothing is submitted, nothing is sent, and the conversation has no listener left."""
    desk = Desk().open()
    assert len(desk.conversation.listeners) == 1
    desk.channels.close()
    desk.main.say(say())
    desk.channels.tell({"event": "mic"})
    assert desk.conversation.listeners == [] and desk.conversation.messages == [] and len(desk.main.out) == 1


def test_a_channel_closed_under_us_is_survived() -> None:
    """Sending on a channel that just closed is a dropped message."""
    desk = Desk().open()
    desk.main.readyState = "closing"
    desk.channels.tell({"event": "notice", "text": "x"})
    assert desk.channels.counts["dropped"] == 1


def test_the_heartbeat_begins_with_the_first_report() -> None:
    """Silence is measured from the last message, once a playout report was among them."""
    desk = Desk().open()
    desk.main.say(say())
    desk.now = 10.0
    assert desk.channels.silence_s(desk.now) is None
    desk.quick.say({"intent": "playout", "inputs": {"rtp": 1}})
    desk.now = 12.0
    assert desk.channels.silence_s(desk.now) == 2.0
    desk.main.say(say("b"))
    assert desk.channels.silence_s(desk.now) == 0.0


async def test_nothing_here_needs_a_task() -> None:
    """Channels start no task of their own."""
    before = asyncio.all_tasks()
    desk = Desk().open()
    for i in range(50):
        desk.main.say(say(str(i)))
    assert asyncio.all_tasks() == before
