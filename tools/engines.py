"""What `make engines` does: the libraries of every engine into this environment, once; then what can speak.

Knows the libraries by name and no adapter. Three things need care, the rest is one pip call: torch, whose plain wheel
may be a CUDA build; llama.cpp, which is compiled here; and the check that what is installed imports.

    make engines                      the CPU, or CUDA where a GPU and its compiler are present
    make engines TORCH_INDEX=<url>    torch from that index (torch's own page names those of CPU builds)
    make engines GPU=0 | GPU=1        llama.cpp for the CPU, or for CUDA
    make engines LLAMA=again          compile llama.cpp anew
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "engines.lock"
BASE = ROOT / "requirements.lock"
WHEELS = Path(sys.prefix) / "wheels"
"""Compiled wheels, a folder per version and flags: a second run installs from there."""

LLAMA = "llama_cpp_python"
TORCH = ("torch", "torchaudio")
PORTABLE = "-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF"
"""Runs on any machine with AVX2; a native build is 5 to 7 % faster and fails elsewhere."""

CUDA = f"{PORTABLE} -DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native"
GPUS = Path("/proc/driver/nvidia/gpus")

IMPORTS = {
    "piper": "import onnx, onnxruntime, piper",
    "snac": "import snac",
    "llama.cpp": "import llama_cpp",
    "coqui-tts": "from adapters.voices.xtts_load import ready_torchaudio as r; r(); import TTS.tts.models.xtts",
}
"""What each library's adapter imports, tried once after the installation."""


def main() -> int:
    """0 when everything imports; else 1, each fault in a sentence."""
    began = time.monotonic()
    pins = dict(line.split("==") for line in LOCK.read_text().split())
    torch_index, llama_again = os.environ.get("TORCH_INDEX", ""), os.environ.get("LLAMA") == "again"
    if torch_index:
        _pip("--no-deps", "--force-reinstall", "--index-url", torch_index, *(f"{name}=={pins[name]}" for name in TORCH))
    _say("the engines' libraries from engines.lock")
    _pip("--no-deps", *(f"{name}=={version}" for name, version in pins.items() if name != LLAMA))
    _whole_torch(pins["torch"], torch_index)
    _llama(pins[LLAMA], llama_again)
    faults = [fault for name, code in IMPORTS.items() if (fault := _fault(name, code))]
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    _say(f"done in {time.monotonic() - began:.0f} s. What can speak, and how each gets a model:")
    return 1 if faults else 0


def _whole_torch(version: str, index: str) -> None:
    """A CUDA build without its libraries does not import: then they come too."""
    if not _fault("torch", "import torch"):
        return
    _say(
        "this torch is a CUDA build, its libraries come too (some GB). Without a GPU, stop here and name an index of "
        "CPU builds: make engines TORCH_INDEX=<url>, the url is on torch's installation page"
    )
    where = ["--index-url", index] if index else []
    _pip(*where, "-c", str(BASE), "-c", str(LOCK), f"torch=={version}")


def _llama(version: str, again: bool) -> None:
    """Compiled once per version and flags; the wheel is kept in the environment."""
    flags = os.environ.get("CMAKE_ARGS") or (CUDA if _wants_cuda() else PORTABLE)
    folder = WHEELS / f"{LLAMA}-{version}-{hashlib.sha256(flags.encode()).hexdigest()[:12]}"
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    if not list(folder.glob("*.whl")):
        _compiled(version, flags, folder)
    marker = folder / "installed"
    if again or not marker.exists() or _fault("llama.cpp", "import llama_cpp"):
        for other in WHEELS.glob("*/installed"):
            other.unlink()
        _pip("--no-deps", "--force-reinstall", str(next(folder.glob("*.whl"))))
        marker.touch()


def _compiled(version: str, flags: str, folder: Path) -> None:
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise SystemExit(
            "llama.cpp is compiled here and there is no C++ compiler: sudo apt-get install build-essential"
        )
    cores = len(os.sched_getaffinity(0))
    _say(f"compiling llama.cpp once, on {cores} cores: about {6 / cores:.0f} to {12 / cores:.0f} minutes ({flags})")
    environment = os.environ | {"CMAKE_ARGS": flags, "CMAKE_BUILD_PARALLEL_LEVEL": str(cores)}
    command = ["wheel", "--quiet", "--no-deps", "--no-cache-dir", "--wheel-dir", str(folder), f"{LLAMA}=={version}"]
    if subprocess.run([*_PIP, *command], env=environment, check=False).returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit("llama.cpp did not compile; what its compiler said stands above")


def _wants_cuda() -> bool:
    """A GPU that can be used and the compiler for it; GPU=0 and GPU=1 overrule."""
    wish = os.environ.get("GPU", "")
    present = GPUS.is_dir() and any(GPUS.iterdir())
    return wish == "1" if wish else present and shutil.which("nvcc") is not None


QUIET = {"ORT_DISABLE_TELEMETRY": "1"}
"""onnxruntime opens a database at home when it is imported, unless this says no."""

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def _pip(*arguments: str) -> None:
    if subprocess.run([*_PIP, "install", "--quiet", *arguments], check=False).returncode:
        raise SystemExit("pip could not install it; what it said stands above")


def _fault(name: str, code: str) -> str:
    """Why a library does not import, "" where it does."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=os.environ | QUIET, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else f"{name} does not import: {lines[-1] if lines else done.returncode}"


def _say(text: str) -> None:
    sys.stdout.write(f"engines: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
