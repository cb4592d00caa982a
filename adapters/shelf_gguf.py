"""Reads the header of a GGUF file: metadata, tokens that are asked for, and where every tensor ends.

Knows no model and loads no weights; every length is bounded before it is believed.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from pathlib import Path

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"""Scalar types of values, little endian as every published file is."""

SIZES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Tensor type → (values in a block, bytes of a block), as in ggml; of a newer type only the start is checked."""

MOST_KEYS = 4096
"""Metadata of a model has dozens of keys."""

MOST_TENSORS = 65_536
"""The largest models have some thousands."""

MOST_ITEMS = 8_000_000
"""Items of an array: vocabularies have up to a million tokens."""

ALIGNMENT = 32


class NotGgufError(Exception):
    """The file is no whole GGUF file; the text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """`facts` are the scalars of the metadata, `tokens` those of the wanted words that are in the vocabulary."""

    facts: dict[str, object]
    tokens: frozenset[str]
    tensors: int


def read(path: Path, wanted: Collection[str] = ()) -> Header:
    """The header of a file whose tensors all lie inside it. Raises NotGgufError."""
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise NotGgufError("does not begin as a GGUF file does")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Reader(data, frozenset(word.encode() for word in wanted)).header()
            except (struct.error, IndexError, ValueError, OverflowError, KeyError):
                raise NotGgufError("is cut off or damaged in its header") from None


class _Reader:
    def __init__(self, data: mmap.mmap, wanted: frozenset[bytes]) -> None:
        self._data = data
        self._wanted = wanted
        self._at = len(MAGIC)
        self._tokens: set[bytes] = set()

    def header(self) -> Header:
        version = self._scalar("<I")
        if version not in VERSIONS:
            raise NotGgufError(f"is GGUF of version {version}; known are {' and '.join(map(str, VERSIONS))}")
        tensors, keys = int(self._scalar("<Q")), int(self._scalar("<Q"))
        if tensors > MOST_TENSORS or keys > MOST_KEYS:
            raise NotGgufError("is damaged in its header")
        facts: dict[str, object] = {}
        for _ in range(keys):
            key = self._text().decode()
            value = self._value(int(self._scalar("<I")))
            if value is not None:
                facts[key] = value
        ends = [self._tensor() for _ in range(tensors)]
        step = int(str(facts.get("general.alignment", ALIGNMENT)))
        start = -(-self._at // step) * step
        if not ends:
            raise NotGgufError("holds no tensors")
        if start + max(ends) > len(self._data):
            raise NotGgufError(f"is cut off: {start + max(ends)} bytes are due, {len(self._data)} are there")
        return Header(facts, frozenset(token.decode() for token in self._tokens), tensors)

    def _scalar(self, form: str) -> int | float:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        found: int | float = value
        return found

    def _text(self) -> bytes:
        length = int(self._scalar("<Q"))
        if self._at + length > len(self._data):
            raise IndexError
        found = self._data[self._at : self._at + length]
        self._at += length
        return found

    def _value(self, kind: int) -> object:
        """A scalar or a text; None for an array, of which only wanted tokens are remembered."""
        if kind == STRING:
            return self._text().decode(errors="replace")
        if kind != ARRAY:
            return self._scalar(FORMATS[kind])
        of, count = int(self._scalar("<I")), int(self._scalar("<Q"))
        if count > MOST_ITEMS or of == ARRAY:
            raise ValueError
        if of != STRING:
            self._at += count * struct.calcsize(FORMATS[of])
            return None
        for _ in range(count):
            if (text := self._text()) in self._wanted:
                self._tokens.add(text)
        return None

    def _tensor(self) -> int:
        """Where its bytes end, from the start of all tensors."""
        self._text()
        shape = [int(self._scalar("<Q")) for _ in range(int(self._scalar("<I")))]
        kind, offset = int(self._scalar("<I")), int(self._scalar("<Q"))
        values, size = SIZES.get(kind, (1, 0))
        return offset + -(-prod(shape) // values) * size
