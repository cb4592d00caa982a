"""Records as the lines of one log: shortened, encoded, chained.

Knows no file and no thread; what could not be written is taken back with `mark` and `back_to`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import orjson

from .chain import link, sealed
from .thrift import GONE, Shortener


class Scribe:
    """`h`: the digits of the file's last line, empty for a new one. `sure`: the file is new."""

    def __init__(self, h: bytes = b"", sure: bool = True) -> None:
        self._h = h
        self._shortener = Shortener(sure)

    @property
    def mark(self) -> bytes:
        """Where the chain is now."""
        return self._h

    def back_to(self, mark: bytes) -> None:
        """The lines since `mark` are not in the file."""
        self._h = mark
        self._shortener.forget()

    def line(self, record: Mapping[str, object]) -> bytes:
        """The next line, with its end."""
        body = self._body(record)
        self._h = link(self._h, body)
        return sealed(body, self._h)

    def _body(self, record: Mapping[str, object]) -> bytes:
        try:
            return encoded(self._shortener.shortened(record))
        except (TypeError, ValueError, RecursionError) as error:
            self._shortener.forget()  # a reader will not know what this record held
            kept = {name: value for name, value in record.items() if name in ("kind", "frame")}
            return encoded({**kept, "unwritable": type(error).__name__, GONE: True})


def booked(records: Iterable[Mapping[str, object]]) -> bytes:
    """A whole log of the newest schema from its records, the header first: for tools and tests that make one."""
    scribe = Scribe()
    return b"".join(scribe.line({**r, "lean": True} if r.get("kind") == "header" else r) for r in records)


def encoded(row: Mapping[str, object]) -> bytes:
    """One line's JSON, keys sorted. Raises TypeError, ValueError or RecursionError for what has no end."""
    try:
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:  # half a surrogate pair, a number beyond 64 bits, names that are none, or nested too deep
        return json.dumps(row, sort_keys=True, default=str, ensure_ascii=False).encode(errors="replace")
