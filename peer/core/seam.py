"""How one engine's stream gave way to another's, for the log: what replay must do at that place.

Knows no engine and no samples.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seam:
    """How one stream gave way to another: `how` "blend" at output sample `at`, "finish" (faded out), or "none".

    `accepted` native samples of chunk `chunk` had been stitched; None: no chunk was outstanding.
    """

    how: str = "none"
    at: int | None = None
    chunk: int | None = None
    accepted: int = 0

    def to_wire(self) -> dict[str, object]:
        return {"seam": self.how, "at": self.at, "cut_chunk": self.chunk, "accepted": self.accepted}
