"""Parameters of an SCTP chunk, read strictly (RFC 9260, section 3.2.1).

Knows no association and no library: bytes in, pairs out, and ValueError for what cannot be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable


def decode_params(body: bytes) -> list[tuple[int, bytes]]:
    """(type, value) of each parameter; a declared length is believed only where it fits. Raises ValueError."""
    params = []
    at = 0
    while at <= len(body) - 4:
        kind, length = struct.unpack_from("!HH", body, at)
        if length < 4 or at + length > len(body):
            raise ValueError(f"SCTP parameter with length {length} at {at} of {len(body)}")
        params.append((kind, body[at + 4 : at + length]))
        at += length + -length % 4
    return params


def spanned(gaps: Iterable[tuple[int, int]]) -> int:
    """TSNs that gap blocks (first, last) make a receiver walk through, one by one."""
    return sum(max(0, last - first + 1) for first, last in gaps)
