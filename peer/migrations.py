"""Older schemas of the log in the newest one's words.

Know no file: each is a pure function of one record, applied in turn.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .journal import SCHEMA

Row = Mapping[str, Any]


def migrate_1(record: Row) -> tuple[Row, ...]:
    """Checksums as bytes; what schema 1 did not know (levels, native rates, digests of models) stays unknown."""
    match record.get("kind"):
        case "header":
            return ({**record, "schema": 2},)
        case "frames":
            rest = {name: value for name, value in record.items() if name != "crc32"}
            return ({**rest, "crc": b64encode(np.array(record["crc32"], "<u4").tobytes()).decode()},)
        case _:
            return (record,)


STEPS: Mapping[int, Callable[[Row], tuple[Row, ...]]] = {1: migrate_1}
"""From each schema to the next."""


def migrated(record: Row, schema: int) -> Iterator[Row]:
    """The record of `schema` as records of the newest. Raises what a step raises at a record that is none."""
    if schema == SCHEMA:
        yield record
        return
    for found in STEPS[schema](record):
        yield from migrated(found, schema + 1)
