"""The folder of logs: what was torn is mended and ended, what is old goes, what lives or is foreign stays."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.archive import Archive, look
from peer.core.errors import Refusal
from peer.journal import SCHEMA
from peer.logbook import TORN, read, rows
from peer.retention import DAY_S, MB, Keep, aged, tidied
from peer.salvage import salvaged
from peer.scribe import booked
from peer.serve import house as serving
from tests.shell.house import config

ROOT = Path(__file__).resolve().parents[2]
HEADER = {"kind": "header", "frame": 0, "schema": SCHEMA, "session": "s", "adapter": "tone"}
RECORDS: list[dict[str, Any]] = [
    {**HEADER, "started_ms": 1_700_000_000_000},
    {"kind": "recovered", "frame": 7, "result": "reattached", "surface": "transport", "stage": "held", "more": 1},
    {"kind": "frames", "frame": 8, "from": 8, "to": 58, "runs": []},
    {"kind": "word", "frame": 9, "utterance": "u"},
    {"kind": "word", "frame": 12, "utterance": "u"},
]
BOOK = booked(RECORDS)
END = {"kind": "end", "frame": 60, "result": "said"}


def lost(frame: int, cut: int) -> list[dict[str, Any]]:
    """What is written behind the last good record."""
    about = {"frame": frame, "stage": "journal", "surface": "journal", "duration_ms": 0.0}
    return [
        {**about, "kind": "recovered", "result": "torn" if cut else "whole", "bytes": cut},
        {**about, "kind": "end", "result": "lost"},
    ]


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Someone writes this log."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@given(st.integers(1, len(BOOK)))
@settings(max_examples=80, deadline=None)
def test_a_log_that_was_cut_anywhere_is_mended(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    """Wherever the power went, what was whole stays, the rest is cut, and the log says so and ends; once."""
    folder = tmp_path_factory.mktemp("logs")
    path = folder / "s.jsonl"
    path.write_bytes(BOOK[:size])
    whole = BOOK[:size].count(b"\n")
    archive = Archive(folder)
    if not whole:
        assert salvaged(archive) == {}
        assert path.read_bytes() == BOOK[:size]
        return
    cut = size - BOOK.rfind(b"\n", 0, size) - 1
    frame = 0 if whole == 1 else 7 if whole == 2 else 58
    assert salvaged(archive) == {path: cut}
    reading = read(path)
    assert [line.record for line in reading] == RECORDS[:whole] + lost(frame, cut)
    assert reading.broken is None
    assert salvaged(archive) == {}


UNCHAINED = b'{"kind":"word","frame":1,"h":"0123456789abcdef"}\n'


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"garbage\n" * 20, UNCHAINED])
def test_garbage_behind_the_last_record_is_cut(tmp_path: Path, tail: bytes) -> None:
    """Zeros of a lost block, foreign lines, records without their chain: all that is not verified goes."""
    (tmp_path / "s.jsonl").write_bytes(BOOK + tail)
    assert salvaged(Archive(tmp_path)) == {tmp_path / "s.jsonl": len(tail)}
    reading = read(tmp_path / "s.jsonl")
    assert [line.record for line in reading] == RECORDS + lost(58, len(tail))
    assert reading.broken is None


def test_a_long_last_record_is_found(tmp_path: Path) -> None:
    """An engine's state of megabytes before the torn end: the last whole record is that one."""
    records = [*RECORDS, {"kind": "chunk", "frame": 61, "state": "A" * 3_000_000}]
    content = booked(records)
    (tmp_path / "s.jsonl").write_bytes(content + b'{"kind":"wo')
    assert salvaged(Archive(tmp_path)) == {tmp_path / "s.jsonl": 11}
    assert rows(tmp_path / "s.jsonl") == records + lost(61, 11)


def test_an_old_log_is_mended_in_its_own_schema(tmp_path: Path) -> None:
    """A log without a chain gets an end without one."""
    old = [{**HEADER, "schema": 1}, {"kind": "word", "frame": 5}]
    content = b"".join(orjson.dumps(record) + b"\n" for record in old)
    (tmp_path / "s.jsonl").write_bytes(content + b'{"ki')
    assert salvaged(Archive(tmp_path)) == {tmp_path / "s.jsonl": 4}
    assert rows(tmp_path / "s.jsonl") == [{**old[0], "schema": 2}, old[1], *lost(5, 4)]


def test_what_needs_no_mending_is_not_touched(tmp_path: Path) -> None:
    """A log with its end, one that is being written, an empty one, foreign ones, links: not a byte changes."""
    kept = {
        "ended": booked([*RECORDS, END]), "live": BOOK + b'{"ki', "empty": b"", "text": b"hello\n",
        "foreign": b'{"kind":"other"}\n{"a":', "newer": b'{"kind":"header","schema":99}\n',
    }  # fmt: skip
    for name, content in kept.items():
        (tmp_path / f"{name}.jsonl").write_bytes(content)
    outside = tmp_path / "outside"
    outside.write_bytes(BOOK)
    (tmp_path / "link.jsonl").symlink_to(outside)
    with written(tmp_path / "live.jsonl"):
        assert salvaged(Archive(tmp_path)) == {}
    assert {name: (tmp_path / f"{name}.jsonl").read_bytes() for name in kept} == kept
    assert outside.read_bytes() == BOOK


def test_mending_does_not_make_a_log_younger(tmp_path: Path) -> None:
    """Its age is that of what it tells."""
    path = tmp_path / "s.jsonl"
    path.write_bytes(BOOK)
    os.utime(path, (1e9, 1e9))
    salvaged(Archive(tmp_path))
    assert path.stat().st_mtime == 1e9


