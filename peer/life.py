"""One process of an engine, from its start to its end: its socket, its log, what it died of.

Knows neither requests nor restarts: whoever started it is told of each frame, and why it ended.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adapters import sandbox
from adapters.framing import Frame, FramingError, Kind, Parser, encode

from .core.errors import Unavailable

CLOSE_S = 1.0
"""A worker that was told to close and has not after this long is killed."""

LOG_LINE = 4096
"""Bytes of one line of a worker's standard error; longer ones are cut."""

LOG_LINES = 200
"""Lines logged of one worker's life; what follows is read and dropped, so that the worker never blocks."""

TAIL = 2048
"""Characters of standard error that are kept to tell what a process died of."""

LAST_WORDS = 200
"""Characters of its last line that it is quoted with."""

ROOT = Path(__file__).resolve().parents[1]
log = logging.getLogger("peer.host.worker")


class _Wire(asyncio.Protocol):
    """The socket: bytes to frames."""

    def __init__(self, take: Callable[[Frame], None]) -> None:
        self._take = take
        self._parser = Parser()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._parser.feed(data):
                self._take(frame)
        except FramingError as error:
            self.end(f"broke the framing: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("ended")

    def end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


class Life:
    """A started process; it is over when `lived` returns."""

    def __init__(
        self, name: str, memory_mb: int, process: asyncio.subprocess.Process, transport: asyncio.Transport, wire: _Wire
    ) -> None:
        self._name = name
        self._memory_mb = memory_mb
        self._full = False
        self._process = process
        self._transport = transport
        self._wire = wire
        self._tail = ""
        self.ready_at: float | None = None
        self.facts: Mapping[str, object] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False from the moment its end is decided."""
        return not self._wire.ended.done()

    def write(self, frame: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frame)

    def end(self, why: str) -> None:
        """Lets it close; it is killed where it does not."""
        self._wire.end(why)

    def kill(self, why: str) -> None:
        """Ends it at once."""
        self._full = sandbox.full(self._memory_mb, self.pid)
        self._wire.end(why)
        if self._process.returncode is None:
            self._process.kill()

    async def lived(self, warm_s: float) -> str:
        """Waits for its end and cleans up; says why it ended. Not ready after `warm_s`, it is ended."""
        why = "ended"
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._log(), name=f"log {self._name}")
                tasks.create_task(self._impatience(warm_s), name=f"warm {self._name}")
                why = await self._wire.ended
                await self._close()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            self._transport.close()
        why = f"its process {why}{self._cause()}"
        return sandbox.starvation(self._memory_mb, why) if self.starved else why

    def _cause(self) -> str:
        """How it died, and its last words where it was not asked to."""
        status = self._process.returncode
        if not status:
            return ""
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        words = "" if status == -signal.SIGKILL else self._last_words()
        return f" ({how}): {words}" if words else f" ({how})"

    def _last_words(self) -> str:
        lines = self._tail.split("\n")
        line = next((line for line in reversed(lines) if line.strip()), "")
        return "".join(letter for letter in line.strip() if letter.isprintable())[:LAST_WORDS]

    @property
    def starved(self) -> bool:
        """True where the end of its log says that memory ran out, or none was left when it hung."""
        return self._full or (bool(self._process.returncode) and sandbox.starved(self._tail))

    async def _impatience(self, warm_s: float) -> None:
        await asyncio.wait([self._wire.ended], timeout=warm_s)
        if self.ready_at is None and self.alive:
            self.kill(f"was not ready after {warm_s:g} s")

    async def _close(self) -> None:
        """CLOSE, then the end of file, then the kernel."""
        self.write(encode(Kind.CLOSE, 0))
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _log(self) -> None:
        """The worker's standard error, to its end."""
        if self._process.stderr is None:
            return
        for count in itertools.count():
            data = await self._process.stderr.read(LOG_LINE)
            if not data:
                return
            text = data.decode(errors="replace")
            self._tail = (self._tail + text)[-TAIL:]
            if count < LOG_LINES:
                log.info("%s[%d]: %s", self._name, self.pid, text.rstrip())

    def rss_mb(self) -> float | None:
        """Resident memory of the process itself, None where the system does not say."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return None
        return round(pages * resource.getpagesize() / (1 << 20), 1)


async def begin(
    name: str, command: Sequence[str], environment: Mapping[str, str], memory_mb: int, take: Callable[[Frame], None]
) -> Life:
    """Starts the process; `take` gets its frames. `memory_mb` is what it was allowed, to tell what it died of.

    Raises Unavailable where the command cannot run.
    """
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LOG_LINE,
            cwd=ROOT,
            env={**environment, sandbox.FD_VARIABLE: str(theirs.fileno())},
            pass_fds=(theirs.fileno(),),
        )
    except OSError as error:
        ours.close()
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Unavailable(f"{name}: {command[0]} does not start ({why}); see its interpreter setting") from None
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, wire = await loop.create_unix_connection(lambda: _Wire(take), sock=ours)
    return Life(name, memory_mb, process, transport, wire)
