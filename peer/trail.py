"""What left a session: records for the log, a digest of all of it, and how loud the last of it was.

Knows no listener and no file.
"""

from __future__ import annotations

import hashlib
from collections import deque

import numpy as np

from .core.frame import Pull
from .core.ledger import Ledger
from .core.pcm import Int16
from .core.timeline import Event

FAR_FRAMES = 18
"""350 ms of what was sent: as long as an echo may take back to the microphone."""
SILENT_DB = -120.0


class Trail:
    """`add` every frame that is handed out, in order."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._digest = hashlib.blake2b(digest_size=16)
        self._frames = 0
        self._far: deque[Int16] = deque(maxlen=FAR_FRAMES)

    def add(self, pull: Pull, pcm: Int16) -> Event | None:
        """The record that this frame completes or follows, if any. `pcm` (960,) int16."""
        self._frames += 1
        self._digest.update(pcm.data)
        self._far.append(pcm)
        return self._ledger.add(pull)

    def flush(self) -> Event | None:
        """The record of what was gathered, or None."""
        return self._ledger.flush()

    def total(self) -> dict[str, object]:
        """What the last record of a log says of all frames."""
        return {"frames": self._frames, "pcm_b2": self._digest.hexdigest()}

    def level_db(self) -> float:
        """dBFS of the loudest of the last 350 ms."""
        if not self._far:
            return SILENT_DB
        power = max(float(np.mean(np.square(pcm.astype(np.float32)))) for pcm in self._far)
        return 10.0 * float(np.log10(max(power / 32768.0**2, 1e-12)))
