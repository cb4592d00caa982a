"""The journal: one append-only, chained file of JSON Lines per session, written by one thread of its own.

Knows no audio and no loop: `put` never blocks; when the disk is slower than life, or full, a gap is recorded.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .discretion import discreet
from .scribe import Scribe

log = logging.getLogger(__name__)

SCHEMA = 2
"""Of the records; a reader refuses what it does not know."""
QUEUE = 20_000
"""Records that wait for the disk: minutes of a busy server."""
BATCH_S = 0.1
"""The longest a record waits before it is written."""
SYNC_S = 1.0
"""What a power cut may cost. A killed process loses nothing of what was written: the system has it."""
BATCH = 2000
"""Records of one batch: 1 MB, so that memory stays bounded when many come at once."""
CLOSE_S = 5.0
"""For what waits to be written at the end; a disk that hangs must not keep the process."""

Entry = tuple[str, Mapping[str, object] | None]
"""A session's name and a record; None closes its file."""
LOCK_TRIES = 20
LOCK_PAUSE_S = 0.005
"""A reader that asks whether a log is live holds it for an instant; who holds it longer writes it."""


@dataclass(slots=True)
class _File:
    """An open log. `good` bytes are whole records; what a failed write left behind them is cut off."""

    descriptor: int
    good: int
    scribe: Scribe = field(default_factory=Scribe)
    header: Mapping[str, object] | None = None
    """Until it is written: without its header a file is no log."""
    waiting: list[Mapping[str, object]] = field(default_factory=list)
    unsynced: bool = False
    torn: bool = False
    """What a failed write left could not be cut off yet."""

    def write(self) -> int:
        """What waits, and a sync. Returns how many records did not fit. Raises nothing.

        The chain goes over what is really written: what was not, never was.
        """
        records, self.waiting = self.waiting, []
        if not records and self.header is None:
            return 0
        whole = records if self.header is None else [self.header, *records]
        mark = self.scribe.mark
        try:
            self._mend()
            data = memoryview(b"".join(map(self.scribe.line, whole)))
            done = 0
            while done < len(data):
                self.torn = True
                done += os.write(self.descriptor, data[done:])
        except OSError as error:
            log.warning("journal: %s; %d records are missing", error.strerror, len(records))
            self.scribe.back_to(mark)
            with contextlib.suppress(OSError):
                self._mend()
            return len(records)
        self.torn, self.header = False, None
        self.good += len(data)
        self.unsynced = True
        return 0

    def _mend(self) -> None:
        """Raises OSError."""
        if self.torn:
            os.ftruncate(self.descriptor, self.good)
            self.torn = False

    def sync(self) -> None:
        """To the disk itself. A disk that refuses only now is said; the records stay with the system."""
        if not self.unsynced:
            return
        self.unsynced = False
        try:
            os.fdatasync(self.descriptor)
        except OSError as error:
            log.warning("journal: %s", error.strerror)


