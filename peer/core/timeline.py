"""The events of a session: append-only facts stamped with the frame number.

Knows no file and no clock; the journal writes them, the panel draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Record(StrEnum):
    """The kinds a journal line may have."""

    HEADER = "header"
    INPUT = "input"
    REQUEST = "request"
    CHUNK = "chunk"
    STITCH = "stitch"
    FRAMES = "frames"
    BARGE = "barge"
    PAUSE = "pause"
    RESUME = "resume"
    SPEECH = "speech"
    SWAP = "swap"
    HEALTH = "health"
    ENGINE = "engine"
    CONFIG = "config"
    PACE = "pace"
    TEMPO = "tempo"
    FILL = "fill"
    DRIFT = "drift"
    HEARD = "heard"
    WORD = "word"
    FAULT = "fault"
    MIC = "mic"
    CALL = "call"
    NOTICE = "notice"
    LOG_GAP = "log_gap"
    PEER_LOST = "peer_lost"
    RECOVERED = "recovered"
    LOOP_LAG = "loop_lag"
    END = "end"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. `frame` is the session's frame number, `fields` hold what is particular to the kind.

    Only names ending in `_ms` may differ between two runs with the same inputs.
    """

    kind: Record
    frame: int
    stage: str
    result: str = "ok"
    surface: str = "core"
    duration_ms: float = 0.0
    fields: Mapping[str, object] = field(default_factory=dict)

    def to_wire(self) -> dict[str, object]:
        return {
            **self.fields,
            "kind": self.kind.value,
            "frame": self.frame,
            "stage": self.stage,
            "result": self.result,
            "surface": self.surface,
            "duration_ms": self.duration_ms,
        }
