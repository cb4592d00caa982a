"""The chain of a log: every line ends with a digest over itself and the line before.

Knows no file and no record's meaning: bytes in, bytes out.
"""

from __future__ import annotations

import hashlib

H_BYTES = 8
"""64 bits show damage and edits by hand; who rewrites a whole log can chain it again, no digest helps there."""
_OPEN = b',"h":"'
_CLOSE = b'"}\n'
SEAL = len(_OPEN) + 2 * H_BYTES + len(_CLOSE)
"""Bytes that the chain adds to a line, with its end."""


def link(before: bytes, body: bytes) -> bytes:
    """16 hex digits for `body`, an object's JSON, after a line with the digits `before` (empty for the first)."""
    return hashlib.blake2b(before + body, digest_size=H_BYTES).hexdigest().encode()


def sealed(body: bytes, h: bytes) -> bytes:
    """The line: `body` with `h` as its last member."""
    return body[:-1] + _OPEN + h + _CLOSE


def opened(line: bytes) -> tuple[bytes, bytes] | None:
    """(body, h) of a sealed line; None for what is none."""
    if len(line) <= SEAL or not line.endswith(_CLOSE) or not line.startswith(_OPEN, len(line) - SEAL):
        return None
    return line[:-SEAL] + b"}", line[-SEAL + len(_OPEN) : -len(_CLOSE)]


def holds(before: bytes, line: bytes) -> bytes | None:
    """The line's h, if it follows a line with the digits `before`; None otherwise."""
    found = opened(line)
    return found[1] if found is not None and link(before, found[0]) == found[1] else None
