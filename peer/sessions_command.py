"""`peer sessions`: the logs that are kept, whether their chains hold, and how they go.

Knows no server: a log that is being written shows itself by its lock.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import config as configuration
from .archive import SUFFIX, Archive, Entry
from .core.errors import Refusal
from .core.pcm import FRAME_MS
from .logbook import read
from .retention import MB, aged, purged

LISTED = 1_000_000
"""The command lists all that there is."""


def sessions(argv: Sequence[str]) -> int:
    """List the logs, verify their chains, or remove some."""
    given = _parser().parse_args(list(argv))
    config = configuration.read({name: getattr(given, name, None) for name in ("config", "journal")})
    archive = Archive(Path(config.journal) if config.journal else None)
    match given.action:
        case "purge":
            return _purge(archive, given)
        case "verify":
            return _verify(archive, given.log)
        case _:
            return _list(archive, given.json)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", help="the TOML file of serve")
    common.add_argument("--journal", help="folder of the logs")
    found = argparse.ArgumentParser("peer sessions", description="The logs that are kept.", parents=[common])
    found.set_defaults(action="")
    found.add_argument("--json", action="store_true", help="for programs")
    actions = found.add_subparsers(title="actions")
    purge = actions.add_parser("purge", parents=[common], help="remove logs; one that is being written stays")
    purge.set_defaults(action="purge")
    purge.add_argument("id", nargs="*", help="of these sessions")
    purge.add_argument("--older-than", type=float, metavar="DAYS", help="that were last written to before")
    purge.add_argument("--all", action="store_true", help="all of them")
    verify = actions.add_parser("verify", parents=[common], help="read every line again and follow the chain")
    verify.set_defaults(action="verify")
    verify.add_argument("log", nargs="?", default="", metavar="ID|PATH", help="one of them; without, all")
    return found


def _list(archive: Archive, as_json: bool) -> int:
    entries = archive.entries(LISTED)
    if as_json:
        print(json.dumps([entry.to_wire() for entry in entries], indent=2))
        return 0
    for entry in entries:
        print(_line(entry))
    print(f"{len(entries)} logs in {archive.folder}, {sum(entry.bytes for entry in entries) / MB:.1f} MB")
    return 0


def _line(entry: Entry) -> str:
    seconds = round(entry.frames * FRAME_MS / 1000)
    lasted = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    started = str(entry.to_wire()["started"] or "unknown").partition(".")[0]
    state = "live" if entry.live else entry.ended or "no end"
    return f"{entry.id}  {started:19}  {lasted:>8}  {entry.bytes / MB:7.2f} MB  {entry.adapter:12}  {state}"


def _purge(archive: Archive, given: argparse.Namespace) -> int:
    """1: some that were named stay."""
    named = [archive.path(ident) for ident in given.id]
    if sum((bool(named), given.older_than is not None, given.all)) != 1:
        raise Refusal("invalid", "purge", "say which: IDs, --older-than DAYS, or --all")
    if given.older_than is not None:
        if not 0 <= given.older_than < 1e6:
            raise Refusal("out_of_range", "older-than", "give days")
        gone = aged(archive, given.older_than, datetime.now(UTC).timestamp())
    else:
        gone = purged(named or [path for path, _ in archive.files()])
    print(f"{gone.logs} logs are removed ({gone.bytes / MB:.1f} MB)")
    stay = [path.stem for path in named if path.exists()]
    for ident in stay:
        print(f"{ident} stays: it is being written, or is no log")
    return 1 if stay else 0


def _verify(archive: Archive, which: str) -> int:
    """1: a chain is broken, or a file is no log."""
    if not which:
        paths = sorted(path for path, _ in archive.files())
    elif os.sep in which or which.endswith(SUFFIX):
        paths = [Path(which)]
    else:
        paths = [archive.path(which)]
    bad = 0
    for path in paths:
        good, text = _verdict(path)
        bad += not good
        print(f"{'ok  ' if good else 'BAD '}{path.stem}: {text}")
    return 1 if bad else 0


def _verdict(path: Path) -> tuple[bool, str]:
    reading = read(path)
    count, last = 0, ""
    try:
        for line in reading:
            count, last = line.seq + 1, line.record["kind"]
    except Refusal as refusal:
        return False, refusal.remedy
    if reading.broken is not None:
        broken = reading.broken
        return False, f"{count} records hold; at byte {broken.offset} (record {broken.seq}) it is {broken.why}"
    chain = "the chain holds" if reading.chained else f"whole, but schema {reading.schema} has no chain"
    return True, f"{count} records, {chain}{'' if last == 'end' else '; it has no end'}"
