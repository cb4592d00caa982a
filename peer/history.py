"""Sessions that were, and that are, over HTTP: their list, their timelines, and their sound made again.

Knows no format of a log and no engine: the archive lists, a feed reads, replay speaks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TypeVar, cast

import orjson
from aiohttp import web

from .archive import Archive, look
from .config import Config
from .core.errors import AdapterError, Refusal
from .core.pcm import FRAME, FRAME_MS, Int16
from .engines import Engines
from .feed import Feed, Wanted, as_event, as_line
from .larder import Larder, beside
from .logbook import read
from .replay import regenerate
from .wav import MEDIA_TYPE, UNKNOWN, header

log = logging.getLogger(__name__)

T = TypeVar("T")

THREADS = 2
"""Readers at work at the same time: they share the interpreter with every call's frames."""
FOLLOW_S = 0.1
"""Between two looks at a log that is being written: it is written as often."""
KEEP_ALIVE_S = 15.0
"""A quiet event stream says something this often, so that proxies keep it open."""
FIRST_FRAMES = 5
PIECE_FRAMES = 25
"""Frames of one write: the first soon, then half a second."""
AHEAD_FRAMES = 100
LIVE_SPEED = 2.0
"""While someone is spoken to, an audition gets so much at once, then no more than twice what it plays: engines are the
callers' first."""
SPOKEN = 2
"""The schema since which a log says enough to make every frame again."""
MOST_FRAMES = 2**31
"""A year and a half: beyond it a number is no frame."""


class _Left(Exception):
    """The listener takes nothing any more."""


