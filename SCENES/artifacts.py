"""What a scene leaves behind: `_artifacts/<scene>/<engine>/{timeline.json, audio.wav, verdict.json}`.

Knows no shape. Written after the curtain, never while something plays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from peer.core.pcm import FRAME, RATE, Int16
from peer.wav import header

from .scene import Result
from .take import Sent, Take, crc

SCHEMA = 1
"""Of timeline.json and verdict.json; raised when a field changes its meaning."""
ROOT = Path(__file__).parent / "_artifacts"


class Unwritable(Exception):
    """The folder of the artifacts cannot be written; the text says which and why."""


def store(result: Result, root: Path = ROOT) -> Path:
    """Write what the scene left; returns its folder. Raises Unwritable."""
    folder = root / result.scene / result.engine
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _json(folder / "verdict.json", verdict(result))
        if result.take is not None:
            _json(folder / "timeline.json", timeline(result, result.take))
            _wav(folder / "audio.wav", result.take.pcm())
    except OSError as error:
        raise Unwritable(
            f"{error.filename or folder}: {error.strerror}; make it writable, or choose another with --out"
        ) from error
    return folder


def verdict(result: Result) -> dict[str, object]:
    findings = [finding.to_wire() for finding in result.findings]
    return {
        "schema": SCHEMA,
        "scene": result.scene,
        "engine": result.engine,
        "live": result.live,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "remedy": result.remedy,
        "findings": findings,
    }


def timeline(result: Result, take: Take) -> dict[str, object]:
    """The take without its samples: what was said, every frame that left, every record."""
    return {
        "schema": SCHEMA,
        "scene": result.scene,
        "engine": result.engine,
        "sample_rate": RATE,
        "frame_samples": FRAME,
        "first_frame": take.sent[0].n if take.sent else None,
        "texts": dict(take.texts),
        "frames": [_frame(frame) for frame in take.sent],
        "events": [dict(row) for row in take.rows if row.get("kind") != "frames"],
    }


def _frame(frame: Sent) -> list[object]:
    parts = [[part.chunk, part.start, part.end] for part in frame.parts]
    return [frame.n, frame.kind, frame.position, parts, crc(frame.pcm)]


def _json(path: Path, value: Mapping[str, object] | Sequence[object]) -> None:
    path.write_text(json.dumps(value, indent=1, default=str) + "\n")


def _wav(path: Path, pcm: Int16) -> None:
    path.write_bytes(header(RATE, pcm.nbytes) + pcm.astype("<i2", copy=False).tobytes())
