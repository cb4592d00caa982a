"""`python -m SCENES [scene …] [--engine …] [--live] [--list]`: plays scenes, prints a table, leaves artifacts.

Knows no story. The exit status is 0 when nothing is red, 1 when something is, 2 when asked wrongly.
"""

# ruff: noqa: N999
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from adapters import registry

from .artifacts import ROOT, Unwritable, store
from .bridge import Company
from .playbill import SCENES
from .props import Props
from .scene import Outcome, Result, Stage, perform

REPEATS = 10_000
"""Barge-ins at random of one run: ten times what the rarest fault found so far took to show."""
IN_A_PROCESS = 10
"""Engines in a process of their own render for real: they get this part of the repeats."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, play, print."""
    options = _parser().parse_args(argv)
    if options.list:
        return _list()
    wrong = _unknown("scene", options.scene, tuple(SCENES)) or _unknown("engine", options.engine, registry.names())
    if wrong:
        print(wrong, file=sys.stderr)
        return 2
    scenes = options.scene or [name for name in SCENES if not options.live or SCENES[name].live is not None]
    mute = [name for name in scenes if options.live and SCENES[name].live is None]
    if mute:
        print(f"not told live: {', '.join(mute)}; choose of {', '.join(_live())}", file=sys.stderr)
        return 2
    try:
        return _play(scenes, options.engine or list(registry.names()), options)
    except Unwritable as fault:
        print(f"scenes: {fault}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m SCENES", description="Plays the scenes and judges their shapes.")
    parser.add_argument("scene", nargs="*", help="names of scenes; none means all")
    parser.add_argument("--engine", action="append", help="names of engines; none means all that are registered")
    parser.add_argument("--live", action="store_true", help="against a running server, in real time")
    parser.add_argument("--list", action="store_true", help="say what scenes there are and what they prove")
    parser.add_argument("--seed", type=int, default=1, help="of what is random in a story")
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"barge-ins at random (default {REPEATS})")
    parser.add_argument("--own-models", action="store_true", help="your models, not tiny ones with random weights")
    parser.add_argument("--out", type=Path, default=ROOT, help="where artifacts go")
    return parser


def _live() -> list[str]:
    return [name for name, scene in SCENES.items() if scene.live is not None]


def _unknown(what: str, given: Sequence[str] | None, known: Sequence[str]) -> str:
    strange = [name for name in given or () if name not in known]
    return f"unknown {what} {', '.join(strange)}: choose of {', '.join(known)}" if strange else ""


def _list() -> int:
    for name, scene in SCENES.items():
        told = " and ".join(word for word, how in (("virtual", scene.play), ("live", scene.live)) if how)
        print(f"{name:16} ({told}) {scene.proves}")
    return 0


def _play(scenes: Sequence[str], engines: Sequence[str], options: argparse.Namespace) -> int:
    results: list[Result] = []
    with nullcontext() if options.own_models else Props(), Company() as company:
        for name in scenes:
            for engine in engines:
                result = _result(name, engine, company, options)
                store(result, options.out / "live" if options.live else options.out)
                results.append(result)
                print(_line(result), flush=True)
    print()
    print(_table(results, scenes, engines))
    return 1 if any(result.verdict is Outcome.RED for result in results) else 0


def _result(name: str, engine: str, company: Company, options: argparse.Namespace) -> Result:
    found = registry.availability(engine)
    if not found.available:
        unavailable = Outcome.UNAVAILABLE
        return Result(name, engine, unavailable, live=options.live, reason=found.reason, remedy=found.remedy)
    repeats = options.repeats if engine == "tone" else max(1, options.repeats // IN_A_PROCESS)
    return perform(SCENES[name], Stage(engine, company, options.seed, repeats, options.own_models), options.live)


def _line(result: Result) -> str:
    """One cell in words: what is red and why, or what is missing."""
    head = f"{result.scene:16} {result.engine:14} {result.verdict.value}"
    red = [f"{finding.shape}: {finding.why}" for finding in result.findings if not finding.good]
    why = red or [text for text in (result.reason, result.remedy) if text]
    return "\n".join([head, *(f"    {line}" for line in why)])


def _table(results: Sequence[Result], scenes: Sequence[str], engines: Sequence[str]) -> str:
    cells = {(result.scene, result.engine): result.verdict.value for result in results}
    rows = [["scene", *engines], *([name, *(cells[name, engine] for engine in engines)] for name in scenes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
