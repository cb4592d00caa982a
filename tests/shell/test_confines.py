"""What an engine's process really has: limits, cores, threads, interpreter, secrets, and the one place it may reach."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from adapters import registry, sandbox, settings
from adapters.base import TTSAdapter
from adapters.sandbox import Confines
from adapters.settings import EngineSettings
from peer import confines
from peer.core.descriptor import Descriptor
from peer.core.errors import Unavailable
from peer.host import ProcessHost

from .probe import COMMAND, Probe
from .test_host import ask, hear, hosting


class Caller(Probe):
    """A probe that declares one place; the test says which."""

    name: ClassVar[str] = "caller"
    network: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def describe(cls) -> Descriptor:
        return replace(super().describe(), name=cls.name, network=cls.network)

    @classmethod
    def worker_command(cls) -> list[str]:
        return [sys.executable, "-c", COMMAND + "raise SystemExit(worker.run(lambda: i('tests.shell.probe').Probe))"]


async def told(host: ProcessHost, adapter: type[TTSAdapter], text: str) -> str:
    """What the worker found out."""
    return (await hear(host, ask(adapter, text)))[-1].markers[0].label


async def test_limits_hold_in_the_child() -> None:
    """Memory, files, core file, cores and niceness are those of the settings, seen from inside and by the kernel."""
    core = min(os.sched_getaffinity(0))
    row = EngineSettings(memory_mb=700, cpus=(core,), nice=3)
    with settings.override("probe", row):
        async with hosting(Probe) as host:
            data, files, dump, cores, nice = (await told(host, Probe, "limits")).split()
            status = host.status()
    assert int(data) == 700 << 20
    assert int(files) <= sandbox.MAX_FILES
    assert (dump, cores, int(nice)) == ("0", str(core), min(os.nice(0) + 3, 19))
    assert status["limits"] == {"threads": 1, "memory_mb": 700, "cpus": [core], "nice": 3, "network": []}
    assert isinstance(status["rss_mb"], float)
    assert 1.0 < status["rss_mb"] < 700.0
    assert json.dumps(status)


def test_memory_of_the_registry_holds_where_nothing_is_said() -> None:
    """The operator's number goes before the row's; an engine without either is not bounded."""
    for name, row in registry.ROWS.items():
        descriptor = Probe.describe()
        assert confines.confines_of(name, descriptor).memory_mb == row.memory_mb
        with settings.override(name, EngineSettings(memory_mb=77)):
            assert confines.confines_of(name, descriptor).memory_mb == 77


async def test_cores_that_are_not_there() -> None:
    """A core that this machine does not give makes the engine unavailable, by name."""
    with settings.override("probe", EngineSettings(cpus=(4095,))):
        with pytest.raises(BaseException) as raised:
            async with hosting(Probe):
                pass
        assert raised.group_contains(Unavailable, match="cpus names 4095; this machine gives")


async def test_missing_interpreter_is_named() -> None:
    """An interpreter that is not there is said to be that, with the setting that names it."""
    tone = registry.load("tone")
    with settings.override("tone", EngineSettings(interpreter="/nowhere/python")):
        with pytest.raises(BaseException) as raised:
            async with hosting(tone):
                pass
        assert raised.group_contains(Unavailable, match="/nowhere/python does not start .*interpreter")


async def test_interpreter_is_the_operators(tmp_path: Path) -> None:
    """The engine runs in the interpreter that its settings name."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nMARKED=yes exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    tone = registry.load("tone")
    with settings.override("tone", EngineSettings(interpreter=str(python))):
        async with hosting(tone) as host:
            assert b"MARKED=yes" in environ(host)
            assert (await hear(host, ask(tone)))[-1].eos


def environ(host: ProcessHost) -> list[bytes]:
    """The environment its process was started with."""
    return Path(f"/proc/{host.status()['pid']}/environ").read_bytes().split(b"\0")


async def test_threads_are_one_unless_configured() -> None:
    """Every library that counts threads by an environment variable is told the number of the settings."""
    for threads in (1, 3):
        with settings.override("probe", EngineSettings(threads=threads)):
            async with hosting(Probe) as host:
                given = environ(host)
        for name in confines.THREADS:
            assert f"{name}={threads}".encode() in given


