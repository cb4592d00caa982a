"""What the pull side gets: one frame, or the verdict that nothing is to be sent now.

Knows no RTP; `n` is the session's frame number, positions are the ring's samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .pcm import Int16


class Kind(StrEnum):
    """VOICE plays an engine's samples; CUT fades them out at a stop; TAIL is the silence after
    speech, FILL what follows a hole that lasted too long. HOLD and IDLE send nothing: at HOLD the
    next deadline asks again, at IDLE one waits to be woken.
    """

    VOICE = "voice"
    CUT = "cut"
    TAIL = "tail"
    FILL = "fill"
    HOLD = "hold"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where samples come from; `window` are character positions in the utterance's source.

    What the render cost stands in the chunk's own record: pieces sound before it is known.
    """

    adapter: str
    chunk_id: int
    window: tuple[int, int]
    utterance: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Span:
    """Ring samples [start, end) and their origin."""

    start: int
    end: int
    origin: Provenance


@dataclass(frozen=True, slots=True)
class Pull:
    """Frame `n`. `pcm` is (960,) int16, read-only, valid until the next pull; None at HOLD and IDLE.

    `rises`: its first 5 ms were faded in here, after a hole or a pause; the ring has them as they were.
    """

    n: int
    kind: Kind
    pcm: Int16 | None = None
    position: int = 0
    spans: tuple[Span, ...] = ()
    rises: bool = False
