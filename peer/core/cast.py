"""The engines as the core sees them: descriptors and projected knobs, by name.

Knows no adapter; the shell hands one in, tests hand in their own.
"""

from __future__ import annotations

from typing import Protocol

from .chunk import Knobs
from .descriptor import Descriptor
from .voice import Voice


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

    def prior(self, name: str) -> tuple[float, float] | None:
        """(audio_ms, render_ms) of the engine's warm-up, or None: the first guess of its speed."""
        ...
