"""The logbook: what was written comes back, what was touched is found, where and why."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peer.chain import holds, link
from peer.core.errors import Refusal
from peer.journal import SCHEMA
from peer.logbook import CUT, LINE_BYTES, LONG, NO_JSON, TORN, read, rows
from peer.scribe import Scribe, booked
from peer.thrift import Restorer, Shortener

HEADER = {"kind": "header", "frame": 0, "schema": SCHEMA, "session": "s"}
RECORDS = [
    HEADER,
    {"kind": "word", "frame": 1, "utterance": "u", "from": 0, "to": 3, "position": 960},
    {"kind": "word", "frame": 2, "utterance": "u", "from": 4, "to": 7, "position": 1920, "sure": False},
    {"kind": "speech", "frame": 2, "state": "IDLE"},
    {"kind": "word", "frame": 3, "utterance": "v", "from": 4, "to": 7, "position": 2880},
    {"kind": "end", "frame": 9, "frames": 9},
]


def book(folder: Path, content: bytes) -> Path:
    path = folder / "log.jsonl"
    path.write_bytes(content)
    return path


def stops(path: Path) -> tuple[int, int, str, int]:
    """(byte, event, why, lines before) where a reading stops."""
    reading = read(path)
    count = len(list(reading))
    assert reading.broken is not None
    return reading.broken.offset, reading.broken.seq, reading.broken.why, count


def test_records_come_back(tmp_path: Path) -> None:
    """What was written is read, numbered from 0, with the byte where each line begins."""
    content = booked(RECORDS)
    reading = read(book(tmp_path, content))
    found = list(reading)
    assert [line.record for line in found] == RECORDS
    assert [line.seq for line in found] == list(range(6))
    assert [line.offset for line in found] == [0, *itertools.accumulate(map(len, content.splitlines(True)))][:-1]
    assert (reading.broken, reading.chained, reading.schema) == (None, True, SCHEMA)
    assert [line.record for line in reading] == RECORDS


def test_a_line_is_a_record_with_its_digest_last() -> None:
    """`h` is the last member, 16 digits over the line before and the record's own bytes."""
    first, second, *_ = booked(RECORDS).splitlines(True)
    body = first[:-25] + b"}"
    assert json.loads(first).popitem() == ("h", link(b"", body).decode())
    assert json.loads(body) == {**RECORDS[0], "lean": True}
    assert holds(link(b"", body), second) == json.loads(second)["h"].encode()
    assert holds(b"", second) is None


@given(st.binary(min_size=1, max_size=1), st.data())
@settings(max_examples=60, deadline=None)
def test_every_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, byte: bytes, data: st.DataObject
) -> None:
    """Whatever byte is changed, reading stops at its line or refuses the whole; lines before it are as they were."""
    content = booked(RECORDS)
    at = data.draw(st.integers(0, len(content) - 1))
    if content[at : at + 1] == byte:
        return
    path = book(tmp_path_factory.mktemp("log"), content[:at] + byte + content[at + 1 :])
    whole = content[:at].count(b"\n")
    reading = read(path)
    try:
        found = [line.record for line in reading]
    except Refusal:
        assert whole == 0
        return
    assert reading.broken is not None
    assert found == RECORDS[:whole]
    assert reading.broken.offset == content.rfind(b"\n", 0, at) + 1
    assert reading.broken.seq == whole


def test_left_out_moved_and_doubled_lines(tmp_path: Path) -> None:
    """A line that is missing, in another's place or there twice breaks the chain at that very line."""
    lines = booked(RECORDS).splitlines(True)
    for changed in (
        [*lines[:2], *lines[3:]],
        [*lines[:2], lines[3], lines[2], *lines[4:]],
        [*lines[:2], lines[1], *lines[2:]],
    ):
        offset = len(lines[0]) + len(lines[1])
        assert stops(book(tmp_path, b"".join(changed))) == (offset, 2, CUT, 2)


def test_a_line_of_another_log(tmp_path: Path) -> None:
    """A line of another log does not follow, and neither does the rest of it."""
    other = booked([{**HEADER, "session": "t"}, *RECORDS[1:]]).splitlines(True)
    lines = booked(RECORDS).splitlines(True)
    assert stops(book(tmp_path, b"".join([*lines[:3], *other[3:]])))[1:] == (3, CUT, 3)


@pytest.mark.parametrize(
    ("tail", "why"),
    [
        (b'{"kind":"chu', TORN),
        (b"\xff\xfe\n", NO_JSON),
        (b"17\n", NO_JSON),
        (b"\n", NO_JSON),
        (b"\0" * 512, TORN),
        (b'{"kind":"word","frame":1}\n', CUT),
        (b'{"kind":"word","frame":1,"h":"0123456789abcdef"}\n', CUT),
    ],
)
def test_what_stands_behind_the_last_good_line(tmp_path: Path, tail: bytes, why: str) -> None:
    """A torn line, garbage, zeros of a lost block, an unchained record: the place and the reason are told."""
    content = booked(RECORDS)
    assert stops(book(tmp_path, content + tail)) == (len(content), 6, why, 6)


