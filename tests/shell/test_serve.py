"""`python -m peer` as a process: it starts, says where, ends at once and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peer.__main__ import main
from peer.serve import house
from tests.shell.far import FarPeer, census, until
from tests.shell.house import WORDS, Served, config, inline, served

pytestmark = pytest.mark.timeout(60)
ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


@contextmanager
def started(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process group of its own, in an empty folder, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "peer", "--port", "0", *more], cwd=folder, env=environment(folder), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "open http" in line, line + (process.stderr.read() if process.stderr else "")
        yield process, line.split()[-1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def group(leader: int) -> list[int]:
    """The living processes whose ancestor or group is `leader`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[2]) == leader and stat[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("how", ["one", "group", "term"])
def test_interrupt_ends_cleanly(tmp_path: Path, how: str) -> None:
    """Ctrl-C, to us or as a terminal sends it to the whole group, ends within seconds: status 0, no traceback."""
    with started(tmp_path) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        before = group(process.pid)
        assert len(before) >= 2
        began = time.monotonic()
        number = signal.SIGTERM if how == "term" else signal.SIGINT
        (os.killpg if how == "group" else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0
        assert "Traceback" not in out + err, err
        assert time.monotonic() - began < 8
        assert group(process.pid) == []


def test_port_in_use(tmp_path: Path) -> None:
    """A taken port is one sentence that names the way out, and status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "peer", "--port", port], cwd=tmp_path, env=environment(tmp_path), text=True,
            capture_output=True, timeout=30, check=False,
        )  # fmt: skip
    assert ended.returncode == 2
    assert "--port" in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--adapter", "nobody"], "espeak"),
        (["--host", "0.0.0.0"], "--tls-cert"),
        (["--journal", "/proc/1/x"], "--journal"),
        (["--tls-cert", "/etc/hostname", "--tls-key", "/etc/hostname"], "tls-cert"),
        (["--sessions", "0"], "sessions"),
        (["sing"], "choose one of"),
    ],
)
def test_wrong_start(argv: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be served is one sentence that names the option, and status 2."""
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert word in said
    assert len(said.strip().splitlines()) == 1


def test_token_is_printed_beyond_loopback(tmp_path: Path) -> None:
    """A bind beyond loopback makes a token and prints it in the address's fragment."""
    with started(tmp_path, "--host", "0.0.0.0", "--behind-proxy") as (_, address):
        assert len(address.partition("#t=")[2]) >= 40


async def test_nothing_is_left() -> None:
    """After calls, streams and a shutdown in mid-speech: no task, thread or file descriptor more than before."""

    async def life() -> None:
        async with served() as found:
            far = FarPeer()
            where = await found.call(far)
            far.say("synchrony", {"id": "1", "intent": "say", "inputs": {"text": WORDS * 5}})
            await until(lambda: far.events("spoken"))
            streams = [
                await found.http.get(found.url + where + "/events"),
                await found.http.get(found.url + where + "/audio"),
                await found.http.post(found.url + "/say", json={"text": WORDS * 200}),
            ]
            socket_ = await found.http.ws_connect(found.url + "/say/ws")
            await far.close()
            for stream in streams[:1]:
                stream.close()
        await socket_.close()
        for stream in streams:
            stream.close()

    await life()
    await asyncio.sleep(0.1)
    before = census()
    await life()
    await asyncio.sleep(0.1)
    assert census()[0] <= before[0]
    assert census()[1] <= before[1]
    assert census()[2] <= before[2]


async def test_shutdown_says_goodbye() -> None:
    """Every call hears `bye` when the server ends, and a stream that was not finished does not look finished."""
    far = FarPeer()
    async with house(config(), inline) as (board, address):
        import aiohttp

        async with aiohttp.ClientSession() as http:
            found = Served(board, address.rstrip("/"), http, config())
            await found.call(far)
            response = await http.post(found.url + "/say", json={"text": WORDS * 400})
            await response.content.readexactly(44)
            await board.close()
            with pytest.raises(aiohttp.ClientError):
                await response.read()
            assert (await found.json("POST", "/say", json={"text": "x"}))[0] == 503
    await until(lambda: far.events("bye"))
    assert far.events("bye")[0]["reason"] == "shutdown"
    await far.close()


async def test_stop_during_warm_up(tmp_path: Path) -> None:
    """Ctrl-C while the engine still loads ends at once."""
    from peer import serve as module

    async def forever(*_: object) -> None:
        await asyncio.sleep(3600)

    stop = asyncio.Event()
    old, module._warm = module._warm, forever  # type: ignore[assignment]
    try:
        asyncio.get_running_loop().call_later(0.2, stop.set)
        async with asyncio.timeout(5):
            await module.serve(config(), lambda address: None, stop)
    finally:
        module._warm = old


async def test_late_loop_is_in_the_log() -> None:
    """A loop that was held up is a record of every conversation."""
    async with served() as found:
        line = found.board.open(clocked=False)
        found.board.noted_lag(123.4)
        records = [r for _, r in line.session.telemetry._records if r["kind"] == "loop_lag"]
        assert [r["late_ms"] for r in records] == [123.4]
        found.board.end(line, "test")
