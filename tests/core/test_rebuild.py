"""A log played again: byte for byte, whatever happened; and what a log that was changed or torn gives."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from peer.core.drift import Correction, DriftGuard
from peer.core.messages import Abandon, Mode
from peer.core.pcm import EMPTY, FRAME
from peer.core.rebuild import Rebuilder, Rebuilt
from peer.core.recontrol import Recontrol
from peer.core.tape import BLOCK, Tape
from SCENES.engines import Cost, ModelEngine
from SCENES.harness import Theatre
from SCENES.shapes.remade import rebuilt, remade
from SCENES.take import Take

from .measure import TEXT, origin

COSTS = (Cost(1, 0.01), Cost(20, 0.6), Cost(100, 0.2), Cost(10, 0.3, 0.5), Cost(5, 0.9, 0.3), Cost(0, 1.3))
FAULTS = ("raise", "die", "mute", "nan", "empty")


def cast(rng: random.Random) -> dict[str, ModelEngine]:
    """Three engines of some speed, some of which are warm and may stand in."""
    return {
        name: ModelEngine(
            cost=rng.choice(COSTS), seed=rng.randrange(1 << 30), grain_ms=rng.choice((None, 30.0, 90.0)),
            stands_in=rng.random() < 0.3, warmed=rng.random() < 0.5,
        )
        for name in ("tone", "b", "c")
    }  # fmt: skip


def ill(rng: random.Random, engine: ModelEngine, now: float) -> None:
    fault, until = rng.choice(FAULTS), now + rng.uniform(0, 1500)
    engine.ill = lambda at: fault if at < until else ""


def story(seed: int) -> Theatre:
    """Anything that can happen to a conversation, at random."""
    rng = random.Random(seed)
    theatre = Theatre(cast(rng), mode=rng.choice(list(Mode)))
    acts: list[Callable[[], object]] = [
        lambda: theatre.say(rng.choice((TEXT, "One two three. ", "and so on "))),
        lambda: theatre.say(TEXT),
        theatre.barge_in,
        theatre.pause,
        theatre.resume,
        theatre.resume,
        lambda: theatre.configure(adapter=rng.choice(("tone", "b", "b", "c", "c")), warm_ms=rng.uniform(0, 300)),
        lambda: ill(rng, theatre.engines[rng.choice(("tone", "b", "c"))], theatre.now),
        lambda: theatre.peer.speech.state.value != "SPEAKING" and theatre.peer.abandon(theatre.n, Abandon("a")),
    ]
    theatre.say(TEXT)
    theatre.run(1200)
    for _ in range(rng.randrange(3, 25)):
        try:
            rng.choice(acts)()
        except Exception as refusal:
            assert type(refusal).__name__ == "Refusal", refusal
        theatre.run(rng.choice((rng.uniform(0, 60), rng.uniform(0, 2500))))
    return theatre


@pytest.mark.parametrize("seed", range(60))
def test_every_story_is_made_again(seed: int) -> None:
    """Stops, swaps, stalls, faults, holes: every frame has the same bytes, and the controller decides the same."""
    take = story(seed).take()
    found = remade(take)
    assert found.good, found.why
    assert len(take.sent) > 5


def test_the_stories_have_everything_in_them() -> None:
    """What is not in them is not proven: every kind of seam, stop and frame occurs."""
    seams, kinds = set(), set()
    for seed in range(60):
        take = story(seed).take()
        seams |= {row["seam"] for row in take.of("swap") if row["stage"] == "swap"}
        seams |= {row["stage"] for kind in ("fill", "pause", "barge") for row in take.of(kind)}
        kinds |= {frame.kind for frame in take.sent}
    assert {"none", "blend", "finish", "hold", "fill", "pause", "barge_in"} <= seams
    assert kinds == {"voice", "cut", "tail", "fill"}


def test_a_correction_at_a_pause_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence that was put in, and taken out, for a far end whose clock is another."""
    given = iter([Correction(700, "heard"), Correction(-31, "heard"), None, Correction(5, "written")] * 9)
    monkeypatch.setattr(DriftGuard, "at_pause", lambda _self, silence: next(given) if silence > 31 else None)
    theatre = Theatre()
    theatre.say("One. Two. Three. Four. Five. Six. Seven. Eight.")
    take = theatre.until_quiet().take()
    assert {row["samples"] for row in take.of("drift")} >= {700, -31}
    assert remade(take).good


def test_a_log_without_its_middle_goes_on_at_the_next_sentence() -> None:
    """Records are missing: frames of before are unknown, not wrong; from the next stream on all are the same again."""
    theatre = Theatre()
    theatre.say(TEXT)
    take = theatre.until_quiet().take()
    third = [i for i, row in enumerate(take.rows) if row["kind"] == "chunk"][2]
    gap: Mapping[str, object] = {"kind": "log_gap", "frame": 0, "stage": "journal", "result": "gap"}
    made = rebuilt(replace(take, rows=(*take.rows[:third], gap, *take.rows[third + 3 :])))
    known = [frame for frame in made if frame.pcm is not None]
    assert known and len(known) < len(made) and all(frame.same for frame in known)


