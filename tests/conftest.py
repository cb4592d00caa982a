"""What all tests share: on CI the properties try the same examples every time.

Knows no test. At home they try new ones; what failed once is kept and tried first.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.missing import (  # noqa: F401  hooks of pytest, found here by their names
    pytest_make_collect_report,
    pytest_runtest_makereport,
)

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

ALONE = ("tests/browser", "tests/shell")
"""What runs in real time, in browsers and on sockets, wants the machine for itself; the rest shares it."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what `make test` runs one after the other, behind what it runs on all cores."""
    for item in items:
        where = Path(item.path).relative_to(config.rootpath).as_posix()
        if where.startswith(ALONE) or "_live" in item.name:
            item.add_marker("alone")
        if item.get_closest_marker("slow") and os.environ.get("REQUIRE_ALL") != "1":
            item.add_marker(pytest.mark.skip(reason="minutes in real time: REQUIRE_ALL=1 make test"))
