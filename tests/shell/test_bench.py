"""The bench without its browser, with tiny counts: every measurement gives figures with something beside them.

Asserts no speed: that is what `make bench` is for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from bench import barge_in
from bench.__main__ import EVERYTHING, MODULES, main
from bench.budget import QUICK
from bench.row import HEADINGS, Row, line, quantile

TINY = replace(
    QUICK, trials=2, setups=2, repeats=2, frames=20, narration_s=10.0, renders=5, appends=50, first_calls=2,
    most_calls=2, settle_s=0.1, window_s=0.5, browser=False,
)  # fmt: skip
NEEDS_PAGE = ("steady",)


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name not in NEEDS_PAGE])
async def test_every_row_has_a_figure_a_peer_and_a_ratio(name: str) -> None:
    """Every row has a figure a peer and a ratio."""
    rows = await import_module(f"bench.{MODULES[name]}").measure(TINY)

    assert rows
    for row in rows:
        assert row.peer and row.unit
        assert math.isfinite(row.figure) and math.isfinite(row.against) and math.isfinite(row.ratio), row
        assert "×" in line(row.cells())


async def test_what_needs_a_browser_measures_nothing_without_one() -> None:
    """What needs a browser measures nothing without one."""
    assert await import_module("bench.steady").measure(TINY) == []


@pytest.mark.slow
async def test_a_soak_of_seconds_ends_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """A soak of seconds ends as it began."""
    monkeypatch.setenv("SOAK_MINUTES", "0.08")

    rows = {row.name: row for row in await import_module("bench.soak").measure(TINY)}

    assert rows["descriptors after all hung up"].met


def test_the_table_says_what_is_met() -> None:
    """The table says what is met."""
    fine, missed = Row("a", "ms", 1.0, "b", 2.0, 1.0), Row("a", "×", 1.0, "b", 2.0, 3.0, more=True)

    assert (fine.met, missed.met, fine.ratio) == (True, False, 0.5)
    assert Row("a", "ms", math.nan, "b", 2.0, 1.0).met is None
    assert Row("a", "", 0.0, "b", 0.0, 0.0).ratio == 1.0
    assert len(fine.cells()) == len(HEADINGS)


def test_quantiles_are_values_that_occurred() -> None:
    """Quantiles are values that occurred."""
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile(range(100), 0.99) == 98
    assert math.isnan(quantile([], 0.5))


def test_frames_after_a_barge_in_are_read_from_the_log(tmp_path: Path) -> None:
    """Frames after a barge in are read from the log."""
    header = '{"kind":"header","frame":0,"schema":1}'
    runs = '[[0,"voice",0,[]],[4,"cut",0,[]],[5,"tail",0,[]]]'
    frames = f'{{"kind":"frames","frame":0,"from":0,"to":9,"runs":{runs},"crc32":[]}}'
    barge = '{"kind":"barge","result":"ok","frame":3}'
    (tmp_path / "s.jsonl").write_text(f"{header}\n{frames}\n{barge}\n")

    assert list(barge_in.from_journal(tmp_path)) == [1]


def test_an_unknown_measurement_is_refused() -> None:
    """An unknown measurement is refused."""
    with pytest.raises(SystemExit):
        main(["nonsense"])
