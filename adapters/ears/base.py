"""The contract an ear fulfils: describe cold, warm up, turn 32 ms of sound into a probability of speech, close.

Knows no call, no echo and no turn: thresholds and what follows from them live in `peer.core.listening`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from peer.core.pcm import Float

CONTRACT = 1
"""Version of this contract; an ear states the one it speaks."""

RATE = 16_000
"""Samples per second an ear hears; voice carries nothing above 8 kHz that tells speech from noise."""

WINDOW = 512
"""Samples per chunk, 32 ms: the step of Silero's model, kept by every ear so that chunks can be counted."""


@dataclass(frozen=True, slots=True)
class EarDescriptor:
    """What an ear says of itself.

    `onset_chunks` is the evidence it needs: how many chunks in a row must be speech before one
    believes it. `features` are words such as "speech" (tells speech from noise) or "level_only".
    """

    name: str
    version: str
    licence: str
    window: int = WINDOW
    sample_rate: int = RATE
    onset_chunks: int = 1
    features: tuple[str, ...] = ()
    contract: int = CONTRACT

    def to_wire(self) -> dict[str, object]:
        """The descriptor as plain JSON values."""
        return {
            "name": self.name,
            "version": self.version,
            "contract": self.contract,
            "licence": self.licence,
            "window": self.window,
            "sample_rate": self.sample_rate,
            "onset_chunks": self.onset_chunks,
            "features": list(self.features),
        }


class Ear(Protocol):
    """One listener of one call. `describe` is cold: it imports nothing heavy.

    `hear` takes under a millisecond, so it may run where the packets arrive. An ear keeps state
    from chunk to chunk; `reset` forgets it, for instance after a hole in the sound.
    """

    name: ClassVar[str]

    @classmethod
    def describe(cls) -> EarDescriptor: ...

    def warm_up(self) -> None:
        """Load what is needed; cheap when repeated. Raises Unavailable: the text says which command helps."""
        ...

    def hear(self, pcm: Float) -> float:
        """Probability in [0, 1] that `pcm`, (512,) float32 in [-1, 1] at 16 kHz, is speech. Raises Broken."""
        ...

    def reset(self) -> None: ...

    def close(self) -> None:
        """Let go of everything; may be called twice. `hear` after it raises Broken."""
        ...
