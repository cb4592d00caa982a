"""The tail of records that panels follow: bounded, numbered, resumable."""

from __future__ import annotations

import asyncio

from peer.telemetry import KEPT, MOST, Telemetry


def test_resumes_and_counts_what_is_missing() -> None:
    """A listener gets what came since its number; what no longer fits is counted."""
    found = Telemetry()
    for n in range(5):
        found.add({"kind": "word", "n": n})
    assert found.since(0) == (5, 0, [{"kind": "word", "n": n} for n in range(5)])
    assert found.since(3)[2] == [{"kind": "word", "n": 3}, {"kind": "word", "n": 4}]
    assert found.since(99) == (5, 0, [])
    for n in range(3 * KEPT):
        found.add({"kind": "word", "n": n})
    last, dropped, records = found.since(5)
    assert len(records) == MOST
    assert dropped + len(records) == last - 5


def test_log_only_records_stay_in_the_log() -> None:
    """Checksums of frames are no telemetry."""
    found = Telemetry()
    found.add({"kind": "frames"})
    found.add({"kind": "header"})
    assert found.last == 0


async def test_several_wait_for_a_change() -> None:
    """Every listener wakes at the next change; one that leaves is forgotten."""
    found = Telemetry()
    waiters = [asyncio.ensure_future(found.changed(found.moves)) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    await asyncio.sleep(0)
    found.touch()
    async with asyncio.timeout(1):
        await asyncio.gather(*waiters[1:])
        await found.changed(0)
    assert not found._waiters
