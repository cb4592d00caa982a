"""One engine at its published size: first audio, render ratio per rung, memory, time to swap; beside its library.

Which engine: `python -m bench voice --engine NAME`. Knows only hosts and descriptors; the models have random weights.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from adapters import registry, settings, spool
from adapters.base import nearest
from adapters.settings import EngineSettings
from peer.core.chunk import Request, Ticket
from peer.core.voice import Voice
from peer.host import ProcessHost

from .budget import QUICK, Budget
from .library import ENGINES as LIBRARIES
from .models import MAKERS
from .row import Row, median

VARIABLE = "BENCH_ENGINE"
TEXT = "The harbour was quiet when the first boats came home, and gulls followed close behind them all the way."
"""Five to six seconds of speech."""
RUNG_S = 4.0
"""Audio per rung at most, or so much time: a slow engine is known by then."""
FAR_S = 600.0
ROOT = Path(__file__).resolve().parents[1]
TARGETS: Mapping[str, tuple[float | None, float | None]] = {"piper": (110.0, None), "snac_llamacpp": (220.0, 0.7)}
"""First audio in ms and the best render ratio, where there is a target."""


@dataclass(frozen=True, slots=True)
class Told:
    """One sentence: to its first sound, all of it, how long it plays."""

    first_ms: float
    total_ms: float
    audio_ms: float

    @property
    def ratio(self) -> float:
        return self.total_ms / self.audio_ms if self.audio_ms else float("nan")


async def measure(budget: Budget) -> list[Row]:
    """The rows of the engine that was named; of the embedded one otherwise."""
    name = registry.resolve(os.environ.get(VARIABLE) or registry.DEFAULT)
    tiny = budget.renders <= QUICK.renders
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synchrony-bench-"))) / name
        if name in MAKERS:
            _say(f"{name}: making a model of {'a tiny' if tiny else 'the published'} size with random weights")
            await _run("bench.models", name, str(folder), *(["--tiny"] if tiny else []))
            row = EngineSettings(models=str(folder))
        else:
            row = await _service(name, stack)
        stack.enter_context(settings.override(name, row))
        library = await _library(name, folder)
        return await _rows(name, budget, library)


def _say(text: str) -> None:
    """What is going on, for whoever waits: minutes pass before the rows come."""
    print(f"… {text}", file=sys.stderr, flush=True)


async def _service(name: str, stack: AsyncExitStack) -> EngineSettings:
    """A speech server on loopback for an engine that needs one; its own settings else."""
    if not registry.describe(name).network and registry.availability(name).available:
        return settings.of(name)
    from tests.tiny.loopback_speech import SpeechServer

    server = await stack.enter_async_context(SpeechServer())
    return EngineSettings(options={"url": server.url})


async def _run(module: str, *arguments: str) -> str:
    """A module in a process of its own; its standard output. Raises RuntimeError."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=ROOT, stdout=pipe, stderr=pipe,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments[:1])}: {err.decode(errors='replace')[-800:]}")
    return out.decode()


async def _library(name: str, folder: Path) -> dict[str, float] | None:
    if name not in LIBRARIES:
        return None
    _say(f"{name}: its library's own way to the sentence")
    found: dict[str, float] = json.loads((await _run("bench.library", name, str(folder), TEXT)).splitlines()[-1])
    return found


