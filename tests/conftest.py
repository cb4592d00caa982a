"""What all tests share: on CI the properties try the same examples every time.

Knows no test. At home they try new ones; what failed once is kept and tried first.
"""

from __future__ import annotations

import os

from hypothesis import settings

from tests.missing import (  # noqa: F401  hooks of pytest, found here by their names
    pytest_make_collect_report,
    pytest_runtest_makereport,
)

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
