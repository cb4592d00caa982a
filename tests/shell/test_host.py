"""Workers that die, hang, lie or wait: what the host makes of it. And that no way leads out of a worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry, settings
from adapters.base import TTSAdapter
from adapters.framing import Frame, FramingError, Kind, Parser, encode
from adapters.settings import EngineSettings
from adapters.voices.espeak_zygote import MAX_HELD
from adapters.worker import Inbox
from peer.core.chunk import AudioChunk, Request, Ticket
from peer.core.errors import Broken, Refusal, Stalled, Unavailable, Unspeakable
from peer.core.voice import Voice
from peer.host import QUEUE_LIMIT, InlineHost, ProcessHost, State
from peer.pieces import Render, chunk_of

from .probe import WAYS, Failing, Mute, Probe

SENTENCE = "Well, the quick brown fox jumps over the lazy dog, and then it goes on for a while."
FAR = 3600.0
EVERYTHING = 10_000_000
BY_THE_KERNEL = {"libc", "child"}
"""Ways that Python's audit hooks do not see."""


def now() -> float:
    return asyncio.get_running_loop().time()


def ask(adapter: type[TTSAdapter], text: str = SENTENCE, **other: Any) -> Request:
    """A request for a whole sentence."""
    blank = Request(Ticket(0, 0), adapter.name, "s", text, 0, EVERYTHING, 8, adapter.project(Voice()).knobs, 7)
    return replace(blank, **other)


@asynccontextmanager
async def hosting(adapter: type[TTSAdapter], **environment: str) -> AsyncIterator[ProcessHost]:
    """A started host that is closed at the end, on a TaskGroup of its own."""
    async with asyncio.TaskGroup() as tasks:
        host = ProcessHost(adapter.name, adapter, tasks, environment)
        try:
            await host.start()
            yield host
        finally:
            await host.close()


async def hear(host: ProcessHost, request: Request) -> list[AudioChunk]:
    return [chunk async for chunk in host.render(request, now() + FAR)]


def sound(pieces: list[AudioChunk]) -> bytes:
    return b"".join(piece.pcm.tobytes() for piece in pieces)


