"""`peer voices` and `peer doctor`: lists and checks in words and for programs."""

from __future__ import annotations

import json
import struct

import pytest

from peer.__main__ import main
from peer.wav import header


def test_voices(capsys: pytest.CaptureFixture[str]) -> None:
    """Every engine with its licence and whether it can speak; --json for programs."""
    assert main(["voices"]) == 0
    assert "espeak" in capsys.readouterr().out
    assert main(["voices", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all({"name", "licence", "voices", "available", "reason", "remedy"} <= set(row) for row in rows)


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    """Every check says ok, or what helps; the status says whether the default voice can speak."""
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "guard on" in out
    assert all(line.startswith(("ok  ", "BAD ")) for line in out.splitlines())


def test_header() -> None:
    """44 bytes, field by field."""
    found = struct.unpack("<4sI4s4sIHHIIHH4sI", header())
    assert len(header()) == 44
    assert found == (
        b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 48_000, 96_000, 2, 16, b"data", 0xFFFFFFFF,
    )  # fmt: skip
    assert struct.unpack("<I", header(size=100)[4:8]) == (136,)
