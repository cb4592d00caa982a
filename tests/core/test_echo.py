"""The echo gate over levels alone: what passes, what it learns, what it never takes for a talker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peer.core.echo import (
    COUPLING_MAX_DB,
    COUPLING_MIN_DB,
    COUPLING_START_DB,
    MARGIN_AEC_DB,
    MARGIN_RAW_DB,
    NOISE_FLOOR_DB,
    TALKER_CHUNKS,
    WARM_UP_CHUNKS,
    Chunk,
    EchoGate,
    Verdict,
    margin_db,
)

FAR = -20.0
levels = st.floats(-120, 0)
chunks = st.builds(Chunk, levels, levels, st.floats(0, 1), st.booleans())


def _echo(gate: EchoGate, coupling: float, count: int, far: float = FAR) -> list[Verdict]:
    """`count` chunks of nothing but echo, which an ear takes for speech."""
    return [gate.judge(Chunk(far + coupling, far, 0.99, True)) for _ in range(count)]


def test_open_while_the_peer_is_silent() -> None:
    """With nothing sent there is nothing to echo: everything over the noise floor passes, unguarded."""
    gate = EchoGate()
    assert gate.judge(Chunk(-45.0, -120.0, 0.9, False)) is Verdict.OPEN
    assert gate.judge(Chunk(-54.0, -51.0, 0.9, False)) is Verdict.OPEN
    assert gate.judge(Chunk(-52.0, -49.0, 0.9, False)) is Verdict.CLOSED


def test_level_gate() -> None:
    """What is quieter than any talker at a microphone never passes, silent peer or not."""
    gate = EchoGate()
    assert gate.judge(Chunk(NOISE_FLOOR_DB - 1, -120.0, 0.99, False)) is Verdict.CLOSED


def test_echo_is_closed_out_and_learned() -> None:
    """Echo at -10, -20 and -30 dB never opens the gate, and the estimate comes to rest near it."""
    for coupling in (-10.0, -20.0, -30.0):
        gate = EchoGate(aec=False)
        verdicts = _echo(gate, coupling, 4_000)
        assert set(verdicts) == {Verdict.CLOSED}
        assert abs(gate.coupling_db - coupling) < 1.0


def test_margin_depends_on_what_the_browser_said() -> None:
    """6 dB where it does not cancel or did not say, 3 dB where it does; it may say so later."""
    assert margin_db(False) == margin_db(None) == MARGIN_RAW_DB and margin_db(True) == MARGIN_AEC_DB
    loud = Chunk(FAR + COUPLING_START_DB + 4.0, FAR, 0.9, False)
    gate = EchoGate(aec=False)
    assert gate.judge(loud) is Verdict.CLOSED
    gate = EchoGate(aec=False)
    gate.trust(True)
    assert gate.judge(loud) is Verdict.OPEN


def test_talker_passes_over_a_learned_echo() -> None:
    """Once the echo is known to be weak, a talker at the peer's own level passes at once."""
    gate = EchoGate()
    _echo(gate, -25.0, 1_000)
    assert gate.judge(Chunk(FAR, FAR, 0.9, True)) is Verdict.OPEN


def test_warm_up_guards_the_first_two_seconds_of_speech() -> None:
    """While the peer's first speech plays, what passes is guarded; after 2 s of it, and between, it is not."""
    gate = EchoGate()
    talker = Chunk(-10.0, -120.0, 0.9, True)
    silent = Chunk(-10.0, -120.0, 0.9, False)
    assert gate.judge(silent) is Verdict.OPEN
    guarded = [gate.judge(talker) for _ in range(WARM_UP_CHUNKS)]
    assert set(guarded) == {Verdict.GUARDED}
    assert gate.judge(talker) is Verdict.OPEN


def test_a_talker_is_not_learned_as_echo() -> None:
    """While somebody passes as a talker, and 384 ms after, the coupling stays where it was."""
    gate = EchoGate()
    _echo(gate, -25.0, 1_000)
    before = gate.coupling_db
    for _ in range(50):
        gate.judge(Chunk(FAR, FAR, 0.9, True))
    assert gate.coupling_db == before
    for _ in range(TALKER_CHUNKS - 1):
        gate.judge(Chunk(FAR, FAR, 0.1, True))
    assert gate.coupling_db == before
    gate.judge(Chunk(FAR, FAR, 0.1, True))
    assert gate.coupling_db > before


def test_nothing_is_learned_from_a_quiet_peer() -> None:
    """A far end at the level of the room tells nothing of the echo."""
    gate = EchoGate()
    _echo(gate, 0.0, 500, far=-45.0)
    assert gate.coupling_db == COUPLING_START_DB


def test_the_gate_closes_again_after_the_coupling_rises() -> None:
    """Somebody turns the loudspeaker up by 15 dB: the echo is shut out again within two seconds of it."""
    gate = EchoGate(aec=False)
    _echo(gate, -30.0, 2_000)
    loud = [gate.judge(Chunk(FAR - 15.0, FAR, 0.2, True)) for _ in range(62)]
    assert loud[-1] is Verdict.CLOSED


@given(st.lists(chunks, max_size=300), st.sampled_from([True, False, None]))
def test_coupling_stays_in_bounds_and_echo_at_its_level_never_passes(
    given_chunks: list[Chunk], aec: bool | None
) -> None:
    """After any sequence the estimate is within bounds, and sound at or under it is closed out."""
    gate = EchoGate(aec)
    for chunk in given_chunks:
        gate.judge(chunk)
        assert COUPLING_MIN_DB <= gate.coupling_db <= COUPLING_MAX_DB
    assert gate.judge(Chunk(FAR + gate.coupling_db, FAR, 1.0, False)) is Verdict.CLOSED
