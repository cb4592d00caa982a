"""`peer voices` and `peer doctor`: what can speak here, what is missing, and the command that helps.

Know no engine by name: the registry lists them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import sys
from collections.abc import Sequence

from adapters import registry

from . import guard
from .core.errors import AdapterError
from .engines import Engines


def voices(argv: Sequence[str]) -> int:
    """List engines with their voices, languages and licence."""
    options = argparse.ArgumentParser("peer voices", description="What can speak here.")
    options.add_argument("--json", action="store_true", help="for programs")
    given = options.parse_args(list(argv))
    rows = []
    for name in registry.names():
        found = registry.availability(name)
        entry = {**registry.describe(name).to_wire(), "available": found.available}
        rows.append({**entry, "reason": found.reason, "remedy": found.remedy})
    if given.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(_line(row))
    return 0


def _line(row: dict[str, object]) -> str:
    state = "ready" if row["available"] else f"{row['reason']}; {row['remedy']}"
    voices_, languages = row["voices"], row["languages"]
    assert isinstance(voices_, list) and isinstance(languages, list)
    return (
        f"{row['name']:<16} {len(voices_)} voices, {len(languages)} languages, licence {row['licence']}: {state}\n"
        f"{'':<16} {', '.join(str(v) for v in voices_[:12])}{', …' if len(voices_) > 12 else ''}"
    )


def doctor(argv: Sequence[str]) -> int:
    """Check this machine; 1 if the default voice cannot speak."""
    argparse.ArgumentParser("peer doctor", description="What is missing here, and what helps.").parse_args(list(argv))
    checks = [_python(), _guard(), *asyncio.run(_engines()), _ears()]
    for good, text in checks:
        print(f"{'ok  ' if good else 'BAD '} {text}")
    return 0 if all(good for good, _ in checks) else 1


def _python() -> tuple[bool, str]:
    good = sys.version_info >= (3, 11)
    return good, f"Python {sys.version.split()[0]}{'' if good else ': install Python 3.11 or newer'}"


def _guard() -> tuple[bool, str]:
    guard.install()
    skipped = {k: v for k, v in dict(guard.status()["patches"]).items() if v != "on"}  # type: ignore[call-overload]
    versions = f"aiortc {importlib.metadata.version('aiortc')}"
    return not skipped, f"{versions}: guard on" if not skipped else f"{versions}: {skipped}; run make setup"


async def _engines() -> list[tuple[bool, str]]:
    found: list[tuple[bool, str]] = []
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks)
        for name in registry.names():
            state = registry.availability(name)
            if not state.available:
                found.append((name != registry.DEFAULT, f"{name}: {state.reason}; {state.remedy}"))
                continue
            try:
                await engines.warm(name)
                status = engines.host(name).status()
                found.append((True, f"{name}: ready, network {status.get('sandbox')}"))
            except AdapterError as fault:
                found.append((False, f"{name}: {fault}"))
        await engines.close()
    return found


def _ears() -> tuple[bool, str]:
    from adapters.ears import start_ear

    started = start_ear()
    refused = "; ".join(f"{name}: {why}" for name, why in started.refused)
    if started.ear is None:
        return False, f"no ear: {refused}"
    name = started.ear.name
    started.ear.close()
    return not started.refused, f"ear {name}{': ' + refused if refused else ''}"
