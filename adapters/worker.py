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
PRIOR_NUMBERS = "1, 2, 3, 4, 5, 6."
"""What a voice without English is tried with: every language has words for it."""
PRIOR_MS = 400
"""What is rendered before READY, after the smallest chunk twice: the first touches every page the first call needs,
the other two tell what a call costs and what its audio costs.
"""
PRIOR_MOST_MS = 2000.0
"""An engine whose first chunk takes longer is known well enough by it: nobody waits for two more."""

MOST_SAID = 200
"""Characters of a library's own words inside a sentence of ours; ten times that where they stand alone."""


class ClosedError(Exception):
    """The host went away or said CLOSE."""


class StarvedError(Exception):
    """Memory ran out; what the engine holds cannot be trusted any more."""


class Inbox:
    """The worker's end of the socket: frames in order, cancels taken out of turn and answered."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._parser = Parser()
        self._waiting: deque[Frame] = deque()
        self._current = 0
        self._left = False

    def next_request(self) -> Frame:
        """Waits for a RENDER; the one before is over. Raises ClosedError."""
        if self._left:
            self._say_left(self._current)
        self._current, self._left = 0, False
        while not self._waiting:
            self._receive()
        frame = self._waiting.popleft()
        self._current = frame.id
        return frame

    def cancelled(self) -> bool:
        """Takes what has arrived, without waiting; true if the current request was cancelled."""
        while not self._left and select.select([self._wire], [], [], 0.0)[0]:
            self._receive()
        return self._left

    def _say_left(self, id: int) -> None:
        self._wire.sendall(encode(Kind.LEFT, id))

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
                self._left = True
            else:
                self._say_left(frame.id)
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
    """The ERROR frame of an exception, one line. `ends` where the worker cannot go on after it."""
    text, ends = str(error) or type(error).__name__, is_starved(error)
    if ends:
        text = sandbox.starvation(sandbox.inherited().memory_mb, text[:MOST_SAID])
    fields = {"error": _word(error), "text": text[: 10 * MOST_SAID], "ends": ends or id == 0}
    return encode(Kind.ERROR, id, fields)


def _word(error: Exception) -> str:
    from peer.core.errors import Unavailable, Unspeakable

    match error:
        case Unavailable():
            return "unavailable"
        case Unspeakable():
            return "unspeakable"
        case _:
            return "broken"


def is_starved(error: Exception) -> bool:
    """True where memory ran out, in whatever words the library puts that."""
    from peer.core.errors import AdapterError

    if isinstance(error, MemoryError | StarvedError) or sandbox.starved(f"{type(error).__name__}: {error}"):
        return True
    return not isinstance(error, AdapterError) and sandbox.full(sandbox.inherited().memory_mb)


def _prior(adapter: TTSAdapter) -> list[list[float]]:
    """[audio_ms, render_ms] of a small and of a longer render; none where the voice has no words for what is tried."""
    from peer.core.errors import Unspeakable

    descriptor = adapter.describe()
    least = descriptor.rungs_ms()[0]
    try:
        cold = _timed(adapter, 0, least)
        if cold[1] > PRIOR_MOST_MS:
            return [cold]
        return [_timed(adapter, number, ms) for number, ms in enumerate(sorted({least, float(PRIOR_MS)}), 1)]
    except Unspeakable as error:
        log.warning("warm-up: %s", error)
        return []


def _timed(adapter: TTSAdapter, number: int, ms: float) -> list[float]:
    """[audio_ms, render_ms] of the beginning of a sentence. Raises AdapterError."""
    from adapters.base import nearest
    from peer.core.chunk import Request, Ticket
    from peer.core.voice import Voice

    descriptor = adapter.describe()
    english = not descriptor.languages or any(tag.lower().startswith("en") for tag in descriptor.languages)
    text = PRIOR_TEXT if english else PRIOR_NUMBERS
    wanted, units = round(descriptor.sample_rate * ms / 1000), max(1, round(ms / descriptor.unit_ms))
    knobs = nearest(adapter, Voice()).knobs
    began = time.monotonic()
    request = Request(Ticket(0, 0), adapter.name, f"prior {number}", text, 0, wanted, units, knobs, 1)
    audio_ms = sum(chunk.duration_ms for chunk in adapter.render(request))
    return [audio_ms, 1000.0 * (time.monotonic() - began)]


def _render(adapter: TTSAdapter, frame: Frame, inbox: Inbox, wire: socket.socket) -> None:
    """Render one request to its end or until it is cancelled; between pieces the socket is looked at.

    A piece with nothing in it is not sent: an engine that waits yields it as a place to be cancelled.
    """
    pieces = adapter.render(request_of(frame, adapter.name))
    try:
        for chunk in pieces:
            if inbox.cancelled():
                return
            if chunk.last or len(chunk.pcm) or chunk.markers:
                wire.sendall(piece_of(chunk, frame.id))
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def _answer(adapter: TTSAdapter, frame: Frame, inbox: Inbox, wire: socket.socket) -> None:
    """One request and whatever comes of it. Raises what ends the worker."""
    from peer.core.errors import AdapterError, Unavailable

    try:
        _render(adapter, frame, inbox, wire)
    except (ClosedError, FramingError, BrokenPipeError, ConnectionResetError, Unavailable):
        raise
    except AdapterError as error:
        log.warning("request %d: %s", frame.id, error)
        wire.sendall(error_of(frame.id, error))
    except Exception as error:  # an engine may raise anything: its request fails, the worker lives
        log.exception("request %d", frame.id)
        wire.sendall(error_of(frame.id, error))
        if is_starved(error):
            raise StarvedError from None


def serve(adapter: TTSAdapter, wire: socket.socket, level: str) -> NoReturn:
    """Warm up, say READY, answer until the host goes away or the engine is unavailable."""
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
        "leaves": True,
    }
    wire.sendall(encode(Kind.READY, 0, ready))
    inbox = Inbox(wire)
    while True:
        _answer(adapter, inbox.next_request(), inbox, wire)


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
        except StarvedError:
            return 3
        except Exception as error:  # a failed warm-up, or an engine that cannot go on
            _log_end(error)
            wire.sendall(error_of(0, error))
            return 1
        finally:
            adapter.close()


def _log_end(error: Exception) -> None:
    """A sentence where the engine gave one, a traceback where it did not."""
    from peer.core.errors import AdapterError

    if isinstance(error, AdapterError):
        log.error("%s", error)
    else:
        log.exception("the engine cannot go on", exc_info=error)


def main(arguments: list[str]) -> int:
    """`arguments` is the engine's name."""

    def load() -> type[TTSAdapter]:
        from adapters import registry

        return registry.load(arguments[0])

    return run(load)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
