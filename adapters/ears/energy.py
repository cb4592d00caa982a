"""A last resort that hears loudness above the room, not speech: a slammed door counts too.

Knows no model and needs nothing but numpy; it asks for more evidence than an ear that knows speech.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from adapters.ears.base import WINDOW, EarDescriptor
from peer.core.errors import Broken
from peer.core.pcm import Float

PRE_EMPHASIS = 0.95
"""First difference before measuring: rumble and hum weigh less, consonants more."""

RISE_DB = 0.1
"""The floor climbs 3 dB a second: a fan is learned in seconds, a sentence is not."""
FALL_DB = 2.0
"""and falls quickly, so that any pause shows the room."""

FLOOR_MIN_DB = -75.0
"""Below this lies digital silence: a floor there would make any breath loud."""

CENTRE_DB = 10.0
"""Ten dB over the floor is the even chance."""
SLOPE_DB = 2.0


class EnergyEar:
    """A number between 0 and 1 that rises with the level above the room. Honest name: level only."""

    name: ClassVar[str] = "energy"

    def __init__(self) -> None:
        self._closed = True
        self._last = np.zeros(1, np.float32)
        self._floor_db: float | None = None

    @classmethod
    def describe(cls) -> EarDescriptor:
        return EarDescriptor(cls.name, "1", "part of this program", onset_chunks=4, features=("level_only",))

    def warm_up(self) -> None:
        self._closed = False

    def hear(self, pcm: Float) -> float:
        if self._closed:
            raise Broken("this ear was not warmed up, or is closed")
        if pcm.shape != (WINDOW,):
            raise Broken(f"an ear hears ({WINDOW},) samples, not {pcm.shape}")
        before = np.concatenate((self._last, pcm[:-1]))
        edge = pcm - np.float32(PRE_EMPHASIS) * before
        level = 10.0 * math.log10(float(np.dot(edge, edge)) / WINDOW + 1e-12)
        if not math.isfinite(level):
            raise Broken("the sound holds no numbers")
        self._last = pcm[-1:].copy()
        if self._floor_db is None:
            self._floor_db = max(level, FLOOR_MIN_DB)
        over = level - self._floor_db
        step = min(over, RISE_DB) if over > 0 else max(over, -FALL_DB)
        self._floor_db = max(self._floor_db + step, FLOOR_MIN_DB)
        return 1.0 / (1.0 + math.exp(min((CENTRE_DB - over) / SLOPE_DB, 60.0)))

    def reset(self) -> None:
        self._last = np.zeros(1, np.float32)

    def close(self) -> None:
        self._closed = True
