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
from .engines import Engines
from .journal import SCHEMA

CHUNK_S = 60.0
"""For one chunk; far beyond what any took live."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`chunks` compared, `equal` of them, the first that differs (None: all are equal)."""

    chunks: int
    equal: int
    first_different: int | None

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
            str(record["pcm_b2"]), int(str(record["chunk"]))
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
    chunks, equal, first = 0, 0, None
    for record in records(path):
        number = record.get("chunk")
        if record["kind"] == "request":
            asked[number] = record
        elif record["kind"] == "chunk" and record["result"] == "ok" and number in asked:
            source = asked.pop(number)
            stream = str(source["stream"])
            found, states[stream] = await _again(engines, request_of(source, states.get(stream, b"")))
            same = found == record["pcm_b2"]
            chunks, equal = chunks + 1, equal + same
            first = int(str(number)) if not same and first is None else first
    return Verdict(chunks, equal, first)


async def _again(engines: Engines, request: Request) -> tuple[str, bytes]:
    """(digest, state) of a request rendered once more."""
    await engines.warm(request.adapter)
    digest, state = hashlib.blake2b(digest_size=16), b""
    deadline = asyncio.get_running_loop().time() + CHUNK_S
    async for chunk in engines.host(request.adapter).render(request, deadline):
        digest.update(chunk.pcm.tobytes())
        state = chunk.state
    return digest.hexdigest(), state


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
    print(f"EQUAL: {verdict.chunks} chunks have the same bytes again")
    return 0
