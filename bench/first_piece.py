"""How long the first sound of a new sentence takes through the real host: `python -m bench.first_piece NAME [COUNT]`.

Prints one JSON line: milliseconds from asking to the first piece, and the part measured inside the worker.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from adapters import registry
from peer.core.chunk import Request, Ticket
from peer.core.voice import Voice
from peer.host import ProcessHost

TEXT = "This is a longer sentence that goes on, and on, until it ends."
GAP_S = 0.02
"""Between two sentences: what a call leaves at the very least."""


def row(values: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum, ms."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {name: round(ordered[round(last * at)], 2) for name, at in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}


async def measure(name: str, count: int) -> dict[str, object]:
    """`count` sentences, each of a stream of its own."""
    adapter = registry.load(name)
    descriptor, knobs = adapter.describe(), adapter.project(Voice()).knobs
    units = descriptor.granularity[0]
    samples = round(units * descriptor.unit_ms * descriptor.sample_rate / 1000)
    outside, inside = [], []
    async with asyncio.TaskGroup() as tasks:
        host = ProcessHost(name, adapter, tasks)
        await host.start()
        for index in range(count):
            request = Request(Ticket(0, index), name, f"s{index}", TEXT, 0, samples, units, knobs, 1)
            began = time.monotonic()
            with host.render(request, asyncio.get_running_loop().time() + 10.0) as pieces:
                first = await anext(pieces)
                outside.append(1000.0 * (time.monotonic() - began))
                inside.append(first.render_ms)
                async for _ in pieces:
                    pass
            await asyncio.sleep(GAP_S)
        status = host.status()
        await host.close()
    return {
        "adapter": name,
        "count": count,
        "first_ms": row(outside),
        "worker_ms": row(inside),
        "prior": status["prior"],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200))))
