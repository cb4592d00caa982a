"""What must be true of frames as such: their order, where they come from, what the log says of them.

Knows no sound beyond its checksum.
"""

from __future__ import annotations

from itertools import pairwise

from peer.core.pcm import FRAME

from ..take import Chunk, Sent, Take, crc, ledger, number
from .figures import Finding, found

SOUNDING = ("voice", "cut", "fill")
"""Kinds of frames that may hold an engine's samples; `tail` is silence."""


def monotonic(take: Take) -> Finding:
    """Frame numbers rise, positions go on where they stopped, records are in the order of their frames."""
    faults = [
        f"frame {b.n} follows frame {a.n}" for a, b in pairwise(take.sent) if b.n <= a.n
    ]  # fmt: skip
    position = 0
    for frame in take.sent:
        if len(frame.pcm) != FRAME:
            faults.append(f"frame {frame.n} has {len(frame.pcm)} samples")
        if frame.position < position:
            faults.append(f"frame {frame.n} goes back to sample {frame.position} from {position}")
        # What fades at a pause comes again, whole, when it goes on.
        position = frame.position + (0 if frame.kind == "cut" else frame.voiced)
    frames = [number(row, "frame") for row in take.rows if row.get("kind") not in ("frames", "header")]
    faults += [f"a record of frame {b} follows one of frame {a}" for a, b in pairwise(frames) if b < a]
    return found("monotonic", faults, frames=len(take.sent), samples=position)


def provenance(take: Take) -> Finding:
    """Every frame that left resolves to {adapter, chunk, window, render_ms}; silence names its kind."""
    chunks = take.chunks()
    faults: list[str] = []
    resolved = 0
    for frame in take.sent:
        faults += _untold(frame)
        for part in frame.parts:
            chunk = chunks.get(part.chunk)
            fault = _unresolved(take, chunk)
            if fault is not None:
                faults.append(f"frame {frame.n}, chunk {part.chunk}: {fault}")
            resolved += 1
    return found("provenance", faults, frames=len(take.sent), resolved=resolved, chunks=len(chunks))


def _untold(frame: Sent) -> list[str]:
    """What is wrong with the frame's own account of its samples."""
    faults = []
    at = frame.position
    for part in frame.parts:
        if part.start != at:
            faults.append(f"frame {frame.n}: samples {at} to {part.start} come from nowhere")
        at = part.end
    if frame.kind == "voice" and not frame.parts:
        faults.append(f"frame {frame.n} is voice of no chunk")
    if frame.kind not in SOUNDING and frame.parts:
        faults.append(f"frame {frame.n} is {frame.kind} and holds a chunk")
    if frame.kind not in (*SOUNDING, "tail"):
        faults.append(f"frame {frame.n} left as {frame.kind!r}")
    silent = max(at - frame.position, 0)
    if frame.pcm[silent:].any() and not (frame.kind == "cut" and not frame.pcm[240:].any()):
        faults.append(f"frame {frame.n} sounds after the samples it accounts for")
    return faults


def _unresolved(take: Take, chunk: Chunk | None) -> str | None:
    if chunk is None:
        return "was never asked for"
    if not chunk.adapter or not chunk.stream:
        return "has no engine"
    if chunk.window[1] <= chunk.window[0]:
        return f"has the empty window {chunk.window}"
    if chunk.render_ms is None and not _interrupted(take, chunk):
        return "has no render_ms"
    return None


def _interrupted(take: Take, chunk: Chunk) -> bool:
    """A chunk without an end: a stop, a hand-over or the end of the take came first."""
    later = [row for row in take.rows if row.get("kind") in ("barge", "swap", "end", "speech", "health")]
    if any(number(row, "frame") >= chunk.asked_at and row["kind"] in ("barge", "swap", "end") for row in later):
        return True
    return not take.sent or chunk.asked_at >= take.sent[-1].n - 1


def log_equals_pcm(take: Take) -> Finding:
    """Every frame in the log left with just these samples, and every frame that left is in the log."""
    logged = {frame.n: (frame, checksum) for frame, checksum in ledger(take.rows)}
    faults: list[str] = []
    for frame in take.sent:
        entry = logged.pop(frame.n, None)
        if entry is None:
            faults.append(f"frame {frame.n} left and is not in the log")
        elif entry[1] != crc(frame.pcm):
            faults.append(f"frame {frame.n} differs from the log")
        elif (entry[0].kind, entry[0].parts) != (frame.kind, frame.parts):
            faults.append(f"frame {frame.n}: the log says {entry[0].kind} of {entry[0].parts}")
    faults += [f"frame {n} is in the log and never left" for n in sorted(logged)]
    return found("log_equals_pcm", faults, frames=len(take.sent))


def holes_declared(take: Take) -> Finding:
    """Where no frame left there was nothing to say, or a hole that the log names; speech never just stops."""
    kinds = dict(take.slots)
    holds = {number(row, "frame") for row in take.of("fill")}
    late = take.late()
    faults: list[str] = []
    holes = 0
    for a, b in pairwise(take.sent):
        if b.n == a.n + 1 or b.n in late:
            continue
        holes += 1
        missing = range(a.n + 1, b.n)
        if kinds and any(kinds.get(n) not in ("hold", "idle") for n in missing):
            faults.append(f"frames {a.n + 1} to {b.n - 1} neither left nor were held")
        elif a.kind == "voice" and a.voiced == FRAME and not any(n in holds for n in missing):
            faults.append(f"speech stops at frame {a.n} and the log does not say why")
    return found("holes_declared", faults, holes=holes, late=len(late))