def children(pid: int) -> list[int]:
    """Living processes started by `pid`."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def until(host: ProcessHost, **wanted: object) -> None:
    """Waits for facts of the host's status; the test's own timeout is the limit."""
    while any(host.status()[name] != value for name, value in wanted.items()):
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("name", ["espeak", "tone"])
async def test_killed_worker_is_restarted_and_repeats_itself(name: str) -> None:
    """SIGKILL in the middle of a render breaks that render; the same request then gives the same bytes."""
    adapter = registry.load(name)
    async with hosting(adapter) as host:
        request = ask(adapter, SENTENCE * 20)
        whole = sound(await hear(host, request))
        for restarts in (1, 2):
            render = host.render(request, now() + FAR)
            pieces = [await anext(render)]
            os.kill(int(str(host.status()["pid"])), signal.SIGKILL)
            with pytest.raises(Broken):
                while True:
                    pieces.append(await anext(render))
            assert 0 < len(sound(pieces)) < len(whole)
            assert whole.startswith(sound(pieces))
            assert sound(await hear(host, request)) == whole
            assert host.status()["restarts"] == restarts
            assert host.status()["state"] == "READY"


async def test_killed_speaker_is_replaced_unnoticed() -> None:
    """The forked speakers of a sentence are killed between and during its chunks: the sentence is the same."""
    adapter = registry.load("espeak")
    async with hosting(adapter) as host:
        whole = await hear(host, ask(adapter))
        zygote, cursor, pieces = host.status()["pid"], 0, []
        while not (pieces and pieces[-1].eos):
            for pid in children(int(str(zygote))):
                os.kill(pid, signal.SIGKILL)
            pieces += await hear(host, ask(adapter, cursor=cursor, samples=7000))
            cursor = pieces[-1].cursor
        assert sound(pieces) == sound(whole)
        assert [m for p in pieces for m in p.markers] == [m for p in whole for m in p.markers]
        assert host.status()["pid"] == zygote
        assert host.status()["restarts"] == 0


async def test_speakers_are_bounded_and_collected() -> None:
    """A hundred sentences begun and left hold a bounded number of processes, none of them dead."""
    adapter = registry.load("espeak")
    async with hosting(adapter) as host:
        for index in range(100):
            await hear(host, ask(adapter, stream=f"s{index}", samples=2205))
        await hear(host, ask(adapter, text=""))
        zygote = int(str(host.status()["pid"]))
        while len(children(zygote)) > MAX_HELD + 1 or not all(alive(pid) for pid in children(zygote)):
            await asyncio.sleep(0.005)


async def test_most_urgent_first() -> None:
    """What waits is rendered in the order of deadlines, not of asking."""
    adapter, order = registry.load("tone"), []
    async with hosting(adapter) as host, asyncio.TaskGroup() as tasks:

        async def one(label: int, render: Render) -> None:
            async for _ in render:
                pass
            order.append(label)

        start = now()
        for label in (0, 50, 20, 40, 10, 30):
            tasks.create_task(one(label, host.render(ask(adapter), start + FAR + label)))
    assert order == [0, 10, 20, 30, 40, 50]


async def test_full_queue_is_refused() -> None:
    """Beyond the limit a request is refused with a remedy; giving up frees the places."""
    async with hosting(Probe) as host:
        renders = [host.render(ask(Probe, "endless"), now() + FAR) for _ in range(QUEUE_LIMIT + 1)]
        assert (host.status()["rendering"], host.status()["waiting"]) == (1, QUEUE_LIMIT)
        with pytest.raises(Refusal) as refused:
            host.render(ask(Probe), now() + FAR)
        assert (refused.value.code, refused.value.field) == ("busy", "adapter")
        for render in renders[::-1]:
            render.cancel()
            render.cancel()
        assert (host.status()["rendering"], host.status()["waiting"]) == (0, 0)
        assert (await hear(host, ask(Probe)))[-1].eos


async def test_cancelled_task_cancels_its_render() -> None:
    """A session that is cancelled while it waits for a piece leaves nothing behind."""
    async with hosting(Probe) as host:
        for _ in range(3):
            task = asyncio.create_task(hear(host, ask(Probe, "endless")))
            await until(host, rendering=1)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert host.status()["rendering"] == 0
        assert (await hear(host, ask(Probe)))[-1].eos


async def test_requests_wait_for_a_restart() -> None:
    """Who asks while the engine is restarted waits and is served."""
    async with hosting(Probe) as host:
        os.kill(int(str(host.status()["pid"])), signal.SIGKILL)
        await until(host, state="WARMING")
        assert (await hear(host, ask(Probe)))[-1].eos
        assert host.status()["restarts"] == 1


async def test_deadline_passes_while_warming() -> None:
    """An engine that does not become ready stalls the requests that wait for it; closing ends the wait of start."""
    async with asyncio.TaskGroup() as tasks:
        host = ProcessHost("mute", Mute, tasks)
        starting = tasks.create_task(expect_unavailable(host))
        await until(host, state="WARMING")
        with pytest.raises(Stalled):
            await anext(host.render(ask(Mute), now() + 0.02))
        assert host.status()["waiting"] == 0
        await host.close()
        await starting


async def expect_unavailable(host: ProcessHost) -> None:
    with pytest.raises(Unavailable):
        await host.start()


async def test_deadline_passes_while_rendering() -> None:
    """Behind an engine that is busy for ever, a deadline still ends the wait, and the queue moves on."""
    async with hosting(Probe) as host:
        endless = host.render(ask(Probe, "endless"), now() + FAR)
        await anext(endless)
        with pytest.raises(Stalled):
            await anext(host.render(ask(Probe), now() + 0.02))
        endless.cancel()
        assert (await hear(host, ask(Probe)))[-1].eos


async def test_cannot_start_says_why() -> None:
    """An engine that cannot start is FAILED with its own words; asking it fails at once."""
    async with asyncio.TaskGroup() as tasks:
        host = ProcessHost("failing", Failing, tasks)
        with pytest.raises(Unavailable, match="run make model"):
            host.render(ask(Failing), now() + FAR) if host.status()["state"] == "FAILED" else await host.start()
        assert host.status()["state"] == "FAILED"
        with pytest.raises(Unavailable, match="run make model"):
            host.render(ask(Failing), now() + FAR)
        await host.close()


async def test_missing_library_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its wheel the default voice names the command that installs it."""
    adapter = registry.load("espeak")
    monkeypatch.setattr("adapters.voices.espeak.find_spec", lambda name: None)
    async with asyncio.TaskGroup() as tasks:
        host = ProcessHost("espeak", adapter, tasks)
        with pytest.raises(Unavailable, match="pip install espeakng-loader"):
            await host.start()
        await host.close()
        await host.close()


