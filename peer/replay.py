"""`peer replay LOG`: renders every chunk of a log again and compares the digests.

Knows no clock and no transport; the log's requests go to the same engines, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from .core.chunk import Request, Ticket
from .core.errors import Refusal
from .core.rendering import regrown
from .engines import Engines
from .journal import SCHEMA

CHUNK_S = 60.0
"""For one chunk; far beyond what any took live."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`chunks` compared, `equal` of them, the first that differs (None: all are equal).

    `passing` more came of engines that never say the same twice.
    """

    chunks: int
    equal: int
    first_different: int | None
    passing: int = 0

    @property
    def good(self) -> bool:
        return self.chunks == self.equal


def records(path: Path) -> Iterator[Mapping[str, object]]:
    """The log's records up to the first broken line. Raises Refusal for what is no log of ours."""
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                record = _record(line)
                if offset == 0 and (record is None or record.get("schema") != SCHEMA):
                    raise Refusal("invalid", "log", f"{path.name} is no log of schema {SCHEMA}")
                if record is None:
                    print(f"{path.name}: broken at byte {offset}; what follows is not read", file=sys.stderr)
                    return
                offset += len(line)
                yield record
    except OSError as error:
        raise Refusal("missing", "log", f"{path}: {error.strerror}") from None
    if offset == 0:
        raise Refusal("invalid", "log", f"{path.name} is empty")


def _record(line: bytes) -> Mapping[str, object] | None:
    """A whole line that holds what replay needs of it, or None."""
    try:
        record = orjson.loads(line)
        if not line.endswith(b"\n") or not isinstance(record, dict) or not isinstance(record["kind"], str):
            return None
        if record["kind"] == "request":
            request_of(record)
        if record["kind"] == "chunk" and record["result"] == "ok":
            str(record["pcm_b2"]), int(str(record["chunk"])), regrown(b"", record)
    except (ValueError, KeyError, TypeError):
        return None
    return record


def request_of(record: Mapping[str, object], state: bytes = b"") -> Request:
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


async def verify(path: Path, engines: Engines) -> Verdict:
    """Render every completed chunk of the log again. Raises Refusal or AdapterError."""
    asked: dict[object, Mapping[str, object]] = {}
    states: dict[str, bytes] = {}
    chunks, equal, first, passing = 0, 0, None, 0
    for record in records(path):
        number = record.get("chunk")
        if record["kind"] == "request":
            asked[number] = record
        elif record["kind"] == "chunk" and record["result"] == "ok" and number in asked:
            source = asked.pop(number)
            stream = str(source["stream"])
            before = states.get(stream, b"")
            states[stream] = regrown(before, record)
            if not engines.descriptor(str(source["adapter"])).supports_seed:
                passing += 1
                continue
            same = await _again(engines, request_of(source, before)) == record["pcm_b2"]
            chunks, equal = chunks + 1, equal + same
            first = int(str(number)) if not same and first is None else first
    return Verdict(chunks, equal, first, passing)


async def _again(engines: Engines, request: Request) -> str:
    """The digest of a request rendered once more."""
    await engines.warm(request.adapter)
    digest = hashlib.blake2b(digest_size=16)
    deadline = asyncio.get_running_loop().time() + CHUNK_S
    async for chunk in engines.host(request.adapter).render(request, deadline):
        digest.update(chunk.pcm.tobytes())
    return digest.hexdigest()


async def _replayed(path: Path) -> Verdict:
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks)
        try:
            return await verify(path, engines)
        finally:
            await engines.close()


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    found: Exception = errors
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found


def main(argv: Sequence[str]) -> int:
    """0: every chunk has the same bytes again; 1: one differs."""
    options = argparse.ArgumentParser("peer replay", description="Render a log's chunks again and compare them.")
    options.add_argument("log", type=Path)
    given = options.parse_args(list(argv))
    try:
        verdict = asyncio.run(_replayed(given.log))
    except ExceptionGroup as errors:
        raise _first(errors) from None
    if verdict.first_different is not None:
        print(f"DIFFERENT: {verdict.equal} of {verdict.chunks} chunks equal; the first that differs is "
              f"{verdict.first_different}")  # fmt: skip
        return 1
    more = f"; {verdict.passing} of engines that do not repeat themselves were passed over" if verdict.passing else ""
    print(f"EQUAL: {verdict.chunks} chunks have the same bytes again{more}")
    return 0
