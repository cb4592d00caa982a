"""Pitch, pace and volume for engines that lack the knob: one stage behind the engine, in its process.

Knows no engine: blocks in, blocks out, markers moved with the sound. Pitch and pace are libav's `asetrate`,
`aresample` and `atempo` (waveform similarity), fed in frames of one size from the sentence's first sample on, so that
the bytes do not depend on the blocks. The sound moves against its markers by at most one search of `atempo`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from peer.core.chunk import Marker
from peer.core.errors import Unavailable
from peer.core.pcm import EMPTY, Float, fade_out
from peer.core.voice import Voice

from .base import Honour, Projection

if TYPE_CHECKING:
    from .spool import Block

POST_KNOBS = ("post_pitch", "post_pace", "post_volume")
"""Semitones, factor, factor; an engine's projection names those that are not neutral."""

REMEDY = "pip install av"

FEED = 256
"""Samples of one frame given to the filters: 11 ms at 24 kHz, what a sentence waits for at most before it is moved."""

PIECE = 4096
"""Samples of one block at most: a block of a whole sentence leaves in pieces, so that it can be cancelled."""

FADE_S = 0.005
"""Fall at the end of a moved sentence: its last wave may lie across the cut, and a cut is audible."""

MOST_PADDING_S = 1.0
"""Silence pushed through the filters for the last sample to come out; they hold back an eighth of a second of it."""

TEMPO_RANGE = (0.5, 2.0)
"""One `atempo` blends within this range and skips samples beyond; two of them share what is more."""

KNEE = 0.9
"""Louder than this is bent towards 1 instead of cut off; below it the volume is exact."""


def completed(projection: Projection, voice: Voice) -> Projection:
    """`projection` with what the engine lacks (`Honour.NONE`) of pitch, pace and volume left to this stage."""
    volume = voice.prosody.volume
    left = (
        ("prosody.pitch", "post_pitch", voice.prosody.pitch, 0.0, Honour.APPROXIMATE),
        ("pace", "post_pace", voice.pace, 1.0, Honour.APPROXIMATE),
        ("prosody.volume", "post_volume", volume, 1.0, Honour.EXACT if volume <= 1.0 else Honour.APPROXIMATE),
    )
    knobs, report = dict(projection.knobs), dict(projection.report)
    for field, knob, value, neutral, honour in left:
        if report.get(field) is not Honour.NONE:
            continue
        report[field] = honour
        if value != neutral:
            knobs[knob] = value
    return Projection(knobs, report)


def prepare() -> None:
    """Load the library, so that no request does. Raises Unavailable."""
    try:
        import av.filter  # noqa: F401  (loaded for later)
    except ImportError as error:
        raise Unavailable(f"pitch and pace are moved by libav, which is missing here: {REMEDY}") from error


def processed(blocks: Iterator[Block], sample_rate: int, post: Mapping[str, float]) -> Iterator[Block]:
    """The sentence's blocks at another pitch, pace or volume; positions and markers are those of the result.

    `blocks` begin at sample 0. At most 0.2 s of the engine's sound is held back
    (0.06 s before the first block within ±6 semitones and a quarter of pace). Raises Unavailable.
    """
    pitch, pace, volume = post.get("post_pitch", 0.0), post.get("post_pace", 1.0), post.get("post_volume", 1.0)
    moved = blocks if pitch == 0.0 and pace == 1.0 else _moved(blocks, sample_rate, pitch, pace)
    try:
        for block in moved:
            yield block if volume == 1.0 else replace(block, pcm=louder(block.pcm, volume))
    finally:
        for inner in (moved, blocks):
            close = getattr(inner, "close", None)
            if close is not None:
                close()


def louder(pcm: Float, volume: float) -> Float:
    """(n,) float32 times `volume`, within ±1: above the knee it bends, so that nothing is cut off."""
    scaled = pcm * np.float32(volume)
    loud = np.abs(scaled)
    if volume <= 1.0 or not np.any(loud > KNEE):
        return scaled
    bent = KNEE + (1.0 - KNEE) * np.tanh((loud - KNEE) / (1.0 - KNEE))
    return np.where(loud > KNEE, np.copysign(bent, scaled), scaled).astype(np.float32)


