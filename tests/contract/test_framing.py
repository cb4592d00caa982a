"""The frames between host and worker: whole, cut anywhere, broken anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.framing import HEADER, MAX_JSON, MAX_RAW, Frame, FramingError, Kind, Parser, encode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FRAMES = st.builds(
    Frame,
    st.sampled_from(list(Kind)),
    st.integers(0, 2**32 - 1),
    st.dictionaries(st.text(max_size=8), VALUES, max_size=5),
    st.binary(max_size=200),
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` in pieces of these sizes, in turn."""
    parts, at, index = [], 0, 0
    while at < len(data):
        step = sizes[index % len(sizes)]
        parts.append(data[at : at + step])
        at, index = at + step, index + 1
    return parts


@given(frames=st.lists(FRAMES, max_size=5), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_round_trip_however_cut(frames: list[Frame], sizes: list[int]) -> None:
    """What was encoded comes out equal, whatever the pieces it arrives in."""
    parser, got = Parser(), []
    for part in cut(b"".join(encode(*frame) for frame in frames), sizes):
        got += parser.feed(part)
    assert got == frames
    assert parser.waiting == 0


@settings(max_examples=300)
@given(data=st.binary(max_size=400), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_noise_gives_only_clean_errors(data: bytes, sizes: list[int]) -> None:
    """Random bytes give frames or FramingError, nothing else, and after an error nothing works."""
    parser = Parser()
    try:
        for part in cut(data, sizes):
            parser.feed(part)
    except FramingError:
        with pytest.raises(FramingError):
            parser.feed(b"")
        assert parser.waiting == 0


@settings(max_examples=300)
@given(frame=FRAMES, at=st.integers(0, 10_000), value=st.integers(0, 255))
def test_one_wrong_byte(frame: Frame, at: int, value: int) -> None:
    """A flipped byte gives another frame, a wait, or FramingError."""
    data = bytearray(encode(*frame))
    data[at % len(data)] = value
    parser = Parser()
    try:
        got = parser.feed(bytes(data))
    except FramingError:
        return
    assert all(isinstance(found.fields, dict) for found in got)


@pytest.mark.parametrize(
    "header",
    [(1, 1, MAX_JSON + 1, 0), (1, 1, 2, MAX_RAW + 1), (0, 1, 2, 0), (200, 1, 2, 0), (1, 1, 2**32 - 1, 2**32 - 1)],
)
def test_limits_are_checked_before_anything_is_kept(header: tuple[int, int, int, int]) -> None:
    """A header that promises too much, or an unknown kind, is refused at once."""
    with pytest.raises(FramingError):
        Parser().feed(HEADER.pack(*header))


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"{", b"\xff{}", b'{"a":NaN}', b'{"a":' + b"[" * 100_000])
def test_json_that_is_no_object(text: bytes) -> None:
    """A JSON part that is not one finite object is refused."""
    with pytest.raises(FramingError):
        Parser().feed(HEADER.pack(1, 1, len(text), 0) + text)


def test_encoding_is_bounded_too() -> None:
    """What the far end would refuse is not sent."""
    with pytest.raises(FramingError):
        encode(Kind.PIECE, 1, {}, bytes(MAX_RAW + 1))
    with pytest.raises(FramingError):
        encode(Kind.RENDER, 1, {"text": "x" * MAX_JSON})
    with pytest.raises(FramingError):
        encode(Kind.RENDER, -1, {})
