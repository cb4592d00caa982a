"""Style that tools can tell: lint, format, types, first lines, clocks."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("peer", "adapters", "SCENES", "tests", "bench")
MODULES = sorted(
    p for f in ("peer", "adapters", "SCENES") for p in (ROOT / f).rglob("*.py") if "_artifacts" not in p.parts
)
LONGEST = 500
"""Lines of a module: beyond it, it is two."""


def checked(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def test_lint() -> None:
    """The rules of pyproject.toml hold everywhere."""
    checked("ruff", "check", *FOLDERS)


def test_format() -> None:
    """One format, the tool's."""
    checked("ruff", "format", "--check", *FOLDERS)


@pytest.mark.timeout(180)
def test_types() -> None:
    """Everything that ships is annotated, strictly."""
    checked("mypy", "-p", "peer", "-p", "adapters")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_first_line_says_what_it_is(path: Path) -> None:
    """Each module that holds anything begins with a sentence; none is longer than one sits through."""
    source = path.read_text()
    if not source.strip():
        return
    first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    assert len(first.split()) >= 3, first
    assert len(source.splitlines()) <= LONGEST


@pytest.mark.parametrize(
    "path", [p for p in MODULES if "SCENES" not in p.parts], ids=lambda p: str(p.relative_to(ROOT))
)
def test_order_is_never_told_by_the_wall_clock(path: Path) -> None:
    """`time.time()` jumps with the system's clock: monotonic clocks only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("time", "time"), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda p: p.stem)
def test_every_test_says_what_it_shows(path: Path) -> None:
    """A docstring sentence per test."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name}"