async def _rows(name: str, budget: Budget, library: Mapping[str, float] | None) -> list[Row]:
    adapter = registry.load(name)
    descriptor, knobs = adapter.describe(), nearest(adapter, Voice()).knobs
    async with asyncio.TaskGroup() as tasks:
        host = ProcessHost(name, adapter, tasks)
        began = time.monotonic()
        await host.start()
        ready_ms = 1000.0 * (time.monotonic() - began)
        _say(f"{name}: ready after {ready_ms:.0f} ms; first audio, and every rung")
        speaker = Speaker(host, name, descriptor.sample_rate, dict(knobs))
        rungs = [round(units * descriptor.unit_ms * descriptor.sample_rate / 1000) for units in descriptor.granularity]
        firsts = [await speaker.told(rungs[0], 0.2) for _ in range(max(3, min(9, budget.renders // 20)))]
        ratios = [
            (units, await speaker.told(rung, RUNG_S)) for units, rung in zip(descriptor.granularity, rungs, strict=True)
        ]
        rss = float(str(host.status().get("rss_mb") or 0.0))
        _say(f"{name}: a narration of {budget.narration_s:.0f} s, or {NARRATION_MOST_S:.0f} s of waiting")
        grown, narrated_s = await speaker.narrated(rungs[-1], budget.narration_s)
        await host.close()
    first = median([told.first_ms for told in firsts])
    target, ratio_target = TARGETS.get(name, (None, None))
    best = min(told.ratio for _, told in ratios)
    beside = library or {"load_ms": ready_ms, "first_ms": first, "total_ms": best, "audio_ms": 1.0, "rss_mb": rss}
    whose = "its library" if library else "itself: the library has no such way"
    whole = beside["total_ms"] / beside["audio_ms"]
    rows = [
        Row(f"{name}: from nothing to ready", "ms", ready_ms, f"{whose}: load", beside["load_ms"]),
        Row(f"{name}: swap to it, warm: first audio", "ms", first, f"{whose}: first audio", beside["first_ms"], target),
        Row(f"{name}: swap to it, cold", "ms", ready_ms + first, f"{whose}: load and first audio",
            beside["load_ms"] + beside["first_ms"]),
        Row(f"{name}: memory of its process", "MB", rss, f"{whose}: its process", beside["rss_mb"]),
    ]  # fmt: skip
    growth = f"{name}: memory gained in {narrated_s:.0f} s of narration after its first tenth"
    rows.append(Row(growth, "MB", grown, "its process", rss))
    for units, told in ratios:
        name_ = f"{name}: render ratio at {units} {descriptor.unit.value}"
        aim = ratio_target if told.ratio == best else None
        rows.append(Row(name_, "×", told.ratio, f"{whose}: whole sentence", whole, aim))
    return rows


NARRATION_MOST_S = 240.0
"""Time for a narration: a slow engine has said enough by then."""


class Speaker:
    """Sentences through the real host, in chunks of one size."""

    def __init__(self, host: ProcessHost, name: str, rate: int, knobs: dict[str, int | float | str]) -> None:
        self._host = host
        self._name = name
        self._rate = rate
        self._knobs = knobs
        self._told = 0

    async def narrated(self, rung: int, seconds: float) -> tuple[float, float]:
        """(MB gained since a tenth is said and all is kept that may be, seconds of audio). NaN: too slow to tell."""
        began, audio_s, early, before = time.monotonic(), 0.0, 0.0, self._told
        while audio_s < seconds and time.monotonic() - began < NARRATION_MOST_S:
            told = await self.told(rung, RUNG_S * 2)
            audio_s += told.audio_ms / 1000.0
            settled = audio_s > seconds / 10 and self._told - before > spool.KEPT
            early = early or (self._rss() if settled else 0.0)
        return self._rss() - early if early else float("nan"), audio_s

    def _rss(self) -> float:
        return float(str(self._host.status().get("rss_mb") or 0.0))

    async def told(self, rung: int, most_s: float) -> Told:
        """The sentence until `most_s` of audio or of time are over, each time a new one."""
        self._told += 1
        loop = asyncio.get_running_loop()
        began, first, cursor, state = time.monotonic(), 0.0, 0, b""
        while cursor < most_s * self._rate and time.monotonic() - began < max(most_s, 1.0) * 4:
            request = Request(
                Ticket(0, self._told),
                self._name,
                f"s{self._told}",
                TEXT,
                cursor,
                rung,
                8,
                self._knobs,
                self._told,
                state,
            )
            last = None
            async for last in self._host.render(request, loop.time() + FAR_S):
                if not first and len(last.pcm):
                    first = time.monotonic()
            assert last is not None
            cursor, state = last.cursor, last.state
            if last.eos:
                break
        ended = time.monotonic()
        return Told(1000.0 * (first - began), 1000.0 * (ended - began), 1000.0 * cursor / self._rate)