KILLED = """
import sys, time
from pathlib import Path
from peer.journal import Journal, SCHEMA
journal = Journal(Path(sys.argv[1]))
journal.start()
journal.put("s", {"kind": "header", "frame": 0, "schema": SCHEMA})
n = 0
while True:
    n += 1
    journal.put("s", {"kind": "word", "frame": n, "utterance": "u", "from": n, "to": n + 1})
    time.sleep(0.0001)
"""


def test_killed_while_writing(tmp_path: Path) -> None:
    """A process that is killed leaves a log that is mended: every record up to some moment, then its end."""
    path = tmp_path / "s.jsonl"
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT)
    try:
        until_s = time.monotonic() + 20
        while not (path.exists() and path.stat().st_size > 20_000):
            assert time.monotonic() < until_s
            time.sleep(0.01)
        assert salvaged(Archive(tmp_path)) == {}
        found = look(path)
        assert found is not None and found.live
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert list(salvaged(Archive(tmp_path))) == [path]
    found = rows(path)
    assert [r["frame"] for r in found[1:-2]] == list(range(1, len(found) - 2))
    assert [r["kind"] for r in found[-2:]] == ["recovered", "end"]
    entry = look(path)
    assert entry is not None
    assert (entry.live, entry.ended, entry.frames) == (False, "lost", len(found) - 3)


async def test_a_server_puts_its_logs_in_order(tmp_path: Path) -> None:
    """Before anything is served, torn logs are ended and old ones gone."""
    (tmp_path / "torn.jsonl").write_bytes(BOOK + b'{"ki')
    (tmp_path / "old.jsonl").write_bytes(booked([*RECORDS, END]))
    os.utime(tmp_path / "old.jsonl", (1e9, 1e9))
    async with serving(config(journal=str(tmp_path))):
        assert rows(tmp_path / "torn.jsonl")[-1]["result"] == "lost"
        assert not (tmp_path / "old.jsonl").exists()
    (tmp_path / "old.jsonl").write_bytes(booked([*RECORDS, END]))
    os.utime(tmp_path / "old.jsonl", (1e9, 1e9))
    async with serving(config(journal=str(tmp_path), keep_days=0.0)):
        assert (tmp_path / "old.jsonl").exists()


# how long they are kept -------------------------------------------------------------------------

NOW = 2e9


def aging(folder: Path, name: str, days: float, size: int = 0) -> Path:
    """A log that was last written to `days` ago, of at least `size` bytes."""
    path = folder / f"{name}.jsonl"
    path.write_bytes(booked([HEADER, {"kind": "input", "frame": 1, "text": "x" * size}, END]))
    os.utime(path, (NOW - days * DAY_S, NOW - days * DAY_S))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.jsonl"))


def test_old_logs_go(tmp_path: Path) -> None:
    """By the day of their last record; not those that live, not what is no log."""
    for name, days in (("new", 0.5), ("edge", 29.9), ("old", 30.1), ("live", 99)):
        aging(tmp_path, name, days)
    (tmp_path / "foreign.jsonl").write_text("mine\n")
    (tmp_path / "notes.txt").write_text("mine\n")
    for name in ("foreign.jsonl", "notes.txt"):
        os.utime(tmp_path / name, (1e9, 1e9))
    with written(tmp_path / "live.jsonl"):
        gone = tidied(Archive(tmp_path), Keep(30, 0), NOW)
    assert names(tmp_path) == ["edge", "foreign", "live", "new"]
    assert gone.logs == 1
    assert (tmp_path / "notes.txt").exists()


def test_the_oldest_go_first_when_room_is_short(tmp_path: Path) -> None:
    """Until the rest fits; one that lives counts and stays."""
    for name, days in (("a", 4), ("b", 3), ("c", 2), ("d", 1)):
        aging(tmp_path, name, days, size=MB)
    with written(tmp_path / "a.jsonl"):
        assert tidied(Archive(tmp_path), Keep(30, 3.5), NOW).logs == 1
        assert names(tmp_path) == ["a", "c", "d"]
    assert tidied(Archive(tmp_path), Keep(30, 3.5), NOW).logs == 0
    assert tidied(Archive(tmp_path), Keep(0, 0), NOW).logs == 0
    assert aged(Archive(tmp_path), 1.5, NOW).logs == 2
    assert names(tmp_path) == ["d"]


def test_names_that_are_none(tmp_path: Path) -> None:
    """A session's name has no dots and no slashes; no folder has no sessions."""
    archive = Archive(tmp_path)
    (tmp_path.parent / "other.jsonl").write_bytes(BOOK)
    for name in ("", ".", "..", "../other", "a/b", "a.b", "a\0b", "a\n", "x" * 65, "ä"):
        with pytest.raises(Refusal, match="no such session"):
            archive.path(name)
    with pytest.raises(Refusal, match="--journal"):
        Archive(None).path("s")
    assert Archive(tmp_path / "nothing").entries() == []


def test_a_look_is_bounded(tmp_path: Path) -> None:
    """A gigabyte is listed by its first and last bytes."""
    path = tmp_path / "s.jsonl"
    path.write_bytes(BOOK)
    with path.open("r+b") as file:
        file.truncate(2**30)
    found = look(path)
    assert found is not None
    assert (found.bytes, found.frames, found.ended, found.started_ms) == (2**30, 0, None, 1_700_000_000_000)
    assert found.to_wire()["started"] == "2023-11-14T22:13:20.000Z"
    reading = read(path)
    assert len(list(reading)) == len(RECORDS)
    assert reading.broken is not None and reading.broken.why != TORN
