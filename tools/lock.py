"""Writes requirements.lock: what a fresh environment resolves to, as names and versions only.

Knows no index; silero-vad is listed without its torch (only its weights are read, by onnxruntime).
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


def main() -> None:
    """Resolve, then print `name==version` lines, sorted."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    bare = [w for w in wanted if w.startswith(WITHOUT_DEPENDENCIES)]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *(w for w in wanted if w not in bare)], check=True, stdout=sys.stderr)
    subprocess.run([*pip, "install", "--no-deps", *bare], check=True, stdout=sys.stderr)
    pip.remove("--quiet")
    listed = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    for entry in sorted(json.loads(listed), key=lambda e: e["name"].lower()):
        if entry["name"].lower() not in UNUSED:
            sys.stdout.write(f"{entry['name'].lower()}=={entry['version']}\n")


if __name__ == "__main__":
    main()