class Journal:
    """`folder` None writes nothing. Files are 0600; a session's file is `<session>.jsonl`, locked while it is written.

    `private`: no words of the conversation are written, only their lengths and digests.
    """

    def __init__(self, folder: Path | None, size: int = QUEUE, private: bool = False) -> None:
        self._folder = folder
        self._private = private
        self._queue: deque[Entry] = deque()
        self._size = size
        self._wake = threading.Event()
        """Set once per batch, not per record: waking a thread costs the loop thirty times the append."""
        self._ending = threading.Event()
        self._files: dict[str, _File] = {}
        self._overflow: dict[str, int] = {}
        """Records per session that did not fit the queue; the loop's."""
        self._unwritten: dict[str, int] = {}
        """Records per session that did not fit the disk; the thread's."""
        self._unclosed: set[str] = set()
        self._headers: dict[str, Mapping[str, object]] = {}
        """Of sessions whose file could not be opened yet."""
        self._synced = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises OSError if nothing can be written in the folder."""
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._folder):
            pass
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def put(self, session: str, record: Mapping[str, object] | None) -> bool:
        """Append; None ends the session's file. Never blocks, never raises.

        False: records of this session are being lost; where they are missing, the log says `log_gap`.
        """
        if self._thread is None:
            return True
        missing = self._overflow.get(session)
        wanted: list[Entry] = [(name, None) for name in self._unclosed]
        if missing is not None:
            wanted.append((session, _gap(missing, "queue", 0 if record is None else record.get("frame", 0))))
        wanted.append((session, record))
        if len(self._queue) + len(wanted) > self._size:
            self._overrun(session, record)
        else:
            self._unclosed.clear()
            self._overflow.pop(session, None)
            self._queue.extend(wanted)
        if not self._wake.is_set():
            self._wake.set()
        return session not in self._overflow and session not in self._unwritten

    def _overrun(self, session: str, record: Mapping[str, object] | None) -> None:
        """The disk is slower than life: count what is missing, remember what must still be closed."""
        if record is None:
            self._unclosed.add(session)
            self._overflow.pop(session, None)
        else:
            self._overflow[session] = self._overflow.get(session, 0) + 1

    def close(self) -> None:
        """Write what waits and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ending.set()
        self._wake.set()
        thread.join(CLOSE_S)
        if thread.is_alive():
            log.error("journal: the disk did not take everything within %g s", CLOSE_S)

    # on its own thread ----------------------------------------------------------------------

    def _write(self) -> None:
        while self._batch():
            pass
        for name in list(self._files):
            self._end(name)

    def _batch(self) -> bool:
        """What comes within BATCH_S of the first, then one write for each file; False at the end."""
        self._wake.wait()
        self._ending.wait(BATCH_S)
        self._wake.clear()
        for _ in range(min(len(self._queue), BATCH)):
            self._take(*self._queue.popleft())
        for name in list(self._files):
            self._flush(name)
        if time.monotonic() - self._synced >= SYNC_S:
            self._sync()
        if self._queue:
            self._wake.set()
        return bool(self._queue) or not self._ending.is_set()

    def _take(self, session: str, record: Mapping[str, object] | None) -> None:
        if record is None:
            return self._end(session)
        begins = record.get("kind") == "header" and session not in self._files
        if begins:
            self._headers[session] = self._kept(record)
        try:
            found = self._files.get(session) or self._open(session)
        except OSError as error:
            log.warning("journal of %s: %s", session, error)
            self._unwritten[session] = self._unwritten.get(session, 0) + (not begins)
            return None
        if begins:
            return None
        missing = self._unwritten.get(session)
        if missing and not found.waiting:
            found.waiting.append(_gap(missing, "disk", record.get("frame", 0)))
        found.waiting.append(self._kept(record))
        return None

    def _kept(self, record: Mapping[str, object]) -> Mapping[str, object]:
        """The record as it is written."""
        if record.get("kind") == "header":
            record = {**record, "lean": True, "started_ms": int(datetime.now(UTC).timestamp() * 1000)}
        return discreet(record) if self._private else record

    def _open(self, session: str) -> _File:
        """The session's new file. Raises OSError; a file that is there belongs to someone else, or is over."""
        assert self._folder is not None
        path = self._folder / f"{session}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _locked(descriptor)
            if os.fstat(descriptor).st_size:
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        except OSError:
            os.close(descriptor)
            raise
        self._files[session] = _File(descriptor, 0, header=self._headers.pop(session, None))
        return self._files[session]

    def _sync(self) -> None:
        """All files at once: 4 ms each, which is why it is not done for every batch."""
        for found in self._files.values():
            found.sync()
        self._synced = time.monotonic()

    def _flush(self, session: str) -> None:
        found = self._files[session]
        told = session in self._unwritten and bool(found.waiting)
        lost = found.write()
        if lost:
            self._unwritten[session] = self._unwritten.get(session, 0) + lost - told
        elif told:
            del self._unwritten[session]

    def _end(self, session: str) -> None:
        found = self._files.get(session)
        if found is not None:
            self._flush(session)
            found.sync()
            del self._files[session]
            with contextlib.suppress(OSError):
                os.close(found.descriptor)
        self._unwritten.pop(session, None)
        self._headers.pop(session, None)


def _gap(records: int, why: str, frame: object) -> dict[str, object]:
    return {
        "kind": "log_gap", "frame": frame, "stage": "journal", "result": "gap", "surface": "journal",
        "duration_ms": 0.0, "records": records, "why": why,
    }  # fmt: skip


def _locked(descriptor: int) -> None:
    """Held until it is closed: so others see that the log is live. Raises OSError if another holds it.

    Where a file system knows no locks, the log is written without.
    """
    for tries in range(LOCK_TRIES, -1, -1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not tries:
                raise
            time.sleep(LOCK_PAUSE_S)
        except OSError as error:
            log.warning("journal: %s; the log is written without a lock", error.strerror)
            return
        else:
            return
