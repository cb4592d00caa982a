"""Who opens a file for writing: an audit hook that tells, and what the kernel says of a process.

Knows no server. The standard library only: it is loaded into engines' processes before anything else.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MAKING = frozenset({"os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "sqlite3.connect"})
"""Audit events that change a folder or a file without `open`."""
EXEMPT = "journal"
"""The thread that may write: the journal's own."""
NOWHERE = frozenset({os.devnull})
MARK = "AUDIT "
"""What a line on standard error begins with."""

Tell = Callable[[str], None]


def written(event: str, args: tuple[object, ...]) -> str | None:
    """The path that `event` opens for writing or makes, or None."""
    if event in MAKING:
        return f"{event} {args[0]!r}"
    if event != "open":
        return None
    path, mode, flags = (*args, None, None, None)[:3]
    named = isinstance(mode, str) and bool(set(mode) & set("wax+"))
    flagged = isinstance(flags, int) and bool(flags & WRITING)
    if not (named or flagged) or path in NOWHERE or isinstance(path, int):
        return None
    return f"{path!r}"


def install(tell: Tell) -> None:
    """From now on every opening for writing in this process, but the journal's, is told. Cannot be undone."""

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event != "open" and event not in MAKING:
            return
        found = written(event, args)
        if found is not None and threading.current_thread().name != EXEMPT:
            tell(f"{found} in thread {threading.current_thread().name}")

    sys.addaudithook(hook)


def say(line: str) -> None:
    """One line to standard error, past every buffer."""
    os.write(2, f"{MARK}{line}\n".encode(errors="replace"))


_watchers: list[list[str]] = []
_installed = False


def _tell_all(line: str) -> None:
    for seen in _watchers:
        seen.append(line)


@contextmanager
def watch() -> Iterator[list[str]]:
    """What this process opens for writing while the block runs."""
    global _installed  # noqa: PLW0603
    if not _installed:
        install(_tell_all)
        _installed = True
    seen: list[str] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)


def open_for_writing(pid: int) -> list[str]:
    """Regular files that process `pid` holds open for writing, as the kernel sees it. Raises OSError."""
    found = []
    folder = Path(f"/proc/{pid}/fd")
    for entry in list(folder.iterdir()):
        try:
            target = entry.stat()
            flags = _flags(pid, entry.name)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(target.st_mode) and flags & (os.O_WRONLY | os.O_RDWR):
            found.append(os.readlink(entry))
    return found


def _flags(pid: int, descriptor: str) -> int:
    for line in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return 0


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found