async def test_broken_data_folder_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A library that finds no data is unavailable, not a crash."""
    adapter = registry.load("espeak")
    command = [*adapter.worker_command()[:-1], str(tmp_path)]
    monkeypatch.setattr(adapter, "worker_command", lambda: command)
    async with asyncio.TaskGroup() as tasks:
        host = ProcessHost("espeak", adapter, tasks)
        with pytest.raises(Unavailable, match="data"):
            await host.start()
        await host.close()


@pytest.mark.parametrize("text", ["raise", "nan", "flood", "rate"])
async def test_bad_render_breaks_only_itself(text: str) -> None:
    """An exception, NaN, too many samples or another rate break one request; the worker lives."""
    async with hosting(Probe) as host:
        pid = host.status()["pid"]
        with pytest.raises(Broken):
            await hear(host, ask(Probe, text, samples=200))
        assert (await hear(host, ask(Probe)))[-1].eos
        assert host.status()["pid"] == pid


@pytest.mark.parametrize("text", ["exit", "garbage"])
async def test_bad_worker_is_replaced(text: str) -> None:
    """A worker that exits or breaks the framing breaks what is in work; the next one serves."""
    async with hosting(Probe) as host:
        with pytest.raises(Broken):
            await hear(host, ask(Probe, text))
        assert (await hear(host, ask(Probe)))[-1].eos
        assert host.status()["restarts"] == 1


async def test_hung_render_costs_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that hangs where it hears no cancel is killed after its grace; who waited behind it is served."""
    monkeypatch.setattr("peer.host.GRACE_S", 0.1)
    async with hosting(Probe) as host:
        with pytest.raises(Stalled):
            await anext(host.render(ask(Probe, "hang"), now() + 0.05))
        pid = host.status()["pid"]
        assert (await hear(host, ask(Probe)))[-1].eos
        assert host.status()["pid"] != pid
        assert (host.status()["restarts"], host.status()["state"]) == (1, "READY")
        assert "did not leave a render" in str(host.status()["last_end"])


async def test_a_worker_that_leaves_in_time_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled renders that are left, at a piece or while the engine waits for one, cost nothing."""
    async with hosting(Probe) as host:
        pid = host.status()["pid"]
        for text in ("endless", "wait", "hang on"):
            render = host.render(ask(Probe, text), now() + FAR)
            await until(host, rendering=1)
            render.cancel()
            assert (await hear(host, ask(Probe)))[-1].eos
        assert (host.status()["pid"], host.status()["restarts"]) == (pid, 0)


async def test_waiting_is_no_sound() -> None:
    """An engine that gives way while it waits has not begun: its deadline passes, and it is cancelled."""
    async with hosting(Probe) as host:
        with pytest.raises(Stalled, match="no sound before its deadline"):
            await anext(host.render(ask(Probe, "wait"), now() + 0.1))
        assert (await hear(host, ask(Probe)))[-1].eos
        assert host.status()["restarts"] == 0


async def test_cancels_are_answered_once() -> None:
    """Every CANCEL has one LEFT: of what is rendered, of what waits, of what is over, of what never was."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inbox = Inbox(theirs)
        for id in (1, 2, 3):
            ours.sendall(encode(Kind.RENDER, id))
        assert inbox.next_request().id == 1
        for id in (2, 1, 9):
            ours.sendall(encode(Kind.CANCEL, id))
        assert inbox.cancelled()
        assert inbox.next_request().id == 3
        ours.sendall(encode(Kind.CANCEL, 1))
        assert not inbox.cancelled()
        answers = Parser().feed(ours.recv(4096))
    assert [frame.kind for frame in answers] == [Kind.LEFT] * 4
    assert sorted(frame.id for frame in answers) == [1, 1, 2, 9]


