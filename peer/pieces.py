"""One render on its way between a session and an engine's process, and what it looks like on the wire.

Knows neither the process nor the queue: whoever runs the engine puts pieces in and is told of a cancel.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Self

import numpy as np

from adapters.framing import Frame, FramingError, Kind, encode

from .core.chunk import AudioChunk, Marker, Request

FORMATS: Mapping[str, tuple[str, float]] = {"s16": ("<i2", 1.0 / 32768.0), "f32": ("<f4", 1.0)}
"""Sample formats on the wire: numpy's name and the factor to [-1, 1]."""


class Phase(StrEnum):
    """Where one render stands."""

    WAITING = "waiting"
    SENT = "sent"
    DONE = "done"


class Render:
    """The pieces of one request, to be iterated once; as a context manager it cancels what is left.

    Holds at most the samples that were asked for: a worker that sends more is broken.
    """

    __slots__ = ("_drop", "_fault", "_pieces", "_waiter", "deadline", "id", "left", "phase", "request", "timer")

    def __init__(self, request: Request, deadline: float, drop: Callable[[Render], None]) -> None:
        self._drop = drop
        self._pieces: deque[AudioChunk] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._fault: Exception | None = None
        self.request = request
        self.deadline = deadline
        self.phase = Phase.WAITING
        self.id = 0
        self.left = request.samples
        self.timer: asyncio.TimerHandle | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        while True:
            if self._pieces:
                return self._pieces.popleft()
            if self._fault is not None:
                raise self._fault
            if self.phase is Phase.DONE:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.cancel()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Gives up what has not come yet; harmless when it is over."""
        self._pieces.clear()
        if self.phase is not Phase.DONE:
            self._drop(self)

    # what the host does with it

    def put(self, chunk: AudioChunk) -> None:
        self.left -= len(chunk.pcm)
        self._pieces.append(chunk)
        self._wake()

    def finish(self, fault: Exception | None = None) -> None:
        self.phase = Phase.DONE
        self._fault = fault
        if self.timer is not None:
            self.timer.cancel()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def render_frame(id: int, request: Request) -> bytes:
    """The RENDER frame of a request. Raises FramingError where it is too large."""
    fields = {
        "stream": request.stream,
        "text": request.text,
        "cursor": request.cursor,
        "samples": request.samples,
        "units": request.units,
        "knobs": dict(request.knobs),
        "seed": request.seed,
    }
    return encode(Kind.RENDER, id, fields, request.state)


def chunk_of(frame: Frame) -> AudioChunk:
    """The chunk of a PIECE frame, its samples as float32. Raises FramingError where a field does not fit."""
    fields, raw = frame.fields, frame.raw
    try:
        dtype, factor = FORMATS[str(fields["format"])]
        split = _natural(fields["state"])
        if split > len(raw):
            raise ValueError("more state than bytes")
        pcm = np.frombuffer(raw, dtype, offset=split).astype(np.float32)
        if factor != 1.0:
            pcm *= np.float32(factor)
        pcm.flags.writeable = False
        rows = fields["markers"]
        if not isinstance(rows, list):
            raise TypeError("markers is not a list")
        return AudioChunk(
            pcm=pcm,
            sample_rate=_natural(fields["sample_rate"]),
            markers=tuple(Marker(str(k), _natural(a), _natural(s), _natural(e), str(t)) for k, a, s, e, t in rows),
            cursor=_natural(fields["cursor"]),
            state=raw[:split],
            last=fields["last"] is True,
            eos=fields["eos"] is True,
            render_ms=float(str(fields["render_ms"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FramingError(f"PIECE: {error!r}") from error


def _natural(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value
