"""The pace of the engine in force: from its warm-up at first, tuned to what is said, and every input of it logged.

Knows no sentence and no samples. What it notes is all that the controller ever learns, so that `peer replay
--controller` can run it again and compare what it decided.
"""

from __future__ import annotations

from .cast import Cast
from .chronicle import Chronicle
from .messages import Mode
from .pace import Cost, Pace
from .script import Utterance
from .timeline import Record
from .wish import Setting


def known(cast: Cast, adapter: str, cost: Cost) -> Cost:
    """`cost`, with what the engine's warm-up told where nothing was measured yet."""
    cost.prime(cast.prior(adapter))
    return cost


def paced(cast: Cast, adapter: str, mode: Mode, clocked: bool) -> Pace:
    """A fresh controller for engine `adapter`."""
    return Pace(cast.descriptor(adapter).rungs_ms(), mode, known(cast, adapter, Cost()), clocked)


class Tempo:
    """Owns the controller; a new one with every engine."""

    def __init__(self, cast: Cast, setting: Setting, clocked: bool, chronicle: Chronicle) -> None:
        self._cast = cast
        self._clocked = clocked
        self._log = chronicle
        self._tuned = 0
        self.pace = paced(cast, setting.adapter, setting.mode, clocked)
        self._note_fresh(0, setting)

    def change(self, n: int, setting: Setting) -> None:
        """Another engine is in force."""
        self.pace = paced(self._cast, setting.adapter, setting.mode, self._clocked)
        self._note_fresh(n, setting)

    def _note_fresh(self, n: int, setting: Setting) -> None:
        self._log.note(
            Record.TEMPO, n, "fresh", adapter=setting.adapter, mode=setting.mode.value, clocked=self._clocked,
            rungs=list(self.pace.rungs_ms), renders=[list(pair) for pair in self._cast.prior(setting.adapter)],
        )  # fmt: skip

    def primed(self, n: int, adapter: str) -> None:
        """The engine is warm: what that told is known now, unless something was measured already."""
        prior = self._cast.prior(adapter)
        if prior and self.pace.cost.unknown:
            self.pace.cost.prime(prior)
            self._log.note(Record.TEMPO, n, "primed", renders=[list(pair) for pair in prior])

    def begin(self, n: int, utterance: Utterance | None, setting: Setting, depth_ms: float) -> None:
        """Speech begins at this depth."""
        self.tune(n, utterance, setting)
        self.pace.start(depth_ms)
        self._log.note(Record.TEMPO, n, "start", depth_ms=round(depth_ms, 3))

    def follow(self, n: int, utterance: Utterance, setting: Setting) -> None:
        """A sentence of `utterance` begins: its wishes count, if they do not already."""
        if utterance.number != self._tuned:
            self.tune(n, utterance, setting)

    def tune(self, n: int, utterance: Utterance | None, setting: Setting) -> None:
        """The pace follows the wishes of the utterance in hand, else the setting."""
        mode, cap_ms = setting.mode, None
        if utterance is not None:
            self._tuned = utterance.number
            hints = utterance.hints
            mode = hints.cadence or utterance.mode or setting.mode
            if hints.target_chunk is not None:
                cap_ms = hints.target_chunk * self._cast.descriptor(setting.adapter).unit_ms
        self.pace.tune(mode, cap_ms)
        self._log.note(Record.TEMPO, n, "tune", mode=mode.value, cap=cap_ms)

    def landed(
        self, n: int, audio_ms: float, render_ms: float, met_ms: float, depth_ms: float, primed: bool
    ) -> None:  # fmt: skip
        """A chunk is in; what the controller makes of it."""
        pace = self.pace
        pace.landed(audio_ms, render_ms, met_ms, depth_ms, primed)
        low, high = pace.band
        self._log.note(
            Record.PACE, n, "pace", rung=pace.rung, move=pace.move.value, depth_ms=round(depth_ms, 3),
            low_ms=round(low, 3), high_ms=round(high, 3), ratio_ms=round(pace.cost.ratio, 5),
            met_ms=round(met_ms, 3), audio_ms=audio_ms, primed=primed,
        )  # fmt: skip
