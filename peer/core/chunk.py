"""What travels between the orchestrator and an engine: tickets, requests, chunks, markers.

Knows neither how an engine works nor where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .pcm import EMPTY, Float

Knobs = Mapping[str, int | float | str]
"""An engine's own parameters, as projected from the voice schema."""


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """Names one attempt at one chunk; anything that is not outstanding is refused by value."""

    epoch: int
    chunk_id: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """Everything a render depends on; the same request gives the same samples.

    `stream` names the sentence this chunk belongs to, so an engine may cache what it built.
    `text` is the whole speakable sentence, `cursor` the native samples already rendered of it,
    `samples` how many native samples are wanted, `state` what the engine returned last time.
    """

    ticket: Ticket
    adapter: str
    stream: str
    text: str
    cursor: int
    samples: int
    units: int
    knobs: Knobs
    seed: int
    state: bytes = b""


@dataclass(frozen=True, slots=True)
class Marker:
    """A word or phoneme of the sentence: `at` is a native sample, counted from the sentence's start.

    `start` and `end` are character positions in `Request.text`; `label` is the phoneme, or empty.
    """

    kind: str
    at: int
    start: int
    end: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of a render. `pcm` (n,) float32 in [-1, 1] at `sample_rate`, read-only.

    `last` ends the render; `eos` says that the sentence ended with it. `cursor` and `state` are
    those after this piece. `render_ms` is measured where the engine runs.
    """

    pcm: Float = field(default_factory=lambda: EMPTY)
    sample_rate: int = 0
    markers: tuple[Marker, ...] = ()
    cursor: int = 0
    state: bytes = b""
    last: bool = False
    eos: bool = False
    render_ms: float = 0.0

    @property
    def duration_ms(self) -> float:
        return 1000.0 * len(self.pcm) / self.sample_rate if self.sample_rate else 0.0


CLIPPED = 0.2
"""Share of samples at full scale beyond which a piece is noise or overflow: loud speech has less than a hundredth."""
CLIP_LEVEL = 0.999


def fault_of(chunk: AudioChunk, sample_rate: int, most: int) -> str | None:
    """Why `chunk` must not reach the ring, or None. `most` bounds the samples of one piece."""
    pcm = chunk.pcm
    if not isinstance(pcm, np.ndarray) or pcm.ndim != 1 or pcm.dtype != np.float32:
        return "pcm is not a mono float32 array"
    if len(pcm) and chunk.sample_rate != sample_rate:
        return f"sample rate {chunk.sample_rate} instead of the declared {sample_rate}"
    if len(pcm) > most:
        return f"{len(pcm)} samples where at most {most} were due"
    if len(pcm) and not np.isfinite(pcm).all():
        return "pcm holds NaN or infinity"
    if len(pcm) and float(np.abs(pcm).max()) > 4.0:
        return "pcm is far outside [-1, 1]"
    if len(pcm) and float(np.mean(np.abs(pcm) >= CLIP_LEVEL)) > CLIPPED:
        return f"more than {CLIPPED:.0%} of the samples are clipped"
    return None
