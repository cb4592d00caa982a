"""A log played again: the decisions it names are carried out on samples that are rendered anew, frame by frame.

Knows no engine and no file: records go in, rendered chunks are handed in when they are needed, frames come out. The
controller is not run; what it decided stands in the log.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .frame import Provenance
from .ledger import checksums
from .pcm import FADE, FRAME, SILENCE, Float, Int16, as_float
from .playhead import faded, risen
from .resample import Resampler
from .stitch import Overlap, Stitcher
from .tape import Tape

Row = Mapping[str, object]

NOBODY = Provenance("", 0, (0, 0), "", 0)
"""Whose samples these are stands in the log already."""
STEP = 480
"""Native samples that are handed on at a time where a log does not say how many were: the end of a torn one."""
WAITING = 90_000
"""Frames (half an hour) that may wait for samples: where more do, the records that would bring them are lost."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Frame `n` of kind `kind`; `pcm` (960,) int16, None where the log has lost what it is made of.

    `same`: its CRC-32 is the one that was logged when it left. `chunks`: whose samples it holds.
    """

    n: int
    kind: str
    pcm: Int16 | None
    same: bool
    chunks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Left:
    """A frame that left, as its record tells: `samples` of the stream from `position` on."""

    n: int
    kind: str
    position: int
    samples: int
    rises: bool
    crc: int
    chunks: tuple[int, ...]


@dataclass(slots=True)
class _Chunk:
    """The chunk that is outstanding: `given` of its native samples are in the stream."""

    number: int
    pcm: Float | None = None
    given: int = 0


class Rebuilder:
    """`dither` is the log's seed where it dithered, else None. `lost` True: begin at the first stream that is whole."""

    def __init__(self, dither: int | None = None, lost: bool = False) -> None:
        self._tape = Tape()
        self._stitcher = Stitcher(self._tape, dither)
        self._stream = ""
        self._resampler: Resampler | None = None
        self._overlap = Overlap(0)
        self._chunk: _Chunk | None = None
        self._drift = 0
        self._cuts: dict[int, Int16] = {}
        """Position → the frame that fades from there; the newest that was asked for."""
        self._left: deque[_Left] = deque()
        self._lost = lost

    # what is needed -------------------------------------------------------------------------

    def needs(self, record: Row | None) -> int | None:
        """The chunk whose samples must be supplied before `record` is fed (None: before `rest`); None: no chunk."""
        chunk = self._chunk
        if chunk is None or chunk.pcm is not None or self._lost:
            return None
        if record is None:
            return chunk.number if any(not self._covered(frame) for frame in self._left) else None
        return chunk.number if self._accepted(record) else None

    def supply(self, pcm: Float) -> None:
        """The whole of the chunk that was needed: (n,) float32 at the engine's rate."""
        assert self._chunk is not None
        self._chunk.pcm = pcm

    def _accepted(self, record: Row) -> int:
        """Native samples of the outstanding chunk that were in the stream when `record` was written."""
        names = {"chunk": ("chunk", "samples"), "swap": ("cut_chunk", "accepted")}
        name, count = names.get(str(record.get("kind")), ("chunk", "accepted"))
        chunk, value = self._chunk, record.get(count)
        mine = chunk is not None and record.get(name) == chunk.number and record.get("result") != "cut"
        return value if mine and isinstance(value, int) and not isinstance(value, bool) else 0

    # what happened --------------------------------------------------------------------------

    def feed(self, record: Row) -> Iterator[Rebuilt]:
        """Carry out one record; the frames that are complete now, in order. Raises ValueError for a broken one."""
        kind, stage = record.get("kind"), record.get("stage")
        if kind == "frames":
            self._left.extend(_left(record))
        elif kind == "request":
            self._asked(record)
        elif kind == "log_gap":
            self._forget()
        elif not self._lost:
            self._push(self._accepted(record))
            if kind == "chunk" and record.get("result") == "ok":
                self._landed(record)
            elif kind == "drift":
                self._drift = _whole(record, "samples")
            elif kind == "fault" and record.get("result") == "passed_over":
                self._finish()
            elif kind == "swap" and stage == "swap":
                self._swapped(record)
            elif kind == "fill" and stage == "finish":
                self._stitcher.finish()
            elif kind == "pause" or (stage in ("barge_in", "abandon") and "position" in record):
                self._stopped(record, flushed=kind != "pause")
        yield from self._ready()

    def rest(self) -> Iterator[Rebuilt]:
        """The log ended, perhaps in the middle of a chunk: what frames are left."""
        chunk = self._chunk
        while chunk is not None and chunk.pcm is not None and chunk.given < len(chunk.pcm):
            if all(self._covered(frame) for frame in self._left):
                break
            self._push(chunk.given + STEP)
        yield from self._ready()
        while self._left:
            yield self._built(self._left.popleft())

    def _asked(self, record: Row) -> None:
        window = record["window"]
        assert isinstance(window, list)
        stream = str(record["stream"])
        if self._lost:
            if window[0] != 0 or record.get("curve") != "rise":
                return
            self._tape.seek(_whole(record, "position"))
            self._stitcher.drop()
            self._lost = False
        if stream != self._stream:
            self._stream, self._drift = stream, 0
            self._align(_whole(record, "position"))
            self._resampler = Resampler(_whole(record, "rate"))
            self._overlap = Overlap(_whole(record, "overlap"))
        self._chunk = _Chunk(_whole(record, "chunk"))

    def _align(self, position: int) -> None:
        """A stream begins where the log says; what could not be rendered again may have left the tape behind."""
        if self._stitcher.position != position:
            self._tape.seek(position)

    def _push(self, until: int) -> None:
        """The outstanding chunk's samples up to native sample `until` of it."""
        chunk = self._chunk
        if chunk is None or chunk.pcm is None or until <= chunk.given or self._resampler is None:
            return
        if not chunk.given:
            self._overlap.begin()
        pcm = chunk.pcm[chunk.given : until]
        chunk.given += len(pcm)
        self._stitcher.write(self._resampler.push(self._overlap.push(pcm)), NOBODY)

    def _landed(self, record: Row) -> None:
        if record.get("eos"):
            self._finish()
        self._chunk = None

    def _finish(self) -> None:
        """The sentence ended; a correction that was logged for this pause follows."""
        if self._resampler is not None:
            self._stitcher.write(self._resampler.push(self._overlap.flush()), NOBODY)
            self._stitcher.write(self._resampler.flush(), NOBODY)
        self._stitcher.finish()
        self._leave()
        if self._drift > 0:
            self._stitcher.silence(self._drift, NOBODY)
        elif self._drift < 0:
            self._tape.truncate(self._tape.written + self._drift)
        self._drift = 0

    def _leave(self) -> None:
        """No sentence is in hand."""
        self._stream, self._resampler, self._chunk = "", None, None

    def _swapped(self, record: Row) -> None:
        if record.get("seam") == "blend":
            at = _whole(record, "at")
            known = self._tape.first <= at <= self._tape.written - FADE
            old = as_float(self._tape.copy(at, at + FADE)) if known else np.zeros(FADE, np.float32)
            self._tape.truncate(at)
            self._stitcher.drop()
            self._stitcher.begin(old)
        elif record.get("seam") == "finish":
            self._stitcher.finish()
        self._leave()

    def _stopped(self, record: Row, flushed: bool) -> None:
        if record.get("fades") is not None:
            at = _whole(record, "fades")
            end = min(at + FADE, self._tape.written)
            head = self._tape.copy(min(at, end), end) if at >= self._tape.first else np.zeros(0, np.int16)
            if len(head) < FADE:
                head = np.concatenate((head, self._stitcher.preview()))[:FADE]
            self._cuts[at] = faded(head)
        if flushed:
            self._tape.truncate(_whole(record, "position"))
            self._stitcher.drop()
            self._leave()

    def _forget(self) -> None:
        """Records are missing: nothing is known until a stream begins from silence."""
        self._leave()
        self._stitcher.drop()
        self._lost = True

    # frames ---------------------------------------------------------------------------------

    def _covered(self, frame: _Left) -> bool:
        if frame.kind == "cut":
            return frame.position in self._cuts
        return frame.position + frame.samples <= self._tape.written

    def _ready(self) -> Iterator[Rebuilt]:
        """Frames whose samples are there; a gap, or too many that wait, gives up on those in front."""
        while self._left and (self._covered(self._left[0]) or self._lost or len(self._left) > WAITING):
            frame = self._left.popleft()
            yield self._built(frame)
            self._tape.forget(frame.position)
            if frame.kind != "cut":
                self._cuts = {at: pcm for at, pcm in self._cuts.items() if at >= frame.position}

    def _built(self, frame: _Left) -> Rebuilt:
        pcm = self._samples(frame)
        same = pcm is not None and zlib.crc32(pcm.data) == frame.crc
        return Rebuilt(frame.n, frame.kind, pcm, same, frame.chunks)

    def _samples(self, frame: _Left) -> Int16 | None:
        if frame.kind == "tail":
            return SILENCE
        if frame.kind == "cut":
            return self._cuts.get(frame.position)
        if not self._tape.first <= frame.position <= frame.position + frame.samples <= self._tape.written:
            return None
        pcm = np.zeros(FRAME, np.int16)
        pcm[: frame.samples] = self._tape.copy(frame.position, frame.position + frame.samples)
        return risen(pcm, frame.samples) if frame.rises else pcm


def _left(record: Row) -> Iterator[_Left]:
    """The frames of a `frames` record. Raises ValueError for a broken one."""
    runs, rises, start = record["runs"], record.get("rises", ()), _whole(record, "from")
    if not isinstance(runs, list) or not isinstance(rises, list | tuple) or not runs:
        raise ValueError("frames: runs and rises are lists")
    at = 0
    for i, crc in enumerate(checksums(record).tolist()):
        n = start + i
        while at + 1 < len(runs) and runs[at + 1][0] <= n:
            at += 1
        first, kind, position, parts = runs[at]
        if kind == "voice":
            position += (n - first) * FRAME
        samples = max((end for _, _, end in parts), default=0)
        chunks = tuple(int(chunk) for chunk, _, _ in parts)
        yield _Left(n, str(kind), int(position), int(samples), n in rises, int(crc), chunks)


def _whole(record: Row, name: str) -> int:
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{record.get('kind')}.{name} is {value!r}, no whole number")
    return value
