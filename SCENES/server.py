"""A real server for a live scene: a process of its own, its address, what it says on standard error.

Knows no call.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from peer.logbook import rows

from . import audit
from .shapes.figures import Finding, found
from .take import Row

ROOT = Path(__file__).resolve().parent.parent
READY = "Synchrony is ready: open "
START_S = 60.0
"""From a cold disk with a loaded machine; a bounded wait, never a figure."""
END_S = 10.0


@dataclass(slots=True)
class Server:
    """An async context manager. `audited`: with its doors watched; `spill`: the control that writes."""

    engine: str
    journal: Path
    spill: str = ""
    options: Sequence[str] = ()
    """More of the command line."""
    url: str = ""
    lines: list[str] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Server:
        command = ["-m", "SCENES.audited", *(["--spill", self.spill] if self.spill else []), "serve", "--port", "0"]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            "--journal",
            str(self.journal),
            "--adapter",
            self.engine,
            *self.options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._reader = asyncio.create_task(self._read(), name="server's standard error")
        try:
            async with asyncio.timeout(START_S):
                await self._ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def _ready(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        while line := (await self.process.stdout.readline()).decode():
            if line.startswith(READY):
                self.url = line[len(READY) :].strip().rstrip("/")
                return
        raise AssertionError(f"the server ended: {' / '.join(self.lines[-5:])}")

    async def _read(self) -> None:
        assert self.process is not None and self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Asks it to end, then makes it."""
        process = self.process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(END_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._reader is not None:
            await self._reader

    # what it leaves -------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log(self, session: str) -> tuple[Row, ...]:
        """The session's journal, read when it is over."""
        return tuple(rows(self.journal / f"{session}.jsonl"))

    def opened(self) -> list[str]:
        """What server or workers opened for writing, the journal's thread and its folder's making apart."""
        told = [line.partition(audit.MARK)[2] for line in self.lines if audit.MARK in line]
        return [line for line in told if not line.startswith("on in ") and str(self.journal) not in line]

    def watched(self) -> set[str]:
        return {line.partition(audit.MARK + "on in ")[2] for line in self.lines if audit.MARK + "on in " in line}

    def held_open(self, ours: Sequence[Path] = ()) -> list[str]:
        """Regular files that it or its workers hold open for writing now, but those under `ours`. Raises OSError."""
        names = [name for pid in (self.pid, *audit.descendants(self.pid)) for name in audit.open_for_writing(pid)]
        return [name for name in names if not any(name.startswith(str(folder)) for folder in ours)]

    def workers(self) -> list[int]:
        return audit.descendants(self.pid)


def no_file(server: Server, held: Sequence[str]) -> Finding:
    """No file was opened for writing by server or workers but by the journal's thread; `held` are looks at the kernel.

    The hooks must have said that they are there: silence of a hook that was never installed proves nothing.
    """
    faults = [*server.opened(), *(f"held open: {name}" for name in held)]
    missing = {"the server", "a worker"} - server.watched()
    faults += [f"nobody watches {name}" for name in sorted(missing)]
    return found("no_file", faults, watched=sorted(server.watched()))
