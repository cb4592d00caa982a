"""`peer replay LOG`: renders every chunk of a log again and compares the digests.

Knows no clock and no transport; the log's requests go to the same engines, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from .core.chunk import Request, Ticket
from .core.errors import AdapterError, Refusal
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
            for number, line in enumerate(file):
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    print(f"{path.name}: broken at byte {offset}; what follows is not read", file=sys.stderr)
                    return
                if number == 0 and (not isinstance(record, dict) or record.get("schema") != SCHEMA):
                    raise Refusal("invalid", "log", f"{path.name} is no log of schema {SCHEMA}")
                offset += len(line)
                yield record
    except OSError as error:
        raise Refusal("missing", "log", f"{path}: {error.strerror}") from None


def request_of(record: Mapping[str, object]) -> Request:
    """The request that a log record names."""
    window, knobs = record["window"], record["knobs"]
    assert isinstance(window, list) and isinstance(knobs, dict)
    start, end = window
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
        state=base64.b64decode(str(record.get("state", ""))),
    )


async def verify(path: Path) -> Verdict:
    """Render every completed chunk of the log again. Raises Refusal or AdapterError."""
    asked: dict[int, Mapping[str, object]] = {}
    chunks, equal, first = 0, 0, None
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks)
        try:
            for record in records(path):
                number = record.get("chunk")
                if record.get("kind") == "request" and isinstance(number, int):
                    asked[number] = record
                elif record.get("kind") == "chunk" and isinstance(number, int) and number in asked:
                    same = await _digest(engines, request_of(asked.pop(number))) == record["pcm_b2"]
                    chunks, equal = chunks + 1, equal + same
                    first = number if not same and first is None else first
        finally:
            await engines.close()
    return Verdict(chunks, equal, first)


async def _digest(engines: Engines, request: Request) -> str:
    await engines.warm(request.adapter)
    digest = hashlib.blake2b(digest_size=16)
    deadline = asyncio.get_running_loop().time() + CHUNK_S
    async for chunk in engines.host(request.adapter).render(request, deadline):
        digest.update(chunk.pcm.tobytes())
    return digest.hexdigest()


def main(argv: Sequence[str]) -> int:
    """0: every chunk has the same bytes again; 1: one differs."""
    options = argparse.ArgumentParser("peer replay", description="Render a log's chunks again and compare them.")
    options.add_argument("log", type=Path)
    given = options.parse_args(list(argv))
    try:
        verdict = asyncio.run(verify(given.log))
    except* (Refusal, AdapterError) as errors:
        raise errors.exceptions[0] from None
    if verdict.first_different is not None:
        print(f"DIFFERENT: {verdict.equal} of {verdict.chunks} chunks equal; the first that differs is "
              f"{verdict.first_different}")  # fmt: skip
        return 1
    print(f"EQUAL: {verdict.chunks} chunks have the same bytes again")
    return 0