def _moved(blocks: Iterator[Block], sample_rate: int, pitch: float, pace: float) -> Iterator[Block]:
    """The blocks at another pitch and pace; the length is the raw one / `pace`, to the sample."""
    from .spool import Block

    tape = _Tape(sample_rate, pitch, pace)
    at, state = 0, b""
    markers: list[Marker] = []
    for block in blocks:
        state = block.state
        markers += (replace(m, at=max(at, round(m.at / pace))) for m in block.markers)
        came = at
        for pcm in tape.through(block.pcm):
            yield Block(at, pcm, tuple(markers), state)
            at += len(pcm)
            markers = []
        if at == came:
            # Nothing came out yet: without a place to be cancelled, a stop would wait for the engine.
            yield Block(at, EMPTY, (), state)
    pcm = tape.end()
    if len(pcm) or markers:
        yield Block(at, pcm, tuple(markers), state)


class _Tape:
    """Sound in, moved sound out, equal for every way to cut what comes in. Holds back the fade of the end."""

    def __init__(self, sample_rate: int, pitch: float, pace: float) -> None:
        self._filters = _Filters(sample_rate, pitch, pace)
        self._pace = pace
        self._fade = round(FADE_S * sample_rate)
        self._padding = round(MOST_PADDING_S * sample_rate)
        self._waiting: Float = EMPTY
        self._ready: deque[Float] = deque()
        self._held = 0
        self._fed = self._given = 0

    def through(self, pcm: Float) -> Iterator[Float]:
        """What `pcm` (n,) brings out."""
        self._fed += len(pcm)
        self._waiting = np.concatenate([self._waiting, pcm])
        whole = len(self._waiting) // FEED * FEED
        frames, self._waiting = self._waiting[:whole].reshape(-1, FEED), self._waiting[whole:]
        for frame in frames:
            self._push(frame)
            if self._held - self._fade >= PIECE:
                yield self._out(PIECE)
        if self._held > self._fade:
            yield self._out(self._held - self._fade)

    def end(self) -> Float:
        """The rest, to the last sample of the wanted length, faded."""
        left = max(0, round(self._fed / self._pace) - self._given)
        padding = np.zeros(FEED, np.float32)
        frame = np.concatenate([self._waiting, padding])[:FEED]
        for _ in range(self._padding // FEED):
            if self._held >= left:
                break
            self._push(frame)
            frame = padding
        pcm = self._out(min(left, self._held))
        return np.concatenate([pcm[: -self._fade], fade_out(pcm[-self._fade :], self._fade)])

    def _push(self, frame: Float) -> None:
        for pcm in self._filters.push(frame):
            self._ready.append(pcm)
            self._held += len(pcm)

    def _out(self, most: int) -> Float:
        pcm = np.concatenate([EMPTY, *self._ready])
        self._ready = deque([pcm[most:]])
        self._held -= most
        self._given += most
        return pcm[:most]


class _Filters:
    """One chain of libav's filters on mono float32 at `sample_rate`. Raises Unavailable."""

    def __init__(self, sample_rate: int, pitch: float, pace: float) -> None:
        prepare()
        from av.filter import Graph

        self._rate = sample_rate
        self._pushed = 0
        self._graph = graph = Graph()
        graph.threads = 1
        source = graph.add_abuffer(
            sample_rate=sample_rate, format="flt", layout="mono", time_base=Fraction(1, sample_rate)
        )
        chain = [source]
        raised = round(sample_rate * 2.0 ** (pitch / 12.0))
        if raised != sample_rate:
            chain += [graph.add("asetrate", str(raised)), graph.add("aresample", str(sample_rate))]
        chain += [graph.add("atempo", repr(part)) for part in tempos(pace * sample_rate / raised)]
        chain.append(graph.add("abuffersink"))
        graph.link_nodes(*chain)
        graph.configure()
        self._source, self._sink = source, chain[-1]

    def push(self, pcm: Float) -> Iterator[Float]:
        """One frame (FEED,) in, what is ready out."""
        from av import AudioFrame

        frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[None]), format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._pushed
        frame.time_base = Fraction(1, self._rate)
        self._pushed += len(pcm)
        self._source.push(frame)
        while True:
            try:
                made = self._sink.pull()
            except BlockingIOError:
                return
            assert isinstance(made, AudioFrame)
            yield np.clip(made.to_ndarray().reshape(-1), -1.0, 1.0)


def tempos(tempo: float) -> list[float]:
    """Factors of the filters that make `tempo` together: none where there is nothing to do."""
    low, high = TEMPO_RANGE
    if tempo == 1.0:
        return []
    return [tempo] if low <= tempo <= high else [tempo**0.5] * 2
