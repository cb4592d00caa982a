"""Reading a log: every line verified against the one before, older schemas in the newest one's words.

Knows no replay and no loop; it holds one line at a time, however large the file is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from .chain import holds, opened
from .core.errors import Refusal
from .journal import SCHEMA
from .migrations import STEPS, migrated
from .thrift import Restorer

LINE_BYTES = 16 * 1024 * 1024
"""The longest line: an engine's state may have 8 MiB and stands there as base64. A longer one is damage."""

TORN = "torn: the last line has no end"
LONG = f"longer than {LINE_BYTES} bytes"
NO_JSON = "not a record"
FOREIGN = "no record of ours"
CUT = "the chain is broken: it was changed, moved or left out"


@dataclass(frozen=True, slots=True)
class Line:
    """A record of the newest schema, the number of its event, and the byte where its line begins."""

    seq: int
    offset: int
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a log stops being one: `seq` would have been the event's number. What follows is not read."""

    offset: int
    seq: int
    why: str

    def to_wire(self) -> dict[str, object]:
        return {"offset": self.offset, "seq": self.seq, "why": self.why}


class Verifier:
    """Lines in their order, each with its end. `broken` is set by the first that is not what it should be."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._h = b""
        self._restorer: Restorer | None = None
        self.offset = 0
        self.seq = 0
        self.schema = 0
        self.chained = False
        """False: the log is older than the chain; its lines are whole, nobody knows more."""
        self.broken: Broken | None = None

    def take(self, line: bytes) -> tuple[Line, ...]:
        """The records of one line: none where it is broken. Raises Refusal if the first is no log of ours."""
        if self.broken is not None:
            return ()
        if not self.seq:
            self._begin(line)
        try:
            found = tuple(Line(self.seq, self.offset, record) for record in self._records(line))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            self.broken = Broken(self.offset, self.seq, str(error) if isinstance(error, _Fault) else NO_JSON)
            return ()
        self.offset += len(line)
        self.seq += 1
        return found

    def torn(self, rest: bytes) -> None:
        """`rest` of the file has no end."""
        if not self.seq:
            self._begin(rest)
        if self.broken is None:
            self.broken = Broken(self.offset, self.seq, LONG if len(rest) > LINE_BYTES else TORN)

    def _records(self, line: bytes) -> Iterator[Mapping[str, Any]]:
        row = _row(line)
        if self.chained:
            h = holds(self._h, line)
            if h is None:
                raise _Fault(CUT)
            self._h = h
            del row["h"]
        record = self._restorer.restored(row) if self._restorer is not None else row
        record.pop("lean", None)  # it is of the lines: records are whole
        if not isinstance(record.get("kind"), str) or not isinstance(record.get("frame"), int):
            raise _Fault(FOREIGN)
        yield from migrated(record, self.schema)

    def _begin(self, line: bytes) -> None:
        """What the first line says of the whole. Raises Refusal."""
        try:
            row = _row(line)
        except ValueError:
            raise Refusal("invalid", "log", f"{self._name} is no log of ours") from None
        schema = row.get("schema")
        if row.get("kind") != "header" or not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise Refusal("invalid", "log", f"{self._name} is no log of ours: it has no header")
        if schema > SCHEMA:
            raise Refusal("newer", "log", f"{self._name} has schema {schema}, this program reads up to {SCHEMA}")
        if schema not in STEPS and schema != SCHEMA:
            raise Refusal("invalid", "log", f"{self._name} has schema {schema}, which never was")
        self.schema = schema
        self.chained = schema >= CHAINED
        self._restorer = Restorer() if row.get("lean") is True else None
        if self.chained and opened(line) is None and line.endswith(b"\n"):
            raise Refusal("invalid", "log", f"{self._name} is no log of ours: its first line has no chain")


CHAINED = 2
"""The schema since which lines are chained."""


class _Fault(ValueError):
    """What is wrong with a line, in words."""


def _row(line: bytes) -> dict[str, Any]:
    """The object of a line. Raises ValueError."""
    row = orjson.loads(line)
    if not isinstance(row, dict):
        raise _Fault(NO_JSON)
    return row


class Reading:
    """Lines of one log, once or again. After the loop `broken` says where it stopped being one, or None."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._verifier = Verifier(path.name)

    @property
    def broken(self) -> Broken | None:
        return self._verifier.broken

    @property
    def chained(self) -> bool:
        return self._verifier.chained

    @property
    def schema(self) -> int:
        """As it was written; the records are of the newest. 0 before the first line."""
        return self._verifier.schema

    def __iter__(self) -> Iterator[Line]:
        """Raises Refusal for what is no log of ours."""
        self._verifier = verifier = Verifier(self._path.name)
        try:
            with self._path.open("rb") as file:
                while line := file.readline(LINE_BYTES + 1):
                    if not line.endswith(b"\n"):
                        verifier.torn(line)
                        return
                    yield from verifier.take(line)
                    if verifier.broken is not None:
                        return
        except OSError as error:
            raise Refusal("missing", "log", f"{self._path}: {error.strerror}") from None
        if not verifier.seq:
            raise Refusal("invalid", "log", f"{self._path.name} is empty")


def read(path: Path) -> Reading:
    """The log at `path`: iterate it. Raises Refusal in the loop for what is no log of ours."""
    return Reading(path)


def rows(path: Path) -> list[dict[str, Any]]:
    """All records of a small log, whole or up to where it breaks. Raises Refusal."""
    return [dict(line.record) for line in read(path)]
