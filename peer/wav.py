"""The one RIFF header of a stream whose length nobody knows.

Knows no HTTP. Layout after the WAVE format; size fields hold 0xFFFFFFFF, as streaming servers send.
"""

from __future__ import annotations

import struct

from .core.pcm import RATE

UNKNOWN = 0xFFFFFFFF
MEDIA_TYPE = "audio/wav"


def header(rate: int = RATE, size: int = UNKNOWN) -> bytes:
    """44 bytes: mono, 16 bit, `rate` Hz, `size` bytes of samples (unknown: 0xFFFFFFFF)."""
    riff = UNKNOWN if size == UNKNOWN else size + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size
    )
