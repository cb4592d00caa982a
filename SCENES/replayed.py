"""The engine's own samples of a log: every request rendered once more, since a render is a function of its request.

Knows no session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from peer.core.chunk import AudioChunk, Request
from peer.core.pcm import EMPTY, Float
from peer.core.rendering import regrown
from peer.rerender import request_of

from .shapes.figures import Finding, found
from .take import Row, number

Render = Callable[[Request], Iterator[AudioChunk]]


def raw_of(rows: Iterable[Row], render: Render) -> dict[int, Float]:
    """Chunk → (n,) float32 at the engine's rate. Raises AdapterError."""
    found: dict[int, Float] = {}
    for row, state in asked_of(rows):
        pieces = [piece.pcm for piece in render(request_of(row, state))]
        found[number(row, "chunk")] = np.concatenate([EMPTY, *pieces])
    return found


def asked_of(rows: Iterable[Row]) -> Iterator[tuple[Row, bytes]]:
    """Every request with the state that the engine had given for its sentence until then."""
    streams: dict[int, str] = {}
    states: dict[str, bytes] = {}
    for row in rows:
        if row.get("kind") == "request":
            streams[number(row, "chunk")] = stream = str(row["stream"])
            yield row, states.get(stream, b"")
        elif row.get("kind") == "chunk" and row.get("result") == "ok":
            stream = streams.get(number(row, "chunk"), "")
            states[stream] = regrown(states.get(stream, b""), row)


def same_again(rows: Iterable[Row], render: Render) -> Finding:
    """Replay: every chunk that the log says was rendered, rendered again, has the same digest."""
    rows = list(rows)
    asked = {number(row, "chunk"): (row, state) for row, state in asked_of(rows)}
    faults: list[str] = []
    compared = 0
    for row in rows:
        if row.get("kind") == "chunk" and row.get("result") == "ok" and number(row, "chunk") in asked:
            compared += 1
            digest = hashlib.blake2b(digest_size=16)
            for piece in render(request_of(*asked[number(row, "chunk")])):
                digest.update(piece.pcm.tobytes())
            if digest.hexdigest() != row["pcm_b2"]:
                faults.append(f"chunk {row['chunk']} differs")
    return found("same_again", faults, chunks=compared)
