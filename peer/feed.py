"""A log read on and on, in pieces: what was asked for of it, encoded, with the number of each event.

Knows no loop and no HTTP: `more` is called on a thread, and takes a few milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from .archive import locked
from .core.errors import Refusal
from .logbook import LINE_BYTES, Broken, Line, Verifier

PIECE_BYTES = 128 * 1024
"""Of the file for one turn: a minute of a log, under 10 ms to verify, so that many readers share two threads."""
TURN_LINES = 64
TURN_S = 0.0002
"""While someone speaks, the reader rests after so many lines (0.6 ms), or it holds up the event loop by several ms."""
SLACK_FRAMES = 50
"""Records come in order but for those of frames, which are written when their second is full."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records of frames [start, stop), whose events are numbered beyond `after`; None: no end."""

    start: int = 0
    stop: int | None = None
    after: int = -1

    def takes(self, line: Line) -> bool:
        record = line.record
        frame = record["frame"]
        if line.seq <= self.after:
            return False
        if record["kind"] == "frames":
            return int(record["to"]) > self.start and (self.stop is None or int(record["from"]) < self.stop)
        return frame >= self.start and (self.stop is None or frame < self.stop)


def as_line(line: Line) -> bytes:
    """A line of NDJSON."""
    return _encoded(line) + b"\n"


def as_event(line: Line) -> bytes:
    """A server-sent event."""
    return b"id: %d\ndata: %s\n\n" % (line.seq, _encoded(line))


def _encoded(line: Line) -> bytes:
    return orjson.dumps({**line.record, "seq": line.seq}, option=orjson.OPT_SORT_KEYS)


class Feed:
    """`more` until `over`. `caught_up`: the last look found nothing new, but the log is still being written."""

    def __init__(
        self, path: Path, wanted: Wanted, encode: Callable[[Line], bytes] = as_line,
        gently: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`gently`: whether others need the interpreter now. Raises Refusal."""
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise Refusal("not_found", "session", f"its log cannot be read: {error.strerror}") from None
        self._verifier = Verifier(path.name)
        self._wanted = wanted
        self._encode = encode
        self._gently = gently
        self._rest = b""
        self._passed = [False, False]
        """What was asked for is over: by the records of frames, and by all others."""
        self.over = False
        self.caught_up = False

    @property
    def broken(self) -> Broken | None:
        return self._verifier.broken

    def more(self) -> bytes:
        """What the next piece of the file holds of it, perhaps nothing. Raises Refusal for what is no log of ours."""
        live = locked(self._file)  # asked before reading: what was written last before the lock went is read after
        piece = self._file.read(PIECE_BYTES)
        self.caught_up = live and not piece
        if not piece:
            if not live:
                self._conclude()
            return b""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        found: list[bytes] = []
        for number, raw in enumerate(lines):
            found += [self._encode(line) for line in self._taken(raw + b"\n")]
            if number % TURN_LINES == 0 and self._gently():
                time.sleep(TURN_S)
        if len(self._rest) > LINE_BYTES:
            self._verifier.torn(self._rest)
            self.over = True
        return b"".join(found)

    def _taken(self, raw: bytes) -> list[Line]:
        if self.over:
            return []
        found = self._verifier.take(raw)
        for line in found:
            self._notice(line)
        if self._verifier.broken is not None:
            self.over = True
        return [line for line in found if self._wanted.takes(line)]

    def _notice(self, line: Line) -> None:
        """Whether anything that was asked for can still come."""
        stop, record = self._wanted.stop, line.record
        if record["kind"] == "end":
            self.over = True
        elif stop is not None and record["kind"] == "frames":
            self._passed[0] |= int(record["from"]) >= stop
        elif stop is not None:
            self._passed[1] |= record["frame"] >= stop + SLACK_FRAMES
        self.over |= all(self._passed)

    def _conclude(self) -> None:
        """What is there is all there is."""
        self.over = True
        if self._rest or not self._verifier.seq:
            self._verifier.torn(self._rest)

    def close(self) -> None:
        self._file.close()
