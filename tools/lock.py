"""Writes the lock files: what a fresh environment resolves to, as names and versions only.

`lock.py` prints requirements.lock from the ranges of pyproject.toml, `lock.py engines` prints engines.lock: what the
engines and their tests need beyond it. Knows no index. Both are installed with --no-deps.

How engines.lock was made lean: pip resolves the extra `engines` (114 packages); what is in LEFT_OUT is taken away;
then, in a fresh environment with the rest, every engine's library is imported, a tiny model of each is made, loaded
and spoken with (`make engines` and the contract suite are that experiment), and the modules that were imported are
counted. What no import ever reached is left out, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

WITHOUT_DEPENDENCIES = ("silero-vad", "pocketsphinx")
"""Their code is not imported, or needs no more than numpy: torch and sounddevice stay out."""
UNUSED = ("pip", "setuptools", "docopt")
"""docopt serves num2words' command line only."""
BASE = "requirements.lock"
LEFT_OUT = {
    "tensorboard and what it brings": (
        "tensorboard", "tensorboard-data-server", "absl-py", "grpcio", "markdown", "werkzeug",
    ),
    "drawing, of training": (
        "matplotlib", "contourpy", "cycler", "fonttools", "kiwisolver", "pillow", "pyparsing", "python-dateutil",
        "tzdata",
    ),
    "librosa's analysis, of which XTTS calls none": (
        "numba", "llvmlite", "scikit-learn", "joblib", "threadpoolctl", "narwhals", "audioread", "decorator", "pooch",
        "platformdirs", "msgpack",
    ),
    "other models and languages of coqui-tts": (
        "monotonic-alignment-search", "pysbd", "inflect", "more-itertools", "typeguard", "jaraco.functools",
    ),
    "configuration of training": ("cloudpickle", "pydantic", "pydantic_core", "annotated-types", "typing-inspection"),
    "command lines and their colours": (
        "typer", "annotated-doc", "click", "rich", "shellingham", "docopt", "pip", "setuptools",
    ),
    "downloads: the hub's plain way is enough": ("hf-xet", "requests", "urllib3", "certifi", "charset-normalizer"),
}  # fmt: skip
"""What is resolved and never imported, by what it would serve."""


def main() -> None:
    """Print `name==version` lines, sorted."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    found = _engines(project) if sys.argv[1:] == ["engines"] else _base(project)
    for name, version in sorted(found.items()):
        sys.stdout.write(f"{name}=={version}\n")


def _base(project: dict[str, list[str]]) -> dict[str, str]:
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]  # type: ignore[call-overload]
    bare = [w for w in wanted if w.startswith(WITHOUT_DEPENDENCIES)]
    subprocess.run([*_pip("--quiet"), "install", *(w for w in wanted if w not in bare)], check=True, stdout=sys.stderr)
    subprocess.run([*_pip("--quiet"), "install", "--no-deps", *bare], check=True, stdout=sys.stderr)
    listed = subprocess.run([*_pip(), "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    return {name: version for name, version in map(_named, json.loads(listed)) if name not in UNUSED}


def _engines(project: dict[str, list[str]]) -> dict[str, str]:
    """Resolved, not installed: the ranges of the extras within what the base has already fixed."""
    wanted = project["optional-dependencies"]["engines"]  # type: ignore[call-overload]
    resolve = ["install", "--dry-run", "--ignore-installed", "--report", "-", "-c", BASE, *wanted]
    report = json.loads(subprocess.run([*_pip("--quiet"), *resolve], check=True, capture_output=True, text=True).stdout)
    base = {line.partition("==")[0] for line in Path(BASE).read_text().split()}
    left = {name.lower() for names in LEFT_OUT.values() for name in names} | base
    found = [_named(entry["metadata"]) for entry in report["install"]]
    return {name: version for name, version in found if name not in left}


def _named(entry: dict[str, str]) -> tuple[str, str]:
    """A build's own mark (+cpu, +cu130) is no version."""
    return entry["name"].lower(), entry["version"].partition("+")[0]


def _pip(*options: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", *options]


if __name__ == "__main__":
    main()
