"""What must be true of the buffer: speech begins at once, depth stays in its band, chunk sizes settle.

Knows no milliseconds of its own: every bound is a relation to what the renders of this take cost.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import ceil

from peer.core.pcm import FRAME_MS

from ..take import Chunk, Take, number
from .figures import Finding, found

PULLS = 2
"""Frames between the landing of samples and their leaving: the one that is being waited for, and one before a resampler
gives out what it holds."""
TAIL_FRAMES = 4
"""Silence decays within these zeros; then nothing is sent."""
SETTLED = 0.2
"""Of the chunks: the ladder is climbed within them (a minute of five)."""
STEADY = 0.9
"""Of the chunks after that have the size that most of them have."""
INSIDE = 0.9
"""Of the landings leave the depth in the band; sentences end where they end."""
SLACK_FRAMES = 3
"""What may land beyond a request: a frame until the poll, two that the resampler had kept back."""


def first_audio_before_silence(take: Take) -> Finding:
    """Speech begins as soon as the first chunk is there, and goes on before the silence of the last has decayed."""
    first: dict[str, Chunk] = {}
    for chunk in take.chunks().values():
        first.setdefault(chunk.utterance, chunk)
    voiced = {part.chunk: frame.n for frame in reversed(take.sent) for part in frame.parts}
    ready = min((number(row, "frame") for row in take.of("health") if row.get("state") == "READY"), default=0)
    faults: list[str] = []
    waits: list[int] = []
    said_at: dict[str, int] = {}
    for row in take.of("input"):
        said_at.setdefault(str(row["utterance"]), number(row, "frame"))
    for name, asked in said_at.items():
        begun = first.get(name)
        began = voiced.get(begun.number) if begun is not None else None
        if begun is None or began is None:
            faults.append(f"{name}: never sounded")
            continue
        most = ceil((begun.render_ms or 0.0) / FRAME_MS) + PULLS
        before = max((frame.n for frame in take.sent if frame.n < began and frame.kind != "tail"), default=-1)
        wait = began - max(asked, before, ready)
        waits.append(wait)
        if wait > most:
            faults.append(f"{name}: first audio after {wait} frames, its chunk took {most - PULLS}")
        if asked <= before < began - 1 - TAIL_FRAMES:
            faults.append(f"{name}: {began - before - 1} frames of silence although its text was there")
    return found("first_audio_before_silence", faults, utterances=len(said_at), frames=waits)


def no_underflow(take: Take) -> Finding:
    """Never was a frame due that was not written.

    A hole while the first chunk of a speech is still being rendered is counted apart: it is the price of beginning
    with that chunk's first piece, and it is declared.
    """
    firsts: dict[tuple[str, int], Chunk] = {}
    for chunk in take.chunks().values():
        firsts.setdefault((chunk.utterance, chunk.epoch), chunk)
    rendering = [(c.asked_at, c.landed_at) for c in firsts.values() if c.landed_at is not None]
    holes = [number(row, "frame") for row in take.of("fill")]
    early = [n for n in holes if any(a <= n <= b + 1 for a, b in rendering)]
    faults = [f"hole at frame {n}" for n in holes if n not in early]
    return found("no_underflow", faults, holes=len(holes), in_first_chunk=len(early))


def depth_in_band(take: Take) -> Finding:
    """After the ladder is climbed, landings leave the depth within the comfort band that held when they were asked."""
    rows = take.of("pace")
    later = rows[ceil(len(rows) * SETTLED) :]
    inside, worst = 0, 0.0
    for before, row in pairwise([*rows[-len(later) - 1 : -len(later)], *later] if later else []):
        high = max(_ms(before, "high_ms"), _ms(row, "high_ms")) + SLACK_FRAMES * FRAME_MS
        depth = _ms(row, "depth_ms")
        worst = max(worst, depth - high)
        inside += depth <= high
    total = max(len(later), 1)
    faults = [] if inside >= INSIDE * (total - 1) else [f"{total - inside} of {total} landings are outside the band"]
    deep = max((depth for _, depth in take.depths), default=0.0)
    bound = max((_ms(row, "high_ms") for row in rows), default=0.0) * 2 + SLACK_FRAMES * FRAME_MS
    if rows and deep > bound:
        faults.append(f"the buffer grew to {deep:.0f} ms, its band never reached {bound:.0f}")
    return found("depth_in_band", faults, landings=total, inside=inside, deepest_ms=round(deep))


def _ms(row: object, name: str) -> float:
    assert isinstance(row, dict)
    return float(row[name])


def converges(take: Take) -> Finding:
    """Chunk sizes settle: after the first fifth nearly all requests have one size, and none is halved."""
    rungs = [number(row, "rung") for row in take.of("request")]
    later = rungs[ceil(len(rungs) * SETTLED) :]
    if not later:
        return found("converges", ["too few chunks to say"], chunks=len(rungs))
    usual, times = Counter(later).most_common(1)[0]
    faults = []
    if times < STEADY * len(later):
        faults.append(f"only {times} of {len(later)} chunks have the usual size (rung {usual})")
    moves = sum(a != b for a, b in pairwise(later))
    return found("converges", faults, chunks=len(rungs), usual_rung=usual, moves=moves, rungs=dict(Counter(later)))


def fast_reseed(take: Take) -> Finding:
    """After a resume speech is back as soon as its first chunk is rendered: there is nothing else to wait for."""
    chunks = list(take.chunks().values())
    voiced = {part.chunk: frame.n for frame in reversed(take.sent) for part in frame.parts}
    faults: list[str] = []
    waits: list[int] = []
    stopped = [number(row, "frame") for row in take.rows if row.get("kind") in ("pause", "barge")]
    for row in take.of("resume"):
        if "source" not in row:
            continue
        resumed = number(row, "frame")
        first = next((c for c in chunks if c.asked_at >= resumed), None)
        if first is None or first.number not in voiced:
            continue
        if any(resumed <= n <= voiced[first.number] for n in stopped):
            continue
        wait = voiced[first.number] - resumed
        waits.append(wait)
        most = ceil((first.render_ms or 0.0) / FRAME_MS) + PULLS
        if first.render_ms is not None and wait > most:
            faults.append(f"resume at frame {resumed}: back after {wait} frames, its chunk took {most - PULLS}")
    return found("fast_reseed", faults, resumes=len(waits), longest_frames=max(waits, default=0))
