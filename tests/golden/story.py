"""The story that every golden log tells: `python -m tests.golden.story PATH` writes it with the program as it is.

Once a schema is released its golden log is never made again.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from peer.journal import Journal
from tests.shell.house import WORDS, talk


async def told(folder: Path) -> Path:
    """The log of a session on the reference engine: words, a barge-in, another pace, the rest, another utterance."""
    journal = Journal(folder)
    journal.start()
    async with talk(journal=journal) as found:
        found.one("say", text=WORDS * 2, utterance="u")
        await found.pull(40)
        found.one("barge_in")
        found.ask("configure", voice={"pace": 1.2})
        await found.pull()
        found.one("resume")
        await found.pull()
        found.one("say", text="The end, really.", utterance="v")
        await found.pull()
    journal.close()
    (path,) = folder.glob("*.jsonl")
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(asyncio.run(told(Path(folder))), sys.argv[1])
