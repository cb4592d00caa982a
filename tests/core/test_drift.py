"""The drift guard: what it notices, and that it corrects in pauses only, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peer.core.drift import LAG_TOLERANCE, STEP, TOLERANCE, DriftGuard


def test_equal_counts_are_no_drift() -> None:
    """A thousand sentences at an odd rate do not add up to an error."""
    guard = DriftGuard()
    for _ in range(1000):
        guard.wrote(22_050 + 7, 22_050, round((22_050 + 7) * 48_000 / 22_050))
    assert abs(guard.error) < TOLERANCE * 11 and DriftGuard().at_pause(960) is None


@given(st.integers(-5000, 5000), st.integers(0, 960))
def test_samples_too_many_or_too_few_are_corrected_in_pauses(error: int, silence: int) -> None:
    """Never more than a frame, never more than there is silence; the rest waits for the next pause."""
    guard = DriftGuard()
    guard.wrote(48_000, 48_000, 48_000 + error)
    found = guard.at_pause(silence)
    if abs(error) <= TOLERANCE or (error > 0 and not silence):
        assert found is None
        return
    assert found is not None and found.why == "written"
    assert -min(silence, STEP) <= found.samples <= STEP and found.samples * error < 0
    assert guard.error == error + found.samples


def test_repeated_pauses_bring_the_error_under_the_tolerance() -> None:
    """A large error is worked off pause by pause, then all is quiet."""
    guard = DriftGuard()
    guard.wrote(0, 48_000, 5 * STEP)
    steps = [guard.at_pause(960) for _ in range(10)]
    assert sum(s is not None for s in steps) == 5 and abs(guard.error) <= TOLERANCE


def test_a_marker_behind_the_sound_lengthens_the_pause() -> None:
    """A word whose place lies beyond the sentence's end gets silence, once, at most a frame."""
    guard = DriftGuard()
    guard.marked(50_000, 48_000)
    found = guard.at_pause(0)
    assert found is not None and found.why == "markers" and found.samples == STEP
    assert guard.at_pause(0) is None


def test_a_constant_delay_is_no_drift() -> None:
    """A jitter buffer delays; only growth counts, and it is taken out once, not at every pause."""
    guard = DriftGuard()
    for i in range(10):
        guard.heard(i * 960 + 9_600, i * 960)
    assert guard.at_pause(960) is None
    late = 9_600 + LAG_TOLERANCE + 500
    guard.heard(100_000 + late, 100_000)
    found = guard.at_pause(960)
    assert found is not None and found.why == "heard" and found.samples == -STEP
    guard.heard(200_000 + late, 200_000)
    assert guard.at_pause(960) is None


def test_new_speech_learns_the_delay_anew() -> None:
    """Another call has another delay; the first report says what is normal."""
    guard = DriftGuard()
    guard.heard(1000, 0)
    guard.heard_anew()
    guard.heard(90_000, 0)
    assert guard.at_pause(960) is None