async def test_unspeakable_text_is_no_fault_of_the_engine() -> None:
    """A text that is not for this voice is said to be that; the worker lives on."""
    async with hosting(Probe) as host:
        pid = host.status()["pid"]
        with pytest.raises(Unspeakable, match="no Greek"):
            await hear(host, ask(Probe, "unspeakable"))
        assert (await hear(host, ask(Probe)))[-1].eos
        assert host.status()["pid"] == pid


async def test_engine_that_becomes_unavailable_is_restarted() -> None:
    """A GPU that goes away in a render fails the engine in its own words, until a new worker is ready."""
    async with hosting(Probe) as host:
        with pytest.raises(Unavailable, match="look at its cable"):
            await hear(host, ask(Probe, "gone"))
        assert host.status()["state"] == "FAILED"
        assert "look at its cable" in str(host.status()["text"])
        with pytest.raises(Unavailable, match="look at its cable"):
            host.render(ask(Probe), now() + FAR)
        await until(host, state="READY")
        assert (await hear(host, ask(Probe)))[-1].eos
        assert host.status()["restarts"] == 1


@pytest.mark.parametrize("text", ["eat 4096", "abort", "fill 1000"])
async def test_death_by_memory_has_its_name(text: str) -> None:
    """Beyond its memory an engine breaks one request with a sentence, however it dies; the next one is served."""
    with settings.override("probe", EngineSettings(memory_mb=1024)):
        async with hosting(Probe) as host:
            with pytest.raises(Broken, match=r"ran out of memory: its process may have 1024 MB; .*memory_mb"):
                await hear(host, ask(Probe, text))
            assert (await hear(host, ask(Probe)))[-1].eos
            assert host.status()["restarts"] == 1


async def test_nothing_is_left_behind() -> None:
    """After closing there is no process, descriptor, task or timer of ours."""
    async with hosting(Probe) as host:
        await hear(host, ask(Probe))
    await settled()
    before = (len(os.listdir("/proc/self/fd")), len(children(os.getpid())), len(asyncio.all_tasks()))
    for name in ("espeak", "tone"):
        adapter = registry.load(name)
        async with hosting(adapter) as host:
            pid = int(str(host.status()["pid"]))
            speakers = children(pid)
            await hear(host, ask(adapter, samples=5000))
            waiting = host.render(ask(adapter), now() + FAR)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises((Broken, Unavailable)):
                async for _ in waiting:
                    pass
            await until(host, state=State.READY.value)
        while any(Path(f"/proc/{process}").exists() for process in [pid, *speakers]):
            await asyncio.sleep(0.005)
        assert host.status()["state"] == State.CLOSED.value
        with pytest.raises(Unavailable):
            host.render(ask(adapter), now() + FAR)
    await settled()
    after = (len(os.listdir("/proc/self/fd")), len(children(os.getpid())), len(asyncio.all_tasks()))
    assert after == before


async def settled() -> None:
    """Child watchers are threads that end just after their process."""
    while any("waitpid" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.005)


async def test_worker_dies_with_its_host() -> None:
    """A server that is killed takes the worker and the speakers with it."""
    code = (
        "import asyncio, os, signal\nfrom adapters import registry\nfrom peer.host import ProcessHost\n"
        "async def main():\n async with asyncio.TaskGroup() as tasks:\n"
        "  for name in ('espeak', 'tone'):\n   host = ProcessHost(name, registry.load(name), tasks)\n"
        "   await host.start(); print(host.status()['pid'], flush=True)\n"
        "  os.kill(os.getpid(), signal.SIGKILL)\nasyncio.run(main())"
    )
    root = Path(__file__).resolve().parents[2]
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    )  # fmt: skip
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    while any(alive(pid) for pid in pids):
        await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("way", sorted(WAYS))
