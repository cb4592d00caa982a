"""README.md against the code: diagrams, files of the code map, options of the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_diagrams_equal_the_tables() -> None:
    """The drawn machines are the ones that run."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "diagrams.py", "--check"], check=False)
    assert done.returncode == 0, "run: .venv/bin/python tools/diagrams.py"


def test_every_module_is_on_the_code_map() -> None:
    """A newcomer finds every module of the peer from the README."""
    code_map = README[README.index("### Code map") : README.index("### State machines")]
    named = set(re.findall(r"\b(\w+)\.py\b|\b(__main__)\.py", code_map))
    names = {first or second for first, second in named}
    modules = {path.stem for path in [*ROOT.glob("peer/*.py"), *ROOT.glob("peer/core/*.py")]} - {"__init__"}
    small = {"seams", "cast", "chronicle", "frame"}
    assert modules - names - small == set()
    assert names - modules - {p.stem for p in ROOT.glob("adapters/*.py")} == set()


def test_every_named_file_exists() -> None:
    """No link of the README points nowhere."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_repository_remembers() -> None:
    """The brief's memory files are there and begin with a heading or an entry."""
    for name in ("GOALS.md", "DECISIONS.log", "INTERFACES.md", "SCENES/README.md", "requirements.lock", ".ci/run"):
        assert (ROOT / name).stat().st_size > 100, name


def test_the_lock_names_packages_and_versions_only() -> None:
    """No host, path or hash of one machine's index is pinned."""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9_.-]+==[A-Za-z0-9.+!-]+", line), line
    assert "torch" not in (ROOT / "requirements.lock").read_text()
