"""`peer sessions`: listed, verified, removed; what lives stays, and what is asked wrongly is one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from peer.__main__ import main
from tests.shell.test_archive import BOOK, END, NOW, RECORDS, aging, booked, names, written

Out = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the logs are, by the environment."""
    monkeypatch.setenv("SYNCHRONY_JOURNAL", str(tmp_path))
    return tmp_path


def test_the_list(folder: Path, capsys: Out) -> None:
    """For people and for programs, with what all of them take."""
    (folder / "a.jsonl").write_bytes(booked([*RECORDS, END]))
    (folder / "b.jsonl").write_bytes(BOOK)
    assert main(["sessions"]) == 0
    text = capsys.readouterr().out
    assert "2023-11-14T22:13:20" in text and "tone" in text and "no end" in text and "2 logs in" in text
    assert main(["sessions", "--json"]) == 0
    found = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert (found["a"]["ended"], found["a"]["frames"], found["b"]["ended"]) == ("said", 60, None)


@pytest.mark.parametrize("before", [True, False])
def test_the_folder_may_be_named(tmp_path: Path, capsys: Out, before: bool) -> None:
    """--journal counts before the action and behind it."""
    (tmp_path / "a.jsonl").write_bytes(BOOK)
    named = ["--journal", str(tmp_path)]
    assert main(["sessions", *named, "verify"] if before else ["sessions", "verify", *named]) == 0
    assert capsys.readouterr().out.startswith("ok  a:")


def test_verify(folder: Path, capsys: Out) -> None:
    """One by its name or its path, or all; a broken chain is status 1 with its byte."""
    (folder / "a.jsonl").write_bytes(booked([*RECORDS, END]))
    assert main(["sessions", "verify", "a"]) == 0
    assert capsys.readouterr().out == "ok  a: 6 records, the chain holds\n"
    (folder / "b.jsonl").write_bytes(BOOK.replace(b'"frame":9', b'"frame":8'))
    (folder / "c.jsonl").write_text("hello\n")
    assert main(["sessions", "verify", str(folder / "b.jsonl")]) == 1
    assert main(["sessions", "verify"]) == 1
    found = capsys.readouterr().out.splitlines()
    at = len(b"".join(BOOK.splitlines(True)[:3]))
    assert found[0] == found[2]
    assert found[0].startswith(f"BAD b: 3 records hold; at byte {at} (record 3)")
    assert found[1].startswith("ok  a") and found[3].startswith("BAD c: c.jsonl is no log")


def test_purge_by_name(folder: Path, capsys: Out) -> None:
    """Named ones go; one that is being written stays, and that is status 1."""
    for name in "abc":
        (folder / f"{name}.jsonl").write_bytes(BOOK)
    with written(folder / "b.jsonl"):
        assert main(["sessions", "purge", "a", "b"]) == 1
    assert "1 logs are removed" in capsys.readouterr().out
    assert names(folder) == ["b", "c"]


def test_purge_by_age_and_all(folder: Path) -> None:
    """By age, then everything that is ours."""
    aging(folder, "old", 0)
    os.utime(folder / "old.jsonl", (1e9, 1e9))
    aging(folder, "new", -3650)
    (folder / "foreign.jsonl").write_text("mine\n")
    assert NOW > 1e9
    assert main(["sessions", "purge", "--older-than", "3000"]) == 0
    assert names(folder) == ["foreign", "new"]
    assert main(["sessions", "purge", "--all"]) == 0
    assert names(folder) == ["foreign"]


@pytest.mark.parametrize(
    "given",
    [
        ["purge"], ["purge", "--all", "a"], ["purge", "unknown"], ["purge", "../a"], ["purge", "--older-than", "-1"],
        ["purge", "--older-than", "nan"], ["verify", "unknown"],
    ],
)  # fmt: skip
def test_asked_wrongly(folder: Path, given: list[str], capsys: Out) -> None:
    """One sentence and status 2; nothing is removed."""
    (folder / "a.jsonl").write_bytes(BOOK)
    assert main(["sessions", *given]) == 2
    assert capsys.readouterr().err.startswith("peer sessions: ")
    assert names(folder) == ["a"]


def test_without_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    """No folder is named: it is said how."""
    monkeypatch.setenv("SYNCHRONY_JOURNAL", "")
    assert main(["sessions"]) == 2
    assert "--journal" in capsys.readouterr().err
