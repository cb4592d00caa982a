"""The voice activity table: evidence in, onsets and ends out; every state knows every cue."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.core.arrivals import RESTART_AFTER, Arrivals
from peer.core.decimate import TAPS, Decimator
from peer.core.echo import SPEECH, Verdict
from peer.core.listening import (
    FULL,
    GUARDED_CHUNKS,
    HANGOVER_CHUNKS,
    OVERLAP_CHUNKS,
    STAYS,
    TABLE,
    Cue,
    Heard,
    Listening,
    State,
    cue,
)

OPEN, GUARDED, CLOSED = Verdict.OPEN, Verdict.GUARDED, Verdict.CLOSED
steps = st.one_of(
    st.tuples(st.floats(0, 1), st.sampled_from(Verdict)),
    st.sampled_from(["peer", "hole"]),
)


def _play(listening: Listening, *probabilities: float, verdict: Verdict = OPEN) -> list[Heard]:
    return [heard for p in probabilities if (heard := listening.hear(p, verdict)) is not None]


def test_table_is_total() -> None:
    """Every state has a row for every cue, and every counting state leads somewhere when it is full."""
    assert set(TABLE) == set(itertools.product(State, Cue))
    assert set(FULL) == {State.ONSET, State.HANGOVER, State.OVERLAP}


def test_cues() -> None:
    """Probability and verdict become one cue; the gate outweighs any probability."""
    assert cue(SPEECH, OPEN) is Cue.VOICE
    assert cue(SPEECH, GUARDED) is Cue.MAYBE
    assert cue(SPEECH, CLOSED) is Cue.SILENT
    assert cue(STAYS, OPEN) is Cue.FAINT
    assert cue(STAYS - 0.01, OPEN) is Cue.SILENT


def test_one_chunk_is_an_onset() -> None:
    """The first chunk of speech decides: 32 ms, and only once."""
    listening = Listening()
    assert _play(listening, 0.1, 0.9, 0.9) == [Heard.ONSET]
    assert listening.active


def test_guarded_needs_two_chunks_in_a_row() -> None:
    """Under guard one chunk is nothing and the second decides; a pause between them starts over."""
    listening = Listening()
    assert _play(listening, 0.9, 0.1, 0.9, 0.1, verdict=GUARDED) == []
    assert _play(listening, *[0.9] * (GUARDED_CHUNKS - 1), verdict=GUARDED) == []
    assert _play(listening, 0.9, verdict=GUARDED) == [Heard.ONSET]


def test_an_ear_may_need_more() -> None:
    """An ear that hears loudness only is believed after as many chunks as it asked for."""
    listening = Listening(onset_chunks=4)
    assert _play(listening, 0.9, 0.9, 0.9) == []
    assert _play(listening, 0.9) == [Heard.ONSET]


def test_hangover_bridges_pauses() -> None:
    """A pause shorter than the hangover ends nothing, one as long does, exactly then."""
    listening = Listening()
    _play(listening, 0.9)
    assert _play(listening, *[0.0] * (HANGOVER_CHUNKS - 1), 0.9) == []
    assert _play(listening, *[0.0] * (HANGOVER_CHUNKS - 1)) == []
    assert _play(listening, 0.0) == [Heard.END]
    assert listening.state is State.QUIET


def test_faint_keeps_what_is_on_and_starts_nothing() -> None:
    """Between the two thresholds speech goes on and none begins."""
    listening = Listening()
    assert _play(listening, *[0.4] * 20) == []
    assert _play(listening, 0.9, *[0.4] * 20) == [Heard.ONSET]


def test_echo_never_begins_and_never_keeps() -> None:
    """What the gate closes out is silence here, so an echo cannot hold an old onset open."""
    listening = Listening()
    assert _play(listening, *[1.0] * 50, verdict=CLOSED) == []
    _play(listening, 0.9)
    assert _play(listening, *[1.0] * HANGOVER_CHUNKS, verdict=CLOSED) == [Heard.END]


def test_whoever_goes_on_over_the_peer_takes_the_floor() -> None:
    """Speech that lasts 320 ms into the peer's is an onset of its own."""
    listening = Listening()
    _play(listening, 0.9, 0.9)
    assert listening.peer_begins() is None
    assert _play(listening, *[0.9] * (OVERLAP_CHUNKS - 2)) == []
    assert _play(listening, 0.9) == [Heard.ONSET]


def test_whoever_was_ending_as_the_peer_began_does_not() -> None:
    """The last syllable over the peer's first is an end, and the next word is an onset again."""
    listening = Listening()
    _play(listening, 0.9)
    listening.peer_begins()
    assert _play(listening, 0.9, 0.9, 0.1) == [Heard.END]
    assert _play(listening, 0.1, 0.9) == [Heard.ONSET]


