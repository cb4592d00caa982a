"""The journal: what is written is whole, what is not is said, and the caller never waits."""

from __future__ import annotations

import fcntl
import resource
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from peer.core.errors import Refusal
from peer.core.ledger import checksums
from peer.core.timeline import Record
from peer.journal import SCHEMA, Journal
from peer.serve import house as serving
from tests.shell.far import until
from tests.shell.house import WORDS, config, lines, talk

FIELDS = {
    "header": {"schema", "session", "seed", "sample_rate", "frame", "libs", "cpu", "threads", "adapters", "guard"},
    "input": {"frame", "text"},
    "request": {"chunk", "adapter", "text_range", "window", "n", "seed_chunk", "mode", "knobs", "epoch", "stream"},
    "chunk": {"chunk", "samples", "pcm_b2", "render_ms", "attempt"},
    "frames": {"from", "to", "runs", "crc", "level"},
    "barge": {"frame", "cause"},
    "config": {"version", "frame"},
    "end": {"frames", "pcm_b2"},
}
"""Of every kind, what a replay or a proof needs."""


async def written(folder: Path, text: str = WORDS * 2, cut: bool = False) -> Path:
    """The log of a session on the reference engine."""
    journal = Journal(folder)
    journal.start()
    async with talk(journal=journal) as found:
        found.one("say", text=text, utterance="u")
        await found.pull(40 if cut else 100_000)
        if cut:
            found.one("barge_in")
            found.ask("configure", voice={"pace": 1.2})
            await found.pull()
            found.one("resume")
            await found.pull()
    journal.close()
    return folder / f"{'s' * 16}.jsonl"


