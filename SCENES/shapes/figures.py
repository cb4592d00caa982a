"""A finding: one shape, whether the take has it, why not, and the figures behind that.

Knows no shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHOWN = 4
"""Faults that a finding names; who wants the others reads the timeline."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`why` is empty where `good`; `figures` are plain JSON values."""

    shape: str
    good: bool
    why: str = ""
    figures: Mapping[str, object] = field(default_factory=dict)

    def to_wire(self) -> dict[str, object]:
        return {"shape": self.shape, "good": self.good, "why": self.why, "figures": dict(self.figures)}


def found(shape: str, faults: Sequence[str], **figures: object) -> Finding:
    """Good where there are no faults; else the first of them in words."""
    more = f" … and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Finding(shape, not faults, "; ".join(faults[:SHOWN]) + more, figures)