def test_a_torn_log_gives_what_left_until_then() -> None:
    """The process was killed in the middle of a chunk: whatever records are there make their frames."""
    take = story(4).take()
    for end in range(10, len(take.rows), 7):
        made = rebuilt(replace(take, rows=take.rows[:end]))
        assert all(frame.same for frame in made if frame.pcm is not None)
        assert sum(frame.pcm is None for frame in made) == 0


def altered(take: Take, chunk: int) -> list[Rebuilt]:
    """The take made again with one sample of one chunk changed."""
    pcm = take.raw[chunk].copy()
    pcm[len(pcm) // 2] += 0.01
    return rebuilt(replace(take, raw={**take.raw, chunk: pcm}))


def test_one_sample_is_enough_to_be_found() -> None:
    """The first frame that differs is one of that chunk."""
    theatre = Theatre()
    theatre.say(TEXT)
    take = theatre.until_quiet().take()
    for chunk in (1, 3):
        first = next(frame for frame in altered(take, chunk) if not frame.same)
        assert chunk in first.chunks


def test_chunks_nobody_has_leave_the_rest_as_it_was() -> None:
    """An engine's samples are gone: its frames are unknown, the other engine's are the same again."""
    theatre = Theatre({"tone": ModelEngine(), "b": ModelEngine()})
    theatre.say(TEXT)
    theatre.run(1500)
    theatre.configure(adapter="b")
    take = theatre.until_quiet().take()
    lost = {int(str(row["chunk"])) for row in take.of("request") if row["adapter"] == "tone"}
    made = rebuilt(replace(take, raw={n: EMPTY if n in lost else pcm for n, pcm in take.raw.items()}))
    later = [frame for frame in made if frame.chunks and not lost.intersection(frame.chunks)]
    assert len(later) > 50 and all(frame.same for frame in later[1:])


def test_a_replay_may_begin_at_a_sentence() -> None:
    """`lost`: records of before go by until a stream begins from silence."""
    theatre = Theatre()
    theatre.say(TEXT)
    take = theatre.until_quiet().take()
    begins = [i for i, row in enumerate(take.rows) if row["kind"] == "request" and row["window"][0] == 0]  # type: ignore[index]
    rebuilder, made = Rebuilder(lost=True), []
    for row in (*take.rows[begins[1] - 1 :], None):
        chunk = rebuilder.needs(row)
        if chunk is not None:
            rebuilder.supply(take.raw[chunk])
        made += rebuilder.rest() if row is None else rebuilder.feed(row)
    known = [frame for frame in made if frame.pcm is not None]
    assert len(known) > 100 and all(frame.same for frame in known)


def test_the_tape_forgets_and_keeps() -> None:
    """Hours go by in bounded memory; what is still asked for stays."""
    tape = Tape()
    for i in range(3 * BLOCK // FRAME):
        tape.write(np.full(FRAME, i % 100, np.int16), origin())
        tape.forget(tape.written - 10 * FRAME)
    assert tape.first > BLOCK and len(tape._samples) <= 3 * BLOCK
    last = 3 * BLOCK // FRAME - 1
    assert set(tape.copy(tape.written - FRAME, tape.written)) == {last % 100}
    with pytest.raises(ValueError, match="of a tape"):
        tape.copy(0, 10)
    tape.truncate(tape.written - 5)
    assert tape.write(np.ones(5, np.int16), origin()) == tape.written - 5
    tape.seek(7)
    assert (tape.first, tape.written) == (7, 7)


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "frames", "from": 0, "to": 1, "runs": [], "crc": "AAAAAA=="},
        {"kind": "frames", "from": 0, "to": 1, "runs": [[0, "voice", 0, []]], "crc": "no base64"},
        {"kind": "frames", "from": "0", "to": 1, "runs": [[0, "voice", 0, []]], "crc": "AAAAAA=="},
        {"kind": "drift", "samples": "many"},
        {"kind": "request", "window": [0, 5], "stream": "s", "chunk": 0, "position": True, "rate": 1, "overlap": 0},
    ],
)
def test_a_record_that_lies_is_refused(record: Mapping[str, object]) -> None:
    """A ValueError that names it, never a frame made of it."""
    with pytest.raises(ValueError, match=r"\w"):
        list(Rebuilder().feed(record))


# the controller ------------------------------------------------------------------------------


def test_a_controller_that_changed_is_found() -> None:
    """Another cost in the log, and the decisions are no longer those it took: at that chunk or behind it."""
    take = story(11).take()
    rows, chunk = [dict(row) for row in take.rows], 0
    for row in rows:
        if row["kind"] == "chunk" and not chunk and int(str(row["chunk"])) > 2:
            row["render_ms"], chunk = 5000.0, int(str(row["chunk"]))
    recontrol = Recontrol()
    found = [one for row in rows for one in recontrol.feed(row)]
    assert found and found[0].chunk is not None and found[0].chunk >= chunk
    assert recontrol.decisions > 10 and "chunk" in str(found[0])
