"""A chunk of a log, rendered again: a request is all that a render depends on, and the log has it.

Knows no stream and no clock; engines that never say the same twice are asked for nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .core.chunk import Request, Ticket
from .core.pcm import EMPTY, Float
from .core.rendering import regrown
from .engines import Engines

CHUNK_S = 60.0
"""For one chunk; far beyond what any took live."""

Row = Mapping[str, Any]


class Larder(Protocol):
    """Chunks that were kept, by digest."""

    def get(self, digest: str) -> Float | None: ...


def request_of(record: Row, state: bytes = b"") -> Request:
    """The request that a log record names, after an engine's `state`. Raises ValueError, KeyError or TypeError."""
    window, knobs = record["window"], record["knobs"]
    if not isinstance(window, list) or not isinstance(knobs, dict):
        raise TypeError("window is a list, knobs an object")
    start, end = (int(position) for position in window)
    return Request(
        ticket=Ticket(int(str(record["epoch"])), int(str(record["chunk"]))),
        adapter=str(record["adapter"]),
        stream=f"replay.{record['stream']}",
        text=str(record["text"]),
        cursor=start,
        samples=end - start,
        units=int(str(record["n"])),
        knobs=knobs,
        seed=int(str(record["seed_chunk"])),
        state=state,
    )


def digest_of(pcm: Float) -> str:
    """As the log has it: BLAKE2b, 16 bytes, of the float32 samples."""
    return hashlib.blake2b(np.ascontiguousarray(pcm).data, digest_size=16).hexdigest()


class Rerender:
    """Chunks by number, once each. `larder` has what engines without determinism said, where somebody kept it."""

    def __init__(self, engines: Engines, larder: Larder | None = None) -> None:
        self._engines = engines
        self._larder = larder
        self._asked: dict[int, tuple[Row, bytes]] = {}
        self._states: dict[str, bytes] = {}

    def note(self, record: Row) -> None:
        """A record goes by: what was asked is remembered until the next sentence, and the engine's state with it."""
        if record["kind"] == "request":
            stream = str(record["stream"])
            if stream not in self._states:
                self._states = {stream: b""}
                self._asked.clear()
            self._asked[int(record["chunk"])] = (record, self._states[stream])
        elif record["kind"] == "chunk" and record["result"] == "ok" and int(record["chunk"]) in self._asked:
            stream = str(self._asked[int(record["chunk"])][0]["stream"])
            self._states[stream] = regrown(self._states.get(stream, b""), record)

    def repeats(self, chunk: int) -> bool:
        """The engine of this chunk says the same again when it is asked the same."""
        row, _ = self._asked[chunk]
        return self._engines.descriptor(str(row["adapter"])).supports_seed

    def adapter(self, chunk: int) -> str:
        return str(self._asked[chunk][0]["adapter"])

    async def chunk(self, chunk: int) -> Float:
        """(n,) float32, rendered again. Raises AdapterError, Refusal, KeyError."""
        record, state = self._asked[chunk]
        request = request_of(record, state)
        await self._engines.warm(request.adapter)
        deadline = asyncio.get_running_loop().time() + CHUNK_S
        rendered = self._engines.host(request.adapter).render(request, deadline)
        return np.concatenate([EMPTY, *[piece.pcm async for piece in rendered]])

    def kept(self, digest: str) -> Float | None:
        """What somebody kept under this digest, if it still is what it was."""
        pcm = None if self._larder is None else self._larder.get(digest)
        return pcm if pcm is not None and digest_of(pcm) == digest else None
