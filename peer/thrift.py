"""What a log leaves out: fields that say the same as in the record of that kind before, and how they come back.

Knows no file. `restored` after `shortened` gives the very record again, or the log would lie.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

GONE = "-"
"""In a written row: the names that the record before had and this one has not; true: nothing is taken over."""


class Shortener:
    """Rows for records in their order. `sure` False: what stands before in the file is not known."""

    def __init__(self, sure: bool = True) -> None:
        self._before: dict[object, Mapping[str, object]] = {}
        self._sure = sure

    def shortened(self, record: Mapping[str, object]) -> Mapping[str, object]:
        kind = record.get("kind")
        before = self._before.get(kind)
        self._before[kind] = record
        if before is None:
            return record if self._sure else {**record, GONE: True}
        row = {name: value for name, value in record.items() if name == "kind" or not _same(before, name, value)}
        gone = [name for name in before if name not in record]
        return {**row, GONE: gone} if gone else row

    def forget(self) -> None:
        """Rows were lost: what a reader knows is not what was given here."""
        self._before.clear()
        self._sure = False


class Restorer:
    """Records for rows in their order."""

    def __init__(self) -> None:
        self._before: dict[object, Mapping[str, object]] = {}

    def restored(self, row: Mapping[str, object]) -> dict[str, object]:
        gone = row.get(GONE)
        before = {} if gone is True else self._before.get(row.get("kind"), {})
        record = {**before, **row}
        record.pop(GONE, None)
        for name in gone if isinstance(gone, list) else ():
            record.pop(name, None)
        self._before[row.get("kind")] = record
        return dict(record)


_PLAIN = (str, int, float, bool, type(None))


def _same(before: Mapping[str, object], name: str, value: object) -> bool:
    """Whether they are written alike: 1, 1.0 and true are equal and not the same, nor are 0.0 and -0.0."""
    if name not in before:
        return False
    old = before[name]
    if isinstance(value, _PLAIN):
        return type(old) is type(value) and (repr(old) == repr(value) if isinstance(value, float) else old == value)
    try:
        return old == value and orjson.dumps(old, default=str) == orjson.dumps(value, default=str)
    except TypeError:
        return False
