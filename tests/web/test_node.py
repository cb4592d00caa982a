"""Runs the page's pure modules under Node's own test runner.

Knows no test by name: the runner finds `*.test.mjs` beside this file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
INSTALL = "node is missing: apt-get install nodejs (version 20 or later)"


def test_the_pages_pure_modules_pass_under_node() -> None:
    """The reducer, the timeline, the playout clock and the rest of the pure page."""
    node = shutil.which("node")
    if node is None:
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    assert files
    ran = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
