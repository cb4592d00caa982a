"""The plain binary frames between the host and an engine's process: a header, a JSON object, raw bytes.

Knows neither engines nor what a frame asks for. Only the standard library, so that a worker started
with `python -I -S` can use it. INTERFACES.md, section 5.1, is the same in words.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

HEADER = struct.Struct("<BIII")
"""Kind, id, length of the JSON part, length of the raw part."""

MAX_JSON = 1 << 20
"""A sentence and its knobs are some kilobytes; a mebibyte is a broken peer."""

MAX_RAW = 8 << 20
"""Three minutes of 24 kHz int16, or any decoder state measured so far sixteen times."""

MAX_ID = 0xFFFF_FFFF
"""Ids are 32 bits wide; 0 is the worker itself."""


class FramingError(Exception):
    """The far end sent what is not a frame; the connection cannot be used any more."""


class Kind(IntEnum):
    """What a frame is; those below 16 go to the worker, the others come from it. LEFT answers CANCEL."""

    RENDER = 1
    CANCEL = 2
    CLOSE = 3
    READY = 16
    PIECE = 17
    ERROR = 18
    LEFT = 19


KINDS: Mapping[int, Kind] = {int(kind): kind for kind in Kind}


class Frame(NamedTuple):
    """One frame; `fields` is its JSON object."""

    kind: Kind
    id: int
    fields: dict[str, object]
    raw: bytes = b""


def encode(kind: Kind, id: int, fields: Mapping[str, object] | None = None, raw: bytes = b"") -> bytes:
    """The bytes of one frame. Raises FramingError where it is over the limits."""
    text = json.dumps(fields or {}, separators=(",", ":"), allow_nan=False).encode()
    _check(len(text), len(raw))
    if not 0 <= id <= MAX_ID:
        raise FramingError(f"id {id} does not fit into 32 bits")
    return b"".join((HEADER.pack(kind, id, len(text), len(raw)), text, raw))


def _check(json_bytes: int, raw_bytes: int) -> None:
    if json_bytes > MAX_JSON:
        raise FramingError(f"{json_bytes} bytes of JSON where at most {MAX_JSON} are allowed")
    if raw_bytes > MAX_RAW:
        raise FramingError(f"{raw_bytes} raw bytes where at most {MAX_RAW} are allowed")


def _constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _fields(text: bytes) -> dict[str, object]:
    try:
        value = json.loads(text.decode(), parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise FramingError(f"the JSON part does not parse: {error}") from error
    if not isinstance(value, dict):
        raise FramingError(f"the JSON part is {type(value).__name__}, not an object")
    return value


class Parser:
    """Bytes in, frames out, however they were cut. After an error it refuses everything.

    Holds at most one frame that is not complete, so never more than the limits and one `feed`.
    """

    __slots__ = ("_buffer", "_fault")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fault: str | None = None

    @property
    def waiting(self) -> int:
        """Bytes of the frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completed. Raises FramingError, then and ever after."""
        if self._fault is not None:
            raise FramingError(self._fault)
        self._buffer += data
        frames = []
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except FramingError as error:
            self._fault = str(error)
            self._buffer.clear()
            raise
        return frames

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < HEADER.size:
            return None
        kind, id, json_bytes, raw_bytes = HEADER.unpack_from(buffer)
        if kind not in KINDS:
            raise FramingError(f"kind {kind} is not known")
        _check(json_bytes, raw_bytes)
        middle = HEADER.size + json_bytes
        end = middle + raw_bytes
        if len(buffer) < end:
            return None
        frame = Frame(KINDS[kind], id, _fields(bytes(buffer[HEADER.size : middle])), bytes(buffer[middle:end]))
        del buffer[:end]
        return frame
