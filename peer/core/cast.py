"""The engines as the core sees them: descriptors and projected knobs, by name.

Knows no adapter; the shell hands one in, tests hand in their own.
"""

from __future__ import annotations

from typing import Protocol

from .chunk import Knobs
from .descriptor import Descriptor
from .envelope import Envelope
from .voice import Voice

Renders = tuple[tuple[float, float], ...]
"""(audio_ms, render_ms) each; of different lengths, so that they tell a call's cost from its audio's."""


class Cast(Protocol):
    """Cold: asking loads nothing."""

    def knows(self, name: str) -> bool: ...

    def names(self) -> tuple[str, ...]: ...

    def descriptor(self, name: str) -> Descriptor: ...

    def knobs(self, name: str, voice: Voice) -> Knobs:
        """The voice in the engine's own parameters; what the engine does not have is left out."""
        ...

    def check(self, name: str, voice: Voice) -> None:
        """Raises Refusal where the engine does not have what `voice` names."""
        ...

    def envelope(self, name: str) -> Envelope | None:
        """How the engine's own voice sounds, as its warm-up measured it; None: not known yet."""
        ...

    def stand_ins(self, name: str, accent: str) -> tuple[str, ...]:
        """Engines that are warm and may speak for `name` in that language, the best first."""
        ...

    def prior(self, name: str) -> Renders:
        """What the engine's warm-up rendered, nothing if it did not: the first guess of its speed."""
        ...
