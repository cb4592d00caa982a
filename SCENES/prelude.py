"""What an engine's process runs first in an audited server: the hook, then the engine's own program.

Started as `python [flags] prelude.py SPILL [-m MODULE | SCRIPT] …`. Knows no engine. The standard library only.
"""

from __future__ import annotations

import os
import runpy
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def main() -> None:
    sys.path[0:0] = [HERE] if HERE not in sys.path else []
    import audit  # type: ignore[import-not-found]

    sys.path.remove(HERE)
    audit.install(audit.say)
    audit.say("on in a worker")
    spill, *rest = sys.argv[1:]
    if spill == "worker":
        with tempfile.TemporaryFile() as file:
            file.write(b"what a control run writes")
    if rest[0] == "-m":
        sys.path.insert(0, ROOT)
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")


main()
