"""`peer voices` and `peer doctor`: lists and checks in words and for programs."""

from __future__ import annotations

import json
import re
import struct
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from adapters import machine, registry, settings, shelf_rows
from peer import commands
from peer.__main__ import main
from peer.commands import BAD, GOOD, MISSING, _voices_parser
from peer.wav import header
from tests.missing import needed


@pytest.fixture(autouse=True)
def no_table() -> Iterator[None]:
    """Commands set the engines' table; no test leaves one behind."""
    yield
    settings.use({})


def test_voices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every engine with its licence, whether it can speak, what it has and could have; --json for programs."""
    folder = ["--models", str(tmp_path)]
    assert main(["voices", *folder]) == 0
    out = capsys.readouterr().out
    assert "espeak: ready" in out
    assert "python -m peer voices add piper en_GB-alan-medium" in out
    assert main(["voices", "--json", *folder]) == 0
    rows = json.loads(capsys.readouterr().out)
    wanted = {"name", "licence", "voices", "available", "reason", "remedy", "models", "offers", "folder", "takes"}
    assert all(wanted <= set(row) for row in rows)
    assert {row["name"] for row in rows} == set(registry.names())


def test_every_remedy_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed as the way to a model is understood: it fails, if at all, for want of the model."""
    main(["voices", "--json", "--models", str(tmp_path)])
    rows = json.loads(capsys.readouterr().out)
    for command in [offer["command"] for row in rows for offer in row["offers"]]:
        words = command.removeprefix("python -m peer ").split()
        given = _voices_parser().parse_args(words[1:])
        assert words[0] == "voices"
        assert shelf_rows.of(given.engine).offer(given.source) is not None


@pytest.mark.timeout(180)
def test_doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every check says ok, BAD or what is missing with what helps; only the default voice must speak."""
    assert main(["doctor", "--models", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "guard on" in out
    assert all(line.startswith((GOOD, BAD, MISSING)) for line in out.splitlines())
    found = {line[4:].partition(":")[0]: line for line in out.splitlines()}
    assert found["espeak"].startswith(GOOD) and "network " in found["espeak"]
    assert found["piper"].startswith(MISSING) and ("make engines" in out or "voices add piper" in found["piper"])


@pytest.mark.timeout(180)
def test_doctor_warms_what_is_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A voice on disk is loaded and measured; a broken one is a fault in a sentence, and the status is 1."""
    needed("piper", "torch", "onnx")
    from tests.tiny.piper import make_piper

    voice = make_piper(tmp_path / "piper" / "tiny.onnx")
    assert main(["doctor", "piper", "--models", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("ok  piper: ready") and "memory up to 2048 MB" in line and "its first" in line
    voice.write_bytes(voice.read_bytes()[:1000])
    assert main(["doctor", "piper", "--models", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{BAD}piper: ")


def test_doctor_gives_up_on_an_engine_that_does_not_get_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its time is bounded per engine."""
    monkeypatch.setattr(commands, "WARM_S", 0.0)
    assert main(["doctor", "espeak"]) == 1
    assert "espeak: it was not ready within" in capsys.readouterr().out


FACTS = {
    "torch": "2.13.0", "llama": "0.3.36", "cuda": "13.0", "gpu": "", "offload": "", "present": "", "torch_fault": "",
    "llama_fault": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "torch", "llama"),
    [
        ({}, "ok  torch 2.13.0: built for CUDA 13.0; no GPU is here", "ok  llama.cpp 0.3.36: built for the CPU"),
        ({"cuda": "", "present": "yes"}, "but this machine has a GPU", "but this machine has a GPU"),
        ({"gpu": "H200", "present": "yes", "offload": "yes"}, "it can use H200", "it can use"),
        ({"torch": "", "llama": ""}, "--  torch is not installed; make engines", "--  llama.cpp is not installed"),
        ({"torch_fault": "no libc10"}, "BAD torch 2.13.0: no libc10; make engines", "ok  llama.cpp"),
        ({"llama_fault": "no libcuda"}, "ok  torch", "BAD llama.cpp 0.3.36: no libcuda; make engines LLAMA=again"),
    ],
)
def test_doctor_says_what_the_libraries_were_built_for(
    facts: dict[str, str], torch: str, llama: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPU or CUDA, a GPU that is not used, a build that does not import: each with the command that helps."""
    monkeypatch.setattr(machine, "asked", lambda: FACTS | facts)
    lines = ["".join(line) for line in commands._libraries()]
    assert torch in lines[0] and llama in lines[1]


@pytest.mark.timeout(180)
def test_the_machine_answers() -> None:
    """In a process of its own: what is installed, by version, and nothing in the way of the answer."""
    facts = machine.asked()
    assert set(facts) == set(FACTS)
    assert bool(facts["torch"]) == (find_spec("torch") is not None)
    assert not facts["torch_fault"] and not facts["llama_fault"]


def test_header() -> None:
    """44 bytes, field by field."""
    found = struct.unpack("<4sI4s4sIHHIIHH4sI", header())
    assert len(header()) == 44
    assert found == (
        b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 48_000, 96_000, 2, 16, b"data", 0xFFFFFFFF,
    )  # fmt: skip
    assert struct.unpack("<I", header(size=100)[4:8]) == (136,)


ROOT = Path(__file__).resolve().parents[2]


def test_the_engines_lock_names_packages_and_versions_only() -> None:
    """No host, path or build of one machine's index; nothing that the base has fixed already; torch as agreed."""
    lines = (ROOT / "engines.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9_.-]+==[A-Za-z0-9.!]+", line) for line in lines)
    pins = dict(line.split("==") for line in lines)
    base = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert not base & set(pins)
    assert pins["torch"] == "2.13.0"


def test_every_extra_is_locked() -> None:
    """What the registry calls an extra is one, and each of its packages is in engines.lock at its version."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pins = dict(line.split("==") for line in (ROOT / "engines.lock").read_text().splitlines())
    named = {row.extra for row in registry.rows().values() if row.extra}
    assert named <= set(extras)
    for extra in (*named, "test"):
        assert set(extras[extra]) <= set(extras["engines"]), extra
        for wanted in extras[extra]:
            name, _, version = wanted.replace("llama-cpp-python", "llama_cpp_python").partition("==")
            assert pins[re.split("[<>=]", name)[0]] == version or not version, wanted
