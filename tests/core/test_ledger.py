"""What left, frame by frame."""

from __future__ import annotations

import zlib

import numpy as np

from peer.core.frame import Kind, Provenance, Pull, Span
from peer.core.ledger import PER_RECORD, Ledger, checksums, level_of
from peer.core.pcm import FRAME, SILENCE
from SCENES.engines import Cost, ModelEngine
from SCENES.harness import Theatre

from .measure import TEXT


def pull(n: int, chunk: int) -> Pull:
    where = Provenance("tone", chunk, (0, 1), "u", 0)
    pcm = np.full(FRAME, n, np.int16)
    return Pull(n, Kind.VOICE, pcm, n * FRAME, (Span(n * FRAME, (n + 1) * FRAME, where),))


def test_a_record_a_second() -> None:
    """Full records come by themselves, the rest at the flush; checksums are in order."""
    ledger = Ledger()
    found = [e for e in (ledger.add(pull(n, n // 10)) for n in range(PER_RECORD + 5)) if e]
    last = ledger.flush()
    assert len(found) == 1 and last is not None and ledger.flush() is None
    assert (found[0].fields["from"], found[0].fields["to"]) == (0, PER_RECORD)
    assert (last.fields["from"], last.fields["to"]) == (PER_RECORD, PER_RECORD + 5)
    assert checksums(found[0].fields)[3] == zlib.crc32(np.full(FRAME, 3, np.int16).tobytes())


def test_levels_are_half_decibels() -> None:
    """Full scale is 255, the quietest noise is seen, silence is nothing."""
    for value, level in ((32767, 255), (16384, 243), (1, 74), (0, 0)):
        assert level_of(np.full(FRAME, value, np.int16)) == level


def test_a_frame_that_rises_is_named() -> None:
    """After a hole the first 5 ms were faded in: whoever builds the frame again must know."""
    theatre = Theatre({"tone": ModelEngine(cost=Cost(0, 0.1), slow=lambda now: 15.0 if 500 < now < 4000 else 1.0)})
    theatre.say(TEXT)
    theatre.until_quiet()
    ledger = Ledger()
    left = [h.pull for h in theatre.frames if h.pull.pcm is not None]
    records = [r for r in (*(ledger.add(p) for p in left), ledger.flush()) if r is not None]
    named = [n for record in records for n in record.fields.get("rises", [])]  # type: ignore[attr-defined]
    assert named and named == [p.n for p in left if p.rises]


def test_a_hole_ends_a_record() -> None:
    """Frames of one record follow each other without a gap."""
    ledger = Ledger()
    assert ledger.add(pull(0, 0)) is None
    record = ledger.add(pull(2, 0))
    assert record is not None and record.fields["to"] == 1


def resolved(record: dict[str, object]) -> dict[int, str]:
    """Frame → kind, from the runs."""
    runs, kinds = record["runs"], {}
    assert isinstance(runs, list)
    for i, run in enumerate(runs):
        end = runs[i + 1][0] if i + 1 < len(runs) else record["to"]
        kinds |= dict.fromkeys(range(run[0], end), run[1])
    return kinds


def test_every_frame_of_a_conversation_resolves() -> None:
    """Kind and chunk of each frame that left can be read from the records."""
    theatre = Theatre()
    theatre.say(TEXT)
    theatre.run(1500)
    theatre.barge_in()
    theatre.run(300)
    theatre.resume()
    theatre.until_quiet()
    ledger, kinds, chunks = Ledger(), {}, set()
    left = [h.pull for h in theatre.frames if h.pull.pcm is not None]
    for record in [*(ledger.add(p) for p in left), ledger.flush()]:
        if record is not None:
            kinds |= resolved(dict(record.fields))
            chunks |= {c[0] for run in record.fields["runs"] for c in run[3]}  # type: ignore[attr-defined]
    assert kinds == {p.n: p.kind.value for p in left}
    assert chunks == {s.origin.chunk_id for p in left for s in p.spans}


def test_silence_repeats_nothing() -> None:
    """A tail of many frames is one run."""
    ledger = Ledger()
    for n in range(4):
        ledger.add(Pull(n, Kind.TAIL, SILENCE, 0))
    record = ledger.flush()
    assert record is not None and record.fields["runs"] == [[0, "tail", 0, []]]
