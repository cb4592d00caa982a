"""The one place where bytes become a question: whatever comes, a message or a refusal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.core.errors import Refusal
from peer.core.messages import (
    INTENTS,
    MAX_DEPTH,
    MAX_MESSAGE,
    Abandon,
    BargeIn,
    Cause,
    Configure,
    Describe,
    Hints,
    Mode,
    Pause,
    Playout,
    Resume,
    Say,
    decode,
    parse,
    voice_of,
)
from peer.core.voice import Voice

GOOD: list[tuple[dict[str, object], object]] = [
    ({"intent": "say", "inputs": {"text": "Hi."}}, Say("1", "Hi.")),
    ({"intent": "say", "inputs": {"tokens": ["He", "y"], "utterance": "u", "end": False}}, Say("1", "Hey", False, "u")),
    ({"intent": "say", "inputs": {"text": "", "utterance": "u"}}, Say("1", "", True, "u")),
    (
        {"intent": "say", "mode": "steady", "inputs": {"text": "a", "hints": {"target_chunk": 8, "cadence": "steady"}}},
        Say("1", "a", hints=Hints(8, Mode.STEADY), mode=Mode.STEADY),
    ),
    ({"intent": "barge_in"}, BargeIn("1")),
    ({"intent": "barge_in", "inputs": {"cause": "voice"}, "constraints": {}}, BargeIn("1", Cause.VOICE)),
    ({"intent": "pause", "inputs": {}}, Pause("1")),
    ({"intent": "resume"}, Resume("1")),
    ({"intent": "abandon"}, Abandon("1")),
    ({"intent": "describe"}, Describe("1")),
    ({"intent": "configure", "inputs": {"adapter": "x", "mode": "steady"}}, Configure("1", "x", None, Mode.STEADY)),
    ({"intent": "playout", "inputs": {"rtp": 5, "jitter_ms": 2, "concealed": 3}}, Playout(5, 2.0, 3)),
]


@pytest.mark.parametrize(("value", "message"), GOOD)
def test_each_intent(value: dict[str, object], message: object) -> None:
    """By value, through the bytes."""
    raw = json.dumps({"id": "1", **value}).encode()
    assert parse(decode(raw)) == message


BAD: list[tuple[dict[str, object], str, str]] = [
    ({"intent": "sing"}, "unknown_intent", "intent"),
    ({"intent": ["say"]}, "unknown_intent", "intent"),
    ({"intent": "pause", "extra": 1}, "unknown_field", "message.extra"),
    ({"intent": "pause", "inputs": {"x": 1}}, "unknown_field", "inputs.x"),
    ({"intent": "pause", "inputs": []}, "invalid", "inputs"),
    ({"intent": "pause", "id": ""}, "invalid", "id"),
    ({"intent": "pause", "id": "a\n"}, "invalid", "id"),
    ({"intent": "pause", "id": "x" * 65}, "invalid", "id"),
    ({"intent": "say", "inputs": {}}, "invalid", "inputs.text"),
    ({"intent": "say", "inputs": {"text": ""}}, "empty", "inputs.text"),
    ({"intent": "say", "inputs": {"text": "", "utterance": "u", "end": False}}, "empty", "inputs.text"),
    ({"intent": "say", "inputs": {"text": "a", "tokens": ["a"]}}, "invalid", "inputs.tokens"),
    ({"intent": "say", "inputs": {"tokens": [1]}}, "invalid", "inputs.tokens"),
    ({"intent": "say", "inputs": {"text": "a", "end": 1}}, "invalid", "inputs.end"),
    (
        {"intent": "say", "inputs": {"text": "a", "hints": {"target_chunk": True}}},
        "invalid",
        "inputs.hints.target_chunk",
    ),
    ({"intent": "say", "inputs": {"text": "a", "voice": {"pace": 9}}}, "out_of_range", "voice.pace"),
    ({"intent": "say", "mode": "fast", "inputs": {"text": "a"}}, "invalid", "mode"),
    ({"intent": "say", "mode": [], "inputs": {"text": "a"}}, "invalid", "mode"),
    ({"intent": "barge_in", "inputs": {"cause": "lost"}}, "invalid", "inputs.cause"),
    ({"intent": "barge_in", "inputs": {"cause": {}}}, "invalid", "inputs.cause"),
    ({"intent": "configure"}, "empty", "inputs"),
    ({"intent": "configure", "inputs": {"adapter": ""}}, "invalid", "inputs.adapter"),
    ({"intent": "playout", "inputs": {"rtp": -1}}, "invalid", "inputs.rtp"),
    ({"intent": "playout", "inputs": {"rtp": 1, "jitter_ms": 1e999}}, "invalid", "inputs.jitter_ms"),
]


@pytest.mark.parametrize(("value", "code", "field"), BAD)
def test_a_refusal_names_code_and_field(value: dict[str, object], code: str, field: str) -> None:
    """A person reads what to do instead."""
    with pytest.raises(Refusal) as found:
        parse({"id": "1", **value})
    assert (found.value.code, found.value.field) == (code, field) and found.value.remedy


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe\x00", b'{"a": NaN}', b"[" * 9000, b'{"a":' * 2000, b"1" * 9000],
)
def test_what_is_no_object_is_malformed(raw: bytes) -> None:
    """Truncated, wrong type, wrong encoding, bottomless: one answer, no exception of another kind."""
    with pytest.raises(Refusal) as found:
        decode(raw)
    assert found.value.code == "malformed"


def test_size_and_depth_are_bounded() -> None:
    """Measured in bytes, not characters, for text and for bytes."""
    body = '{"id": "é"}'
    filler = " " * (MAX_MESSAGE - len(body.encode()))
    assert decode(body + filler) == {"id": "é"}
    with pytest.raises(Refusal, match="at most"):
        decode(body + filler + " ")
    nested: object = 1
    for _ in range(MAX_DEPTH):
        nested = [nested]
    with pytest.raises(Refusal) as deep:
        decode(json.dumps({"a": nested}))
    assert deep.value.code == "too_deep"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("text", "tokens", "utterance", "end", "voice", "hints", "adapter", "mode", "cause", "rtp", "jitter_ms")
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=4) | JSON,
        "intent": st.sampled_from(INTENTS) | JSON,
        "inputs": st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4) | JSON,
        "mode": st.sampled_from(["steady", "low_latency"]) | JSON,
        "constraints": JSON,
    },
)


@settings(max_examples=300)
@given(REQUEST)
def test_any_json_is_a_message_or_a_refusal(value: dict[str, object]) -> None:
    """Nothing else is ever raised, and what is parsed can be encoded again."""
    try:
        message = parse(value)
    except Refusal as refusal:
        assert refusal.code and refusal.field and json.dumps(refusal.to_wire())
    else:
        if isinstance(message, Say):
            message.text.encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_refusal(raw: bytes) -> None:
    """Fuzz from the wire."""
    try:
        assert isinstance(decode(raw), dict)
    except Refusal:
        pass


def test_lone_surrogates_do_not_get_through() -> None:
    """JSON can carry what UTF-8 cannot: it is replaced before it reaches log or engine."""
    message = parse(decode(b'{"id": "1", "intent": "say", "inputs": {"text": "a\\ud800b"}}'))
    assert isinstance(message, Say) and message.text == "a?b"


def test_a_patch_is_laid_over_a_voice() -> None:
    """What was parsed once cannot fail when it is applied."""
    assert voice_of(None, Voice(pace=1.5)).pace == 1.5
    assert voice_of({"pace": 0.5}, Voice(timbre="x")) == Voice(timbre="x", pace=0.5)