async def test_secrets_go_to_their_engine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is in the environment of the engine whose row names it, and of no other."""
    monkeypatch.setenv("PROBE_SECRET", "s3cret")
    monkeypatch.setenv("OTHER_SECRET", "other")
    rows = {"probe": registry.Row("x:Y", "none", secrets=("PROBE_SECRET",))}
    monkeypatch.setattr(registry, "rows", lambda: registry.ROWS | rows)
    async with hosting(Probe) as host:
        assert await told(host, Probe, "variable PROBE_SECRET") == "s3cret"
        assert await told(host, Probe, "variable OTHER_SECRET") == "unset"
        assert "s3cret" not in json.dumps(host.status())
    for adapter in (registry.load("tone"), registry.load("espeak")):
        async with hosting(adapter) as host:
            assert not any(b"s3cret" in entry for entry in environ(host))


@contextmanager
def listening() -> Iterator[int]:
    """A port of loopback where connections are taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_declared_place_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that declares a place reaches it by name, and no other port, name, address, program or way in."""
    with listening() as port, listening() as other:
        monkeypatch.setattr(Caller, "network", (f"localhost:{port}",))
        async with hosting(Caller, PROBE_PORT=str(other)) as host:
            assert host.status()["sandbox"] == "allowlist"
            assert await told(host, Caller, f"reach =127.0.0.1:{port}") == "PermissionError"
            assert await told(host, Caller, f"reach localhost:{port}") == "reached"
            assert await told(host, Caller, f"reach =127.0.0.1:{port}") == "reached"
            for way in (f"localhost:{other}", f"=127.0.0.1:{other}", f"ip6-localhost:{port}", "example.org:443"):
                assert await told(host, Caller, f"reach {way}") == "PermissionError"
            for way in ("tcp", "udp", "dns", "child"):
                assert await told(host, Caller, f"reach {way}") == "PermissionError"
            assert await told(host, Caller, "reach bind") == "OSError"
            assert host.status()["limits"]["network"] == [f"localhost:{port}"]  # type: ignore[index]


async def test_declared_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that is an address is reached without a name, at its port only."""
    with listening() as port, listening() as other:
        monkeypatch.setattr(Caller, "network", (f"127.0.0.1:{port}",))
        async with hosting(Caller, PROBE_PORT=str(other)) as host:
            assert await told(host, Caller, f"reach =127.0.0.1:{port}") == "reached"
            assert await told(host, Caller, f"reach =127.0.0.1:{other}") == "PermissionError"


def test_confines_travel_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host decided is what the worker reads; without a word, a local engine."""
    monkeypatch.delenv(sandbox.CONFINES_VARIABLE, raising=False)
    assert sandbox.inherited() == Confines()
    own = Confines(("speech.example:443", "[::1]:8000"), 512, (0, 1), 5)
    for name, value in own.environment().items():
        monkeypatch.setenv(name, value)
    assert sandbox.inherited() == own


THIRD = """
from dataclasses import replace
from tests.shell.probe import Probe
from adapters.base import python_worker

class Third(Probe):
    name = "third"

    @classmethod
    def describe(cls):
        return replace(super().describe(), name=cls.name, contract=1)

    @classmethod
    def worker_command(cls):
        return python_worker(cls.name)
"""


async def test_third_party_of_the_first_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package brings an engine by entry point: found, described, hosted without our new words."""
    about = tmp_path / "third-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{registry.GROUP}]\nthird = third_voice:Third\n")
    (tmp_path / "third_voice.py").write_text(THIRD)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.rows.cache_clear()
    try:
        assert "third" in registry.names()
        assert registry.describe("third").contract == 1
        assert registry.availability("third") == registry.Availability(True)
        third = registry.load("third")
        assert not hasattr(third, "lacks")
        async with hosting(third, PYTHONPATH=str(tmp_path)) as host:
            assert host.status()["sandbox"] in ("netns", "audit")
            assert (await hear(host, ask(third)))[-1].eos
    finally:
        registry.rows.cache_clear()
        sys.modules.pop("third_voice", None)
