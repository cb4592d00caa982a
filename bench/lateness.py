"""Inside a server under test: how late each packet is handed to the network, and what the process costs.

Knows neither track: whoever paces says by `due` when the frame that it returns should have left.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from aiortc.rtcdtlstransport import RTCDtlsTransport

from .row import quantile

_due: ContextVar[float] = ContextVar("due", default=0.0)
TICK_S = 0.05
"""Between two looks at the loop's own lateness."""
PAGE = os.sysconf("SC_PAGE_SIZE")


def due(at: float) -> None:
    """The frame that this task sends next was due at `at` (s, the loop's clock)."""
    _due.set(at)


class Meter:
    """Collects from `install` on; `measure` reports a window, `census` what is alive."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._lag: list[float] = []

    def install(self) -> None:
        """Wraps the sending of every DTLS transport of this process."""
        stock = RTCDtlsTransport._send_rtp
        clock = asyncio.get_running_loop().time
        late = self._late

        async def send(transport: Any, data: bytes) -> None:
            await stock(transport, data)
            at = _due.get()
            if at:
                late.append(clock() - at)

        RTCDtlsTransport._send_rtp = send

    async def watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self._lag.append(loop.time() - at)

    async def measure(self, seconds: float) -> dict[str, float]:
        """Lateness (ms), share of a core and frames of the next `seconds`."""
        self._late.clear()
        began, cpu, loop_cpu = asyncio.get_running_loop().time(), _cpu_s(), _cpu_s(resource.RUSAGE_THREAD)
        await asyncio.sleep(seconds)
        took = asyncio.get_running_loop().time() - began
        late = [each * 1000.0 for each in self._late]
        used = _cpu_s() - cpu
        return {
            "frames": len(late),
            "per_s": len(late) / took,
            "cpu": used / took,
            "loop_cpu": (_cpu_s(resource.RUSAGE_THREAD) - loop_cpu) / took,
            "us_per_frame": 1e6 * used / max(1, len(late)),
            "p50": quantile(late, 0.5),
            "p99": quantile(late, 0.99),
            "max": max(late, default=float("nan")),
        }

    def census(self) -> dict[str, float]:
        """Tasks, threads, descriptors, MB, and the loop's lag (ms) since the last one."""
        lag, self._lag = self._lag, []
        self._late.clear()
        gc.collect()
        return {
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "fds": len(os.listdir("/proc/self/fd")),
            "rss_mb": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6,
            "lag_p999": 1000.0 * quantile(lag, 0.999),
            "lag_max": 1000.0 * max(lag, default=0.0),
        }


def _cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
