"""The pace controller run again on what a log says it was told, its decisions compared with those it took.

Knows no engine and renders nothing: a difference means that the controller, or the log, has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .messages import Mode
from .pace import Cost, Pace
from .pcm import RATE

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Difference:
    """At `frame`, chunk `chunk`: the log says `logged` of `what`, the controller says `again`."""

    frame: int
    chunk: int | None
    what: str
    logged: object
    again: object

    def __str__(self) -> str:
        where = f"frame {self.frame}" + ("" if self.chunk is None else f", chunk {self.chunk}")
        return f"{where}: {self.what} was {self.logged}, is {self.again}"


class Recontrol:
    """`feed` every record in order; `decisions` counts what was compared."""

    def __init__(self) -> None:
        self._pace: Pace | None = None
        self._landed: Row = {}
        self.decisions = 0

    def feed(self, record: Row) -> list[Difference]:
        """What the controller would do otherwise. Raises ValueError, KeyError or TypeError for a broken record."""
        match record.get("kind"), record.get("stage"):
            case "tempo", "fresh":
                rungs = tuple(_float(ms) for ms in _list(record["rungs"]))
                self._pace = Pace(rungs, Mode(str(record["mode"])), _cost(record), record["clocked"] is True)
            case "log_gap", _:
                self._pace = None
            case _ if self._pace is None:
                pass
            case "tempo", "primed":
                self._pace.cost.prime(_renders(record))
            case "tempo", "tune":
                self._pace.tune(Mode(str(record["mode"])), None if record["cap"] is None else _float(record["cap"]))
            case "tempo", "start":
                self._pace.start(_depth(record["depth_ms"]))
            case "request", _:
                return self._asked(self._pace, record)
            case "chunk", _ if record.get("result") == "ok":
                self._landed = record
            case "pace", _:
                return self._moved(self._pace, record)
        return []

    def _asked(self, pace: Pace, record: Row) -> list[Difference]:
        ask = pace.ask(_depth(record["depth_ms"]), _float(record.get("stock_ms", 0.0)))
        again = (None, None) if ask is None else (ask.rung, ask.low_latency)
        return self._compared(record, record.get("chunk"), [
            ("rung", record["rung"], again[0]), ("low_latency", record["low_latency"], again[1]),
        ])  # fmt: skip

    def _moved(self, pace: Pace, record: Row) -> list[Difference]:
        pace.landed(
            _float(record["audio_ms"]), _float(self._landed["render_ms"]), _depth(record["met_ms"]),
            _depth(record["depth_ms"]), record["primed"] is True,
        )  # fmt: skip
        low, high = pace.band
        return self._compared(record, self._landed.get("chunk"), [
            ("rung", record["rung"], pace.rung), ("move", record["move"], pace.move.value),
            ("low_ms", record["low_ms"], round(low, 3)), ("high_ms", record["high_ms"], round(high, 3)),
        ])  # fmt: skip

    def _compared(self, record: Row, chunk: object, found: list[tuple[str, object, object]]) -> list[Difference]:
        self.decisions += 1
        frame, number = record["frame"], chunk if isinstance(chunk, int) else None
        assert isinstance(frame, int)
        return [Difference(frame, number, what, logged, again) for what, logged, again in found if logged != again]


def _cost(record: Row) -> Cost:
    cost = Cost()
    cost.prime(_renders(record))
    return cost


def _renders(record: Row) -> tuple[tuple[float, float], ...]:
    return tuple((_float(audio), _float(render)) for audio, render in _list(record["renders"]))


def _list(value: object) -> list[list[object]]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _float(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _depth(ms: object) -> float:
    """A logged depth as it was: whole samples, which the log rounds to a thousandth of a millisecond."""
    return round(_float(ms) * RATE / 1000) * 1000.0 / RATE
