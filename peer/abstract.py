"""What must be known of a log before it is played: its header, what its chunks sounded like, where to begin.

Knows no engine; one pass over the lines, a few words kept of each chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .core.pcm import FRAME
from .logbook import Line

PER_HOUR = 180_000
"""Frames of an hour at 50 a second."""
MOST_CHUNKS = 1_000_000
"""Chunks whose digests are remembered: days of speech. A log that claims more is none of ours."""


@dataclass(slots=True)
class Abstract:
    """`entry` is the event from which replay must start to know the frame `start`."""

    header: Mapping[str, Any] = field(default_factory=dict)
    digests: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Chunk → its digest and native samples, also of those that were cut, where the log has them."""
    frames: int = 0
    first: int | None = None
    """The first frame that left, and one behind the last."""
    after: int = 0
    entry: int = 0
    gaps: int = 0
    chunks: int = 0
    rebuilds: bool = True
    """It says where speech was cut: its frames can be made again, not only its chunks."""
    end: Mapping[str, Any] | None = None

    @property
    def private(self) -> bool:
        """The texts are not in it: nobody can render them again."""
        return self.header.get("private") is True

    @property
    def dither(self) -> int | None:
        seed = self.header.get("seed")
        return seed if self.header.get("dither") is True and isinstance(seed, int) else None


def abstract(lines: Iterable[Line], start: int = 0) -> Abstract:
    """One pass. Raises Refusal for what is no log of ours."""
    found = Abstract()
    begun: list[tuple[int, int]] = []
    wanted: int | None = None
    for line in lines:
        record = line.record
        kind = record["kind"]
        if kind == "header":
            found.header = record
        elif kind == "request":
            found.chunks += 1
            found.rebuilds = found.rebuilds and "rate" in record
            if start and wanted is None and record.get("curve") == "rise" and record["window"][0] == 0:
                begun.append((line.seq, int(record["position"])))
        elif kind == "chunk" and "pcm_b2" in record and len(found.digests) < MOST_CHUNKS:
            found.digests[int(record["chunk"])] = (str(record["pcm_b2"]), int(record["samples"]))
        elif kind == "frames":
            found.frames += record["to"] - record["from"]
            found.first = record["from"] if found.first is None else found.first
            found.after = max(found.after, record["to"])
            if start and wanted is None and record["to"] > start:
                wanted = _position(record, start)
        elif kind == "log_gap":
            found.gaps += 1
        elif kind == "end":
            found.end = record
    found.entry = max((seq for seq, position in begun if wanted is not None and position <= wanted), default=0)
    return found


def _position(record: Mapping[str, Any], n: int) -> int:
    """Where in the stream frame `n` or the first one after it begins."""
    first, kind, position, _ = next((run for run in reversed(record["runs"]) if run[0] <= n), record["runs"][0])
    return int(position) + (max(0, n - first) * FRAME if kind == "voice" else 0)
