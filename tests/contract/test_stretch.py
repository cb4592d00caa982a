"""The stage behind an engine: pitch, pace and volume of its sound, measured on speech by praat's own code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import numpy as np
import parselmouth
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Honour, Projection
from adapters.spool import Block, Spool
from adapters.stretch import KNEE, POST_KNOBS, completed, louder, processed, tempos
from peer.core.chunk import Marker, Request, Ticket
from peer.core.errors import Unavailable
from peer.core.pcm import Float
from peer.core.voice import Prosody, Voice
from tests.contract.voice_contract import opened

RATE = 22_050
TEXT = "The calm narrator reads a rather long sentence, so that pitch and pace are measured over many voiced words."
VOICES = {"low": Voice(accent="en-GB"), "high": Voice(accent="en-US", timbre="f3")}
KINDS: Mapping[str, Mapping[str, float]] = {
    "up": {"post_pitch": 3.0},
    "down": {"post_pitch": -3.0},
    "slow": {"post_pace": 0.8},
    "quick": {"post_pace": 1.25},
    "all": {"post_pitch": -2.5, "post_pace": 1.1, "post_volume": 1.4},
    "far": {"post_pitch": 12.0, "post_pace": 0.5},
}
NEAR_MS = 30.0
"""Half a window of the filter, 46 ms long here."""

HOLD_MS = 200.0
"""What the stage may keep back of the engine's sound before it gives the first of its own."""


@pytest.fixture(scope="module")
def speech() -> Mapping[str, Float]:
    """The same sentence in a low and a high voice, (n,) float32 each."""
    for driver in opened("espeak"):
        return {name: driver.whole(TEXT, voice=voice).pcm for name, voice in VOICES.items()}
    raise AssertionError("no driver")


def blocks(pcm: Float, size: int, markers: tuple[Marker, ...] = ()) -> Iterator[Block]:
    for at in range(0, len(pcm), size):
        found = tuple(m for m in markers if at <= m.at < at + size)
        yield Block(at, pcm[at : at + size], found, b"%d" % at)


def moved(pcm: Float, post: Mapping[str, float], size: int = 1000) -> Float:
    return np.concatenate([block.pcm for block in processed(blocks(pcm, size), RATE, post)])


def hertz(pcm: Float) -> float:
    """Median F0 of the voiced frames."""
    pitch = parselmouth.Sound(pcm.astype(np.float64), RATE).to_pitch(0.01, 50.0, 600.0)
    found = pitch.selected_array["frequency"]
    return float(np.median(found[found > 0]))


def semitones(pcm: Float, against: Float) -> float:
    return 12.0 * float(np.log2(hertz(pcm) / hertz(against)))


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("wanted", [-3.0, 3.0])
def test_pitch_moves_and_the_length_does_not(speech: Mapping[str, Float], name: str, wanted: float) -> None:
    """Three semitones are three semitones, and not a sample more or less."""
    found = moved(speech[name], {"post_pitch": wanted})
    assert semitones(found, speech[name]) == pytest.approx(wanted, abs=0.2)
    assert len(found) == len(speech[name])


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("pace", [0.8, 1.25])
def test_pace_moves_the_length_and_the_pitch_does_not(speech: Mapping[str, Float], name: str, pace: float) -> None:
    """The length is the raw one by the factor, to the sample; the voice stays where it was."""
    found = moved(speech[name], {"post_pace": pace})
    assert len(found) == round(len(speech[name]) / pace)
    assert abs(semitones(found, speech[name])) < 0.2


@pytest.mark.parametrize("post", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [37, 256, 1024, 4410, 10_000_000])
def test_the_blocks_that_come_in_do_not_matter(
    speech: Mapping[str, Float], post: Mapping[str, float], size: int
) -> None:
    """The same bytes for blocks of a few samples and for one of the whole sentence."""
    assert moved(speech["low"], post, size).tobytes() == moved(speech["low"], post, 441).tobytes()


