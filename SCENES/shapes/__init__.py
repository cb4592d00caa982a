"""Shapes: what must be true of a take, whatever the engine and however fast the machine.

Each is a pure function of a take and returns a finding; none knows how the take was made.
"""

from .figures import Finding
from .frames import holes_declared, log_equals_pcm, monotonic, provenance
from .pacing import converges, depth_in_band, fast_reseed, first_audio_before_silence, no_underflow
from .remade import remade
from .smoothness import blind_clicks, clicks
from .stillness import zero_run
from .stops import flushed, hard_stop
from .words import text_oracle

ALWAYS = (text_oracle, zero_run, clicks, blind_clicks, provenance, log_equals_pcm, remade, monotonic, holes_declared)
"""Shapes that every take has, whatever happened in it."""

__all__ = [
    "ALWAYS",
    "Finding",
    "blind_clicks",
    "clicks",
    "converges",
    "depth_in_band",
    "fast_reseed",
    "first_audio_before_silence",
    "flushed",
    "hard_stop",
    "holes_declared",
    "log_equals_pcm",
    "monotonic",
    "no_underflow",
    "provenance",
    "remade",
    "text_oracle",
    "zero_run",
]

# ruff: noqa: N999
