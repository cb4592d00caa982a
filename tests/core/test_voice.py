"""The voice schema: what may be named, in which range, and what is kept."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.core.errors import Refusal
from peer.core.voice import MAX_EMOTIONS, MAX_TIMBRES, RANGES, Prosody, Voice, beyond, parse_voice


def test_nothing_named_is_the_voice_as_it_was() -> None:
    """An empty patch changes nothing."""
    base = Voice("reed", Prosody(2.0), "de", {"joy": 0.5}, 1.2)
    assert parse_voice({}, base) == base and parse_voice({}) == Voice()


def test_only_what_is_named_changes() -> None:
    """Also inside prosody; emotions are replaced as a whole."""
    base = Voice("reed", Prosody(2.0, 0.5, 1.5), "de", {"joy": 0.5}, 1.2)
    found = parse_voice({"prosody": {"pitch": -1}, "emotion_priors": {"calm": 1}}, base)
    assert found.prosody == Prosody(-1.0, 0.5, 1.5) and found.timbre == "reed" and found.pace == 1.2
    assert dict(found.emotion_priors) == {"calm": 1.0}


@given(
    st.builds(
        Voice,
        timbre=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=64),
        prosody=st.builds(Prosody, st.floats(-12, 12), st.floats(0, 2), st.floats(0, 2)),
        accent=st.just("en-US"),
        emotion_priors=st.dictionaries(st.text("abc", min_size=1), st.floats(0, 1), max_size=4),
        pace=st.floats(0.5, 2.0),
        timbres=st.dictionaries(st.text("abc", min_size=1), st.text("abc"), max_size=4),
        persona=st.text("abc"),
    )
)
def test_the_wire_brings_back_the_same_voice(voice: Voice) -> None:
    """Through JSON and back, over any other voice."""
    wire = json.loads(json.dumps(voice.to_wire()))
    assert parse_voice(wire, Voice("x", Prosody(1.0), "fr", {"a": 0.1}, 0.7, {"b": "y"}, "z")) == voice


def test_a_timbre_named_alone_is_meant_for_every_engine() -> None:
    """What a persona said per engine does not hide it; named together, both hold."""
    base = Voice("reed", timbres={"one": "m7"}, persona="low")
    assert base.timbre_for("one") == "m7" and base.timbre_for("other") == "reed"
    found = parse_voice({"timbre": "f2"}, base)
    assert found.timbre_for("one") == "f2" and found.persona == "low"
    found = parse_voice({"timbre": "f2", "timbres": {"one": "m1"}}, base)
    assert found.timbre_for("one") == "m1" and found.timbre_for("other") == "f2"
    assert parse_voice({"pace": 1.5}, base).timbres == base.timbres


def test_beyond_a_persona_is_what_differs_from_it() -> None:
    """Equal fields are neutral, others stay; beyond nothing is the voice."""
    base = Voice("reed", Prosody(2.0), "de", {"joy": 0.5}, 1.2, {"one": "m7"}, "low")
    assert beyond(base, base) == Voice()
    assert beyond(parse_voice({"pace": 0.9}, base), base) == Voice(pace=0.9)
    assert beyond(parse_voice({"timbre": "x"}, base), base) == Voice("x")
    assert beyond(base, Voice()) == base


BAD: list[tuple[object, str]] = [
    ("loud", "voice"),
    ({"tmbre": "x"}, "voice.tmbre"),
    ({"prosody": 3}, "voice.prosody"),
    ({"prosody": {"speed": 1}}, "voice.prosody.speed"),
    ({"pace": True}, "voice.pace"),
    ({"pace": "1"}, "voice.pace"),
    ({"pace": math.nan}, "voice.pace"),
    ({"pace": math.inf}, "voice.pace"),
    ({"pace": 10**400}, "voice.pace"),
    ({"timbre": "x" * 65}, "voice.timbre"),
    ({"timbre": "a\nb"}, "voice.timbre"),
    ({"accent": 5}, "voice.accent"),
    ({"persona": 5}, "voice.persona"),
    ({"timbres": "m7"}, "voice.timbres"),
    ({"timbres": {"x": 1}}, "voice.timbres.x"),
    ({"timbres": {"x": "a\nb"}}, "voice.timbres.x"),
    ({"timbres": {"x" * 65: "a"}}, "voice.timbres"),
    ({"timbres": {str(i): "" for i in range(MAX_TIMBRES + 1)}}, "voice.timbres"),
    ({"emotion_priors": {"joy": 2}}, "voice.emotion_priors.joy"),
    ({"emotion_priors": {str(i): 0 for i in range(MAX_EMOTIONS + 1)}}, "voice.emotion_priors"),
]


@pytest.mark.parametrize(("value", "field"), BAD)
def test_a_refusal_names_the_field(value: object, field: str) -> None:
    """Type, range, unknown names and too many of them."""
    with pytest.raises(Refusal) as found:
        parse_voice(value)
    assert found.value.field == field and found.value.remedy


@pytest.mark.parametrize("name", list(RANGES))
def test_the_ends_of_a_range_belong_to_it(name: str) -> None:
    """Both are spoken, one step beyond is refused."""
    for value, good in ((RANGES[name][0], True), (RANGES[name][1], True), (RANGES[name][1] + 0.1, False)):
        patch: dict[str, object] = {"pace": value} if name == "pace" else {"prosody": {name.split(".")[1]: value}}
        if good:
            parse_voice(patch)
        else:
            with pytest.raises(Refusal):
                parse_voice(patch)
