"""Zero runs: no silence inside speech that the engine itself did not make.

Knows where silence is declared: after the samples that a frame accounts for, and where nothing was sent.

The definition: a run of at least 2 ms of exact zeros among the samples that frames account for by a chunk
(`parts`) is a fault, unless the engine's own samples at that place of the sentence are silent too. The place
is found by the sentence's first sample in the output and the two rates; the outer millisecond of a run is left
out of the comparison, because fades and the resampler's filter reach so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import soxr

from peer.core.pcm import FADE, RATE, Float, Int16

from ..take import Chunk, Take, number
from .figures import Finding, found

LONGEST = 96
"""2 ms: shorter runs are in every engine's speech (1.5 ms measured)."""
EDGE = 48
"""1 ms on each side of a run."""
STILL = 1.5 / 32768.0
"""What an engine calls silence: it rounds to a sample of one unit at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """One stream's own samples, native, and where its first one lies in the output."""

    start: int
    rate: int
    pcm: Float

    def at_48k(self) -> Float:
        """(m,) float32, resampled in one piece; what is not known is silence."""
        return _resampled(self)

    def still(self, low: int, high: int) -> bool:
        """True if output samples [low, high) were silent as the engine made them."""
        first = (low + EDGE - self.start) * self.rate // RATE
        last = (high - EDGE - self.start) * self.rate // RATE
        if first >= len(self.pcm) - 1:
            return True
        return bool(np.abs(self.pcm[max(first, 0) : max(last, first + 1)]).max(initial=0.0) <= STILL)


@lru_cache(maxsize=8)
def _resampled(sentence: Sentence) -> Float:
    pcm = np.where(np.isfinite(sentence.pcm), sentence.pcm, np.float32(0.0))
    out: Float = soxr.resample(pcm, sentence.rate, RATE, quality="HQ").astype(np.float32)
    return out


def sentences(take: Take) -> dict[str, Sentence]:
    """Every stream of which the raw samples and the first frame are known."""
    chunks = take.chunks()
    starts: dict[str, int] = {}
    for frame in take.sent:
        for part in frame.parts:
            chunk = chunks.get(part.chunk)
            if chunk is not None and chunk.cursor == 0:
                starts.setdefault(chunk.stream, part.start)
    found_streams: dict[str, list[Chunk]] = {}
    for chunk in chunks.values():
        if chunk.number in take.raw:
            found_streams.setdefault(chunk.stream, []).append(chunk)
    return {
        stream: Sentence(starts[stream], take.rates[own[0].adapter], _joined(own, take.raw))
        for stream, own in found_streams.items()
        if stream in starts
    }


def _joined(chunks: list[Chunk], raw: Mapping[int, Float]) -> Float:
    """The stream from its first sample: each chunk lies at its cursor."""
    total = max(chunk.cursor + len(raw[chunk.number]) for chunk in chunks)
    out = np.full(total, np.inf, np.float32)
    for chunk in chunks:
        out[chunk.cursor : chunk.cursor + len(raw[chunk.number])] = raw[chunk.number]
    return out


def runs(zero: npt.NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """[start, end) of every run of at least `least` true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], zero.astype(np.int8), [0]))))
    pairs = edges.reshape(-1, 2)
    return [(int(a), int(b)) for a, b in pairs if b - a >= least]


def zero_run(take: Take) -> Finding:
    """No zeros of 2 ms or more inside speech that the engine did not speak itself, and no speech without reference."""
    chunks, known = take.chunks(), sentences(take)
    longer = sum(max(0, number(row, "samples")) for row in take.of("drift"))
    faults: list[str] = []
    pauses = longest = 0
    for stream, low, pcm in speech(take, chunks):
        sentence = known.get(stream)
        if sentence is None:
            faults.append(f"{stream}: the engine's own samples are not known")
            continue
        for a, b in runs(pcm == 0, LONGEST):
            pauses += 1
            longest = max(longest, b - a)
            if not (sentence.still(low + a, low + b) or (longer and b == len(pcm) and b - a <= longer + FADE)):
                faults.append(f"{stream}: {(b - a) / 48:.1f} ms of zeros at sample {low + a}, where the engine spoke")
    return found("zero_run", faults, pauses=pauses, longest_ms=round(longest / 48, 1))


def speech(take: Take, chunks: Mapping[int, Chunk]) -> Iterator[tuple[str, int, Int16]]:
    """(stream, ring position, samples) of every unbroken stretch of one stream, as it left."""
    stream, begin, end = "", 0, -1
    pieces: list[Int16] = []
    for frame in take.sent:
        for part in frame.parts:
            chunk = chunks.get(part.chunk)
            name = chunk.stream if chunk is not None else f"chunk {part.chunk}"
            if (name, part.start) != (stream, end):
                if pieces:
                    yield stream, begin, np.concatenate(pieces)
                stream, begin, pieces = name, part.start, []
            pieces.append(frame.pcm[part.start - frame.position : part.end - frame.position])
            end = part.end
    if pieces:
        yield stream, begin, np.concatenate(pieces)
