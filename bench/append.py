"""The log: what appending one record costs the loop; beside it the same line written by the caller itself.

Knows no session.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import orjson

from peer.core.frame import Kind, Provenance, Pull, Span
from peer.core.ledger import PER_RECORD, Ledger
from peer.core.pcm import FRAME, SILENCE
from peer.core.timeline import Event
from peer.journal import Journal

from .budget import Budget
from .row import Row, quantile

PAUSE_S = 0.0002
"""Between two records: a hundred busy calls write fewer."""


def _second() -> Event:
    """The record of a second of frames, the largest that comes often."""
    ledger = Ledger()
    for n in range(PER_RECORD):
        ledger.add(Pull(n, Kind.VOICE, SILENCE, n * FRAME, (Span(n * FRAME, n * FRAME + FRAME, _origin(n)),)))
    found = ledger.flush()
    assert found is not None
    return found


def _origin(n: int) -> Provenance:
    return Provenance("tone", n // 10, (0, 10), "u", 0)


async def measure(budget: Budget) -> list[Row]:
    event = _second()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        journal = Journal(Path(folder))
        journal.start()
        try:
            ours = _each(lambda: journal.put("bench", event.to_wire()), budget.appends)
        finally:
            journal.close()
        with (Path(folder) / "plain").open("ab") as file:

            def plainly() -> None:
                os.write(file.fileno(), orjson.dumps(event.to_wire(), option=orjson.OPT_APPEND_NEWLINE))

            plain = _each(plainly, budget.appends)
        size = len(orjson.dumps(event.to_wire()))
    peer = "encoded and written by the caller, unsynced"
    hour = size * 3600 / 1e6
    return [
        Row("append to the log, p99", "µs", quantile(ours, 0.99), peer, quantile(plain, 0.99), 50.0),
        Row("append to the log, median", "µs", quantile(ours, 0.5), peer, quantile(plain, 0.5)),
        Row("frame records of an hour of speech", "MB", hour, "16-bit PCM of that hour", 345.6, 4.0),
    ]


def _each(work: object, count: int) -> list[float]:
    assert callable(work)
    found = []
    for _ in range(count):
        began = time.perf_counter_ns()
        work()
        found.append((time.perf_counter_ns() - began) / 1000.0)
        time.sleep(PAUSE_S)
    return found