class History:
    """`busy`: someone is being spoken to now. Raises Refusal as every route does."""

    def __init__(self, config: Config, engines: Engines, busy: Callable[[], bool]) -> None:
        self._archive = Archive(Path(config.journal) if config.journal else None)
        self._engines = engines
        self._busy = busy
        self._limits = config.limits
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="archive")
        self._using = {"timelines": 0, "auditions": 0}

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _aside(self, work: Callable[[], T]) -> T:
        """`work` on a thread of the archive: nothing of a file on the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @contextmanager
    def _place(self, what: str, most: int) -> Iterator[None]:
        if self._using[what] >= most:
            raise Refusal("busy", "session", f"at most {most} {what} at once; try again in a moment")
        self._using[what] += 1
        try:
            yield
        finally:
            self._using[what] -= 1

    # the list -------------------------------------------------------------------------------

    async def sessions(self) -> list[dict[str, object]]:
        return [entry.to_wire() for entry in await self._aside(self._archive.entries)]

    # a timeline -----------------------------------------------------------------------------

    async def timeline(self, request: web.Request, ident: str) -> web.StreamResponse:
        """Its records as lines; or as events, which go on while the session lives."""
        follows = "text/event-stream" in request.headers.get("Accept", "")
        start, stop = _range(request)
        seen = request.headers.get("Last-Event-ID") if follows else None
        after = _number("Last-Event-ID", seen) if seen else _number("after", request.query.get("after"))
        wanted = Wanted(start or 0, stop, -1 if after is None else after)
        with self._place("timelines", self._limits.timelines):
            path = await self._aside(lambda: self._archive.path(ident))
            feed = await self._aside(lambda: Feed(path, wanted, as_event if follows else as_line, self._busy))
            try:
                return await self._fed(request, feed, follows)
            finally:
                feed.close()

    async def _fed(self, request: web.Request, feed: Feed, follows: bool) -> web.StreamResponse:
        first = await self._aside(feed.more)
        media = "text/event-stream" if follows else "application/x-ndjson"
        response = web.StreamResponse(headers={"Content-Type": media, **_STREAM})
        try:
            await response.prepare(request)
            await self._taken(response, first)
            quiet_s = 0.0
            while not feed.over and (follows or not feed.caught_up):
                data = await self._aside(feed.more)
                if data:
                    await self._taken(response, data)
                    quiet_s = 0.0
                elif feed.caught_up:
                    await asyncio.sleep(FOLLOW_S)
                    quiet_s += FOLLOW_S
                    if quiet_s >= KEEP_ALIVE_S:
                        await self._taken(response, b": still here\n\n")
                        quiet_s = 0.0
            await self._taken(response, _last(feed, follows))
        except (_Left, ConnectionError):
            _cut_off(request)
        return response

    # the sound ------------------------------------------------------------------------------

    async def audio(self, request: web.Request, ident: str) -> web.StreamResponse:
        """What left, made again: never a recording. It ends when the listener leaves."""
        start, stop = _range(request)
        with self._place("auditions", self._limits.auditions):
            path = await self._aside(lambda: self._archive.path(ident))
            entry = await self._aside(lambda: look(path))
            if entry is None:
                raise Refusal("invalid", "session", f"{path.name} is no log of ours")
            if entry.schema < SPOKEN:
                raise Refusal(
                    "unproven", "session", f"its log has schema {entry.schema}: where speech was cut is not said"
                )
            start, stop = start or 0, min(entry.frames if stop is None else stop, entry.frames)
            if start >= stop:
                raise Refusal("out_of_range", "from", f"the session has frames up to {entry.frames}")
            # An iterator to its readers, a generator here: it must end when the listener leaves, not some time later.
            larder = Larder(beside(path.parent))
            frames = cast("AsyncGenerator[Int16]", regenerate(read(path), self._engines, start, stop, larder))
            async with aclosing(frames):
                return await self._spoken(request, frames, stop - start)

    async def _spoken(self, request: web.Request, frames: AsyncIterator[Int16], count: int) -> web.StreamResponse:
        async with aclosing(self._pieces(frames)) as found:
            first = await _first(found)
            size = 2 * FRAME * count
            response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE, **_STREAM})
            try:
                await response.prepare(request)
                await self._taken(response, header(size=size if size < UNKNOWN - 36 else UNKNOWN) + first)
                async for piece in found:
                    await self._taken(response, piece)
            except (_Left, ConnectionError):
                _cut_off(request)
            except _FAULTS as fault:
                log.warning("%s: it was spoken up to a fault: %s", request.path, fault)
                _cut_off(request)  # not the end of the sound: the listener must not take it for one
        return response

    async def _pieces(self, frames: AsyncIterator[Int16]) -> AsyncGenerator[bytes]:
        """s16le, and no faster than callers can bear."""
        loop = asyncio.get_running_loop()
        began, given, most = loop.time(), 0, FIRST_FRAMES
        waiting: list[bytes] = []
        async for pcm in frames:
            waiting.append(pcm.tobytes())
            if len(waiting) < most:
                continue
            given, most = given + len(waiting), PIECE_FRAMES
            yield b"".join(waiting)
            waiting.clear()
            due_s = (given - AHEAD_FRAMES) * FRAME_MS / 1000.0 / LIVE_SPEED
            await asyncio.sleep(max(0.0, began + due_s - loop.time()) if self._busy() else 0.0)
        if waiting:
            yield b"".join(waiting)

    async def _taken(self, response: web.StreamResponse, data: bytes) -> None:
        """A write that the listener takes in time. Raises _Left."""
        if not data:
            return
        try:
            async with asyncio.timeout(self._limits.stall_s):
                await response.write(data)
        except (TimeoutError, ConnectionError) as gone:
            raise _Left from gone


_STREAM = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_FAULTS = (AdapterError, Refusal, ValueError, KeyError, TypeError)
"""What a replay raises: an engine that cannot, a log that is not what it says."""


async def _first(pieces: AsyncIterator[bytes]) -> bytes:
    """The first piece: until then a fault is an answer. Raises Refusal."""
    try:
        return await anext(pieces, b"")
    except AdapterError as fault:
        raise Refusal("unavailable", "session", f"its engine cannot speak: {fault}") from None
    except (ValueError, KeyError, TypeError) as fault:
        raise Refusal("invalid", "session", f"its log cannot be played: {fault}") from None


def _last(feed: Feed, follows: bool) -> bytes:
    """How a timeline says that it is over, and whether all of it could be read."""
    broken = None if feed.broken is None else feed.broken.to_wire()
    if follows:
        told = b"" if broken is None else b"event: broken\ndata: %s\n\n" % orjson.dumps(broken)
        return told + b"event: end\ndata: {}\n\n"
    return b"" if broken is None else orjson.dumps({"broken": broken}) + b"\n"


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _range(request: web.Request) -> tuple[int | None, int | None]:
    """The frames that were asked for. Raises Refusal."""
    start, stop = (_number(name, request.query.get(name)) for name in ("from", "to"))
    if stop is not None and stop < (start or 0):
        raise Refusal("out_of_range", "to", "give a frame that is not before `from`")
    return start, stop


def _number(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) < MOST_FRAMES):
        raise Refusal("invalid", name, "give a number of frames or events from 0")
    return int(text)
