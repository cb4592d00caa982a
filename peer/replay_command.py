"""`peer replay LOG`: a verdict on a log, and its sound as a file.

Knows no record; what is compared, and how, is the replay's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import orjson

from . import wav
from .core.errors import Refusal
from .core.pcm import FRAME_MS, SILENCE
from .engines import Engines
from .larder import Larder, beside
from .logbook import TORN, read
from .replay import Replay, Verdict

PER_S = 1000 // FRAME_MS


def main(argv: Sequence[str]) -> int:
    """0: everything is the same again; 1: something differs; 2 (a Refusal): nothing could be compared."""
    options = argparse.ArgumentParser("peer replay", description="Play a log again and compare every frame.")
    options.add_argument("log", type=Path)
    options.add_argument("--from", dest="start", type=frames, default=0, metavar="FRAME", help="or seconds: 12.5s")
    options.add_argument("--to", dest="stop", type=frames, metavar="FRAME", help="the first frame that is not played")
    options.add_argument("--wav", type=Path, help="write the sound there; it ends before the first frame that differs")
    options.add_argument("--verify", action="store_true", help="compare everything before --wav writes anything")
    options.add_argument("--controller", action="store_true", help="run the pace controller again, compare decisions")
    options.add_argument("--chunks", type=Path, metavar="FOLDER", help="kept chunks of engines without determinism")
    options.add_argument("--json", action="store_true", help="the verdict as JSON")
    given = options.parse_args(list(argv))
    if given.stop is not None and given.stop <= given.start:
        raise Refusal("invalid", "--to", "it must lie behind --from")
    try:
        verdict, took_s = asyncio.run(_played(given))
    except ExceptionGroup as errors:
        raise _first(errors) from None
    if given.json:
        sys.stdout.write(orjson.dumps(_wire(verdict, took_s), default=str).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_told(verdict, took_s, given.log.name)) + "\n")
    torn = verdict.broken is None or verdict.broken.why == TORN
    return 0 if verdict.good and torn else 1


def frames(text: str) -> int:
    """A frame number, or seconds with an "s" behind. Raises ValueError."""
    found = round(float(text[:-1]) * PER_S) if text.endswith("s") else int(text)
    if found < 0:
        raise ValueError(text)
    return found


async def _played(given: argparse.Namespace) -> tuple[Verdict, float]:
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks)
        try:
            if given.wav is None or given.verify:
                replay, took_s = await _once(given, engines, None)
            if given.wav is not None and (not given.verify or replay.verdict.good):
                replay, took_s = await _once(given, engines, given.wav)
            return replay.verdict, took_s
        finally:
            await engines.close()


async def _once(given: argparse.Namespace, engines: Engines, path: Path | None) -> tuple[Replay, float]:
    """One pass, written to `path` if there is one, and how long it took."""
    larder = Larder(given.chunks or beside(given.log.parent))
    began = time.monotonic()
    replay = Replay(read(given.log), engines, given.start, given.stop, larder, given.controller)
    if path is None:
        async for _ in replay.frames():
            pass
    else:
        await _written(replay, path, given.start)
    return replay, time.monotonic() - began


async def _written(replay: Replay, path: Path, start: int) -> None:
    """The sound, until a frame is not what left; the header is completed at the end. Raises Refusal."""
    try:
        with path.open("wb") as file:
            file.write(wav.header())
            size = await _sound(replay, file, start)
            file.seek(0)
            file.write(wav.header(size=size))
    except OSError as error:
        raise Refusal("invalid", "--wav", f"{path}: {error.strerror}") from None


async def _sound(replay: Replay, file: BinaryIO, start: int) -> int:
    """Bytes written."""
    size, due, proven = 0, start or None, True
    async for frame in replay.frames():
        proven = proven and frame.same
        if not proven or frame.pcm is None:
            continue
        silent = 0 if due is None else frame.n - due
        size += sum(file.write(SILENCE.tobytes()) for _ in range(silent))
        size += file.write(frame.pcm.astype("<i2").tobytes())
        due = frame.n + 1
    return size


def _wire(verdict: Verdict, took_s: float) -> dict[str, object]:
    return {
        **asdict(verdict),
        "good": verdict.good,
        "took_s": round(took_s, 3),
        "differing": sorted(verdict.differing),
        "control": [str(difference) for difference in verdict.control],
    }


def _told(verdict: Verdict, took_s: float, name: str) -> list[str]:
    """What a person wants to know, the verdict first."""
    lines = [_result(verdict, took_s)]
    if verdict.kept:
        lines.append(
            f"{verdict.kept} chunks are of an engine that never repeats itself, taken from where they were kept"
        )
    if verdict.passed:
        lines.append(f"{verdict.passed} chunks were passed over: their engine never repeats itself, nobody kept them")
    if verdict.unknown:
        lines.append(f"{verdict.unknown} frames were not compared: the log does not say what they are made of")
    if verdict.decisions:
        first = ", the first that differ:" if verdict.control else ", all the same again"
        lines += [f"controller: {verdict.decisions} decisions{first}", *(f"  {one}" for one in verdict.control)]
    if verdict.broken is not None:
        at = f"byte {verdict.broken.offset} (event {verdict.broken.seq})"
        lines.append(f"{name} is broken at {at}: {verdict.broken.why}; what follows was not read")
    return lines


def _result(verdict: Verdict, took_s: float) -> str:
    played_s = verdict.frames / PER_S
    speed = f", {played_s / took_s:.1f} times as fast as they played" if took_s > 0 and played_s else ""
    chunks = f"{verdict.equal} of {verdict.chunks} chunks"
    if verdict.good:
        return f"EQUAL: {chunks} and {verdict.same} frames ({played_s:.1f} s) are the same again, byte for byte{speed}"
    engines = ", ".join(sorted(verdict.differing))
    where = [] if verdict.first_chunk is None else [f"chunk {verdict.first_chunk} ({engines})"]
    where += [] if verdict.first_frame is None else [f"frame {verdict.first_frame}"]
    first = f"; the first that differs: {', '.join(where)}" if where else ""
    most = "" if verdict.largest is None else f"; largest difference of a sample {verdict.largest:.2g}"
    return f"DIFFERENT: {chunks} and {verdict.same} of {verdict.frames - verdict.unknown} frames equal{first}{most}"


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    found: Exception = errors
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
