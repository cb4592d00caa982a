"""Engines with a modelled cost: real samples, invented render times, faults on a schedule.

Know no session; the harness asks them in virtual time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from adapters.base import TTSAdapter, nearest
from adapters.voices.tone import Tone
from peer.core.cast import Renders
from peer.core.chunk import AudioChunk, Knobs, Request
from peer.core.descriptor import Descriptor
from peer.core.envelope import Envelope
from peer.core.voice import Voice

WARM_MS = 2000.0
"""Audio of a warm-up: a sentence."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A render takes `overhead_ms + ratio * audio`, times a lognormal factor of spread `jitter`."""

    overhead_ms: float = 1.0
    ratio: float = 0.01
    jitter: float = 0.0


@dataclass(slots=True)
class ModelEngine:
    """Pieces of a real adapter with the time at which each is there. `slow(now_ms)` multiplies the cost."""

    adapter: TTSAdapter = field(default_factory=Tone)
    cost: Cost = field(default_factory=Cost)
    seed: int = 1
    slow: Callable[[float], float] = lambda _now: 1.0
    grain_ms: float | None = None
    """Pieces are cut to this length: an engine that is slow would not bring them whole. None: as they come."""
    faults: dict[int, str] = field(default_factory=dict)
    """Render number → "raise" (dies before the first piece), "die" (after it), "mute", "nan", "rate", "clipped",
    "empty", "huge"."""
    ill: Callable[[float], str] = lambda _now: ""
    """At which time (ms) which of these faults is chronic; "" for none."""
    warmed: bool = False
    """A warm-up told what a render costs, as a real host's does."""
    stands_in: bool = False
    """It is warm and may speak for another one."""
    envelope: Envelope | None = None
    renders: int = 0
    asked: list[Request] = field(default_factory=list)

    def render(self, request: Request, now_ms: float) -> Iterator[tuple[float, AudioChunk | str]]:
        """(when_ms, piece), or (when_ms, why) for a fault; times ascend."""
        number, self.renders = self.renders, self.renders + 1
        self.asked.append(request)
        fault = self.faults.get(number) or self.ill(now_ms)
        rng = random.Random(f"{self.seed}/{number}")
        factor = (
            rng.lognormvariate(0.0, self.cost.jitter) * self.slow(now_ms) if self.cost.jitter else self.slow(now_ms)
        )
        at = now_ms + self.cost.overhead_ms * factor
        if fault == "mute":
            return
        if fault == "raise":
            yield at, "the engine died"
            return
        for i, piece in enumerate(self._grains(request)):
            at += self.cost.ratio * factor * piece.duration_ms
            yield at, _damaged(replace(piece, render_ms=at - now_ms), fault)
            if fault == "die" and i == 0:
                yield at, "the engine died"
                return

    def well(self, now_ms: float) -> bool:
        """What a probe would find."""
        return not self.ill(now_ms) and self.cost.ratio * self.slow(now_ms) < 1.0

    def _grains(self, request: Request) -> Iterator[AudioChunk]:
        for piece in self.adapter.render(request):
            grain = len(piece.pcm) if self.grain_ms is None else round(self.grain_ms * piece.sample_rate / 1000)
            yield from _cut(piece, grain) if len(piece.pcm) > grain else (piece,)


def _cut(piece: AudioChunk, grain: int) -> Iterator[AudioChunk]:
    """`piece` in grains of `grain` samples; a word goes with the samples in which it begins."""
    start = piece.cursor - len(piece.pcm)
    cuts = [*range(0, len(piece.pcm), grain), len(piece.pcm)]
    for low, high in pairwise(cuts):
        end = high == len(piece.pcm)
        mine = (m for m in piece.markers if (low == 0 or m.at >= start + low) and (end or m.at < start + high))
        last, eos = piece.last and end, piece.eos and end
        yield replace(piece, pcm=piece.pcm[low:high], markers=tuple(mine), cursor=start + high, last=last, eos=eos)


def _damaged(piece: AudioChunk, fault: str) -> AudioChunk:
    match fault:
        case "nan":
            pcm = piece.pcm.copy()
            pcm[:1] = float("nan")
            return replace(piece, pcm=pcm)
        case "rate":
            return replace(piece, sample_rate=piece.sample_rate // 2)
        case "clipped":
            return replace(piece, pcm=np.sign(piece.pcm).astype(np.float32))
        case "empty":
            return replace(piece, pcm=piece.pcm[:0], markers=(), cursor=piece.cursor - len(piece.pcm))
        case "huge":
            return replace(piece, pcm=piece.pcm.repeat(200))
        case _:
            return piece


@dataclass(frozen=True, slots=True)
class ModelCast:
    """Engines by name for the core; several names may stand for one adapter with different costs."""

    engines: dict[str, ModelEngine]

    def knows(self, name: str) -> bool:
        return name in self.engines

    def names(self) -> tuple[str, ...]:
        return tuple(self.engines)

    def descriptor(self, name: str) -> Descriptor:
        return replace(self.engines[name].adapter.describe(), name=name)

    def knobs(self, name: str, voice: Voice) -> Knobs:
        return nearest(self.engines[name].adapter, voice).knobs

    def check(self, name: str, voice: Voice) -> None:
        self.engines[name].adapter.project(voice)

    def envelope(self, name: str) -> Envelope | None:
        return self.engines[name].envelope

    def stand_ins(self, name: str, accent: str) -> tuple[str, ...]:
        return tuple(other for other, engine in self.engines.items() if other != name and engine.stands_in)

    def prior(self, name: str) -> Renders:
        engine = self.engines[name]
        least = engine.adapter.describe().rungs_ms()[0]
        cost = engine.cost
        return tuple((ms, cost.overhead_ms + cost.ratio * ms) for ms in (least, WARM_MS) if engine.warmed)