async def test_kinds_and_fields(tmp_path: Path) -> None:
    """Every record has its kind, frame, stage and result, and each kind its own fields."""
    log = await written(tmp_path, cut=True)
    found = lines(log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert found[0]["kind"] == "header" and found[0]["schema"] == SCHEMA
    assert found[-1]["kind"] == "end"
    for record in found:
        assert {"kind", "frame", "stage", "result", "surface", "duration_ms"} <= set(record)
        assert record["kind"] in set(Record)
        if record["result"] != "cut":
            assert FIELDS.get(str(record["kind"]), set()) <= set(record), record
    assert set(FIELDS) <= {str(record["kind"]) for record in found}


async def test_every_frame_resolves(tmp_path: Path) -> None:
    """Each emitted sample leads to a chunk, the chunk to its engine, its window and what it cost."""
    found = lines(await written(tmp_path, cut=True))
    asked = {r["chunk"]: r for r in found if r["kind"] == "request"}
    landed = {r["chunk"]: r for r in found if r["kind"] == "chunk"}
    frames = 0
    for record in found:
        if record["kind"] != "frames":
            continue
        assert len(checksums(record)) == record["to"] - record["from"]  # type: ignore[operator]
        frames += len(checksums(record))
        for _, kind, _, chunks in record["runs"]:  # type: ignore[attr-defined]
            assert chunks or kind in ("tail", "fill")
            for number, _, _ in chunks:
                assert asked[number]["adapter"] == "tone"
                assert asked[number]["text_range"]
                assert landed[number]["render_ms"] >= 0  # type: ignore[operator]
    assert frames == found[-1]["frames"] > 50  # type: ignore[operator]


def stalled(folder: Path, size: int = 10) -> Journal:
    """A journal whose disk does nothing until `start`."""
    journal = Journal(folder, size=size)
    journal._thread = object()  # type: ignore[assignment]
    return journal


def moves(journal: Journal) -> None:
    """The disk is back, and has taken what waited."""
    journal._thread = None
    journal.start()
    time.sleep(0.3)


def header(**more: object) -> dict[str, object]:
    return {"kind": "header", "frame": 0, "schema": SCHEMA, **more}


def word(n: int, **more: object) -> dict[str, object]:
    return {"kind": "word", "frame": n, "n": n, **more}


def test_overflow_is_a_gap_and_never_blocks(tmp_path: Path) -> None:
    """A full queue costs records, not time; what was over is closed as soon as there is room."""
    journal = stalled(tmp_path)
    began = time.monotonic()
    kept = [journal.put("a", header())] + [journal.put("a", word(n)) for n in range(49)]
    journal.put("a", None)
    assert time.monotonic() - began < 1.0
    assert kept.count(True) == 10
    moves(journal)
    assert journal.put("b", header()) is True
    journal.close()
    assert [r["n"] for r in lines(tmp_path / "a.jsonl") if r["kind"] == "word"] == [*range(9)]
    assert len(lines(tmp_path / "b.jsonl")) == 1
    assert not journal._files


def test_gap_in_a_living_session(tmp_path: Path) -> None:
    """After an overflow the next record is preceded by how many are missing, and the chain holds."""
    journal = stalled(tmp_path)
    journal.put("a", header())
    for n in range(49):
        journal.put("a", word(n))
    moves(journal)
    journal.put("a", word(50))
    journal.close()
    gap, last = lines(tmp_path / "a.jsonl")[-2:]
    assert (gap["kind"], gap["records"], gap["why"], gap["frame"]) == ("log_gap", 40, "queue", 50)
    assert last == word(50)


def test_steady_traffic_is_synced(tmp_path: Path) -> None:
    """Records that come without a pause are on the disk within moments, and many sessions do not end the writer."""
    journal = Journal(tmp_path)
    journal.start()
    for n in range(300):
        journal.put(f"s{n}", header())
    until_s = time.monotonic() + 0.6
    count = 0
    while time.monotonic() < until_s:
        journal.put(f"s{count % 300}", word(count))
        count += 1
        time.sleep(0.001)
    assert len(list(tmp_path.iterdir())) > 100
    assert journal._thread is not None and journal._thread.is_alive()
    journal.close()
    assert sum(len(lines(path)) for path in tmp_path.iterdir()) == count + 300


def test_a_live_log_is_locked(tmp_path: Path) -> None:
    """While a session lives its file is locked, so that everyone can tell; afterwards it is free."""
    journal = Journal(tmp_path)
    journal.start()
    journal.put("a", header())
    time.sleep(0.3)
    with (tmp_path / "a.jsonl").open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        journal.put("a", None)
        time.sleep(0.3)
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    journal.close()


def test_a_log_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    """A session of the same name finds its file taken: nothing of it is touched, the loss is told."""
    (tmp_path / "a.jsonl").write_bytes(b"mine")
    journal = Journal(tmp_path)
    journal.start()
    journal.put("a", header())
    journal.put("a", word(1))
    time.sleep(0.3)
    assert journal.put("a", word(2)) is False
    journal.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b"mine"


def test_the_header_is_written_when_the_disk_is_back(tmp_path: Path) -> None:
    """A session that begins on a full disk has its header first all the same, then what is missing."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = Journal(tmp_path)
    journal.start()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
        for record in (header(), word(1), word(2)):
            journal.put("a", record)
        time.sleep(0.3)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        journal.put("a", word(3))
        time.sleep(0.3)
        journal.put("a", word(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        journal.close()
    found = lines(tmp_path / "a.jsonl")
    assert [r["kind"] for r in found] == ["header", "log_gap", "word", "word"]
    assert (found[1]["records"], found[1]["why"]) == (2, "disk")
    assert found[2:] == [word(3), word(4)]


async def test_a_header_says_when(tmp_path: Path) -> None:
    """The wall clock stands in the header alone, under a name that may differ between equal runs."""
    began = datetime.now(UTC).timestamp()
    found = lines(await written(tmp_path))
    assert abs(found[0]["started_ms"] / 1000.0 - began) < 60.0  # type: ignore[operator]
    assert [r for r in found[1:] if "started_ms" in r] == []


async def test_full_disk_never_touches_audio(tmp_path: Path) -> None:
    """With no room on the disk the same frames leave; a notice says it; when there is room again, the log goes on."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with talk() as plain:
        plain.one("say", text=WORDS)
        expected = await plain.pull()
    journal = Journal(tmp_path)
    journal.start()
    try:
        async with talk(journal=journal) as found:
            log = tmp_path / f"{'s' * 16}.jsonl"
            await until(lambda: log.exists() and log.stat().st_size)
            resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 100, limit[1]))
            found.one("say", text=WORDS)
            first = await found.pull(30)
            await until(lambda: journal._unwritten)
            rest = await found.pull()
            assert [p.pcm.tobytes() for p in first + rest] == [p.pcm.tobytes() for p in expected]  # type: ignore[union-attr]
            assert "log_gap" in [e["code"] for e in found.events("notice")]
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            found.one("pause")
            await until(lambda: not journal._unwritten or found.one("say", text="a.") is None)
            found.one("say", text="one.")
            await found.pull()
            assert "log_back" in [e["code"] for e in found.events("notice")]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        journal.close()
    kinds = [r["kind"] for r in lines(log)]
    assert "log_gap" in kinds
    assert kinds[-1] == "end"


async def test_unwritable_folder_is_said_at_the_start(tmp_path: Path) -> None:
    """A journal that cannot be kept is refused before anything is served, with what helps."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match="--journal"):
        async with serving(config(journal=str(tmp_path / "file"))):
            pass
    with pytest.raises(Refusal, match="cannot write"):
        async with serving(config(journal="/proc/1/nothing")):
            pass


def test_odd_records_are_written(tmp_path: Path) -> None:
    """Half a surrogate pair, huge numbers and strange objects become lines, not a dead writer."""
    journal = Journal(tmp_path)
    journal.start()
    ring: list[object] = []
    ring.append(ring)
    journal.put("a", header())
    for n, odd in enumerate(("\ud800", 2**70, Path("x"), {1: 2}, ring, "x")):
        journal.put("a", word(n, odd=odd))
    journal.put("a", {"kind": "end", "frame": 9})
    journal.close()
    found = lines(tmp_path / "a.jsonl")
    assert [r["kind"] for r in found] == ["header", *["word"] * 6, "end"]
    assert [r.get("odd") for r in found[1:5]] == ["?", 2.0**70, "x", {"1": 2}]
    assert found[5:7] == [{"kind": "word", "frame": 4, "unwritable": "ValueError"}, word(5, odd="x")]
