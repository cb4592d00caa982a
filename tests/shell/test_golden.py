"""Golden logs: one of every schema that ever was, kept as it was written; each is read in the newest one's words.

They were made by tests/golden/story.py, each with the program of its time.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from peer.__main__ import main
from peer.core.ledger import checksums
from peer.core.timeline import Record
from peer.journal import SCHEMA
from peer.logbook import read, rows
from peer.migrations import STEPS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SCHEMAS = range(1, SCHEMA + 1)


def test_there_is_one_of_every_schema() -> None:
    """Whoever makes a new schema leaves a log of it here, and a step from the one before."""
    assert sorted(path.name for path in GOLDEN.glob("*.jsonl")) == [f"v{n}.jsonl" for n in SCHEMAS]
    assert set(STEPS) == set(SCHEMAS) - {SCHEMA}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_is_read_to_its_end(schema: int) -> None:
    """Every line holds, the chain where there is one, and the records are of the newest schema."""
    path = GOLDEN / f"v{schema}.jsonl"
    reading = read(path)
    found = list(reading)
    assert (reading.broken, reading.schema, reading.chained) == (None, schema, schema > 1)
    assert [line.seq for line in found] == list(range(path.read_bytes().count(b"\n")))
    records = [line.record for line in found]
    assert records[0]["schema"] == SCHEMA
    assert records[-1]["kind"] == "end"
    assert {record["kind"] for record in records} <= set(Record)
    for record in records:
        assert {"kind", "frame", "stage", "result", "surface", "duration_ms"} <= set(record)
        if record["kind"] == "frames":
            assert "crc32" not in record
            assert len(checksums(record)) == record["to"] - record["from"]


def test_the_same_session_in_every_schema() -> None:
    """The golden logs tell one story: the same words were asked for, and the same frames left."""
    told = []
    for schema in SCHEMAS:
        records = rows(GOLDEN / f"v{schema}.jsonl")
        texts = [record["text"] for record in records if record["kind"] == "input"]
        frames = [crc for record in records if record["kind"] == "frames" for crc in checksums(record).tolist()]
        kinds = Counter(record["kind"] for record in records)
        assert kinds["barge"] == kinds["resume"] == 1
        told.append((texts, frames, records[-1]["pcm_b2"]))
    assert told[0][0]
    assert all(one == told[0] for one in told)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_is_played_again(schema: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Every chunk is the same again; of the schemas that say where speech was cut, every frame as well."""
    assert main(["replay", str(GOLDEN / f"v{schema}.jsonl"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chunks"] == found["equal"] > 10
    assert found["same"] == (found["frames"] if schema > 1 else 0)
    assert found["whole"] is (True if schema > 1 else None)