async def test_no_way_out(way: str) -> None:
    """From inside a worker no address is reached: not by sockets, names, libc or a child of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        async with hosting(Probe, PROBE_PORT=str(port)) as host:
            if way in BY_THE_KERNEL and host.status()["sandbox"] == "audit":
                pytest.skip("this kernel lets no process into a namespace of its own")
            pieces = await hear(host, ask(Probe, f"reach {way}"))
        assert pieces[-1].markers[0].label in {"PermissionError", "OSError", "CalledProcessError", "URLError"}
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


async def test_worker_is_locked_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has no new privileges, no interface but its own loopback, and no key of ours in its environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("SYNCHRONY_TOKEN", "secret")
    async with hosting(Probe) as host:
        isolated = host.status()["sandbox"] == "netns"
        label = (await hear(host, ask(Probe, "facts")))[-1].markers[0].label
    privileges, interfaces, names = label.split(" ", 2)
    assert privileges == "1"
    assert set(interfaces.split(",")) <= {"lo"} or not isolated
    assert "_KEY'" not in names
    assert "_TOKEN'" not in names


async def test_default_voice_is_off_the_network() -> None:
    """The zygote and the speakers it forks share a network namespace that is not ours."""
    adapter = registry.load("espeak")
    async with hosting(adapter) as host:
        zygote = int(str(host.status()["pid"]))
        await hear(host, ask(adapter, samples=1000))
        if host.status()["sandbox"] == "audit":
            pytest.skip("this kernel lets no process into a namespace of its own")
        ours = os.readlink("/proc/self/ns/net")
        theirs = {network(pid) for pid in [zygote, *children(zygote)]} - {None}
        assert len(theirs) == 1
        assert ours not in theirs
        assert json.dumps(host.status())


def network(pid: int) -> str | None:
    """The network namespace of a process, None when it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


async def test_inline_equals_process() -> None:
    """An engine on the caller's loop gives the samples it gives in its process."""
    adapter = registry.load("tone")
    inline = InlineHost(adapter())
    with pytest.raises(Unavailable):
        await anext(inline.render(ask(adapter), now() + FAR))
    await inline.start()
    async with hosting(adapter) as host:
        apart = await hear(host, ask(adapter))
    here = [chunk async for chunk in inline.render(ask(adapter), now() + FAR)]
    assert sound(here) == sound(apart)
    assert [c.markers for c in here] == [c.markers for c in apart]
    await inline.close()
    await inline.close()


PIECE = {
    "sample_rate": 8000, "format": "s16", "markers": [["word", 1, 0, 2, ""]], "cursor": 2, "last": True,
    "eos": False, "render_ms": 1.5, "state": 3,
}  # fmt: skip


def test_piece_to_chunk() -> None:
    """State is taken off the raw bytes, int16 becomes float32 in [-1, 1), markers become markers."""
    chunk = chunk_of(Frame(Kind.PIECE, 1, dict(PIECE), b"abc" + np.array([-32768, 16384], "<i2").tobytes()))
    assert chunk.state == b"abc"
    assert chunk.pcm.tolist() == [-1.0, 0.5]
    assert chunk.markers[0].end == 2
    assert (chunk.last, chunk.eos, chunk.cursor, chunk.render_ms) == (True, False, 2, 1.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "mp3"),
        ("state", 99),
        ("state", -1),
        ("markers", 7),
        ("markers", [[1]]),
        ("cursor", "x"),
        ("cursor", None),
    ],
)
def test_odd_pieces_are_framing_errors(name: str, value: object) -> None:
    """A piece whose fields do not fit is refused as a whole."""
    with pytest.raises(FramingError):
        chunk_of(Frame(Kind.PIECE, 1, PIECE | {name: value}, b"abcdef"))
    with pytest.raises(FramingError):
        chunk_of(Frame(Kind.PIECE, 1, {k: v for k, v in PIECE.items() if k != name}, b"abcdef"))
    with pytest.raises(FramingError):
        chunk_of(Frame(Kind.PIECE, 1, dict(PIECE), b"abcd"))
