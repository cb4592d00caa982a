"""The pace controller: how much to ask for next, and when, so that the buffer stays in its band.

Knows no clock and no engine: it sees depths, what a render cost, and nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from .messages import Mode
from .pcm import FRAME_MS

SMOOTHING = 0.2
"""Weight of the newest render in the EWMA: five renders decide, one does not."""
MEMORY = 64
"""Renders whose spread the 95th percentile is taken from: more would remember another machine."""
HICCUP = 5.0
"""Times the expected: what takes longer is a stall or the first after cached ones, no measure of spread."""
PATIENCE = 8
"""Clean landings before a rung that had failed is tried again; doubles with every failure."""
MOST_PATIENCE = 512
HELD_FRAMES = 3
"""What may land beyond the request: a frame until the poll, two that the resampler had kept back."""
SPARE = 1.0
"""A rung is sustainable when it renders in less than the time it plays."""


class Cost:
    """What a render costs: `overhead + slope * audio`, by least squares that forget, and its spread."""

    def __init__(self) -> None:
        self._w = self._x = self._y = self._xx = self._xy = 0.0
        self._spread: deque[float] = deque(maxlen=MEMORY)
        self._late: dict[float, float] = {}
        self.ratio = 0.0
        self.renders = 0

    def learn(self, audio_ms: float, render_ms: float) -> None:
        """A chunk of `audio_ms` took `render_ms`; less than a frame says nothing of speed."""
        if audio_ms < FRAME_MS:
            return
        expected = self.expect(audio_ms)
        if expected > 0:
            self._spread.append(min(render_ms / expected, HICCUP))
        self.renders += 1
        self._fit(audio_ms, render_ms)

    def prime(self, renders: tuple[tuple[float, float], ...]) -> None:
        """What is known before the first chunk, as (audio_ms, render_ms): it says nothing of the spread."""
        if not self.unknown:
            return
        for audio_ms, render_ms in renders:
            if audio_ms >= FRAME_MS:
                self._fit(audio_ms, render_ms)

    def _fit(self, audio_ms: float, render_ms: float) -> None:
        keep = 1.0 - SMOOTHING
        self._w = keep * self._w + 1
        self._x = keep * self._x + audio_ms
        self._y = keep * self._y + render_ms
        self._xx = keep * self._xx + audio_ms * audio_ms
        self._xy = keep * self._xy + audio_ms * render_ms
        sample = render_ms / audio_ms
        self.ratio = keep * self.ratio + SMOOTHING * sample if self.ratio else sample
        self._late.clear()

    @property
    def unknown(self) -> bool:
        """Nothing was measured and no warm-up told."""
        return not self._w

    def expect(self, audio_ms: float) -> float:
        """The mean render time in ms of a chunk of `audio_ms`; 0 while nothing was measured."""
        if not self._w:
            return 0.0
        mean_x, mean_y = self._x / self._w, self._y / self._w
        variance = self._xx / self._w - mean_x * mean_x
        if variance < 1e-3 * mean_x * mean_x:
            return mean_y * audio_ms / mean_x
        slope = (self._xy / self._w - mean_x * mean_y) / variance
        slope = min(max(slope, 0.0), mean_y / mean_x)
        return max(mean_y - slope * mean_x, 0.0) + slope * audio_ms

    def p95(self, audio_ms: float) -> float:
        """The render time in ms that 95 of 100 chunks of `audio_ms` stay under (polled every frame: kept)."""
        kept = self._late.get(audio_ms)
        if kept is None:
            ordered = sorted(self._spread) or [1.0]
            factor = max(1.0, ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))])
            kept = self._late[audio_ms] = self.expect(audio_ms) * factor
        return kept


class Move(StrEnum):
    """Why the rung changed."""

    START = "start"
    GROW = "grow"
    HALVE = "halve"
    SKIP = "skip"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for rung `rung`, `ms` of audio; `low_latency` tells the engine that the buffer shrank."""

    rung: int
    ms: float
    low_latency: bool


