"""The log: what an hour of speech without a pause takes on the disk, kind by kind; beside it the same records in full.

Knows no session; a page that reports what it plays five times a second is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import orjson

from peer.core.timeline import Event, Record
from peer.scribe import Scribe
from SCENES.harness import Theatre

from .budget import Budget
from .row import Row
from .texts import STORY

HEARD_FRAMES = 10
"""Between two reports of the page."""
HOUR_FRAMES = 180_000
TARGET_MB = 4.0


def narrated(seconds: float) -> tuple[list[Mapping[str, object]], int]:
    """The records of so much speech in virtual time, and its frames."""
    theatre, told = Theatre(keep_raw=False), 0
    while len(theatre.frames) < seconds * 50:
        theatre.say(STORY, utterance=f"u{told}")
        theatre.until_quiet()
        told += 1
    rows = [dict(row) for row in theatre.take().rows]
    for n in range(0, len(theatre.frames), HEARD_FRAMES):
        facts = {"played": n - 7, "jitter_ms": 43.5, "concealed": 0}
        rows.append(Event(Record.HEARD, n, "heard", surface="channel", fields=facts).to_wire())
    return rows, len(theatre.frames)


def written(rows: Iterable[Mapping[str, object]]) -> Counter[str]:
    """Bytes per kind, as the journal writes them."""
    scribe, found = Scribe(), Counter[str]()
    for row in rows:
        found[str(row["kind"])] += len(scribe.line(row))
    return found


async def measure(budget: Budget) -> list[Row]:
    rows, frames = narrated(budget.narration_s)
    hour = HOUR_FRAMES / frames / 1e6
    sizes, full, counts = written(rows), Counter[str](), Counter[str]()
    for row in rows:
        full[str(row["kind"])] += len(orjson.dumps(row)) + 1
        counts[str(row["kind"])] += 1
    peer = "the same records in full, without a chain"
    found = [Row("log of an hour of speech", "MB", sizes.total() * hour, peer, full.total() * hour, TARGET_MB)]
    for kind, size in sizes.most_common(8):
        name = f"  {kind}, {counts[kind] * HOUR_FRAMES / frames:.0f} records"
        found.append(Row(name, "MB", size * hour, peer, full[kind] * hour))
    return found
