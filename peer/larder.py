"""Chunks of engines that never say the same twice, kept by digest so that a replay can play them again.

Knows no session and no log; the file's name is the digest of its samples, so what was changed is not found.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from pathlib import Path

import numpy as np

from .core.pcm import Float

log = logging.getLogger(__name__)

WAITING = 64
"""Chunks that wait for the disk: a minute of two calls; more are not kept, and said."""
DAY_S = 86_400.0
NAME = 32
"""Hexadecimal digits of a digest."""


def beside(logs: Path) -> Path:
    """Where the chunks of the logs in that folder lie."""
    return logs / "chunks"


def forgotten(folder: Path, days: float, most: float, now_s: float) -> int:
    """Chunks older than `days` go, then the oldest until the rest takes `most` bytes; 0 is without limit. How many."""
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("??/*.f32"))
    over, gone = (sum(size for _, size, _ in files) - most if most else 0.0), 0
    for written, size, path in files:
        if (days and now_s - written > days * DAY_S) or over > 0:
            path.unlink(missing_ok=True)
            over -= size
            gone += 1
    return gone


class Larder:
    """`folder/<two digits>/<digest>.f32`, mode 0600. Writing happens on a thread of its own; reading at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._queue: queue.Queue[tuple[str, Float] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises OSError if nothing can be kept there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._write, name="larder", daemon=True)
        self._thread.start()

    def put(self, digest: str, pcm: Float) -> bool:
        """Never blocks. False: the disk is slower than life, this one is not kept."""
        if self._thread is None:
            return False
        try:
            self._queue.put_nowait((digest, pcm))
        except queue.Full:
            return False
        return True

    def get(self, digest: str) -> Float | None:
        """(n,) float32, or None where there is none. What it holds must still be compared with its digest."""
        try:
            return np.frombuffer(self._path(digest).read_bytes(), "<f4").astype(np.float32)
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """What waits is written."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _path(self, digest: str) -> Path:
        """Raises ValueError for what is no digest: a log may hold anything."""
        if len(digest) != NAME or not all(letter in "0123456789abcdef" for letter in digest):
            raise ValueError(f"{digest!r} is no digest")
        return self._folder / digest[:2] / f"{digest}.f32"

    def _write(self) -> None:
        while (found := self._queue.get()) is not None:
            digest, pcm = found
            path = self._path(digest)
            try:
                path.parent.mkdir(mode=0o700, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                    with open(descriptor, "wb") as file:
                        file.write(pcm.astype("<f4").tobytes())
            except OSError as error:
                log.warning("a chunk was not kept: %s", error.strerror)
