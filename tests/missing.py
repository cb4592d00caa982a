"""Tests of engines that are not installed are skipped by name, with the command that enables them; on CI they fail.

Knows the modules that `make engines` brings and no test. REQUIRE_ALL=1 is CI: what only that command would enable
may not be skipped, however the test said it.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from importlib.util import find_spec

import pytest

BROUGHT = frozenset(
    {
        "torch", "torchaudio", "snac", "llama_cpp", "gguf", "piper", "onnx", "TTS", "transformers", "tokenizers",
        "safetensors", "huggingface_hub", "soundfile", "parselmouth", "scipy", "librosa",
    }
)  # fmt: skip
"""Modules of engines.lock that tests import."""

REMEDY = "make engines"


def needed(*modules: str) -> None:
    """Skip the test that asks, saying which command helps, where one of these is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed: {REMEDY}")


def absent(report: pytest.CollectReport) -> str:
    """The module of `BROUGHT` whose absence kept a test module from being imported, else ""."""
    call = getattr(report, "call", None)
    error = call.excinfo.value if call is not None and call.excinfo is not None else None
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in BROUGHT:
            return str(error.name)
        error = error.__cause__
    return ""


def strict(report: pytest.CollectReport | pytest.TestReport) -> None:
    """On CI, a skip that the command would have prevented becomes a failure with the same words."""
    reason = str(report.longrepr[2]) if report.outcome == "skipped" and isinstance(report.longrepr, tuple) else ""
    if REMEDY in reason and os.environ.get("REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """What could not be imported for want of an engine's library is skipped, not broken."""
    report = yield
    name = absent(report) if report.outcome == "failed" else ""
    if name:
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {name} is not installed: {REMEDY}")
    strict(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The same for a test that skips itself."""
    report = yield
    strict(report)
    return report
