"""How long logs are kept: by age, by room, or until someone says so. A log that is being written is never touched.

Knows no clock: who asks says what time it is.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .archive import Archive, header_of

log = logging.getLogger(__name__)

DAY_S = 86_400.0
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Keep:
    """`days` since a log was last written to, `mb` of all together; 0 is without limit."""

    days: float
    mb: float


@dataclass(frozen=True, slots=True)
class Gone:
    """What was removed."""

    logs: int = 0
    bytes: int = 0

    def __add__(self, other: Gone) -> Gone:
        return Gone(self.logs + other.logs, self.bytes + other.bytes)


def tidied(archive: Archive, keep: Keep, now_s: float) -> Gone:
    """Logs that are too old go, then the oldest until the rest fits. `now_s`: seconds since 1970."""
    gone = aged(archive, keep.days, now_s) if keep.days else Gone()
    if not keep.mb:
        return gone
    files = sorted(archive.files(), key=lambda found: (found[1].st_mtime, found[0].name))
    over = sum(status.st_size for _, status in files) - keep.mb * MB
    for path, status in files:
        if over <= 0:
            break
        if removed(path):
            over -= status.st_size
            gone += Gone(1, status.st_size)
    return gone


def aged(archive: Archive, days: float, now_s: float) -> Gone:
    """Everything that was last written to more than `days` ago goes."""
    return purged(path for path, status in archive.files() if now_s - status.st_mtime > days * DAY_S)


def purged(paths: Iterable[Path]) -> Gone:
    """These go, but those that are being written and what is no log."""
    gone = Gone()
    for path in list(paths):
        size = path.stat().st_size if path.exists() else 0
        if removed(path):
            gone += Gone(1, size)
    return gone


def removed(path: Path) -> bool:
    """False: it is being written, is no log of ours, or cannot be removed."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_size and header_of(file) is None:
                return False  # someone else's file in our folder
            path.unlink()
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("%s could not be removed: %s", path.name, error)
        return False
    return True
