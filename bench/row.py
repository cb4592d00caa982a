"""One line of the table: a figure, what stands beside it in the same run, and what it should be.

Knows no measurement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

WIDTHS = (58, 16, 44, 8, 12, 4)


@dataclass(frozen=True, slots=True)
class Row:
    """`against` is the figure of `peer` in the same unit; `more` says that larger is better; `target` None: none."""

    name: str
    unit: str
    figure: float
    peer: str
    against: float
    target: float | None = None
    more: bool = False
    typical: float | None = None
    """The median, where `figure` is the minimum of several repetitions."""

    @property
    def ratio(self) -> float:
        """`figure` to `against`; counts that are zero on the other side are shifted by one."""
        return self.figure / self.against if self.against else self.figure + 1.0

    @property
    def met(self) -> bool | None:
        if self.target is None or math.isnan(self.figure):
            return None
        return self.figure >= self.target if self.more else self.figure <= self.target

    def cells(self) -> tuple[str, ...]:
        bound = "" if self.target is None else f"{'≥' if self.more else '≤'} {shown(self.target)}"
        met = {True: "yes", False: "NO", None: ""}[self.met]
        peer = f"{shown(self.against)}  {self.peer}"
        typical = "" if self.typical is None else f" ~ {shown(self.typical)}"
        return (
            self.name,
            f"{shown(self.figure)}{typical} {self.unit}",
            peer,
            "–" if math.isnan(self.ratio) else f"{self.ratio:.2f}×",
            bound,
            met,
        )

    def to_wire(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def shown(value: float) -> str:
    """Three digits that matter."""
    if math.isnan(value):
        return "–"
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


HEADINGS = ("what", "figure", "peer or limit of the same run", "ratio", "target", "met")


def line(cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def quantile(values: Iterable[float], at: float) -> float:
    """Nearest rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(at * len(ordered)) - 1))] if ordered else math.nan


def median(values: Iterable[float]) -> float:
    return quantile(values, 0.5)


def pair(
    name: str, unit: str, ours: Sequence[float], peer: str, theirs: Sequence[float],
    targets: tuple[float | None, float | None],
) -> list[Row]:  # fmt: skip
    """The median and the 95th percentile of both sides."""
    found = []
    for label, at, target in (("median", 0.5, targets[0]), ("p95", 0.95, targets[1])):
        found.append(Row(f"{name}, {label}", unit, quantile(ours, at), peer, quantile(theirs, at), target))
    return found
