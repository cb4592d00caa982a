"""What the core's tests measure: clicks, silent runs, and what a listener heard of a text.

Knows no orchestrator; PCM is (n,) int16 on the frame clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from peer.core.frame import Kind, Provenance
from peer.core.pcm import FADE, FRAME, SILENCE, Int16
from SCENES.harness import Heard, Theatre

CLICK = 6.0
"""Second difference at a boundary over its 95th percentile nearby: a hard cut is above, a fade below."""
FLOOR = 24.0
"""LSB: beside digital silence every sample would look like a click."""

TEXT = "The quick brown fox jumps, over the lazy dog. It has 25 legs in 1984! And **bold** words too. Yes."


def origin(chunk: int = 0, adapter: str = "tone") -> Provenance:
    return Provenance(adapter, chunk, (0, 1), "u", 0)


def jump(pcm: Int16, at: int) -> float:
    """How much sharper the wave bends around `at` than in the 5 ms on both sides."""
    bends = np.abs(np.diff(pcm[max(0, at - FADE) : at + FADE].astype(np.int64), 2))
    here = min(at, FADE)
    worst = int(bends[max(0, here - 3) : here + 2].max(initial=0))
    return worst / max(float(np.percentile(bends, 95)) if len(bends) else 0.0, FLOOR)


def stops(frames: Sequence[Heard]) -> list[int]:
    """Frames that carry sound and are followed by one that carries none."""
    loud = [h.pcm is not None and bool(np.any(h.pcm)) for h in frames]
    return [i for i in range(len(loud) - 1) if loud[i] and not loud[i + 1]]


def starts(frames: Sequence[Heard]) -> list[int]:
    """Frames that carry sound after one that carries none."""
    loud = [h.pcm is not None and bool(np.any(h.pcm)) for h in frames]
    return [i for i in range(1, len(loud)) if loud[i] and not loud[i - 1]]


def pcm_of(frames: Sequence[Heard]) -> Int16:
    return np.concatenate([SILENCE if h.pcm is None else h.pcm for h in frames])


def clicks(theatre: Theatre) -> list[int]:
    """Positions of frame boundaries and edges of speech where the wave jumps; holds are concealed and left out."""
    frames, pcm = theatre.frames, theatre.pcm
    found = []
    for i in range(1, len(frames)):
        kinds = {frames[i - 1].pull.kind, frames[i].pull.kind}
        if Kind.HOLD not in kinds and jump(pcm, i * FRAME) > CLICK:
            found.append(i)
    return found


def said(words: Iterable[int]) -> tuple[list[int], int]:
    """Words in order as understood by a listener, and how many were heard again: (kept, repeated)."""
    kept: list[int] = []
    repeated = 0
    for word in words:
        while kept and kept[-1] >= word:
            kept.pop()
            repeated += 1
        kept.append(word)
    return kept, repeated


def word_starts(theatre: Theatre, utterance: str | None = None) -> list[int]:
    """Source characters at which words began to sound."""
    events = [e.fields for e in theatre.of("word") if utterance in (None, e.fields["utterance"])]
    return [int(str(f["from"])) for f in events]


def holes(theatre: Theatre) -> int:
    """Frames inside speech in which no voice left."""
    kinds = [heard.pull.kind for heard in theatre.frames]
    voiced = [i for i, kind in enumerate(kinds) if kind is Kind.VOICE]
    return sum(kind is not Kind.VOICE for kind in kinds[voiced[0] : voiced[-1] + 1])
