"""What all tests share: on CI the properties try the same examples every time.

Knows no test. At home they try new ones; what failed once is kept and tried first.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