@given(cuts=st.lists(st.integers(1, 6000), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_every_cut_of_the_result_is_equal(cuts: list[int]) -> None:
    """A spool hands out the same samples whatever is asked for, and again from the middle."""
    pcm = np.sin(np.arange(15_000) / 20.0).astype(np.float32) * np.float32(0.5)
    post = {"post_pitch": 4.0, "post_pace": 0.9}
    whole = moved(pcm, post)
    spool = Spool(lambda request: blocks(pcm, 900), RATE)

    def asked(cursor: int, samples: int) -> Float:
        request = Request(Ticket(0, 1), "x", "s", "text", cursor, samples, 8, post, 1)
        return np.concatenate([chunk.pcm for chunk in spool.render(request)])

    at = 0
    for samples in cuts:
        assert np.array_equal(asked(at, samples), whole[at : at + samples])
        at = min(at + samples, len(whole))
    assert np.array_equal(asked(at // 2, 500), whole[at // 2 : at // 2 + 500])


@pytest.mark.parametrize("post", KINDS.values(), ids=KINDS)
def test_the_first_piece_comes_soon(speech: Mapping[str, Float], post: Mapping[str, float]) -> None:
    """However long the sentence: so much of the engine's sound is needed, and never more is held back."""
    taken = 0

    def engine() -> Iterator[Block]:
        nonlocal taken
        for block in blocks(speech["low"], 64):
            taken += len(block.pcm)
            yield block

    given, worst = 0, 0.0
    for block in processed(engine(), RATE, post):
        worst = max(worst, taken - given * post.get("post_pace", 1.0))
        given += len(block.pcm)
        if taken >= len(speech["low"]) - 64:
            break
    assert 1000.0 * worst / RATE < HOLD_MS


def test_a_block_of_a_whole_sentence_leaves_in_pieces(speech: Mapping[str, Float]) -> None:
    """So that it can be cancelled on the way; positions have no hole."""
    found = list(processed(iter([Block(0, speech["low"])]), RATE, {"post_pace": 0.8}))
    assert len(found) > 10
    at = 0
    for block in found:
        assert block.at == at
        at += len(block.pcm)


@pytest.mark.parametrize("kind", ["up", "down", "slow", "quick"])
def test_the_sound_is_where_its_marker_says(kind: str) -> None:
    """Bursts in silence, where the search finds no likeness: the marker is exact, the sound is near it."""
    post = KINDS[kind]
    pcm = np.zeros(3 * RATE, np.float32)
    burst = (0.5 * np.sin(np.arange(RATE // 10) * 0.05)).astype(np.float32)
    places = [round(s * RATE) for s in (0.3, 0.75, 1.4, 2.2)]
    for at in places:
        pcm[at : at + len(burst)] = burst
    markers = tuple(Marker("word", at, i, i + 1) for i, at in enumerate(places))
    pace = post.get("post_pace", 1.0)
    found = list(processed(blocks(pcm, 700, markers), RATE, post))
    loud = np.flatnonzero(np.abs(np.concatenate([b.pcm for b in found])) > 0.25)
    heard = [m for b in found for m in b.markers]
    assert [(m.kind, m.start, m.end) for m in heard] == [(m.kind, m.start, m.end) for m in markers]
    for was, marker in zip(places, heard, strict=True):
        assert marker.at == round(was / pace)
        assert np.abs(loud - marker.at).min() < NEAR_MS / 1000 * RATE


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("kind", ["up", "down", "slow", "quick"])
def test_speech_keeps_its_time(speech: Mapping[str, Float], name: str, kind: str) -> None:
    """The rhythm of syllables, 10 ms loudness against loudness, fits best without a shift."""
    post, raw = KINDS[kind], speech[name]
    pace = post.get("post_pace", 1.0)
    found = moved(raw, post)
    hop = RATE // 100
    edges = np.arange(0, len(found) - hop, hop)
    after = np.array([np.sqrt(np.mean(found[e : e + hop] ** 2)) for e in edges])
    spots = (np.arange(len(found)) * pace).astype(int)
    stretched = raw[np.minimum(spots, len(raw) - 1)]
    before = np.array([np.sqrt(np.mean(stretched[e : e + hop] ** 2)) for e in edges])
    fits = {s: float(np.corrcoef(before[10:-10], np.roll(after, s)[10:-10])[0, 1]) for s in range(-6, 7)}
    assert abs(max(fits, key=lambda s: fits[s])) <= 1
    assert max(fits.values()) > 0.9


def test_markers_are_never_behind_their_block(speech: Mapping[str, Float]) -> None:
    """A marker comes with or before its sound, each once, in order; the state is that of the engine's block."""
    markers = tuple(Marker("phoneme", at, 0, 1, str(at)) for at in range(0, len(speech["low"]), 331))
    found = list(processed(blocks(speech["low"], 441, markers), RATE, {"post_pace": 1.7, "post_pitch": 2.0}))
    assert all(m.at >= block.at for block in found for m in block.markers)
    assert [m.label for block in found for m in block.markers] == [m.label for m in markers]
    assert [int(block.state) for block in found] == sorted(int(block.state) for block in found)
    assert int(found[-1].state) + 441 >= len(speech["low"])


@pytest.mark.parametrize("post", KINDS.values(), ids=KINDS)
def test_silence_stays_silence(post: Mapping[str, float]) -> None:
    """Not a bit of noise is added."""
    assert not np.any(moved(np.zeros(RATE, np.float32), post))


@pytest.mark.parametrize("length", [0, 1, 5, 100, 255, 256, 257, 700])
def test_the_shortest_sentences_have_their_length(length: int) -> None:
    """A letter, a breath or nothing at all."""
    pcm = np.full(length, 0.1, np.float32)
    found = moved(pcm, {"post_pitch": 5.0, "post_pace": 0.8}) if length else []
    assert len(found) == round(length / 0.8)
    assert list(processed(iter([]), RATE, {"post_pitch": 5.0})) == []


@pytest.mark.parametrize("post", [KINDS["up"], KINDS["slow"]], ids=["up", "slow"])
def test_nothing_clicks(post: Mapping[str, float]) -> None:
    """A pure tone has no step sharper than its own after the filters, neither inside nor at its end."""
    tone = (0.5 * np.sin(2 * np.pi * 200.0 / RATE * np.arange(2 * RATE))).astype(np.float32)
    found = moved(tone, post, 1024)
    bends = np.abs(np.diff(np.append(found, 0.0), 2))
    raised = 2.0 ** (post.get("post_pitch", 0.0) / 12.0)
    assert bends[RATE // 10 :].max() < 3.0 * raised**2 * np.abs(np.diff(tone, 2)).max()


def test_volume_is_exact_until_it_would_clip() -> None:
    """A factor below the knee; above it bends, keeps its sign and stays within 1."""
    pcm = np.linspace(-1.0, 1.0, 2001).astype(np.float32)
    assert np.array_equal(louder(pcm, 0.25), pcm * np.float32(0.25))
    assert not np.any(louder(pcm, 0.0))
    found = louder(pcm, 2.0)
    quiet = np.abs(2.0 * pcm) <= KNEE
    assert np.array_equal(found[quiet], 2.0 * pcm[quiet])
    assert np.all(np.diff(found) >= 0.0) and np.abs(found).max() <= 1.0


@pytest.mark.parametrize("tempo", [0.25, 0.4, 0.5, 0.8, 1.0, 1.7, 2.0, 3.1, 4.0])
def test_every_filter_stays_where_it_blends(tempo: float) -> None:
    """Two share what one cannot do."""
    found = tempos(tempo)
    assert np.prod([1.0, *found]) == pytest.approx(tempo)
    assert all(0.5 <= part <= 2.0 for part in found)


def test_what_the_engine_lacks_is_left_to_the_stage() -> None:
    """Only fields it reported as none, only values that are not neutral; the report says what comes of it."""
    lacks = {"prosody.pitch": Honour.NONE, "pace": Honour.EXACT, "prosody.volume": Honour.NONE, "accent": Honour.NONE}
    voice = Voice(prosody=Prosody(pitch=-2.0, volume=0.5), pace=1.2)
    found = completed(Projection({"own": 1}, lacks), voice)
    assert found.knobs == {"own": 1, "post_pitch": -2.0, "post_volume": 0.5}
    assert found.report == {
        "prosody.pitch": Honour.APPROXIMATE,
        "pace": Honour.EXACT,
        "prosody.volume": Honour.EXACT,
        "accent": Honour.NONE,
    }
    assert completed(Projection({}, lacks), Voice()).knobs == {}
    loud = completed(Projection({}, lacks), Voice(prosody=Prosody(volume=1.5)))
    assert loud.report["prosody.volume"] is Honour.APPROXIMATE
    assert set(completed(Projection({}, dict.fromkeys(lacks, Honour.NONE)), voice).knobs) == set(POST_KNOBS)


def test_closing_the_stage_closes_the_engine() -> None:
    """A cancelled render ends at the engine's next step."""
    closed = []

    def engine() -> Iterator[Block]:
        try:
            yield from blocks(np.ones(RATE, np.float32), 2000)
        finally:
            closed.append(True)

    stage = processed(engine(), RATE, {"post_pitch": 1.0})
    next(stage)
    stage.close()
    assert closed == [True]


def test_a_missing_library_is_said_before_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the engine warms up, with the command that helps."""
    monkeypatch.setitem(sys.modules, "av.filter", None)
    with pytest.raises(Unavailable, match="pip install av"):
        Spool(lambda request: iter([]), RATE)
