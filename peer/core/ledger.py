"""What left, frame by frame: provenance and checksums, gathered into one record a second.

Knows no file; every emitted frame resolves through it to a chunk, and the chunk to its engine.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from .frame import Kind, Pull
from .pcm import Int16
from .timeline import Event, Record

PER_RECORD = 50
"""Frames of one record: a second, so that a log of an hour has 3,600 of them (about 2 MB)."""
FLOOR_DB = 127.5
"""Levels are half decibels above minus this: one byte holds every frame of 16 bits but silence, which is 0."""


def checksums(record: Mapping[str, object]) -> npt.NDArray[np.uint32]:
    """The CRC-32 of every frame of a `frames` record, (to - from,). Raises ValueError for what is none."""
    return np.frombuffer(b64decode(str(record["crc"]), validate=True), "<u4")


def level_of(pcm: Int16) -> int:
    """(960,) int16 to half decibels above -127.5 dBFS (RMS); 0 is digital silence."""
    wide = pcm.astype(np.float32)
    power = float(wide @ wide) / len(wide) / 32768.0**2
    return min(255, max(1, round(2 * (FLOOR_DB + 10 * float(np.log10(power)))))) if power else 0


class Ledger:
    """`add` every frame that was handed out; returns a record when one is full or a hole ends it."""

    def __init__(self) -> None:
        self._from = 0
        self._next = 0
        self._runs: list[list[object]] = []
        self._crc: list[int] = []
        self._levels = bytearray()
        self._rises: list[int] = []

    def add(self, pull: Pull) -> Event | None:
        """`pull.pcm` is not None. The record that this frame completes or follows, if any."""
        assert pull.pcm is not None
        done = self.flush() if self._crc and (pull.n != self._next or len(self._crc) >= PER_RECORD) else None
        if not self._crc:
            self._from = pull.n
        self._next = pull.n + 1
        self._crc.append(zlib.crc32(pull.pcm.data))
        self._levels.append(level_of(pull.pcm))
        if pull.rises:
            self._rises.append(pull.n)
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
        crc = b64encode(np.array(self._crc, "<u4").tobytes()).decode()
        fields: dict[str, object] = {"from": self._from, "to": self._next, "runs": self._runs, "crc": crc}
        fields["level"] = b64encode(self._levels).decode()
        if self._rises:
            fields["rises"] = self._rises
        self._runs, self._crc, self._levels, self._rises = [], [], bytearray(), []
        return Event(Record.FRAMES, self._from, "frames", fields=fields)
