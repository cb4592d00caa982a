"""The pace controller beside engines of modelled cost: per-call overhead, jitter, changes of speed."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from peer.core.descriptor import LADDER
from peer.core.machines import Health
from peer.core.messages import Hints, Mode
from peer.core.pace import MEMORY, Cost, Move, Pace
from peer.core.pcm import FRAME_MS
from SCENES import engines
from SCENES.engines import ModelEngine
from SCENES.harness import Theatre

RUNGS = tuple(12.0 * n for n in (8, 12, 16, 24, 32, 48, 64))
LONG = "The quick brown fox jumps over the lazy dog. " * 12
STEADY_ENGINES = {"fast": (1.0, 0.01), "overhead": (120.0, 0.3), "near": (10.0, 0.9)}


def told(overhead: float, ratio: float, renders: int = 3) -> Cost:
    """A cost that has seen an engine at two sizes."""
    cost = Cost()
    for ms in (RUNGS[0], RUNGS[3]) * renders:
        cost.learn(ms, overhead + ratio * ms)
    return cost


def played(
    overhead: float, ratio: float, mode: Mode = Mode.LOW_LATENCY, jitter: float = 0.0, text: str = LONG
) -> Theatre:
    cost = engines.Cost(overhead, ratio, jitter)
    theatre = Theatre({"tone": ModelEngine(cost=cost)}, mode=mode)
    theatre.say(text)
    return theatre.until_quiet()


def rungs(theatre: Theatre) -> list[int]:
    return [int(str(e.fields["rung"])) for e in theatre.of("request")]


# the cost model -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.floats(0, 300), st.floats(0.01, 2.0))
def test_overhead_and_slope_are_told_apart(overhead: float, ratio: float) -> None:
    """Two sizes suffice to predict any other."""
    cost = told(overhead, ratio)
    for ms in RUNGS:
        assert cost.expect(ms) == pytest.approx(overhead + ratio * ms, rel=0.02, abs=0.5)


def test_the_95th_percentile_is_over_the_mean_where_renders_vary() -> None:
    """The spread of what was measured, not a constant."""
    rng, calm, wild = random.Random(3), Cost(), Cost()
    for _ in range(MEMORY):
        ms = rng.choice(RUNGS)
        calm.learn(ms, 0.5 * ms)
        wild.learn(ms, 0.5 * ms * rng.lognormvariate(0, 0.5))
    assert calm.p95(100.0) == pytest.approx(50.0, rel=0.05)
    assert wild.p95(100.0) > 1.4 * wild.expect(100.0)


def test_cached_renders_do_not_make_the_next_a_catastrophe() -> None:
    """After chunks that cost nothing the first real one counts a few times the mean, not a thousand times."""
    cost = Cost()
    for render in (0.001, 0.001, 20.0):
        cost.learn(100.0, render)
    assert cost.p95(100.0) < 60.0


def test_the_ratio_follows_the_newest() -> None:
    """An EWMA: five renders decide, one does not."""
    cost = Cost()
    for _ in range(20):
        cost.learn(100, 10)
    cost.learn(100, 100)
    assert 0.1 < cost.ratio < 0.35
    for _ in range(20):
        cost.learn(100, 100)
    assert cost.ratio > 0.9
    cost.learn(0, 50)
    assert cost.renders == 41, "an empty render says nothing of speed"


def test_a_warm_up_tells_a_call_from_its_audio() -> None:
    """Two renders of different length: the cost of what lies between and beyond them follows."""
    cost = Cost()
    cost.prime(((80.0, 180.0 + 24.0), (0.0, 99.0), (400.0, 180.0 + 120.0)))
    for ms in (40.0, 160.0, 800.0):
        assert cost.expect(ms) == pytest.approx(180.0 + 0.3 * ms)
        assert cost.p95(ms) == pytest.approx(cost.expect(ms)), "a warm-up says nothing of the spread"
    assert cost.renders == 0
    cost.learn(160.0, 228.0)
    cost.prime(((160.0, 5000.0),))
    assert cost.expect(160.0) == pytest.approx(228.0), "what was measured is not overwritten"


# the band -----------------------------------------------------------------------------------


@given(st.floats(0, 200), st.floats(0.01, 1.5))
def test_the_band_is_computed_from_what_is_measured(overhead: float, ratio: float) -> None:
    """Low: the 95th percentile of the rung's render time plus a frame; high: one rung more."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY, told(overhead, ratio))
    for rung, ms in enumerate(RUNGS):
        pace.rung = rung
        low, high = pace.band
        assert low == pytest.approx(pace.cost.p95(ms) + FRAME_MS)
        assert high - low == pytest.approx(ms)


