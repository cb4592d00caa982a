"""What left, frame by frame: provenance and checksums, gathered into one record a second.

Knows no file; every emitted frame resolves through it to a chunk, and the chunk to its engine.
"""

from __future__ import annotations

import zlib

from .frame import Kind, Pull
from .timeline import Event, Record

PER_RECORD = 50
"""Frames of one record: a second, so that a log of an hour has 3,600 of them (about 3 MB)."""


class Ledger:
    """`add` every frame that was handed out; returns a record when one is full or a hole ends it."""

    def __init__(self) -> None:
        self._from = 0
        self._next = 0
        self._runs: list[list[object]] = []
        self._crc: list[int] = []

    def add(self, pull: Pull) -> Event | None:
        """`pull.pcm` is not None. The record that this frame completes or follows, if any."""
        assert pull.pcm is not None
        done = self.flush() if self._crc and (pull.n != self._next or len(self._crc) >= PER_RECORD) else None
        if not self._crc:
            self._from = pull.n
        self._next = pull.n + 1
        self._crc.append(zlib.crc32(pull.pcm.data))
        self._run(pull)
        return done

    def _run(self, pull: Pull) -> None:
        """[frame, kind, position, [[chunk, first sample, last sample + 1], …]]; silence repeats nothing."""
        chunks = [[s.origin.chunk_id, s.start - pull.position, s.end - pull.position] for s in pull.spans]
        if pull.kind is Kind.VOICE and self._runs and self._runs[-1][1] == "voice" and len(chunks) == 1:
            last = self._runs[-1][3]
            if isinstance(last, list) and len(last) == 1 and last[0] == chunks[0]:
                return
        if pull.kind is Kind.TAIL and self._runs and self._runs[-1][1] == "tail":
            return
        self._runs.append([pull.n, pull.kind.value, pull.position, chunks])

    def flush(self) -> Event | None:
        """The record of what was gathered, or None."""
        if not self._crc:
            return None
        fields = {"from": self._from, "to": self._next, "runs": self._runs, "crc32": self._crc}
        self._runs, self._crc = [], []
        return Event(Record.FRAMES, self._from, "frames", fields=fields)
