"""A process under test: started, asked over its console, ended whatever happens.

Knows two servers, ours and the stock one; measures nothing itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_S = 60.0
"""Engines start in about two seconds; a loaded machine takes longer."""
ANSWER_S = 60.0
STOP_S = 8.0
"""Beyond the 5 s in which a server says goodbye; then it is killed."""
OURS_CORE, OTHER_CORE = 0, 1


@dataclass(slots=True)
class Child:
    """A running process and its console."""

    process: asyncio.subprocess.Process
    log: Path
    address: str = ""

    async def read(self, limit_s: float) -> dict[str, object]:
        """Its next JSON line. Raises RuntimeError with the end of its log when there is none."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(limit_s):
                raw = await self.process.stdout.readline()
        except TimeoutError:
            raw = b""
        if not raw:
            raise RuntimeError(f"no answer from the process under test: {self.log.read_text()[-2000:]}")
        answer: dict[str, object] = json.loads(raw)
        return answer

    async def ask(self, line: str, limit_s: float = ANSWER_S) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        return await self.read(limit_s)  # type: ignore[return-value]

    def send_away(self, core: int) -> None:
        """Its children (the engines) to another core, where there is one."""
        if core not in os.sched_getaffinity(0):
            return
        for pid in _descendants(self.process.pid):
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), {core})

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def _descendants(pid: int) -> list[int]:
    children = [int(c) for t in os.listdir(f"/proc/{pid}/task") for c in _children(pid, t)]
    return children + [grand for child in children for grand in _descendants(child)]


def _children(pid: int, thread: str) -> list[str]:
    return Path(f"/proc/{pid}/task/{thread}/children").read_text().split()


@asynccontextmanager
async def child(module: str, arguments: Sequence[str] = ()) -> AsyncIterator[Child]:
    """`python -m module`, ready."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        log = Path(scratch) / "log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, *arguments, cwd=ROOT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        found = Child(process, log)
        try:
            found.address = str((await found.read(READY_S))["ready"])
            yield found
        finally:
            await found.stop()


@asynccontextmanager
async def ours(
    adapter: str = "espeak",
    *,
    timed: bool = False,
    core: int | None = None,
    journal: str = "",
    more: Sequence[str] = (),
) -> AsyncIterator[Child]:
    """Our server with one engine; `journal` is a folder, empty for none."""
    options = [*(["--timed"] if timed else []), *([] if core is None else ["--core", str(core)])]
    served = ["--port", "0", "--adapter", adapter, "--journal", journal]
    async with child("bench.served", [*options, "--", *served]) as found:
        yield found


@asynccontextmanager
async def stock(*, timed: bool = False, core: int | None = None, speaking: bool = False) -> AsyncIterator[Child]:
    """The peer of the same run."""
    options = [*(["--timed"] if timed else []), *(["--speaking"] if speaking else [])]
    async with child("bench.stock", [*options, *([] if core is None else ["--core", str(core)])]) as found:
        yield found
