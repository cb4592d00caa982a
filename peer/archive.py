"""The folder of logs: what lies there, whose each file is, and what its first and last lines say.

Knows no loop and no HTTP; every look at a file is bounded, however large the file.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from .core.errors import Refusal

SUFFIX = ".jsonl"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
"""A session's name: no dots and no slashes, so none leads out of the folder."""
HEAD_BYTES = 64 * 1024
"""The header's line: 2 kB, and a table of engines."""
TAIL_BYTES = 64 * 1024
"""A few hundred records: the last of them says how the session ended, or where it is."""
NEAR = 100
"""Lines from the last that may name a later frame: a record of frames is written when its second is full."""
LISTED = 200
"""Sessions of one list, the newest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One log as the list shows it. `frames`: its length on the frame axis; `ended`: the reason, None without one."""

    id: str
    started_ms: int | None
    frames: int
    live: bool
    bytes: int
    adapter: str
    schema: int
    ended: str | None
    touched_s: float

    def to_wire(self) -> dict[str, object]:
        return {
            "id": self.id, "started": _iso(self.started_ms), "frames": self.frames, "live": self.live,
            "bytes": self.bytes, "adapter": self.adapter, "schema": self.schema, "ended": self.ended,
        }  # fmt: skip


def _iso(ms: int | None) -> str | None:
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000.0, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


class Archive:
    """`folder` None: no logs are kept here."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Raises Refusal where none is kept."""
        if self._folder is None:
            raise Refusal("missing", "journal", "no logs are kept here; name a folder with --journal")
        return self._folder

    def files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Files that may be logs by their name, in no order; links are none."""
        try:
            with os.scandir(self.folder) as found:
                for each in found:
                    name, dot, suffix = each.name.rpartition(".")
                    if dot + suffix == SUFFIX and NAME.fullmatch(name) and each.is_file(follow_symlinks=False):
                        yield Path(each.path), each.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Refusal("missing", "journal", f"{self.folder}: {error.strerror}") from None

    def path(self, ident: str) -> Path:
        """The log of a session. Raises Refusal for a name that is none, and for one that is not here."""
        folder = self.folder
        path = folder / f"{ident}{SUFFIX}"
        if not NAME.fullmatch(ident) or path.is_symlink() or not path.is_file():
            raise Refusal("not_found", "session", "no such session: it was never here, or its log is gone")
        return path

    def entries(self, most: int = LISTED) -> list[Entry]:
        """The newest first: those that were written to last, by when they began."""
        latest = heapq.nlargest(most, self.files(), key=lambda found: (found[1].st_mtime, found[0].name))
        entries = [entry for path, _ in latest if (entry := look(path)) is not None]
        return sorted(entries, key=lambda e: (e.started_ms or e.touched_s * 1000.0, e.id), reverse=True)


def look(path: Path) -> Entry | None:
    """What a log says of itself, by its first and last lines; None for what is no log."""
    try:
        with path.open("rb") as file:
            head = header_of(file)
            if head is None:
                return None
            live = locked(file)
            status = os.fstat(file.fileno())
            last = tail(file, status.st_size)
    except OSError:
        return None
    started = head.get("started_ms")
    return Entry(
        id=path.name[: -len(SUFFIX)],
        started_ms=started if isinstance(started, int) else None,
        frames=last.frames,
        live=live and last.ended is None,
        bytes=status.st_size,
        adapter=str(head.get("adapter", "")),
        schema=int(head["schema"]),
        ended=last.ended,
        touched_s=status.st_mtime,
    )


def header_of(file: BinaryIO) -> Mapping[str, Any] | None:
    """The first record of a log of ours, of whatever schema; None for what is none."""
    file.seek(0)
    line = file.readline(HEAD_BYTES)
    try:
        head = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(head, dict) or head.get("kind") != "header":
        return None
    schema = head.get("schema")
    return head if isinstance(schema, int) and not isinstance(schema, bool) else None


def locked(file: BinaryIO) -> bool:
    """Whether someone writes it. Asked for an instant; a writer that meets that tries again."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no locks on this file system: it is taken for what lies there
    return False


@dataclass(frozen=True, slots=True)
class Tail:
    """`frames`: how far the last lines lead; `ended`: what the `end` record says, None where there is none."""

    frames: int
    ended: str | None


def tail(file: BinaryIO, size: int) -> Tail:
    """What the last lines of a log say; they are not verified."""
    start = max(0, size - TAIL_BYTES)
    file.seek(start)
    frames = 0
    for line in file.read(size - start).split(b"\n")[1 if start else 0 : -1][: -NEAR - 1 : -1]:
        try:
            row = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            frames = max(frames, frame_of(row))
            if row.get("kind") == "end":
                return Tail(frames, str(row.get("result", "")))
    return Tail(frames, None)


def frame_of(row: Mapping[str, Any]) -> int:
    """The frame up to which a record's line tells something; 0 where its place is that of the line before."""
    found = row.get("to") if row.get("kind") == "frames" else row.get("frame")
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
