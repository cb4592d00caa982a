"""Our server as it is, on loopback, with a console: `python -m bench.served [--timed] [--core N] -- ARGS OF SERVE`.

Changes two things: nobody is refused for calling often, and `--timed` measures when each packet leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import console, loopback
from .lateness import Meter, due

if TYPE_CHECKING:
    from peer.config import Config


def main(argv: Sequence[str]) -> int:
    split = list(argv).index("--") if "--" in argv else len(argv)
    options = argparse.ArgumentParser("bench.served")
    options.add_argument("--timed", action="store_true")
    options.add_argument("--core", type=int)
    given = options.parse_args(argv[:split])
    console.pin(given.core)
    loopback.stay_home()
    from peer import config
    from peer.serve import default_adapter

    asked = config.load(list(argv[split + 1 :]))
    limits = replace(asked.limits, sessions=1000, half_open=200, offers_per_s=1e4, offers_burst=10_000)
    asyncio.run(_serve(replace(asked, limits=limits, adapter=asked.adapter or default_adapter()), given.timed))
    return 0


async def _serve(config: Config, timed: bool) -> None:
    from peer.serve import serve

    meter = Meter()
    if timed:
        meter.install()
        _time_pacer()
    commands = {"measure": lambda words: meter.measure(float(words[0])), "census": lambda words: _now(meter)}
    helpers = [asyncio.create_task(console.listen(commands))]
    if timed:
        helpers.append(asyncio.create_task(meter.watch_lag()))
    try:
        await serve(config, lambda address: console.tell({"ready": address}))
    finally:
        for helper in helpers:
            helper.cancel()


async def _now(meter: Meter) -> dict[str, float]:
    return meter.census()


def _time_pacer() -> None:
    """A frame that is renumbered because it is late counts from the deadline that it missed."""
    from peer.session import Session
    from peer.track import FRAME_S, Pacer

    next_pull, read = Pacer.next, Session.read_frame
    rested: set[int] = set()

    def read_frame(session: Session, n: int) -> Any:
        pull = read(session, n)
        if pull.pcm is None:
            rested.add(id(session))
        return pull

    async def next_frame(pacer: Any) -> Any:
        expected, source = pacer._next, pacer._source
        rested.discard(id(source))
        pull = await next_pull(pacer)
        n = pull.n if id(source) in rested else expected
        due(source.origin + n * FRAME_S)
        return pull

    Session.read_frame = read_frame  # type: ignore[method-assign]
    Pacer.next = next_frame  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
