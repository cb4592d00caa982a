"""Clicks: at the boundaries that are known, by the second difference; anywhere else, by linear prediction.

Knows boundaries from the frames' own account: chunk, sentence, swap, cut, hole. The start of a hole is left
out: nothing is sent there, and what the far end hears instead is its own concealment.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from peer.core.pcm import FADE, FRAME

from ..take import Chunk, Sent, Take
from .figures import Finding, found
from .stillness import Sentence, sentences

AROUND = 240
"""5 ms on each side of a boundary: what the boundary is compared with."""
STEEPEST = 6.0
"""A correct boundary measures about 1, three in four hard cuts above 6."""
ROUNDING = 4.0
"""int16 units: what rounding alone makes of a second difference; nothing quieter counts as a click."""

ORDER = 24
WINDOW = 2 * FRAME
"""40 ms, in which a voice stands still enough to be predicted."""
UNPREDICTED = 40.0
"""Vowels and fricatives stay under it; a gap, a repeat or a hard cut in them does not."""
OWN = 1.5
"""Times what the engine's own samples score there: the bursts of plosives are as sudden as clicks."""
MURMUR = 24.0
"""int16 units (-63 dBFS): a residual below it is no click, whatever its surroundings are."""
RIDGE = 1e-6
"""White noise added to the diagonal (-60 dB): without it pure tones have no unique predictor."""

Wide = npt.NDArray[np.float64]


def boundaries(frames: tuple[Sent, ...]) -> list[int]:
    """Sample offsets in one unbroken stretch where streams, chunks or silence meet."""
    found_at: set[int] = set()
    for i, frame in enumerate(frames):
        base = i * FRAME
        chunk = frames[i - 1].parts[-1].chunk if i and frames[i - 1].parts else None
        for part in frame.parts:
            if part.chunk != chunk:
                found_at.add(base + part.start - frame.position)
            chunk = part.chunk
        if frame.voiced < FRAME and frame.parts:
            found_at.add(base + frame.voiced)
        if frame.kind == "cut":
            found_at |= {base, base + FADE}
        elif not i or frames[i - 1].position + frames[i - 1].voiced != frame.position:
            found_at.add(base)
    return sorted(found_at)


def steepness(pcm: Wide, at: int) -> float:
    """The second difference across sample `at` over the 95th percentile of those within 5 ms."""
    low, high = max(at - AROUND, 0), min(at + AROUND, len(pcm))
    curve = np.abs(np.diff(pcm[low:high], 2))
    if len(curve) < 4:
        return 0.0
    middle = at - low - 1
    here = curve[max(middle - 1, 0) : middle + 1].max(initial=0.0)
    return float(here / max(float(np.percentile(curve, 95)), ROUNDING))


def clicks(take: Take) -> Finding:
    """At every known boundary the wave goes on as smoothly as around it."""
    faults: list[str] = []
    worst = 0.0
    count = 0
    for frames in take.stretches():
        pcm = np.concatenate([np.zeros(FADE, np.int16), *(frame.pcm for frame in frames)]).astype(np.float64)
        for at in boundaries(frames):
            count += 1
            ratio = steepness(pcm, at + FADE)
            worst = max(worst, ratio)
            if ratio > STEEPEST:
                frame = frames[min(at // FRAME, len(frames) - 1)]
                faults.append(f"frame {frame.n}, sample {at % FRAME}: {ratio:.1f} times as steep as around it")
    return found("clicks", faults, boundaries=count, steepest=round(worst, 2), most=STEEPEST)


def residual(pcm: Wide) -> Wide:
    """What linear prediction of order 24 over 40 ms windows does not foresee, per sample; (n,) from (n,)."""
    hops = max(len(pcm) // FRAME - 1, 0)
    out = np.zeros(len(pcm))
    if not hops:
        return out
    windows = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW)[::FRAME] * np.hanning(WINDOW)
    size = 2 * WINDOW
    spectrum = np.fft.rfft(windows, size)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, size)[:, : ORDER + 1]
    lags[:, 0] = lags[:, 0] * (1.0 + RIDGE) + 1.0
    index = np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))
    weights = np.linalg.solve(lags[:, index], lags[:, 1:, None])[:, :, 0]
    before = np.concatenate((np.zeros(ORDER), pcm))
    history = np.lib.stride_tricks.sliding_window_view(before, ORDER)[: len(pcm), ::-1]
    for i in range(hops):
        # The middle of window i: the 20 ms whose surroundings it knows on both sides.
        low = 0 if i == 0 else i * FRAME + FRAME // 2
        high = len(pcm) if i == hops - 1 else (i + 1) * FRAME + FRAME // 2
        out[low:high] = np.abs(pcm[low:high] - history[low:high] @ weights[i])
    return out