class Pace:
    """One per session and engine. `rungs_ms` ascend; depths are ms of audio that can be played.

    `clocked` False is for listeners that pull as fast as they can: there the depth says nothing.
    Decisions fall once a frame, so what plays until the next one (a frame) is added where depth is compared.
    """

    def __init__(self, rungs_ms: tuple[float, ...], mode: Mode, cost: Cost | None = None, clocked: bool = True) -> None:
        self.rungs_ms = rungs_ms
        self.mode = mode
        self.cost = cost or Cost()
        self.rung = 0
        self.move = Move.START
        self.low_latency = mode is Mode.LOW_LATENCY
        self._clocked = clocked
        self._cap = self._ceiling = len(rungs_ms) - 1
        self._patience = PATIENCE
        self._clean = 0
        self._least = 0
        """Rungs under it ran dry although they should have carried: not tried again in this speech."""
        self._most_ms = 0.0

    # what is measured -----------------------------------------------------------------------

    @property
    def floor(self) -> int:
        """The smallest sustainable rung; the largest when none is (smaller ones cost more)."""
        for i, ms in enumerate(self.rungs_ms):
            if i >= self._least and self.cost.expect(ms) < SPARE * ms:
                return i
        return len(self.rungs_ms) - 1

    @property
    def entry(self) -> float:
        """The depth in ms that carries its first chunk: what another engine leaves it to begin with."""
        return self.low(min(self.floor, self._cap))

    @property
    def strained(self) -> bool:
        """Even the largest rung renders slower than it plays: only a simpler engine helps."""
        top = self.rungs_ms[-1]
        return self.cost.renders >= 3 and self.cost.expect(top) >= SPARE * top

    def low(self, rung: int | None = None) -> float:
        """The lower edge in ms: what plays while a late chunk renders, and one frame."""
        return self.cost.p95(self.rungs_ms[self.rung if rung is None else rung]) + FRAME_MS

    @property
    def band(self) -> tuple[float, float]:
        """The comfort band of the current rung in ms."""
        low = self.low()
        return low, low + self.rungs_ms[self.rung]

    @property
    def _limit(self) -> int:
        return min(self._ceiling, self._cap)

    @property
    def _edge(self) -> float:
        """The low edge that is aimed at: the next rung's while growing, so that depth can gather."""
        return self.low(min(self.rung + 1, self._limit) if self.rung < self._limit else self.rung)

    # what is decided ------------------------------------------------------------------------

    def tune(self, mode: Mode, cap_ms: float | None = None) -> None:
        """An utterance's own wishes: its mode, and the largest chunk it wants."""
        fits = [i for i, ms in enumerate(self.rungs_ms) if cap_ms is None or ms <= cap_ms + 1e-6]
        self.mode = mode
        self._cap = fits[-1] if fits else 0
        self._set(min(self.rung, self._cap), Move.START if self.rung > self._cap else self.move)

    def start(self, depth_ms: float = 0.0) -> None:
        """Speech begins: with an empty buffer a small first window, else what the buffer can wait for."""
        self._least = 0
        first = self.floor + (2 if self.mode is Mode.STEADY else 0)
        carried = max((i for i in range(len(self.rungs_ms)) if self.low(i) <= depth_ms), default=0)
        self._set(min(max(first, carried), self._cap), Move.START)
        self.low_latency = self.mode is Mode.LOW_LATENCY

    def ask(self, depth_ms: float, stock_ms: float = 0.0) -> Ask | None:
        """What to ask for at this depth, or None: not now. Safe to poll every frame.

        `stock_ms`: a depth that the buffer shall reach whatever is comfortable; 0 for none.
        """
        size = self.rungs_ms[self.rung]
        low = self._edge
        high = low + size + FRAME_MS
        if not self._clocked:
            return self._asked(self.rung, high) if depth_ms <= high else None
        trigger = low if self.mode is Mode.LOW_LATENCY else low + size / 2
        trigger, high = max(trigger, stock_ms), max(high, stock_ms + size)
        if depth_ms > trigger + FRAME_MS:
            return None
        return self._asked(self._fitting(high - depth_ms), high)

    def _asked(self, rung: int, high: float) -> Ask:
        self._most_ms = high
        return Ask(rung, self.rungs_ms[rung], self.low_latency)

    def landed(self, audio_ms: float, render_ms: float, before_ms: float, after_ms: float, primed: bool = True) -> None:
        """A chunk is in. `before_ms` is the depth it met, `after_ms` the depth it left.

        `primed` False: the buffer was empty because speech only begins, which is no shrinking.
        """
        self.cost.learn(audio_ms, render_ms)
        if self._clocked and primed and before_ms < FRAME_MS:
            self._shrank()
        elif self._clocked and after_ms > self._most_ms + HELD_FRAMES * FRAME_MS:
            self._overshot()
        else:
            self._fits(after_ms)

    def _fits(self, after_ms: float) -> None:
        """All is well: grow by one rung if the buffer already carries the next one."""
        self._clean += 1
        if self._clean >= self._patience and self._ceiling < len(self.rungs_ms) - 1:
            self._ceiling += 1
            self._clean = 0
        if self.rung < min(self.floor, self._cap):
            self._set(self.rung + 1, Move.FLOOR)
        elif self.rung < self._limit and after_ms >= self.low(self.rung + 1):
            self._set(self.rung + 1, Move.GROW)
            self.low_latency = self.mode is Mode.LOW_LATENCY

    def _shrank(self) -> None:
        """The buffer shrank to nothing: halve, but not under the smallest sustainable rung.

        Where that one is no help either, smaller ones would cost more: one rung up.
        """
        self.low_latency = True
        if self.rung <= self.floor:
            self._clean = 0
            self._least = min(self.rung + 1, len(self.rungs_ms) - 1)
            self._set(min(self._least, self._cap), Move.FLOOR)
            return
        half = self.rungs_ms[self.rung] / 2
        target = max((i for i, ms in enumerate(self.rungs_ms) if ms <= half + 1e-6), default=0)
        self._down(max(target, self.floor), Move.HALVE)

    def _overshot(self) -> None:
        """The buffer grew beyond comfort: playback catches up before the next request."""
        self._down(max(self.rung - 1, self.floor), Move.SKIP)

    def _down(self, target: int, move: Move) -> None:
        """A smaller rung, and the larger one is not tried again too soon."""
        self._clean = 0
        if target < self.rung:
            self._ceiling = target
            self._patience = min(2 * self._patience, MOST_PATIENCE)
            self._set(target, move)

    def _fitting(self, room_ms: float) -> int:
        """The largest rung up to the current one that still fits the band."""
        lowest = min(self.floor, self.rung)
        for rung in range(self.rung, lowest, -1):
            if self.rungs_ms[rung] <= room_ms + 1e-6:
                return rung
        return lowest

    def _set(self, rung: int, move: Move) -> None:
        if rung != self.rung or move is Move.START:
            self.move = move
        self.rung = rung