def test_peer_begins_in_a_pause() -> None:
    """In a talker's pause the peer's begin ends what was: the next word must be an onset."""
    listening = Listening()
    _play(listening, 0.9, 0.1)
    assert listening.peer_begins() is Heard.END
    assert _play(listening, 0.9) == [Heard.ONSET]


def test_a_hole_ends_speech_and_nothing_else() -> None:
    """When the sound stops coming, speech is over; where there was none, nothing is said."""
    listening = Listening()
    assert listening.silence() is None
    _play(listening, 0.9)
    assert listening.silence() is Heard.END
    assert not listening.active


@given(st.lists(steps, max_size=400), st.integers(1, 5))
def test_any_sequence_is_consistent(sequence: list[object], onset_chunks: int) -> None:
    """An end comes only after an onset, `active` agrees with what was said, and nothing is illegal."""
    listening = Listening(onset_chunks)
    on = False
    for step in sequence:
        if step == "peer":
            heard = listening.peer_begins()
        elif step == "hole":
            heard = listening.silence()
        else:
            heard = listening.hear(*step)  # type: ignore[misc]
        assert not (heard is Heard.END and not on)
        on = {Heard.ONSET: True, Heard.END: False, None: on}[heard]
        assert listening.active == on


def test_packets_in_order_duplicates_and_latecomers() -> None:
    """Each packet once; what comes behind the newest is dropped, and a hole holds nothing back."""
    arrivals = Arrivals()
    assert arrivals.admit(1, 10, 1000) == 0
    assert arrivals.admit(1, 11, 1960) == 960
    assert arrivals.admit(1, 11, 1960) is None
    assert arrivals.admit(1, 13, 3880) == 1920
    assert arrivals.admit(1, 12, 2920) is None
    assert arrivals.admit(1, 14, 4840) == 960


def test_sequences_and_times_wrap() -> None:
    """16-bit sequences and 32-bit times go round without a hole."""
    arrivals = Arrivals()
    arrivals.admit(1, 65_535, 2**32 - 960)
    assert arrivals.admit(1, 0, 0) == 960
    assert arrivals.admit(1, 65_535, 2**32 - 960) is None


def test_a_sender_that_begins_anew_is_heard() -> None:
    """Another source, or a sequence far behind, is a new beginning and not late for ever."""
    arrivals = Arrivals()
    arrivals.admit(1, 40_000, 0)
    assert arrivals.admit(2, 5, 77) == 0
    arrivals.admit(2, 30_000, 78)
    assert arrivals.admit(2, 30_000 - RESTART_AFTER, 79) is None
    assert arrivals.admit(2, 30_000 - RESTART_AFTER - 1, 80) == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 65_535), st.integers(0, 2**32 - 1)), max_size=200))
def test_no_sequence_of_packets_deafens(packets: list[tuple[int, int, int]]) -> None:
    """After any packets at all, a stream that goes on in order is heard again after at most 100 of them."""
    arrivals = Arrivals()
    for packet in packets:
        arrivals.admit(*packet)
    for start in (7, 50_000):
        heard = [arrivals.admit(9, (start + n) % 65_536, n * 960) for n in range(RESTART_AFTER + 2)]
        assert heard[-1] is not None


@given(st.lists(st.integers(0, 3000), max_size=12))
def test_decimation_does_not_depend_on_the_pieces(pieces: list[int]) -> None:
    """However the sound is cut, the same samples come out, a third as many, none of them later."""
    pcm = np.random.default_rng(0).normal(0, 0.1, sum(pieces)).astype(np.float32)
    whole = Decimator().feed(pcm)
    parts, at, stream = [np.zeros(0, np.float32)], 0, Decimator()
    for size in pieces:
        parts.append(stream.feed(pcm[at : at + size]))
        at += size
    assert len(whole) == len(pcm) // 3
    assert np.allclose(np.concatenate(parts), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("tone", "low", "high"), [(300, -1, 1), (3_000, -1, 1), (9_500, -200, -50), (15_000, -200, -50)]
)
def test_decimation_keeps_voice_and_folds_nothing(tone: int, low: float, high: float) -> None:
    """Voice passes unchanged; what 16 kHz cannot hold is gone instead of folded into the voice."""
    pcm = np.sin(2 * np.pi * tone * np.arange(48_000) / 48_000).astype(np.float32)
    out = Decimator().feed(pcm)[100:]
    gain = 20 * np.log10(np.std(out) / np.std(pcm) + 1e-9)
    assert low <= gain <= high


def test_decimation_is_half_a_millisecond_late() -> None:
    """A click comes out 24 of 48 input samples later, not a block later."""
    pcm = np.zeros(960, np.float32)
    pcm[480] = 1.0
    out = Decimator().feed(pcm)
    assert len(out) == 320
    assert abs(int(np.argmax(np.abs(out))) - (480 + TAPS / 2) / 3) <= 1
