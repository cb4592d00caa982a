"""How a measurement talks to a process that it started: lines in, JSON lines out.

Knows no command; the end of the input ends the process, so that none is left behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping

Command = Callable[[list[str]], Awaitable[Mapping[str, object]]]


def tell(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer), flush=True)


async def listen(commands: Mapping[str, Command]) -> None:
    """Answers one line after the other until the input ends; then this process is asked to stop."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    try:
        while words := (await lines.readline()).decode().split():
            tell(await commands[words[0]](words[1:]))
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        transport.close()


def pin(core: int | None) -> None:
    """This process and its children on one core; without a second one there is nothing to choose."""
    if core is not None and core in os.sched_getaffinity(0) and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {core})
