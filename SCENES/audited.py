"""The server with its doors watched: `python -m SCENES.audited [--spill server|worker] serve …`.

Tells on standard error whatever is opened for writing, in this process and in its engines'. Knows nothing of what
is said. `--spill` is the control: a server, or a worker, that writes a file and must be caught.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import peer.engines
from adapters.base import TTSAdapter
from peer.__main__ import main as serve
from peer.core.frame import Pull
from peer.host import ProcessHost
from peer.session import Session

from . import audit

PRELUDE = str(Path(__file__).with_name("prelude.py"))


def watched(command: Sequence[str], spill: str) -> list[str]:
    """The worker's command with the prelude between the interpreter, its flags, and the program."""
    flags = 1
    while flags < len(command) and command[flags].startswith("-") and command[flags] != "-m":
        flags += 1
    return [*command[:flags], PRELUDE, spill, *command[flags:]]


def watch_workers(spill: str) -> None:
    class WatchedHost(ProcessHost):
        """A host whose worker tells what it opens."""

        def __init__(
            self, name: str, adapter: type[TTSAdapter], tasks: asyncio.TaskGroup, environment: Mapping[str, str] = {}
        ) -> None:
            command = classmethod(lambda _cls: watched(adapter.worker_command(), spill))
            super().__init__(name, type(adapter.__name__, (adapter,), {"worker_command": command}), tasks, environment)

    vars(peer.engines)["ProcessHost"] = WatchedHost
    logging.getLogger("peer.host").setLevel(logging.INFO)


def spill_frames() -> None:
    """The doctored server: what it speaks goes through a file."""
    read_frame = Session.read_frame

    def spilled(self: Session, n: int) -> Pull:
        pull = read_frame(self, n)
        if pull.pcm is not None:
            with tempfile.NamedTemporaryFile() as file:
                file.write(pull.pcm.tobytes())
        return pull

    Session.read_frame = spilled  # type: ignore[method-assign]


def main(argv: Sequence[str]) -> int:
    given = list(argv)
    spill = ""
    if given[:1] == ["--spill"]:
        spill, given = given[1], given[2:]
    audit.install(audit.say)
    audit.say("on in the server")
    watch_workers(spill or "nothing")
    if spill == "server":
        spill_frames()
    return serve(given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
