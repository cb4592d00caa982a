"""How much of everything a run may take: counts and seconds.

Knows no measurement; each takes what concerns it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """A run of everything but the soak: under eight minutes."""

    trials: int = 30
    """Of a latency at the wire: the 95th percentile is then the second largest."""
    page_trials: int = 10
    page_sessions: int = 2
    """Fresh pages: the phase of the audio callback differs from one to the next."""
    setups: int = 20
    page_setups: int = 6
    repeats: int = 7
    frames: int = 250
    """Per repetition of one step: five seconds of speech."""
    steady_s: float = 60.0
    narration_s: float = 300.0
    renders: int = 200
    appends: int = 5_000
    first_calls: int = 10
    most_calls: int = 300
    settle_s: float = 2.0
    window_s: float = 4.0
    browser: bool = True


FULL = Budget()

QUICK = Budget(
    trials=4, page_trials=3, page_sessions=1, setups=3, page_setups=2, repeats=3, frames=50, steady_s=3.0,
    narration_s=30.0, renders=20, appends=500, first_calls=4, most_calls=8, settle_s=0.5, window_s=1.0,
)  # fmt: skip
"""A smoke run: every path once, figures that mean little."""
