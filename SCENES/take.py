"""A take: everything one performance left behind, as values: what was asked, what left, what was recorded.

Knows neither how it was played nor what is expected of it; shapes read it, artifacts store it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from peer.core.frame import Pull
from peer.core.ledger import checksums
from peer.core.pcm import FRAME, SILENCE, Float, Int16

Row = Mapping[str, object]
"""One record of the timeline, as it stands on the wire."""


@dataclass(frozen=True, slots=True)
class Part:
    """Ring samples [start, end) that came from chunk `chunk`."""

    chunk: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sent:
    """One frame that left: `pcm` (960,) int16, `position` the ring's at its first sample."""

    n: int
    kind: str
    pcm: Int16
    position: int = 0
    parts: tuple[Part, ...] = ()

    @property
    def voiced(self) -> int:
        """Samples of it that an engine made; the rest is declared silence."""
        return self.parts[-1].end - self.position if self.parts else 0

    @property
    def loud(self) -> bool:
        return bool(self.pcm.any())


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the log says of chunk `number`, request and result. `render_ms` is None while it was never finished."""

    number: int
    adapter: str
    utterance: str
    window: tuple[int, int]
    stream: str
    cursor: int
    samples: int
    epoch: int
    asked_at: int
    rung: int
    render_ms: float | None = None
    landed_at: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Take:
    """`texts` are the utterances' sources by name; `raw` holds the engine's own samples by chunk, `rates` by engine.

    `slots` are the frame numbers that were asked for, sent or not; empty where nobody knows (a live take).
    """

    texts: Mapping[str, str]
    sent: tuple[Sent, ...]
    rows: tuple[Row, ...]
    raw: Mapping[int, Float] = field(default_factory=dict)
    rates: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[tuple[int, str], ...] = ()
    depths: tuple[tuple[int, float], ...] = ()

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.get("kind") == kind]

    def chunks(self) -> dict[int, Chunk]:
        """Every chunk that was asked for; the last request of a number counts."""
        found: dict[int, Chunk] = {}
        for row in self.rows:
            if row.get("kind") == "request":
                chunk = _chunk(row)
                found[chunk.number] = chunk
            elif row.get("kind") == "chunk":
                asked = found.get(number(row, "chunk"))
                if asked is not None:
                    found[asked.number] = _landed(asked, row)
        return found

    def pcm(self) -> Int16:
        """(n * 960,) int16 on the frame clock, from the first frame that left; nothing sent is zeros."""
        if not self.sent:
            return SILENCE
        first, last = self.sent[0].n, self.sent[-1].n
        out = np.zeros((last - first + 1, FRAME), np.int16)
        for frame in self.sent:
            if first <= frame.n <= last:
                out[frame.n - first] = frame.pcm
        return out.reshape(-1)

    def late(self) -> set[int]:
        """Frames before which the server itself was late: numbers are missing, no sample is, and no engine was asked.

        Only live: in virtual time every number is asked for.
        """
        holds = {number(row, "frame") for row in self.of("fill")}
        return {
            b.n
            for a, b in pairwise(self.sent)
            if b.n > a.n + 1
            and not self.slots
            and b.kind in ("voice", "cut")
            and a.kind == "voice"
            and b.position == a.position + FRAME
            and not holds & set(range(a.n + 1, b.n))
        }

    def stretches(self) -> Iterator[tuple[Sent, ...]]:
        """Runs of frames that left one right after the other; a late one still goes on where the last stopped."""
        if not self.sent:
            return
        late = self.late()
        cuts = [i + 1 for i, (a, b) in enumerate(pairwise(self.sent)) if b.n != a.n + 1 and b.n not in late]
        for start, end in pairwise([0, *cuts, len(self.sent)]):
            yield self.sent[start:end]


def number(row: Row, name: str) -> int:
    """The integer field `name`. Raises ValueError where it is none."""
    value = row.get(name)
    if not isinstance(value, int):
        raise ValueError(f"{row.get('kind')}.{name} is {value!r}, not a whole number")
    return value


def _pair(row: Row, name: str) -> tuple[int, int]:
    value = row.get(name)
    if not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"{row.get('kind')}.{name} is {value!r}, not a pair")
    return int(value[0]), int(value[1])


def _chunk(row: Row) -> Chunk:
    low, high = _pair(row, "window")
    return Chunk(
        number=number(row, "chunk"),
        adapter=str(row.get("adapter", "")),
        utterance=str(row.get("utterance", "")),
        window=_pair(row, "text_range"),
        stream=str(row.get("stream", "")),
        cursor=low,
        samples=high - low,
        epoch=number(row, "epoch"),
        asked_at=number(row, "frame"),
        rung=number(row, "rung"),
    )


def _landed(chunk: Chunk, row: Row) -> Chunk:
    cost = row.get("render_ms")
    values = {name: getattr(chunk, name) for name in Chunk.__slots__}
    values["render_ms"] = float(cost) if isinstance(cost, int | float) else None
    values["landed_at"] = number(row, "frame")
    return Chunk(**values)


def sent_of(pull: Pull) -> Sent:
    """The frame that a pull brought, copied. `pull.pcm` is not None."""
    assert pull.pcm is not None
    parts = tuple(Part(s.origin.chunk_id, s.start, s.end) for s in pull.spans if s.end > s.start)
    return Sent(pull.n, pull.kind.value, pull.pcm.copy(), pull.position, parts)


def ledger(rows: Iterable[Row]) -> Iterator[tuple[Sent, int]]:
    """(frame without its samples, crc32) for every frame that the log says has left."""
    for row in rows:
        if row.get("kind") != "frames":
            continue
        sums, runs = checksums(row).tolist(), row["runs"]
        assert isinstance(runs, Sequence)
        start = number(row, "from")
        at = -1
        for i, crc in enumerate(sums):
            n = start + i
            while at + 1 < len(runs) and runs[at + 1][0] <= n:
                at += 1
            yield _recorded(n, runs[at]), int(crc)


def _recorded(n: int, run: Sequence[object]) -> Sent:
    first, kind, position, spans = run
    assert isinstance(first, int) and isinstance(position, int) and isinstance(spans, Sequence)
    if kind == "voice":
        position += (n - first) * FRAME
    parts = tuple(Part(chunk, position + a, position + b) for chunk, a, b in spans if b > a)
    return Sent(n, str(kind), SILENCE, position, parts)


def crc(pcm: Int16) -> int:
    return zlib.crc32(np.ascontiguousarray(pcm).data)
