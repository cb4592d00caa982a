"""The sentence that is being rendered and the chunk that is outstanding.

Knows no queue and no clock; it turns native pieces into stitched samples and marks.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .chunk import AudioChunk, Knobs, Marker, Request, Ticket
from .descriptor import Descriptor, MarkerQuality
from .frame import Provenance
from .marks import Mark, Marks
from .pace import Ask
from .pcm import Float
from .resample import Resampler
from .segment import Window
from .stitch import Overlap, Stitcher

Digest = Any
"""hashlib's own type has no public name."""


def seed_of(session_seed: int, utterance: int, sentence: int) -> int:
    """31 bits from the session, the utterance and the sentence's source position; never from a chunk."""
    raw = hashlib.blake2b(f"{session_seed}/{utterance}/{sentence}".encode(), digest_size=4).digest()
    return int.from_bytes(raw, "little") & 0x7FFFFFFF


def grown(before: bytes, after: bytes) -> dict[str, object]:
    """An engine's state for the log, base64: `state_add` where it only grew (codes do), `state` where it did not."""
    if not after:
        return {}
    if after.startswith(before):
        return {"state_add": b64encode(after[len(before) :]).decode()}
    return {"state": b64encode(after).decode()}


def regrown(before: bytes, record: Mapping[str, object]) -> bytes:
    """The state after a logged chunk. Raises ValueError for what is not base64."""
    if "state_add" in record:
        return before + b64decode(str(record["state_add"]), validate=True)
    return b64decode(str(record.get("state", "")), validate=True)


@dataclass(slots=True)
class Sentence:
    """One window in one engine's hands. `cursor` counts native samples already accepted."""

    utterance: str
    window: Window
    descriptor: Descriptor
    knobs: Knobs
    stream: str
    seed: int
    out_start: int
    resampler: Resampler
    overlap: Overlap
    cursor: int = 0
    state: bytes = b""
    number: int = 0
    marked_to: int = 0
    _source: int = -1
    """The source character at which the last word began; words come in the order of the text."""

    @property
    def sure(self) -> bool:
        """The engine says where its words lie; otherwise places are estimates, or there are none."""
        return self.descriptor.words in (MarkerQuality.EXACT, MarkerQuality.ALIGNED)

    @property
    def untouched(self) -> bool:
        """No sample of it was asked for and given: it may begin anew with another engine."""
        return self.cursor == 0 and self.resampler.taken == 0 and self.overlap.empty

    def request(self, ticket: Ticket, adapter: str, ask: Ask) -> Request:
        """The next chunk of this sentence, of the size that `ask` names."""
        return Request(
            ticket=ticket,
            adapter=adapter,
            stream=self.stream,
            text=self.window.text,
            cursor=self.cursor,
            samples=round(ask.ms * self.descriptor.sample_rate / 1000),
            units=self.descriptor.granularity[ask.rung],
            knobs=self.knobs,
            seed=self.seed,
            state=self.state,
        )

    def place(self, marker: Marker) -> list[object]:
        """A marker in output samples and source characters: [kind, position, start, end, label]."""
        at = self.out_start + self.resampler.position(max(marker.at, 0))
        start, end = self.window.source_range(marker.start, marker.end) if marker.end > marker.start else (0, 0)
        return [marker.kind, at, start, end, marker.label]

    def mark(self, chunk: AudioChunk, marks: Marks) -> list[Mark]:
        """Put the chunk's words at their place in the output; returns them.

        A retry brings the same words again; several words said for one of the source (25) count once.
        """
        added = []
        for marker in chunk.markers:
            if marker.kind != "word" or marker.end <= marker.start:
                continue
            self.marked_to = max(self.marked_to, marker.at)
            source = self.window.source_range(marker.start, marker.end)
            if source[1] <= source[0] or source[0] <= self._source:
                continue
            self._source = source[0]
            at = self.out_start + self.resampler.position(max(marker.at, 0))
            mark = Mark(at, "word", self.utterance, *source, self.number, self.sure)
            marks.add(mark)
            added.append(mark)
        return added


@dataclass(slots=True)
class Pending:
    """A chunk that was asked for. `accepted` are its native samples already in the stream."""

    request: Request
    origin: Provenance
    primed: bool
    met_ms: float | None = None
    accepted: int = 0
    attempt_seen: int = 0
    pieces: int = 0
    due: bool = True
    out_start: int = 0
    curve: str = ""
    markers: list[list[object]] = field(default_factory=list)
    digest: Digest = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def again(self) -> None:
        """The same chunk is asked for once more: one attempt later, from its first sample."""
        ticket = self.request.ticket
        self.request = replace(self.request, ticket=replace(ticket, attempt=ticket.attempt + 1))
        self.attempt_seen = 0
        self.markers = []
        self.digest = hashlib.blake2b(digest_size=16)
        self.due = True

    def fresh(self, chunk: AudioChunk) -> Float:
        """The samples of this piece that were not accepted in an earlier attempt."""
        start = self.attempt_seen
        self.attempt_seen += len(chunk.pcm)
        skip = min(len(chunk.pcm), max(0, self.accepted - start))
        fresh = chunk.pcm[skip:]
        self.accepted += len(fresh)
        return fresh


def stitch(sentence: Sentence, pcm: Float, origin: Provenance, stitcher: Stitcher) -> None:
    """Native samples, the continuation of the sentence, into the stream."""
    stitcher.write(sentence.resampler.push(sentence.overlap.push(pcm)), origin)


def finish(sentence: Sentence, origin: Provenance, stitcher: Stitcher) -> None:
    """The sentence ended: what engine-side stages kept back follows, then the fade."""
    stitcher.write(sentence.resampler.push(sentence.overlap.flush()), origin)
    stitcher.write(sentence.resampler.flush(), origin)
    stitcher.finish()