def test_the_band_moves_with_the_engine() -> None:
    """An engine that slows down in the middle gets a deeper buffer."""
    slow = ModelEngine(cost=engines.Cost(10, 0.05), slow=lambda now: 8.0 if now > 8_000 else 1.0)
    theatre = Theatre({"tone": slow})
    theatre.say(LONG)
    theatre.until_quiet()
    notes = theatre.of("pace")
    lows = [float(str(e.fields["low_ms"])) for e in notes if e.fields["rung"] == 6]
    depths = [float(str(e.fields["depth_ms"])) for e in theatre.of("request") if e.fields["rung"] == 6]
    assert lows[-1] > 3 * lows[0]
    assert sum(depths[-5:]) > 2 * sum(depths[:5])
    assert len(theatre.of("fill")) <= 1, "eight times slower from one chunk to the next"


# one decision -------------------------------------------------------------------------------


def test_a_small_first_window_then_growth() -> None:
    """Low latency starts with the smallest sustainable rung and climbs by single rungs."""
    found = rungs(played(1, 0.01))
    assert found[0] == 0 and found[:7] == list(range(7)) and set(found[7:]) == {6}


def test_steady_starts_two_rungs_up() -> None:
    """Steady takes two rungs more, so that the buffer is deeper from the beginning."""
    assert rungs(played(1, 0.01, Mode.STEADY))[0] == 2


def test_steady_stays_deeper_than_low_latency() -> None:
    """The upper half of the band against its lower edge, for the same engine."""
    depths = {}
    for mode in Mode:
        theatre = played(20, 0.3, mode)
        calm = [float(str(e.fields["depth_ms"])) for e in theatre.of("request")][10:-2]
        depths[mode] = sum(calm) / len(calm)
    assert depths[Mode.STEADY] > depths[Mode.LOW_LATENCY] + 50


def test_nothing_is_asked_above_the_trigger() -> None:
    """Polling every frame of a deep buffer asks for nothing and changes nothing."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY, told(1, 0.1))
    pace.start()
    before = (pace.rung, pace.move)
    assert all(pace.ask(5_000.0) is None for _ in range(1000))
    assert (pace.rung, pace.move) == before


def test_too_deep_skips_once_per_excursion() -> None:
    """A landing far above what was asked steps down one rung, however often it is polled before the next."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY, told(1, 0.1))
    pace.start()
    pace.rung = 4
    assert pace.ask(0.0) is not None
    pace.landed(RUNGS[4], 40.0, 100.0, 5_000.0)
    assert pace.rung == 3 and pace.move is Move.SKIP
    for depth in range(4_990, 1_000, -20):
        assert pace.ask(float(depth)) is None
    assert pace.rung == 3


def test_a_shrink_halves_and_says_so() -> None:
    """Half of 24 units is 12; the engine is told `low_latency`, also in steady mode."""
    pace = Pace(RUNGS, Mode.STEADY, told(1, 0.1))
    pace.start()
    pace.rung = 3
    pace.landed(RUNGS[3], 500.0, 0.0, RUNGS[3])
    ask = pace.ask(0.0)
    assert pace.rung == 1 and pace.move is Move.HALVE and ask is not None and ask.low_latency


def test_speech_that_only_begins_is_no_shrink() -> None:
    """An empty buffer at the start, or because text was missing, is not the engine's fault."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY, told(1, 0.1))
    pace.start()
    pace.rung = 3
    assert pace.ask(0.0) is not None
    pace.landed(RUNGS[3], 30.0, 0.0, RUNGS[3], primed=False)
    assert pace.rung >= 3


def test_halving_stops_where_smaller_costs_more() -> None:
    """With 120 ms per call the smallest sustainable rung is 16 units; no shrink goes below it."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY, told(120, 0.3))
    assert pace.floor == 2
    pace.start()
    assert pace.rung == 2
    for _ in range(10):
        pace.landed(RUNGS[pace.rung], 120 + 0.3 * RUNGS[pace.rung], 0.0, RUNGS[pace.rung])
        assert pace.rung >= 2


def test_a_halved_chunk_is_still_sustainable() -> None:
    """Half of 24 units would be 12, which costs more than it plays: it stops at 16."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY, told(120, 0.3))
    pace.start()
    pace.rung = 3
    pace.landed(RUNGS[3], 120 + 0.3 * RUNGS[3], 0.0, RUNGS[3])
    assert pace.rung == 2 and pace.move is Move.HALVE


def test_it_grows_only_into_a_buffer_that_carries_the_next_rung() -> None:
    """The buffer must outlast the larger render, else growing would make the hole it should prevent."""
    for after, rung in ((200.0, 2), (260.0, 3)):
        pace = Pace(RUNGS, Mode.LOW_LATENCY, told(120, 0.3))
        pace.start()
        assert pace.ask(100.0) is not None
        pace.landed(RUNGS[2], 120 + 0.3 * RUNGS[2], 100.0, after)
        assert pace.rung == rung


def test_no_sustainable_rung_means_the_largest_and_strain() -> None:
    """Slower than real time at any size: no halving; only a simpler engine helps."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY, told(50, 1.2))
    assert pace.floor == len(RUNGS) - 1 and pace.strained
    pace.start()
    for _ in range(10):
        pace.landed(RUNGS[pace.rung], 50 + 1.2 * RUNGS[pace.rung], 0.0, RUNGS[pace.rung])
    assert pace.rung == len(RUNGS) - 1
    assert not Pace(RUNGS, Mode.LOW_LATENCY, told(50, 0.5)).strained


