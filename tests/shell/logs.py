"""Logs that were changed, with a chain that fits again: what a careful liar would leave.

Knows no reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peer import chain

Edit = Callable[[list[dict[str, Any]]], None]


def rewritten(log: Path, edit: Edit) -> Path:
    """`log` with its rows edited in place and chained anew. Rows are as they stand in the file: shortened."""
    rows = [json.loads((chain.opened(line) or (line, b""))[0]) for line in log.read_bytes().splitlines(keepends=True)]
    edit(rows)
    h, lines = b"", []
    for row in rows:
        body = json.dumps(row, sort_keys=True).encode()
        h = chain.link(h, body)
        lines.append(chain.sealed(body, h))
    log.write_bytes(b"".join(lines))
    return log


def row_of(rows: list[dict[str, Any]], kind: str, nth: int = 0) -> dict[str, Any]:
    return [row for row in rows if row["kind"] == kind][nth]
