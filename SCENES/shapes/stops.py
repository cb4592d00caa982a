"""A hard stop: after a barge-in one frame fades within 5 ms, then nothing of the old speech is heard.

Knows barge-ins from their records and speech from the epoch of its chunks.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from peer.core.pcm import FADE, FRAME, rise

from ..take import Row, Sent, Take, number
from .figures import Finding, found


def hard_stop(take: Take) -> Finding:
    """Barge-in at frame n: the next frame that leaves, n + 1, is the last voiced one, a 5 ms fade; then zeros.

    A server that is late gives that frame a later number, never another after it.
    """
    epochs = {chunk.number: chunk.epoch for chunk in take.chunks().values()}
    numbers = [frame.n for frame in take.sent]
    faults: list[str] = []
    latest = 0
    barges = take.of("barge")
    for row in barges:
        n, epoch = number(row, "frame"), number(row, "epoch")
        stopped = False
        for frame in take.sent[bisect_left(numbers, n) :]:
            old = [part for part in frame.parts if epochs.get(part.chunk, -1) < epoch]
            if frame.parts and not old:
                break
            if stopped and (old or frame.loud):
                faults.append(f"barge-in at frame {n}: frame {frame.n} still sounds")
                break
            if frame.loud:
                latest = max(latest, frame.n - n)
            stopped = frame.n > n or frame.kind == "cut"
            if frame.kind == "cut" and stopped and not _fades(frame):
                faults.append(f"barge-in at frame {n}: frame {frame.n} does not fade within 5 ms")
    return found("hard_stop", faults, barge_ins=len(barges), last_voiced_after=latest)


def _fades(frame: Sent) -> bool:
    """No sample is above what full scale would be under the fade, so the last ones are next to nothing."""
    most = np.ceil((1.0 - rise(FADE)) * 32767.0) + 1.0
    return bool((np.abs(frame.pcm[:FADE].astype(np.int32)) <= most).all()) and not frame.pcm[FADE:].any()


def flushed(take: Take) -> Finding:
    """After a barge-in nothing that was written before is ever heard: the ring was flushed, not played out."""
    epochs = {chunk.number: chunk.epoch for chunk in take.chunks().values()}
    barges: list[Row] = take.of("barge")
    faults = []
    at = 0
    for frame in take.sent:
        while at < len(barges) and number(barges[at], "frame") + 1 < frame.n:
            at += 1
        least = number(barges[at - 1], "epoch") if at else 0
        if frame.kind != "cut" and any(epochs.get(part.chunk, -1) < least for part in frame.parts):
            faults.append(f"frame {frame.n} holds speech of before the barge-in")
    dropped = sum(number(row, "dropped") for row in barges)
    return found("flushed", faults, barge_ins=len(barges), dropped_ms=round(dropped * 20 / FRAME))