def test_one_measurement_does_not_jump_to_the_top() -> None:
    """One slow small chunk does not tell overhead from slope: climb by one rung and learn."""
    pace = Pace(RUNGS, Mode.LOW_LATENCY)
    pace.start()
    assert pace.ask(0.0) is not None
    pace.landed(RUNGS[0], RUNGS[0] * 1.2, 0.0, RUNGS[0], primed=False)
    assert pace.rung == 1 and pace.move is Move.FLOOR


def test_the_hint_caps_the_chunk() -> None:
    """`target_chunk` is the largest size that is asked for."""
    theatre = Theatre()
    theatre.say(LONG, hints=Hints(target_chunk=16))
    theatre.until_quiet()
    assert max(rungs(theatre)) == 2 and rungs(theatre).count(2) > 10


def test_a_mode_belongs_to_its_utterance() -> None:
    """Each queued utterance keeps its own cadence; the setting rules where it names none."""
    theatre = Theatre()
    for mode in (Mode.STEADY, None, Mode.STEADY):
        theatre.say("One two three four five six seven eight nine ten.", mode=mode)
    theatre.until_quiet()
    modes = {str(e.fields["utterance"]): e.fields["mode"] for e in theatre.of("request")}
    assert list(modes.values()) == ["steady", "low_latency", "steady"]


# convergence --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", list(STEADY_ENGINES))
def test_chunk_sizes_converge(name: str, mode: Mode) -> None:
    """A steady engine ends with one size; the rung of the controller does not cycle."""
    found = rungs(played(*STEADY_ENGINES[name], mode, text=LONG * 3))
    late = found[-40:]
    assert len(set(late)) <= 2 and sum(a != b for a, b in pairwise(late)) <= 2, found


@pytest.mark.parametrize("mode", list(Mode))
def test_a_jittery_engine_settles_in_a_neighbourhood(mode: Mode) -> None:
    """Lognormal jitter: sizes stay within two rungs of each other and hardly a frame is missing."""
    theatre = played(10, 0.4, mode, jitter=0.4, text=LONG * 3)
    late = rungs(theatre)[-60:]
    assert max(late) - min(late) <= 2 and len(theatre.of("fill")) <= 2


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 150), st.floats(0.01, 0.8), st.sampled_from(list(Mode)))
def test_a_sustainable_engine_does_not_run_dry(overhead: float, ratio: float, mode: Mode) -> None:
    """After the climb (at most one hole a rung while the cost is learned) nothing is missing."""
    top_ms = ModelEngine().adapter.describe().rungs_ms()[-1]
    # Every sentence ends with a short chunk that pays the whole overhead: without headroom nothing is sustainable.
    assume(overhead + ratio * top_ms <= 0.9 * top_ms)
    theatre = played(overhead, ratio, mode)
    dry = [e.frame for e in theatre.of("fill")]
    assert len(dry) <= len(LADDER)
    assert all(frame < theatre.frames[-1].pull.n / 2 for frame in dry), dry


def test_a_hiccup_is_survived_and_forgotten() -> None:
    """One stall of two seconds: a hole, then the old size again."""
    engine = ModelEngine(cost=engines.Cost(5, 0.1), slow=lambda now: 25.0 if 8_000 < now < 8_400 else 1.0)
    theatre = Theatre({"tone": engine})
    theatre.say(LONG * 3)
    theatre.until_quiet()
    late = rungs(theatre)[-15:]
    assert len(set(late)) == 1 and late[0] >= 4


def test_an_engine_slower_than_real_time_is_strained() -> None:
    """HEALTH says so, and the text is still spoken to its end."""
    theatre = played(50, 1.2)
    assert theatre.peer.producer.health.state is Health.STRAINED
    assert len(theatre.words()) == LONG.count(" ")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3000), st.floats(0, 999), st.floats(0, 3000), st.floats(0, 3000)), max_size=40))
def test_no_history_leaves_the_ladder(landings: list[tuple[float, float, float, float]]) -> None:
    """Whatever is measured, the rung is one of the ladder's and the band is finite and positive."""
    pace = Pace(RUNGS, Mode.STEADY)
    pace.start()
    for audio, render, before, after in landings:
        ask = pace.ask(before)
        assert ask is None or 0 <= ask.rung < len(RUNGS)
        pace.landed(audio, render, before, after)
        low, high = pace.band
        assert 0 <= pace.rung < len(RUNGS) and 0 < low < high < 1e5
