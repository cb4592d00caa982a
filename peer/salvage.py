"""Logs that nobody ended: a process was killed, a machine lost its power. They are cut to what is whole, and ended.

Knows no server; looks at the end of a file, and at no more of it than one line may need.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from .archive import NEAR, Archive, frame_of, header_of
from .chain import holds, opened
from .logbook import CHAINED, LINE_BYTES
from .scribe import Scribe, encoded

log = logging.getLogger(__name__)

WINDOWS = (64 * 1024, 1024 * 1024, 3 * LINE_BYTES)
"""Of the end: nearly always the first is enough; the last holds two lines of the longest kind and one torn."""


@dataclass(frozen=True, slots=True)
class Good:
    """The last whole record: where its line ends, its digits in the chain, its row, and the frame it leads to."""

    end: int
    h: bytes
    row: Mapping[str, Any]
    frame: int


def salvaged(archive: Archive) -> dict[Path, int]:
    """Every log without an end that nobody writes is given one; how many bytes were cut off each."""
    found: dict[Path, int] = {}
    for path, status in archive.files():
        if status.st_size:
            try:
                cut = _mended(path)
            except OSError as error:
                log.warning("%s could not be ended: %s", path.name, error)
            else:
                if cut is not None:
                    found[path] = cut
    return found


def _mended(path: Path) -> int | None:
    """None: it has its end, is being written, or is no log of ours. Raises OSError."""
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None  # live, or no locks here: then nobody can tell that it is not
        head = header_of(file)
        if head is None:
            return None
        status = os.fstat(file.fileno())
        good = _last_good(file, status.st_size, chained=head["schema"] >= CHAINED)
        if good is None or good.row.get("kind") == "end":
            return None
        bytes_cut = status.st_size - good.end
        _end(file, good, bytes_cut, head)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # its age is that of what it tells
        return bytes_cut


def _last_good(file: BinaryIO, size: int, chained: bool) -> Good | None:
    for window in WINDOWS:
        start = max(0, size - window)
        file.seek(start)
        good = _good_in(file.read(size - start), start, chained)
        if good is not None or not start:
            return good
    return None


def _good_in(data: bytes, start: int, chained: bool) -> Good | None:
    """The last line of `data` that follows the one before; the first may be half a line, its h is whole."""
    lines = data.split(b"\n")[:-1]
    ends = _ends(lines, start)
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at] + b"\n"
        row = _row(line)
        if row is None:
            continue
        if not chained:
            return Good(ends[at], b"", row, _frame(lines[: at + 1]))
        before = b"" if at == 0 and not start else _digits(lines[at - 1] + b"\n" if at else b"")
        h = holds(before, line) if before is not None else None
        if h is not None:
            return Good(ends[at], h, row, _frame(lines[: at + 1]))
    return None


def _ends(lines: list[bytes], start: int) -> list[int]:
    found = []
    for line in lines:
        start += len(line) + 1
        found.append(start)
    return found


def _digits(line: bytes) -> bytes | None:
    found = opened(line)
    return found[1] if found is not None else None


def _row(line: bytes) -> Mapping[str, Any] | None:
    try:
        row = orjson.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("kind"), str) else None


def _frame(lines: list[bytes]) -> int:
    return max((frame_of(row) for row in _rows(lines[-NEAR:])), default=0)


def _rows(lines: list[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        row = _row(line)
        if row is not None:
            yield row


def _end(file: BinaryIO, good: Good, bytes_cut: int, head: Mapping[str, Any]) -> None:
    """Cut, and write the two records that say so. Raises OSError; then the log is cut, and ended another time."""
    about = {"frame": good.frame, "stage": "journal", "surface": "journal", "duration_ms": 0.0}
    records = [
        {**about, "kind": "recovered", "result": "torn" if bytes_cut else "whole", "bytes": bytes_cut},
        {**about, "kind": "end", "result": "lost"},
    ]
    scribe = Scribe(good.h, sure=head.get("lean") is not True)
    chained = head["schema"] >= CHAINED
    data = b"".join(scribe.line(r) if chained else encoded(r) + b"\n" for r in records)
    file.truncate(good.end)
    try:
        file.seek(good.end)
        file.write(data)
        file.flush()
        os.fdatasync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(good.end)
        raise
