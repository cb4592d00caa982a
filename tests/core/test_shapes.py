"""Every shape of a scene: green on a clean take, red on the same take with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from peer.core.pcm import FRAME, Int16
from SCENES import shapes
from SCENES.engines import Cost, ModelEngine
from SCENES.harness import Theatre
from SCENES.shapes import Finding
from SCENES.take import Sent, Take

TEXT = "The quick brown fox jumps over the lazy dog. A second sentence follows here, with a comma and more words."
LONG = " ".join([TEXT] * 8)


@cache
def spoken() -> Take:
    """One utterance, nothing happens to it."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(5.0, 0.3))})
    theatre.say(TEXT)
    return theatre.until_quiet().take()


@cache
def narrated() -> Take:
    """Long enough for chunk sizes to settle."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(12.0, 0.25))})
    theatre.say(LONG)
    return theatre.until_quiet().take()


@cache
def interrupted() -> Take:
    """Cut, resumed, paused, resumed."""
    theatre = Theatre()
    theatre.say(TEXT)
    theatre.run(1333)
    theatre.barge_in()
    theatre.run(300)
    theatre.resume()
    theatre.run(700)
    theatre.pause()
    theatre.run(200)
    theatre.resume()
    return theatre.until_quiet().take()


@cache
def held() -> Take:
    """An engine that is far too slow for a while: holes, declared."""
    engine = ModelEngine(cost=Cost(5.0, 0.3), slow=lambda now: 12.0 if 600 < now < 1200 else 1.0)
    theatre = Theatre({"tone": engine})
    theatre.say(TEXT)
    return theatre.until_quiet().take()


@cache
def swapped() -> Take:
    theatre = Theatre({"tone": ModelEngine(), "other": ModelEngine(cost=Cost(2.0, 0.05))})
    theatre.say(TEXT)
    theatre.run(1500)
    theatre.configure(adapter="other")
    return theatre.until_quiet().take()


TAKES = {take.__name__: take for take in (spoken, narrated, interrupted, held, swapped)}


# what is doctored ---------------------------------------------------------------------------


def frame_with(take: Take, right: Callable[[Sent], bool], skip: int = 5) -> int:
    """The index of a frame that is `right`, not the very first."""
    return [i for i, frame in enumerate(take.sent) if right(frame)][skip]


def loud(frame: Sent) -> bool:
    return frame.kind == "voice" and frame.voiced == FRAME and _level(frame) > 3000


def _level(frame: Sent) -> float:
    return float(np.abs(frame.pcm.astype(np.int32)).mean())


def with_frame(take: Take, index: int, frame: Sent) -> Take:
    return replace(take, sent=(*take.sent[:index], frame, *take.sent[index + 1 :]))


def with_pcm(take: Take, index: int, change: Callable[[Int16], None]) -> Take:
    pcm = take.sent[index].pcm.copy()
    change(pcm)
    return with_frame(take, index, replace(take.sent[index], pcm=pcm))


def without_row(take: Take, kind: str, index: int) -> Take:
    rows = [i for i, row in enumerate(take.rows) if row["kind"] == kind]
    return replace(take, rows=take.rows[: rows[index]] + take.rows[rows[index] + 1 :])


def with_row(take: Take, kind: str, index: int, **changes: object) -> Take:
    at = [i for i, row in enumerate(take.rows) if row["kind"] == kind][index]
    return replace(take, rows=(*take.rows[:at], {**take.rows[at], **changes}, *take.rows[at + 1 :]))


def lost_word() -> Take:
    return without_row(spoken(), "word", 7)


def lost_last_word() -> Take:
    return without_row(spoken(), "word", -1)


def doubled_word() -> Take:
    take = spoken()
    at = [i for i, row in enumerate(take.rows) if row["kind"] == "word"][7]
    return replace(take, rows=take.rows[: at + 1] + take.rows[at:])


def strange_word() -> Take:
    return with_row(spoken(), "word", 3, utterance="nobody said that")


def word_repeated_twice_after_resume() -> Take:
    take = interrupted()
    resume = next(i for i, row in enumerate(take.rows) if row["kind"] == "resume")
    again = next(i for i in range(resume, len(take.rows)) if take.rows[i]["kind"] == "word")
    return replace(take, rows=take.rows[: again + 1] + take.rows[again:])


def cut_that_nobody_declared() -> Take:
    take = interrupted()
    rows = tuple(row for row in take.rows if row["kind"] not in ("barge", "resume"))
    keep = next(i for i, row in enumerate(rows) if row["kind"] == "word") + 3
    return replace(take, rows=tuple(row for i, row in enumerate(rows) if row["kind"] != "word" or i < keep))


def silent(low: int, high: int) -> Callable[[Int16], None]:
    def change(pcm: Int16) -> None:
        pcm[low:high] = 0

    return change


def zeros_in_speech() -> Take:
    take = spoken()
    return with_pcm(take, frame_with(take, loud), silent(300, 444))


def speech_without_reference() -> Take:
    return replace(spoken(), raw={})


def boundary_frame(take: Take) -> tuple[int, int]:
    """A loud frame in which two chunks meet, and where."""
    index = frame_with(take, lambda f: len(f.parts) == 2 and _level(f) > 1500 and f.kind == "voice", skip=0)
    frame = take.sent[index]
    return index, frame.parts[1].start - frame.position


def step_at_a_chunk() -> Take:
    take = spoken()
    index, at = boundary_frame(take)

    def change(pcm: Int16) -> None:
        pcm[at:] = np.clip(pcm[at:].astype(np.int32) + 2500, -32768, 32767)

    return with_pcm(take, index, change)


def cut_without_a_fade() -> Take:
    take = interrupted()
    index = next(i for i, f in enumerate(take.sent) if f.kind == "cut")

    def change(pcm: Int16) -> None:
        pcm[:240] = 6000

    return with_pcm(take, index, change)


def hole_without_a_fade_in() -> Take:
    take = held()
    index = next(i for i in range(1, len(take.sent)) if take.sent[i].n > take.sent[i - 1].n + 1)

    def change(pcm: Int16) -> None:
        pcm[:240] = np.linspace(9000, pcm[240], 240)

    return with_pcm(take, index, change)


def click_anywhere() -> Take:
    take = spoken()

    def change(pcm: Int16) -> None:
        pcm[500:] = np.roll(pcm[500:], 37)

    return with_pcm(take, frame_with(take, loud, 12), change)


def chunk_nobody_asked_for() -> Take:
    return without_row(spoken(), "request", 2)


def chunk_of_unknown_cost() -> Take:
    return with_row(spoken(), "chunk", 2, render_ms=None)


def samples_from_nowhere() -> Take:
    take = spoken()
    index = frame_with(take, loud)
    frame = take.sent[index]
    part = replace(frame.parts[0], start=frame.position + 10)
    return with_frame(take, index, replace(frame, parts=(part, *frame.parts[1:])))


def sounding_tail() -> Take:
    take = spoken()
    return with_pcm(take, len(take.sent) - 1, lambda pcm: pcm.__setitem__(5, 200))


def unknown_kind() -> Take:
    take = spoken()
    return with_frame(take, len(take.sent) - 1, replace(take.sent[-1], kind="whatever"))


def one_bit() -> Take:
    take = spoken()
    return with_pcm(take, 40, lambda pcm: pcm.__setitem__(480, pcm[480] ^ 1))


def unlogged_frames() -> Take:
    return without_row(spoken(), "frames", 1)


def frame_never_sent() -> Take:
    take = spoken()
    return replace(take, sent=take.sent[:50] + take.sent[51:])


def another_decision() -> Take:
    """A rung in the log that the controller did not choose."""
    return with_row(spoken(), "request", 3, rung=5, low_latency=True)


def frames_exchanged() -> Take:
    take = spoken()
    return replace(take, sent=(*take.sent[:50], take.sent[51], take.sent[50], *take.sent[52:]))


def sample_played_twice() -> Take:
    take = spoken()
    return with_frame(take, 60, replace(take.sent[60], position=take.sent[60].position - 100))


def record_out_of_order() -> Take:
    return with_row(spoken(), "word", 5, frame=1)


def short_frame() -> Take:
    take = spoken()
    return with_frame(take, 20, replace(take.sent[20], pcm=take.sent[20].pcm[:900]))


def hole_without_a_record() -> Take:
    take = held()
    return replace(take, rows=tuple(row for row in take.rows if row["kind"] != "fill"))


def speech_after_the_stop() -> Take:
    take = interrupted()
    index = next(i for i, f in enumerate(take.sent) if f.kind == "cut")
    old = take.sent[index - 1]
    after = take.sent[index + 1]
    ghost = replace(old, n=after.n, position=after.position, parts=())
    return with_frame(take, index + 1, ghost)


def old_speech_played_out() -> Take:
    take = interrupted()
    index = next(i for i, f in enumerate(take.sent) if f.kind == "cut")
    n = take.sent[index].n
    return replace(
        take, sent=(*take.sent[: index + 1], replace(take.sent[index - 1], n=n + 1), *take.sent[index + 2 :])
    )


def late(take: Take, kind: str, by: int) -> Take:
    """Everything after the first `kind` leaves `by` frames later."""
    since = next(int(str(row["frame"])) for row in take.rows if row["kind"] == kind)
    return replace(take, sent=tuple(replace(f, n=f.n + by) if f.n > since else f for f in take.sent))


def late_first_audio() -> Take:
    return late(spoken(), "input", 12)


def late_resume() -> Take:
    return late(interrupted(), "resume", 12)


def declared_underflow() -> Take:
    return held()


def deep_buffer() -> Take:
    take = narrated()
    deeper = tuple({**row, "depth_ms": 5000.0} if row["kind"] == "pace" else row for row in take.rows)
    return replace(take, rows=deeper)


def unbounded_buffer() -> Take:
    take = narrated()
    return replace(take, depths=(*take.depths, (99_999, 60_000.0)))


def sawtooth_chunks() -> Take:
    take = narrated()
    rows = tuple({**row, "rung": i % 5} if row["kind"] == "request" else row for i, row in enumerate(take.rows))
    return replace(take, rows=rows)


CLEAN: list[tuple[Callable[[Take], Finding], str]] = [
    *((shape, name) for shape in shapes.ALWAYS for name in TAKES),
    (shapes.hard_stop, "interrupted"),
    (shapes.flushed, "interrupted"),
    (shapes.fast_reseed, "interrupted"),
    (shapes.no_underflow, "spoken"),
    (shapes.first_audio_before_silence, "spoken"),
    (shapes.depth_in_band, "narrated"),
    (shapes.remade, "spoken"),
    (shapes.remade, "interrupted"),
    (shapes.remade, "swapped"),
    (shapes.converges, "narrated"),
]

DOCTORED: list[tuple[Callable[[Take], Finding], Callable[[], Take]]] = [
    (shapes.text_oracle, lost_word),
    (shapes.text_oracle, lost_last_word),
    (shapes.text_oracle, doubled_word),
    (shapes.text_oracle, strange_word),
    (shapes.text_oracle, word_repeated_twice_after_resume),
    (shapes.text_oracle, cut_that_nobody_declared),
    (shapes.zero_run, zeros_in_speech),
    (shapes.zero_run, speech_without_reference),
    (shapes.clicks, step_at_a_chunk),
    (shapes.clicks, cut_without_a_fade),
    (shapes.clicks, hole_without_a_fade_in),
    (shapes.blind_clicks, click_anywhere),
    (shapes.provenance, chunk_nobody_asked_for),
    (shapes.provenance, chunk_of_unknown_cost),
    (shapes.provenance, samples_from_nowhere),
    (shapes.provenance, sounding_tail),
    (shapes.provenance, unknown_kind),
    (shapes.log_equals_pcm, one_bit),
    (shapes.log_equals_pcm, unlogged_frames),
    (shapes.log_equals_pcm, frame_never_sent),
    (shapes.remade, one_bit),
    (shapes.remade, frame_never_sent),
    (shapes.remade, another_decision),
    (shapes.monotonic, frames_exchanged),
    (shapes.monotonic, sample_played_twice),
    (shapes.monotonic, record_out_of_order),
    (shapes.monotonic, short_frame),
    (shapes.holes_declared, hole_without_a_record),
    (shapes.holes_declared, frame_never_sent),
    (shapes.hard_stop, speech_after_the_stop),
    (shapes.hard_stop, cut_without_a_fade),
    (shapes.flushed, old_speech_played_out),
    (shapes.first_audio_before_silence, late_first_audio),
    (shapes.fast_reseed, late_resume),
    (shapes.no_underflow, declared_underflow),
    (shapes.depth_in_band, deep_buffer),
    (shapes.depth_in_band, unbounded_buffer),
    (shapes.converges, sawtooth_chunks),
]


@pytest.mark.parametrize(("shape", "name"), CLEAN, ids=lambda value: getattr(value, "__name__", value))
def test_a_clean_take_is_green(shape: Callable[[Take], Finding], name: str) -> None:
    """A clean take is green."""
    found = shape(TAKES[name]())
    assert found.good, found.why
    assert not found.why


@pytest.mark.parametrize(("shape", "doctored"), DOCTORED, ids=lambda value: value.__name__)
def test_a_doctored_take_is_red(shape: Callable[[Take], Finding], doctored: Callable[[], Take]) -> None:
    """A doctored take is red."""
    found = shape(doctored())
    assert not found.good
    assert found.why, "a red finding says why"


def test_every_shape_has_a_doctored_take() -> None:
    """Every shape has a doctored take."""
    every = {name for name in shapes.__all__ if callable(getattr(shapes, name)) and name != "Finding"}
    assert every == {shape.__name__ for shape, _ in DOCTORED} == {shape.__name__ for shape, _ in CLEAN}


def test_an_empty_take_has_no_frames_and_lost_nothing() -> None:
    """An empty take has no frames and lost nothing."""
    empty = Take({}, (), ())
    assert all(shape(empty).good for shape in shapes.ALWAYS)
