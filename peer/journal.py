"""The journal: one append-only file of JSON Lines per session, written by one thread of its own.

Knows no audio and no loop: `put` never blocks; when the disk is slower than life, a gap is recorded.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import orjson

log = logging.getLogger(__name__)

SCHEMA = 1
"""Of the records; a reader refuses what it does not know."""
QUEUE = 20_000
"""Records that wait for the disk: minutes of a busy server."""
BATCH_S = 0.1
"""The longest a record waits before it is synced; a batch shares one sync (4 ms)."""
OPEN_FILES = 256
"""Sessions end and close theirs; more than the sessions there may be is a leak."""

Line = tuple[str, Mapping[str, object] | None]
"""A session's name and a record; None closes its file."""


class Journal:
    """`folder` None writes nothing. Files are 0600; a session's file is `<session>.jsonl`."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._queue: queue.Queue[Line | None] = queue.Queue(QUEUE)
        self._files: dict[str, BinaryIO] = {}
        self._lost: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises OSError if the folder cannot be made."""
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def put(self, session: str, record: Mapping[str, object] | None) -> None:
        """Append; None ends the session's file. Never blocks, never raises: overflow becomes a gap."""
        if self._thread is None:
            return
        try:
            if session in self._lost:
                self._queue.put_nowait((session, {"kind": "log_gap", "records": self._lost[session]}))
                del self._lost[session]
            self._queue.put_nowait((session, record))
        except queue.Full:
            self._lost[session] = self._lost.get(session, 0) + 1

    def close(self) -> None:
        """Write what waits and end the thread."""
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join()
        self._thread = None

    # on its own thread ----------------------------------------------------------------------

    def _write(self) -> None:
        going = True
        while going:
            going = self._batch()
        for name in list(self._files):
            self._end(name)

    def _batch(self) -> bool:
        """What waits now, then one sync; False at the end."""
        line = self._queue.get()
        touched: set[str] = set()
        while line is not None:
            self._append(*line)
            touched.add(line[0])
            try:
                line = self._queue.get(timeout=BATCH_S) if len(touched) < OPEN_FILES else None
            except queue.Empty:
                break
            if line is None:
                self._sync(touched)
                return False
        else:
            return False
        self._sync(touched)
        return True

    def _append(self, session: str, record: Mapping[str, object] | None) -> None:
        if record is None:
            return self._end(session)
        try:
            found = self._files.get(session) or self._open(session)
            found.write(orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE, default=str))
        except OSError as error:
            self._lost[session] = self._lost.get(session, 0) + 1
            log.warning("journal of %s: %s", session, error)
        return None

    def _open(self, session: str) -> BinaryIO:
        assert self._folder is not None
        path = self._folder / f"{session}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._files[session] = os.fdopen(descriptor, "ab")
        return self._files[session]

    def _sync(self, sessions: set[str]) -> None:
        for name in sessions & self._files.keys():
            with contextlib.suppress(OSError):
                self._files[name].flush()
                os.fdatasync(self._files[name].fileno())

    def _end(self, session: str) -> None:
        found = self._files.pop(session, None)
        if found is not None:
            with contextlib.suppress(OSError):
                found.close()
