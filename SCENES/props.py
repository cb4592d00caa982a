"""Tiny random-weight models for every engine whose libraries are here, and a speech server on loopback.

Knows no scene. The models prove paths, lengths and bytes; they say nothing about sound. They are made in a process
of their own (`python -m SCENES.props FOLDER`), since the libraries that make them are heavy, and kept between runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from adapters import registry, settings

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "SCENES" / "_artifacts" / "props"
MAKE_S = 240.0
"""For all models: ten seconds on an idle machine, most of them imports."""
SERVE_S = 30.0
SPEAKS = "SYNCHRONY_SPEECH_URL="
"""What the speech server prints before its address."""
PACKAGES = ("torch", "snac", "piper-tts", "coqui-tts", "llama-cpp-python", "onnx", "gguf")


def piper(folder: Path) -> None:
    from tests.tiny.piper import make_piper

    make_piper(folder / "en_GB-tiny-medium.onnx")
    told = folder / "en_GB-tiny-medium.onnx.json"
    config = json.loads(told.read_text())
    # Random weights give most phonemes the least there is, two frames; slower speech has room to be quicker.
    config["inference"]["length_scale"] = 2.5
    told.write_text(json.dumps(config))


def snac_llamacpp(folder: Path) -> None:
    from tests.tiny.gguf import make_orpheus
    from tests.tiny.snac import make_snac

    make_orpheus(folder / "tiny.gguf")
    make_snac(folder / "snac")


def xtts(folder: Path) -> None:
    from tests.tiny.xtts import make_xtts

    make_xtts(folder)


def outetts(folder: Path) -> None:
    from tests.tiny.oute import make_folder

    make_folder(folder)


MAKERS: Mapping[str, Callable[[Path], None]] = {
    maker.__name__: maker for maker in (piper, snac_llamacpp, xtts, outetts)
}


def installed(name: str) -> bool:
    """Whether the engine's libraries are here; its model is what we make."""
    return all(find_spec(module) is not None for module in registry.rows()[name].needs)


def make(folder: Path) -> None:
    """Every model whose libraries are here; one that cannot be made is named, the others are there."""
    for name, maker in MAKERS.items():
        if installed(name) and not (folder / name).exists():
            half = folder / f"{name}.half"
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
            maker(half)
            half.rename(folder / name)


def _key() -> str:
    """Another recipe or another library makes other files."""
    made = hashlib.blake2b(digest_size=8)
    for path in (*sorted((ROOT / "tests" / "tiny").glob("*.py")), Path(__file__)):
        made.update(path.read_bytes())
    for package in PACKAGES:
        try:
            made.update(f"{package}={version(package)}".encode())
        except PackageNotFoundError:
            made.update(f"{package} absent".encode())
    return made.hexdigest()


class Props:
    """A context manager: while it lasts, every engine that can finds its tiny model, also in child processes."""

    def __init__(self, kept: Path = KEPT) -> None:
        self._folder = kept / _key()
        self._speech: subprocess.Popen[str] | None = None
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> Props:
        for old in self._folder.parent.glob("*"):
            if old != self._folder:
                shutil.rmtree(old, ignore_errors=True)
        command = [sys.executable, "-m", "SCENES.props", str(self._folder)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=MAKE_S, stdout=subprocess.DEVNULL)
        url = self._serve()
        self._set(settings.HOME_VARIABLE, str(self._folder))
        self._set("SYNCHRONY_SPEECH_URL", url)
        settings.use({"openai_speech": settings.EngineSettings(options={"url": url})})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        settings.use({})
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self._speech is not None:
            self._speech.terminate()
            self._speech.wait(SERVE_S)

    def _set(self, name: str, value: str) -> None:
        self._before[name] = os.environ.get(name)
        os.environ[name] = value

    def _serve(self) -> str:
        """A speech server that speaks through espeak-ng; returns its base URL."""
        command = [sys.executable, "-m", "tests.tiny.loopback_speech", "--port", "0"]
        self._speech = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._speech.stdout is not None
        for line in self._speech.stdout:
            if SPEAKS in line:
                return line.partition(SPEAKS)[2].strip()
        raise AssertionError("the speech server ended")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
