"""`python -m adapters.machine`: what the engines' libraries can use on this machine, as one line of JSON.

Knows no engine. It imports what is heavy, so it is asked in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIMIT_S = 60.0
"""torch is imported in 2 s from a warm disk; a cold one takes ten times as long."""

GPUS = Path("/proc/driver/nvidia/gpus")
ROOT = Path(__file__).resolve().parents[1]


def asked() -> dict[str, str]:
    """`torch` and `llama`: their versions, "" where they are missing; `cuda`: what torch was built for.

    `torch_fault` and `llama_fault` say why one does not import, `gpu` names the first GPU that torch can use,
    `offload` is "yes" where llama.cpp can use one, `present` is "yes" where the system has one.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__], capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=ROOT
        )
        facts: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return _cold() | {"torch_fault": f"it did not import within {LIMIT_S:.0f} s, or took the process with it"}
    return facts


def _cold() -> dict[str, str]:
    present = GPUS.is_dir() and any(GPUS.iterdir())
    return {
        "torch": _version("torch"), "llama": _version("llama_cpp_python"), "cuda": "", "gpu": "", "offload": "",
        "present": "yes" if present else "", "torch_fault": "", "llama_fault": "",
    }  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _warm() -> dict[str, str]:
    facts = _cold()
    if facts["torch"]:
        try:
            torch = import_module("torch")
            facts["cuda"] = str(torch.version.cuda or "")
            facts["gpu"] = str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else ""
        except Exception as error:  # a build that does not fit fails in its own ways
            facts["torch_fault"] = _line(error)
    if facts["llama"]:
        try:
            facts["offload"] = "yes" if import_module("llama_cpp").llama_supports_gpu_offload() else ""
        except Exception as error:  # the same
            facts["llama_fault"] = _line(error)
    return facts


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def main() -> int:
    """Print the facts; libraries that print go to standard error."""
    answer = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(answer, "w") as line:
        line.write(json.dumps(_warm()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
