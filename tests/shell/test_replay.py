"""`peer replay`: the same bytes again, a difference found and named, a broken log read as far as it is good."""

from __future__ import annotations

import asyncio
import json
import os
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.voices.tone import Tone
from peer.__main__ import main
from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import Descriptor, Determinism
from peer.core.errors import Refusal
from peer.core.pcm import FRAME
from peer.engines import Engines
from peer.host import InlineHost
from peer.journal import Journal
from peer.larder import Larder, forgotten
from peer.logbook import read, rows
from peer.replay import Replay, regenerate
from peer.rerender import digest_of, request_of
from tests.shell.house import WORDS, Talk, talk
from tests.shell.logs import rewritten, row_of
from tests.shell.test_journal import written


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The log of a real session: said, cut, changed, resumed."""
    folder = tmp_path_factory.mktemp("journal")
    return asyncio.run(written(folder, cut=True)).read_bytes()


@pytest.fixture
def log(source: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "session.jsonl"
    path.write_bytes(source)
    return path


def verdict(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The command's own words, and its status as `status`."""
    status = main(["replay", *arguments, "--json"])
    return {**json.loads(capsys.readouterr().out), "status": status}


# what is the same ----------------------------------------------------------------------------


def test_equal(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every chunk, every frame and the digest of all that left are the same again; so are the decisions."""
    found = verdict(capsys, str(log), "--controller")
    assert found["good"] and found["status"] == 0 and found["whole"] is True
    assert found["chunks"] == found["equal"] > 5 and found["frames"] == found["same"] > 100
    assert found["decisions"] > 10 and found["took_s"] > 0
    assert main(["replay", str(log)]) == 0
    assert capsys.readouterr().out.startswith("EQUAL: ")


async def test_what_is_heard_is_what_left(tmp_path: Path) -> None:
    """Against the very samples that were handed out, not only their checksums."""
    journal = Journal(tmp_path)
    journal.start()
    async with talk(journal=journal) as found:
        found.one("say", text=WORDS)
        await found.pull(70)
        found.one("barge_in")
        await found.pull()
        found.one("resume")
        await found.pull()
    journal.close()
    left = {pull.n: pull.pcm for pull in found.pulls if pull.pcm is not None}
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks, lambda *_: InlineHost(Tone()))
        replay = Replay(read(tmp_path / f"{'s' * 16}.jsonl"), engines)
        made = {frame.n: frame.pcm async for frame in replay.frames()}
        await engines.close()
    assert made.keys() == left.keys()
    assert all(np.array_equal(made[n], left[n]) for n in left)  # type: ignore[arg-type]


def test_a_range_is_a_slice_of_the_whole(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From any frame to any other: the same samples as in the whole, rendered from the sentence on."""
    whole = pcm(log, tmp_path, capsys)
    first = next(frame["from"] for frame in rows(log) if frame["kind"] == "frames")
    for start, stop in ((first, 40), (150, 200), (77, 78), (260, 9999)):
        part = pcm(log, tmp_path, capsys, "--from", str(start), "--to", str(stop))
        expected = whole[max(0, start - first) * FRAME : (stop - first) * FRAME]
        assert len(part) and np.array_equal(part[: len(expected)], expected)


def pcm(log: Path, folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> np.ndarray[Any, Any]:
    """What `--wav` writes, (n,) int16."""
    path = folder / "out.wav"
    assert main(["replay", str(log), "--wav", str(path), *more]) == 0, capsys.readouterr()
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


async def test_seconds_begin_with_silence_where_nothing_left(log: Path) -> None:
    """`regenerate` is on the frame clock: zeros where nothing was sent, before, inside and behind."""
    last = max(row["to"] for row in rows(log) if row["kind"] == "frames")
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks, lambda *_: InlineHost(Tone()))
        found = [pcm async for pcm in regenerate(read(log), engines, 5, last + 10)]
        await engines.close()
    assert len(found) == last + 5
    assert not any(pcm.any() for pcm in found[-10:]) and any(pcm.any() for pcm in found[:-10])


# what is not ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["word", "knob"])
def test_one_change_is_found_at_its_chunk(log: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log whose chain fits, but one word, seed or knob of it is another: it fails at that very chunk."""
    changed: list[int] = []

    def edit(found: list[dict[str, Any]]) -> None:
        whole = {row["chunk"] for row in found if row["kind"] == "chunk" and "pcm_b2" in row}
        row = [row for row in found if row["kind"] == "request" and "text" in row and row["chunk"] in whole][1]
        changed.append(row["chunk"])
        if what == "word":
            row["text"] = "another " + row["text"]
        else:
            row["knobs"] = {**row_of(found, "request")["knobs"], "pitch": 3.5}

    found = verdict(capsys, str(rewritten(log, edit)))
    assert found["status"] == 1 and found["first_chunk"] == changed[0] and not found["good"]
    assert found["differing"] == ["tone"] and found["first_frame"] is not None


def test_a_sample_that_was_otherwise_is_found(log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The chunks are the same, the log says that a frame was not: the sound ends before it, nothing is played."""
    place: list[int] = []

    def edit(found: list[dict[str, Any]]) -> None:
        row = row_of(found, "frames", 2)
        place.append(row["from"])
        row["crc"] = "AAAAAA==" if row["to"] - row["from"] == 1 else "AAAA" + row["crc"][4:]

    rewritten(log, edit)
    path = tmp_path / "out.wav"
    assert main(["replay", str(log), "--wav", str(path)]) == 1
    assert f"frame {place[0]}" in capsys.readouterr().out
    first = next(row["from"] for row in rows(log) if row["kind"] == "frames")
    with wave.open(str(path)) as file:
        assert file.getnframes() == (place[0] - first) * FRAME
    assert main(["replay", str(log), "--wav", str(path.with_name("no.wav")), "--verify"]) == 1
    assert not path.with_name("no.wav").exists()


async def test_nothing_unproven_is_handed_out(log: Path) -> None:
    """`regenerate` raises at the frame that differs, before it is heard."""

    def edit(found: list[dict[str, Any]]) -> None:
        row = row_of(found, "frames", 1)
        row["crc"] = "AAAA" + row["crc"][4:]

    rewritten(log, edit)
    heard = 0
    with pytest.raises(Refusal, match="cannot be made again"):
        async with asyncio.TaskGroup() as tasks:
            engines = Engines(tasks, lambda *_: InlineHost(Tone()))
            try:
                async for _ in regenerate(read(log), engines):
                    heard += 1
            except Refusal as refusal:
                await engines.close()
                raise_later = refusal
            else:
                raise_later = None
        if raise_later is not None:
            raise raise_later
    assert heard >= 20


def test_a_controller_that_decided_otherwise(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One logged rung is another: the controller says so, the sound is the same all the while."""
    rewritten(log, lambda found: row_of(found, "request", 2).update(rung=6))
    found = verdict(capsys, str(log), "--controller")
    assert found["same"] == found["frames"] and found["control"] and "rung" in found["control"][0]
    assert found["status"] == 1
    assert verdict(capsys, str(log))["status"] == 0


# what is broken ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "status"), [(b'{"kind":"chu', 0), (b"\xff\xfe\n", 1), (b"17\n", 1), (b'{"kind":"request"}\n', 1)]
)
def test_a_broken_end(log: Path, tail: bytes, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """All before it is compared; a torn end is a crash, any other is damage."""
    size = log.stat().st_size
    with log.open("ab") as file:
        file.write(tail)
    found = verdict(capsys, str(log))
    assert found["status"] == status and found["good"] and found["broken"]["offset"] == size
    assert main(["replay", str(log)]) == status
    assert f"byte {size}" in capsys.readouterr().out


def test_a_flipped_bit(log: Path, source: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands before it is compared, nothing behind it is believed."""
    at = source.index(b"\n", len(source) // 2) + 30
    log.write_bytes(source[:at] + bytes([source[at] ^ 1]) + source[at + 1 :])
    found = verdict(capsys, str(log))
    assert found["status"] == 1 and found["good"] and 0 < found["frames"] < 300
    assert found["broken"]["offset"] == source.rindex(b"\n", 0, at) + 1


def test_lines_in_another_order(log: Path, source: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Two lines changed places: the chain says where."""
    lines = source.splitlines(keepends=True)
    lines[40], lines[41] = lines[41], lines[40]
    log.write_bytes(b"".join(lines))
    found = verdict(capsys, str(log))
    assert found["status"] == 1 and found["broken"]["seq"] == 40


def test_no_log_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing, empty or foreign file is one sentence and status 2."""
    for name, content in (("empty", b""), ("foreign", b'{"kind":"header","schema":99}\n'), ("text", b"hello\n")):
        (tmp_path / name).write_bytes(content)
        assert main(["replay", str(tmp_path / name)]) == 2
    assert main(["replay", str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.count("peer replay: ") == 4


def test_unknown_engine(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of an engine that is not here says so."""
    rewritten(log, lambda found: row_of(found, "request").update(adapter="elsewhere"))
    assert main(["replay", str(log)]) == 2
    assert "choose one of" in capsys.readouterr().err


def test_a_private_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its texts were not kept: it says that, and renders nothing."""
    rewritten(log, lambda found: row_of(found, "header").update(private=True))
    assert main(["replay", str(log)]) == 2
    assert "texts were not kept" in capsys.readouterr().err


def test_the_seed_is_the_logged_one(log: Path) -> None:
    """The request that is rendered again carries the logged seed, cursor and state of its stream."""
    row = next(row for row in rows(log) if row["kind"] == "request")
    found = request_of(row, b"state")
    assert (found.seed, found.cursor, found.state) == (row["seed_chunk"], row["window"][0], b"state")


# engines that never say the same twice -------------------------------------------------------


class Breathy(Tone):
    """Breath in every sample, drawn from the request's seed."""

    def render(self, request: Request) -> Iterator[AudioChunk]:
        for piece in super().render(request):
            noise = np.random.default_rng((request.seed, piece.cursor)).normal(0, 0.01, len(piece.pcm))
            yield replace(piece, pcm=(piece.pcm + noise).astype(np.float32).clip(-1, 1))


async def test_one_seed_is_found_at_its_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same log is equal; with another seed for one chunk it fails at that very chunk."""
    monkeypatch.setattr(registry, "rows", lambda: {"tone": registry.Row(f"{__name__}:Breathy", "none")})
    await spoken(tmp_path, engine=Breathy)
    log = tmp_path / f"{'s' * 16}.jsonl"
    assert (await played(tmp_path, None, Breathy)).verdict.good
    whole = {row["chunk"] for row in rows(log) if row["kind"] == "chunk" and "pcm_b2" in row}
    chunk = sorted(whole)[3]

    def edit(found: list[dict[str, Any]]) -> None:
        asked = [row for row in found if row["kind"] == "request"]
        at = next(i for i, row in enumerate(asked) if row["chunk"] == chunk)
        full = next(row for row in rows(log) if row["kind"] == "request" and row["chunk"] == chunk)
        asked[at]["seed_chunk"] = full["seed_chunk"] + 1
        asked[at + 1].setdefault("seed_chunk", full["seed_chunk"])

    rewritten(log, edit)
    found = (await played(tmp_path, None, Breathy)).verdict
    assert not found.good and found.first_chunk == chunk and found.chunks - found.equal == 1


class Fickle(Tone):
    """Breath in every sample, another one each time."""

    @classmethod
    def describe(cls) -> Descriptor:
        return replace(super().describe(), supports_seed=False, determinism=Determinism.NONE)

    def render(self, request: Request) -> Iterator[AudioChunk]:
        noise = np.random.default_rng(int.from_bytes(os.urandom(4)))
        for piece in super().render(request):
            pcm = (piece.pcm + noise.normal(0, 0.01, len(piece.pcm))).astype(np.float32).clip(-1, 1)
            yield replace(piece, pcm=pcm)


@pytest.fixture
def fickle(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"tone": registry.Row(f"{__name__}:Fickle", "none")}
    monkeypatch.setattr(registry, "rows", lambda: rows)


async def spoken(folder: Path, engine: type[Tone] = Fickle, **more: object) -> Talk:
    """A conversation with an engine that breathes, cut once."""
    journal = Journal(folder)
    journal.start()
    async with talk(lambda *_: InlineHost(engine()), journal, **more) as found:  # type: ignore[arg-type]
        found.one("say", text=WORDS)
        await found.pull(60)
        found.one("barge_in")
        await found.pull()
        found.one("resume")
        await found.pull()
    journal.close()
    return found


async def played(folder: Path, larder: Larder | None, engine: type[Tone] = Fickle) -> Replay:
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks, lambda *_: InlineHost(engine()))
        replay = Replay(read(folder / f"{'s' * 16}.jsonl"), engines, larder=larder)
        async for _ in replay.frames():
            pass
        await engines.close()
    return replay


@pytest.fixture
async def larder(tmp_path: Path) -> AsyncIterator[Larder]:
    found = Larder(tmp_path / "chunks")
    found.start()
    yield found
    found.close()


@pytest.mark.usefixtures("fickle")
async def test_what_nobody_kept_is_passed_over(tmp_path: Path) -> None:
    """Nothing is rendered and nothing called equal: the frames are unknown, and said to be."""
    await spoken(tmp_path)
    found = (await played(tmp_path, None)).verdict
    assert found.good and found.chunks == 0 and found.passed > 3
    assert found.unknown > 100 and found.whole is None


@pytest.mark.usefixtures("fickle")
async def test_what_was_kept_is_played_again(tmp_path: Path, larder: Larder) -> None:
    """Level 2: also what was cut in the middle of a chunk; everything that left is the same again."""
    talked = await spoken(tmp_path, larder=larder)
    larder.close()
    replay = await played(tmp_path, larder)
    found = replay.verdict
    assert found.good and found.passed == 0 and found.kept == found.chunks > 3
    assert found.unknown == 0 and found.same == found.frames == len(talked.pulls) and found.whole is True


@pytest.mark.usefixtures("fickle")
async def test_a_kept_chunk_that_was_changed_is_not_played(tmp_path: Path, larder: Larder) -> None:
    """Its name is its digest: what does not fit is not there."""
    await spoken(tmp_path, larder=larder)
    larder.close()
    log = rows(tmp_path / f"{'s' * 16}.jsonl")
    digest = [row["pcm_b2"] for row in log if row["kind"] == "chunk" and row["result"] == "ok"][2]
    victim = next((tmp_path / "chunks").rglob(f"{digest}.f32"))
    assert victim.stat().st_mode & 0o777 == 0o600
    victim.write_bytes(b"\0\0\0\0" + victim.read_bytes()[4:])
    found = (await played(tmp_path, larder)).verdict
    assert found.passed == 1 and found.unknown > 0 and found.good


def test_kept_chunks_go_in_time(tmp_path: Path) -> None:
    """By age, then the oldest until the rest fits; nothing but chunks is touched."""
    found = Larder(tmp_path)
    found.start()
    chunks = [np.full(1000, i, np.float32) for i in range(4)]
    for pcm in chunks:
        found.put(digest_of(pcm), pcm)
    found.close()
    files = {i: next(tmp_path.glob(f"*/{digest_of(pcm)}.f32")) for i, pcm in enumerate(chunks)}
    for i, path in files.items():
        os.utime(path, (1000 * i, 1000 * i))
    (tmp_path / "note.txt").write_text("mine")
    assert forgotten(tmp_path, 1.0, 0, now_s=86_400.0 + 500) == 1
    assert forgotten(tmp_path, 0, 4500, now_s=0) == 2
    assert [i for i, path in files.items() if path.exists()] == [3] and (tmp_path / "note.txt").exists()
    assert forgotten(tmp_path, 0, 0, now_s=1e9) == 0


def test_a_digest_is_no_path(tmp_path: Path) -> None:
    """A log may hold anything; the larder looks for digests alone."""
    (tmp_path / "secret.f32").write_bytes(b"\0" * 8)
    found = Larder(tmp_path / "chunks")
    for name in ("../secret", "/etc/passwd", "x" * 32, ""):
        assert found.get(name) is None
    pcm = np.arange(5, dtype=np.float32)
    found.start()
    assert found.put(digest_of(pcm), pcm)
    found.close()
    again = found.get(digest_of(pcm))
    assert again is not None and np.array_equal(again, pcm)