def blind_scores(pcm: Wide) -> Wide:
    """Per 20 ms the largest residual over the median of that 20 ms and its neighbours; quiet residuals count 0."""
    rest = residual(pcm)
    blocks = rest[: len(rest) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(blocks):
        return np.zeros(0)
    padded = np.pad(blocks, ((1, 1), (0, 0)), mode="edge")
    typical = np.median(np.concatenate((padded[:-2], padded[1:-1], padded[2:]), axis=1), axis=1)
    peaks = blocks.max(axis=1)
    scores: Wide = np.where(peaks > MURMUR, peaks / np.maximum(typical, 1.0), 0.0)
    return scores


def _meetings(frames: tuple[Sent, ...], chunks: Mapping[int, Chunk]) -> list[int]:
    """Indices of the frames in which another engine begins, and of their neighbours: the window of a score."""
    speakers = [{chunks[part.chunk].adapter for part in frame.parts if part.chunk in chunks} for frame in frames]
    known = [speaker for speaker in speakers if speaker]
    if len(set().union(*known)) < 2:
        return []
    found_at: set[int] = set()
    last: set[str] = set()
    for i, speaker in enumerate(speakers):
        if last and speaker and speaker != last:
            found_at |= {i - 1, i, i + 1}
        last = speaker or last
    return sorted(i for i in found_at if 0 <= i < len(frames))


def blind_clicks(take: Take) -> Finding:
    """Nowhere does a sample come that nothing before it foretold, unless the engine itself spoke it so (a plosive).

    Where two engines meet, one is no measure of the other: those frames are left to `clicks`, which knows the place.
    """
    known, chunks = sentences(take), take.chunks()
    faults: list[str] = []
    worst = 0.0
    for frames in take.stretches():
        heard = blind_scores(np.concatenate([frame.pcm for frame in frames]).astype(np.float64))
        if not (heard > UNPREDICTED).any():
            worst = max(worst, float(heard.max(initial=0.0)))
            continue
        own = np.pad(blind_scores(np.concatenate([_intended(frame, known, chunks) for frame in frames])), 1)
        most = np.maximum(UNPREDICTED, OWN * np.maximum(np.maximum(own[:-2], own[1:-1]), own[2:]))
        worst = max(worst, float((heard * UNPREDICTED / most).max(initial=0.0)))
        most[_meetings(frames, chunks)] = np.inf
        sudden = np.flatnonzero(heard > most)
        faults += [f"frame {frames[i].n}: {heard[i]:.0f}, where {most[i]:.0f} is speech" for i in sudden]
    return found("blind_clicks", faults, largest=round(worst, 1), most=UNPREDICTED)


def _intended(frame: Sent, known: Mapping[str, Sentence], chunks: Mapping[int, Chunk]) -> Wide:
    """What the frame would be had nothing been blended, faded or cut: the engine's own samples at 48 kHz."""
    out: Wide = frame.pcm.astype(np.float64)
    if frame.kind == "cut":
        return out
    for part in frame.parts:
        sentence = known.get(chunks[part.chunk].stream) if part.chunk in chunks else None
        low = part.start - frame.position
        out[low : part.end - frame.position] = 0.0
        if sentence is not None:
            own = sentence.at_48k()[part.start - sentence.start : part.end - sentence.start]
            out[low : low + len(own)] = np.clip(own * 32767.0, -32768.0, 32767.0)
    return out
