"""The common engine process: `python -m adapters.worker NAME` renders one request at a time over its socket.

Knows no engine by name and nothing of deadlines: the host decides what comes next. At module level it
imports the standard library only, so that the sandbox is entered before numpy starts its threads.
"""

from __future__ import annotations

import logging
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from adapters import sandbox
from adapters.framing import Frame, FramingError, Kind, Parser, encode

if TYPE_CHECKING:
    from adapters.base import TTSAdapter
    from peer.core.chunk import AudioChunk, Request

log = logging.getLogger(__name__)

READ = 65_536
"""Bytes of one read: more than any request."""

MAX_WAITING = 64
"""Requests that wait inside the worker; the host sends at most `concurrency`, so more is a broken host."""

PRIOR_TEXT = "One two three four five six."
PRIOR_MS = 400
"""What is rendered once before READY: it measures the speed and touches every page the first call needs."""


class ClosedError(Exception):
    """The host went away or said CLOSE."""


class Inbox:
    """The worker's end of the socket: frames in order, cancels taken out of turn."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._parser = Parser()
        self._waiting: deque[Frame] = deque()
        self._current = 0

    def next_request(self) -> Frame:
        """Waits for a RENDER. Raises ClosedError."""
        self._current = 0
        while not self._waiting:
            self._receive()
        frame = self._waiting.popleft()
        self._current = frame.id
        return frame

    def cancelled(self) -> bool:
        """Takes what has arrived, without waiting; true if the current request was cancelled."""
        while self._current and select.select([self._wire], [], [], 0.0)[0]:
            self._receive()
        return self._current == 0

    def _receive(self) -> None:
        data = self._wire.recv(READ)
        if not data:
            raise ClosedError
        for frame in self._parser.feed(data):
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.RENDER:
            if len(self._waiting) >= MAX_WAITING:
                raise FramingError(f"more than {MAX_WAITING} requests wait")
            self._waiting.append(frame)
        elif frame.kind is Kind.CANCEL:
            self._waiting = deque(waiting for waiting in self._waiting if waiting.id != frame.id)
            if frame.id == self._current:
                self._current = 0
        elif frame.kind is Kind.CLOSE:
            raise ClosedError
        else:
            raise FramingError(f"{frame.kind.name} is not for a worker")


def request_of(frame: Frame, adapter: str) -> Request:
    """The request of a RENDER frame. Raises FramingError where a field is missing or of another type."""
    from peer.core.chunk import Request, Ticket

    fields = frame.fields
    try:
        knobs = fields["knobs"]
        if not isinstance(knobs, dict):
            raise TypeError("knobs is not an object")
        cursor, samples, units, seed = (int(str(fields[name])) for name in ("cursor", "samples", "units", "seed"))
        if cursor < 0 or samples < 0:
            raise ValueError("cursor and samples count from 0")
        return Request(
            Ticket(0, frame.id), adapter, str(fields["stream"]), str(fields["text"]),
            cursor, samples, units, knobs, seed, frame.raw,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FramingError(f"RENDER: {error!r}") from error


def piece_of(chunk: AudioChunk, id: int) -> bytes:
    """The PIECE frame of a chunk; samples travel as they are, float32."""
    fields = {
        "sample_rate": chunk.sample_rate,
        "format": "f32",
        "markers": [[m.kind, m.at, m.start, m.end, m.label] for m in chunk.markers],
        "cursor": chunk.cursor,
        "last": chunk.last,
        "eos": chunk.eos,
        "render_ms": chunk.render_ms,
        "state": len(chunk.state),
    }
    return encode(Kind.PIECE, id, fields, chunk.state + chunk.pcm.astype("<f4", copy=False).tobytes())


def error_of(id: int, error: Exception) -> bytes:
    """The ERROR frame of an exception, one line."""
    from peer.core.errors import Unavailable

    word = "unavailable" if isinstance(error, Unavailable) else "broken"
    text = str(error) or type(error).__name__
    return encode(Kind.ERROR, id, {"error": word, "text": text[:2000]})


def _prior(adapter: TTSAdapter) -> list[float]:
    """[audio_ms, render_ms] of one small render."""
    from peer.core.chunk import Request, Ticket
    from peer.core.voice import Voice

    descriptor = adapter.describe()
    wanted = round(descriptor.sample_rate * PRIOR_MS / 1000)
    units = round(PRIOR_MS / descriptor.unit_ms)
    knobs = adapter.project(Voice()).knobs
    began = time.monotonic()
    request = Request(Ticket(0, 0), adapter.name, "prior", PRIOR_TEXT, 0, wanted, units, knobs, 1)
    audio_ms = sum(chunk.duration_ms for chunk in adapter.render(request))
    return [audio_ms, 1000.0 * (time.monotonic() - began)]


def _render(adapter: TTSAdapter, frame: Frame, inbox: Inbox, wire: socket.socket) -> None:
    """Render one request to its end or until it is cancelled; between pieces the socket is looked at."""
    pieces = adapter.render(request_of(frame, adapter.name))
    try:
        for chunk in pieces:
            if inbox.cancelled():
                return
            wire.sendall(piece_of(chunk, frame.id))
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def serve(adapter: TTSAdapter, wire: socket.socket, level: str) -> NoReturn:
    """Warm up, say READY, answer until the host goes away."""
    began = time.monotonic()
    adapter.warm_up()
    prior = _prior(adapter)
    descriptor = adapter.describe()
    ready = {
        "version": descriptor.version,
        "sample_rate": descriptor.sample_rate,
        "warm_ms": 1000.0 * (time.monotonic() - began),
        "prior": prior,
        "sandbox": level,
    }
    wire.sendall(encode(Kind.READY, 0, ready))
    inbox = Inbox(wire)
    while True:
        frame = inbox.next_request()
        try:
            _render(adapter, frame, inbox, wire)
        except (ClosedError, FramingError, OSError):
            raise
        except Exception as error:  # an engine may raise anything: its request fails, the worker lives
            log.exception("request %d", frame.id)
            wire.sendall(error_of(frame.id, error))


def run(load: Callable[[], type[TTSAdapter]]) -> int:
    """The whole life of a worker; `load` imports the engine inside the sandbox. Returns the exit status."""
    level = sandbox.enter()
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    with socket.socket(fileno=sandbox.socket_descriptor()) as wire:
        try:
            adapter = load()()
        except Exception as error:  # whatever keeps it from starting is the answer
            wire.sendall(error_of(0, error))
            return 1
        try:
            serve(adapter, wire, level)
        except (ClosedError, BrokenPipeError, ConnectionResetError):
            return 0
        except FramingError as error:
            log.error("the host broke the framing: %s", error)
            return 2
        except Exception as error:  # a failed warm-up
            log.exception("warm-up")
            wire.sendall(error_of(0, error))
            return 1
        finally:
            adapter.close()


def main(arguments: list[str]) -> int:
    """`arguments` is the engine's name."""

    def load() -> type[TTSAdapter]:
        from adapters import registry

        return registry.load(arguments[0])

    return run(load)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