def test_a_chained_line_that_is_no_record(tmp_path: Path) -> None:
    """A line in the chain without kind or frame is foreign: someone else wrote it."""
    scribe = Scribe()
    content = scribe.line({**HEADER, "lean": True}) + scribe.line({"no": 1})
    assert stops(book(tmp_path, content))[2] == "no record of ours"


def test_a_line_without_end_is_not_read_whole(tmp_path: Path) -> None:
    """A gigabyte without a line's end costs one bounded line, not the memory."""
    content = booked(RECORDS)
    path = book(tmp_path, content)
    with path.open("r+b") as file:
        file.truncate(2**30)
    assert stops(path) == (len(content), 6, LONG, 6)
    assert LINE_BYTES < 2**26


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid"),
        (b"hello\n", "invalid"),
        (b"[]\n", "invalid"),
        (b'{"kind":"word","frame":0}\n', "invalid"),
        (b'{"kind":"header","schema":99}\n', "newer"),
        (b'{"kind":"header","schema":0}\n', "invalid"),
        (b'{"kind":"header","schema":"2"}\n', "invalid"),
        (b'{"kind":"header","schema":true}\n', "invalid"),
        (b'{"kind":"header","frame":0,"schema":2}\n', "invalid"),
        (b'{"kind":"head', "invalid"),
        (b"\x1f\x8b\x08\x00", "invalid"),
        (b"\0" * 100, "invalid"),
    ],
)
def test_no_log_of_ours(tmp_path: Path, content: bytes, code: str) -> None:
    """An empty, foreign or newer file is refused in one sentence."""
    with pytest.raises(Refusal) as refused:
        list(read(book(tmp_path, content)))
    assert (refused.value.code, refused.value.field) == (code, "log")
    assert "log.jsonl" in refused.value.remedy


def test_missing_and_unreadable(tmp_path: Path) -> None:
    """A file that is not there, or a folder, is refused with the system's own word."""
    for path in (tmp_path / "nothing.jsonl", tmp_path):
        with pytest.raises(Refusal) as refused:
            list(read(path))
        assert refused.value.code == "missing"


def test_schema_1_is_read_without_a_chain(tmp_path: Path) -> None:
    """Lines of the first schema come in the newest one's words; checksums become bytes."""
    old = [
        {**HEADER, "schema": 1},
        {"kind": "frames", "frame": 0, "from": 0, "to": 2, "runs": [], "crc32": [1, 2**32 - 1]},
        {"kind": "end", "frame": 9},
    ]
    content = b"".join(orjson.dumps(record) + b"\n" for record in old)
    reading = read(book(tmp_path, content + b"garbage\n"))
    found = [line.record for line in reading]
    assert (reading.schema, reading.chained) == (1, False)
    assert found == [
        {**HEADER, "schema": 2},
        {"kind": "frames", "frame": 0, "from": 0, "to": 2, "runs": [], "crc": "AQAAAP////8="},
        {"kind": "end", "frame": 9},
    ]
    assert reading.broken is not None
    assert (reading.broken.offset, reading.broken.seq, reading.broken.why) == (len(content), 3, NO_JSON)


def test_a_broken_record_of_schema_1(tmp_path: Path) -> None:
    """A migration that meets what is no record stops the reading there."""
    content = orjson.dumps({**HEADER, "schema": 1}) + b"\n"
    for bad in ({"kind": "frames", "frame": 0}, {"kind": "frames", "frame": 0, "crc32": [2**40]}, {"kind": 7}):
        assert stops(book(tmp_path, content + orjson.dumps(bad) + b"\n"))[:2] == (len(content), 1)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, -0.0, "", "a", "é"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["word", "end"]), "frame": st.integers(0, 3)},
    optional=dict.fromkeys(("x", "y", "z"), VALUES),
)


def alike(*values: object) -> list[dict[str, Any]]:
    return [{"kind": "word", "frame": 0, "x": value} for value in values]


@example(alike(1, 1.0, True, 1, [1], [1.0], [True]), 99)
@example(alike(0.0, -0.0, 0.0, None, "", []), 99)
@given(st.lists(FIELDS, max_size=12), st.integers(0, 12))
@settings(max_examples=200, deadline=None)
def test_what_is_left_out_comes_back(records: list[dict[str, Any]], lost: int) -> None:
    """Every sequence of records is restored to the very bytes, and so is what follows rows that were lost."""
    shortener, restorer = Shortener(), Restorer()
    for n, record in enumerate(records):
        row = orjson.loads(orjson.dumps(shortener.shortened(record)))
        if n == lost:
            shortener.forget()
            continue
        sort = orjson.OPT_SORT_KEYS
        assert orjson.dumps(restorer.restored(row), option=sort) == orjson.dumps(record, option=sort)


def test_fields_that_repeat_are_not_written(tmp_path: Path) -> None:
    """A row holds what differs from the record of its kind before, and names what is gone."""
    raw = [json.loads(line) for line in booked(RECORDS).splitlines()]
    for row in raw:
        del row["h"]
    assert raw[2] == {"kind": "word", "frame": 2, "from": 4, "to": 7, "position": 1920, "sure": False}
    assert raw[4] == {"kind": "word", "frame": 3, "utterance": "v", "position": 2880, "-": ["sure"]}
    assert rows(book(tmp_path, booked(RECORDS))) == RECORDS
