"""`python -m peer [serve|replay|sessions|voices|doctor]`: reads the command line and starts what it names.

Knows no more than that; serve is the default.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

from .core.errors import AdapterError, Refusal

COMMANDS = ("serve", "replay", "sessions", "voices", "doctor")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 fine, 1 a check failed, 2 asked wrongly."""
    given = list(sys.argv[1:] if argv is None else argv)
    command = given.pop(0) if given and given[0] in COMMANDS else "serve"
    if given and not given[0].startswith("-") and command == "serve":
        print(f"unknown command {given[0]!r}: choose one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        match command:
            case "serve":
                return _serve(given)
            case "replay":
                return _replay(given)
            case "sessions":
                from .sessions_command import sessions

                return sessions(given)
            case "voices":
                from .commands import voices

                return voices(given)
            case _:
                from .commands import doctor

                return doctor(given)
    except (Refusal, AdapterError) as refusal:
        print(f"peer {command}: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _serve(argv: Sequence[str]) -> int:
    from . import config as configuration
    from .serve import default_adapter, serve

    config = configuration.load(argv)
    if not config.adapter:
        config = replace(config, adapter=default_adapter())
    try:
        asyncio.run(serve(config, _say_ready))
    except KeyboardInterrupt:
        pass  # a second Ctrl-C: at once
    return 0


def _replay(argv: Sequence[str]) -> int:
    from . import config as configuration
    from .replay_command import main as replay_main

    configuration.use_engines(configuration.read({}))
    return replay_main(argv)


def _say_ready(address: str) -> None:
    print(f"Synchrony is ready: open {address}", flush=True)
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
