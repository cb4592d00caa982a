"""`python -m bench [NAME …] [--quick] [--no-browser] [--json FILE]`: figures, each beside its peer or limit.

Knows the names of the measurements and nothing of their insides; without a name all but the soak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from .budget import FULL, QUICK, Budget
from .row import HEADINGS, Row, line

MODULES = {
    "first-audio": "first_audio",
    "barge-in": "barge_in",
    "setup": "setup_time",
    "frame": "steps",
    "espeak": "engine",
    "append": "append",
    "log": "log_size",
    "virtual": "virtual",
    "capacity": "capacity",
    "steady": "steady",
    "voice": "voice",
    "soak": "soak",
}
EVERYTHING = tuple(name for name in MODULES if name not in ("soak", "voice"))
"""What a run without names measures; a soak takes long, and `voice` is one engine that is named."""
ENGINE = "BENCH_ENGINE"
LOADED = 0.5
"""Load per core beyond which wall-clock figures say more about the neighbours."""


async def run(names: Sequence[str], budget: Budget) -> dict[str, list[Row]]:
    """Measures and prints; a measurement that fails is named and the others go on."""
    found: dict[str, list[Row]] = {}
    print(line(HEADINGS), flush=True)
    for name in names:
        began = time.monotonic()
        try:
            rows = await import_module(f".{MODULES[name]}", __package__).measure(budget)
        except Exception as fault:
            logging.getLogger(__name__).error("%s failed", name, exc_info=fault)
            continue
        found[name] = rows
        print(f"\n{name} ({time.monotonic() - began:.0f} s{'' if rows else ', nothing to measure here'})")
        for row in rows:
            print(line(row.cells()), flush=True)
    return found


def main(argv: Sequence[str]) -> int:
    """0 measured, 1 something could not be measured. Missed targets are shown, they are no failure."""
    options = argparse.ArgumentParser("bench", description=__doc__)
    options.add_argument("names", nargs="*", choices=[[], *MODULES], metavar="NAME", help=", ".join(MODULES))
    options.add_argument("--quick", action="store_true", help="every path once, in less than 90 s")
    options.add_argument("--engine", help="which one `voice` measures, at its published size")
    options.add_argument("--no-browser", action="store_true")
    options.add_argument("--json", type=Path, help="also write the figures there")
    given = options.parse_args(argv)
    budget = QUICK if given.quick else FULL
    if given.no_browser:
        budget = replace(budget, browser=False)
    if given.engine:
        os.environ[ENGINE] = given.engine
    names = given.names or (("voice",) if given.engine else EVERYTHING)
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"{cores} cores, load {load:.1f}{': not idle, times are too long' if load > LOADED * cores else ''}\n")
    found = asyncio.run(run(names, budget))
    if given.json:
        wire = {name: [row.to_wire() for row in rows] for name, rows in found.items()}
        given.json.write_text(json.dumps(wire, indent=1, ensure_ascii=False) + "\n")
    met = [row.met for rows in found.values() for row in rows if row.met is not None]
    print(f"\n{sum(met)} of {len(met)} targets met")
    return 0 if len(found) == len(names) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
