"""`peer replay`: the same bytes again, a difference found, a broken log read as far as it is good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peer.__main__ import main
from tests.shell.house import lines
from tests.shell.test_journal import written


async def _log(tmp_path: Path) -> Path:
    return await written(tmp_path, cut=True)


def _edit(path: Path, kind: str, **changes: object) -> None:
    rows = lines(path)
    first = next(row for row in rows if row["kind"] == kind)
    first.update(changes)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    return await _log(tmp_path)


def test_equal(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every chunk of a real log has the same bytes again."""
    assert main(["replay", str(log)]) == 0
    assert capsys.readouterr().out.startswith("EQUAL: ")


def test_different(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One edited word is found and named."""
    _edit(log, "request", text="something else entirely. ")
    assert main(["replay", str(log)]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


@pytest.mark.parametrize("tail", [b'{"kind":"chu', b"\xff\xfe\n", b"17\n", b'{"kind":"request"}\n', b'{"no":1}\n'])
def test_broken_tail(log: Path, tail: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Reading stops at the last good record and says at which byte."""
    size = log.stat().st_size
    with log.open("ab") as file:
        file.write(tail)
    assert main(["replay", str(log)]) == 0
    found = capsys.readouterr()
    assert f"byte {size}" in found.err
    assert "EQUAL" in found.out


def test_no_log_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing, empty or foreign file, or an unknown engine, is one sentence and status 2."""
    for name, content in (("empty", b""), ("foreign", b'{"kind":"header","schema":99}\n'), ("text", b"hello\n")):
        (tmp_path / name).write_bytes(content)
        assert main(["replay", str(tmp_path / name)]) == 2
    assert main(["replay", str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.count("peer replay: ") == 4


def test_unknown_engine(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of an engine that is not here says so."""
    _edit(log, "request", adapter="elsewhere")
    assert main(["replay", str(log)]) == 2
    assert "choose one of" in capsys.readouterr().err


async def test_seed_matters_for_engines_that_have_one(log: Path) -> None:
    """The request that is rendered again carries the logged seed, cursor and state of its stream."""
    from peer.replay import request_of

    row = next(row for row in lines(log) if row["kind"] == "request")
    found = request_of(row, b"state")
    assert (found.seed, found.cursor, found.state) == (row["seed_chunk"], row["window"][0], b"state")  # type: ignore[index]
