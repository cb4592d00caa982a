"""Replay: whatever a conversation went through, its log plays it again byte for byte, in another process.

With another number of threads asked for, while the machine is busy, and after the server was killed in mid-sentence.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapters import registry

from . import shapes
from .caller import Caller
from .live import take_of
from .scene import Performance, Stage, judged
from .server import ROOT, Server
from .shapes.figures import Finding, found
from .texts import STORY, narration

LEAST = 20
"""Frames: less than half a second of speech proves nothing."""
ACTS = 12
"""Things that happen in the story, in virtual time."""
THREADS = "7"
"""What the replaying process asks for; workers pin their own."""
KEEP = ("--keep-chunks",)
"""What an engine without determinism said is kept: nobody could render it again."""
LONG_S = 120.0


def play(stage: Stage) -> Performance:
    """Everything a caller can do, at random; what comes of it is made again from the log."""
    rng = random.Random(stage.seed)
    name, other = stage.stand_in()
    theatre = stage.theatre()
    theatre.engines[name] = other
    for _ in range(ACTS):
        if theatre.peer.finished:
            theatre.say(" ".join(rng.sample(STORY, 2)))
        theatre.run(rng.uniform(100.0, 1500.0))
        match rng.randrange(5):
            case 0:
                theatre.barge_in()
                theatre.run(rng.uniform(0.0, 200.0))
            case 1:
                theatre.pause()
                theatre.run(rng.uniform(0.0, 200.0))
            case 2:
                theatre.configure(adapter=rng.choice((name, stage.engine)))
        theatre.resume()
    return judged(theatre.until_quiet().take(), *shapes.ALWAYS)


def live(stage: Stage) -> Performance:
    """A real call with its log, and one whose server is killed; both are played again by the command."""
    return asyncio.run(_live(stage))


async def _live(stage: Stage) -> Performance:
    with tempfile.TemporaryDirectory(prefix="synchrony-scene-") as name:
        folder = Path(name)
        async with Server(stage.engine, folder, options=KEEP) as server, Caller(server.url) as caller:
            await _conversation(caller, stage)
            await caller.until(lambda: caller.state() == "IDLE", LONG_S)
        take = take_of(server.log(caller.session), caller)
        whole = await _again(folder / f"{caller.session}.jsonl", "whole")
        killed = await _again(await _torn(stage, folder), "killed")
    return Performance(take, (shapes.log_equals_pcm(take), whole, killed))


async def _conversation(caller: Caller, stage: Stage) -> None:
    """Said, cut, resumed, paused, given to another engine."""
    await caller.answer(caller.ask("say", text=narration(4, stage.seed)))
    await caller.until(lambda: caller.state() == "SPEAKING")
    await asyncio.sleep(1.3)
    await caller.answer(caller.ask("barge_in"))
    await asyncio.sleep(0.3)
    await caller.answer(caller.ask("resume"))
    await caller.until(lambda: caller.state() == "SPEAKING")
    other = registry.DEFAULT if stage.engine != registry.DEFAULT else "tone"
    await caller.answer(caller.ask("configure", adapter=other))
    await asyncio.sleep(0.7)
    await caller.answer(caller.ask("pause"))
    await asyncio.sleep(0.2)
    await caller.answer(caller.ask("resume"))


async def _torn(stage: Stage, folder: Path) -> Path:
    """The log of a call whose server is killed while it speaks, at any instant."""
    rng = random.Random(stage.seed)
    async with Server(stage.engine, folder, options=KEEP) as server:
        with suppress(Exception):  # the caller's line breaks with the server
            async with Caller(server.url) as caller:
                await caller.answer(caller.ask("say", text=narration(4, stage.seed)))
                await caller.until(lambda: caller.state() == "SPEAKING")
                await asyncio.sleep(rng.uniform(0.8, 3.0))
                os.kill(server.pid, signal.SIGKILL)
    return folder / f"{caller.session}.jsonl"


async def _again(log: Path, what: str) -> Finding:
    """The command's verdict, in a process of its own with other threads, while the machine is busy."""
    busy = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "peer", "replay", str(log), "--controller", "--json", cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": THREADS}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
    finally:
        busy.kill()
        await busy.wait()
    verdict: dict[str, Any] = json.loads(out) if out else {"good": False, "frames": 0}
    faults = [] if verdict["good"] else [f"{what}: {out.decode()[:400]}"]
    faults += [] if verdict["frames"] > LEAST else [f"{what}: {verdict['frames']} frames prove nothing"]
    if what == "whole" and verdict.get("whole") is not True:
        faults.append("the digest of all that left was not compared")
    figures = {f"{what}_frames": verdict["frames"], f"{what}_took_s": verdict.get("took_s")}
    return found(f"replayed_{what}", faults, **figures)
