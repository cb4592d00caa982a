"""The stitcher: no click at any seam, no sample lost, every chunking alike."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.core.pcm import FADE, FRAME, Float, Int16, as_float, rise
from peer.core.ring import Ring
from peer.core.stitch import Joint, Overlap, Stitcher

from .measure import CLICK, jump, origin

HZ = 440.0


def wave(samples: int, start: int = 0) -> Float:
    """A loud tone, (samples,) float32, that does not start at zero."""
    phase = np.arange(start, start + samples, dtype=np.float64) * 2 * np.pi * HZ / 48_000 + 1.0
    return (0.5 * np.sin(phase)).astype(np.float32)


def pieces(pcm: Float, cuts: list[int]) -> list[Float]:
    edges = [0, *np.cumsum(cuts).clip(0, len(pcm)).tolist(), len(pcm)]
    return [pcm[a:b] for a, b in itertools.pairwise(edges)]


def written(ring: Ring) -> Int16:
    return ring.copy(ring.read, ring.written)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=12), st.integers(1, 4000), st.sampled_from([None, 5]))
def test_every_chunking_gives_the_same_pcm(cuts: list[int], samples: int, dither: int | None) -> None:
    """One piece or many, with dither or without: the same bytes, nothing lost."""
    found = []
    for parts in (pieces(wave(samples), cuts), [wave(samples)]):
        ring = Ring(8)
        stitcher = Stitcher(ring, dither)
        for part in parts:
            stitcher.write(part, origin())
        assert stitcher.held == min(samples, FADE) and stitcher.position == samples
        stitcher.finish()
        found.append(written(ring))
    assert len(found[0]) == samples and np.array_equal(*found)


def test_a_stream_fades_in_and_out() -> None:
    """The edges are silent, the middle is untouched."""
    ring = Ring(8)
    stitcher = Stitcher(ring)
    stitcher.write(wave(4000), origin())
    stitcher.finish()
    pcm = written(ring)
    assert abs(int(pcm[0])) < 8 and abs(int(pcm[-1])) < 8
    assert np.array_equal(pcm[FADE:-FADE], np.rint(wave(4000)[FADE:-FADE] * np.float32(32767)).astype(np.int16))


def test_the_tail_waits_until_it_is_known_what_follows() -> None:
    """5 ms stay back and can still be heard as a preview, faded, or dropped."""
    ring = Ring(8)
    stitcher = Stitcher(ring)
    stitcher.write(wave(1000), origin())
    assert ring.depth == 1000 - FADE and len(stitcher.preview()) == FADE
    stitcher.drop()
    assert stitcher.held == 0 and ring.depth == 1000 - FADE
    stitcher.write(wave(1000), origin())
    assert abs(int(ring.copy(1000 - FADE, 1001 - FADE)[0])) < 8, "after a stop the next samples rise"


def test_two_voices_meet_without_a_click() -> None:
    """The old stream's next 5 ms fall while the new one rises; a hard seam is found by the same measure."""
    old, new = wave(2 * FRAME), -wave(2 * FRAME, 77)
    ring = Ring(8)
    stitcher = Stitcher(ring)
    stitcher.write(old, origin(0))
    stitcher.finish()
    at = 1000
    kept = as_float(ring.copy(at, at + FADE))
    ring.truncate(at)
    stitcher.begin(kept)
    for part in pieces(new, [7, 100, 5]):
        stitcher.write(part, origin(1))
    pcm = written(ring)
    assert jump(pcm, at) < CLICK and jump(pcm, at + FADE) < CLICK
    hard = np.concatenate((pcm[:at], np.rint(new * 32767).astype(np.int16)))
    assert jump(hard, at) > CLICK


@given(st.lists(st.integers(0, 300), max_size=8))
def test_a_joint_does_not_see_pieces(cuts: list[int]) -> None:
    """Blending piece by piece equals blending at once."""
    old, new = wave(FADE), wave(900, 333)
    joint, whole = Joint(old), new.copy()
    whole[:FADE] = old * (1 - rise(FADE)) + new[:FADE] * rise(FADE)
    assert np.array_equal(np.concatenate([joint.push(p) for p in pieces(new, cuts)]), whole)
    assert joint.done


@given(st.integers(1, 200), st.lists(st.integers(0, 300), max_size=6), st.integers(1, 5))
def test_overlap_add_of_equal_audio_is_that_audio(samples: int, cuts: list[int], chunks: int) -> None:
    """Chunks that repeat each other's tail give the wave once, however they come in pieces."""
    hop, out = 400, []
    overlap = Overlap(samples)
    for i in range(chunks):
        overlap.begin()
        out += [overlap.push(p) for p in pieces(wave(hop + samples, i * hop), cuts)]
    out.append(overlap.flush())
    assert np.allclose(np.concatenate(out), wave(chunks * hop + samples), atol=1e-5)
    assert overlap.empty


def test_no_overlap_costs_nothing() -> None:
    """Engines without overlap get their own arrays back."""
    overlap, pcm = Overlap(0), wave(10)
    overlap.begin()
    assert overlap.push(pcm) is pcm and len(overlap.flush()) == 0


def test_provenance_of_the_tail_stays_with_its_chunk() -> None:
    """Samples that were kept back leave under the name of the chunk they came with."""
    ring = Ring(8)
    stitcher = Stitcher(ring)
    stitcher.write(wave(500), origin(1))
    stitcher.write(wave(500, 500), origin(2))
    stitcher.finish()
    assert [(s.start, s.end, s.origin.chunk_id) for s in ring.origins(1000)] == [(0, 500, 1), (500, 1000, 2)]
