"""What is said of a session: to its log at the start, to its panel all the time.

Knows no transport; reads the core, changes nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from .core.orchestrator import Orchestrator
from .core.pcm import FRAME, RATE
from .core.timeline import Event, Record
from .core.wish import Setting
from .journal import SCHEMA


def header(ident: str, seed: int, clocked: bool, setting: Setting, version: str, about: Mapping[str, object]) -> Event:
    """The first record of a log: what its samples depend on."""
    return Event(
        Record.HEADER,
        0,
        "begin",
        fields={
            "schema": SCHEMA,
            "session": ident,
            "seed": seed,
            "sample_rate": RATE,
            "frame_samples": FRAME,
            "clocked": clocked,
            **setting.to_wire(),
            "adapters": {setting.adapter: {"version": version}},
            "libs": about["libraries"],
            "guard": about["guard"],
            "cpu": {"isa": platform.machine(), "system": platform.system()},
            "threads": os.cpu_count(),
        },
    )


def snapshot(peer: Orchestrator, n: int) -> dict[str, object]:
    """The state of the buffer at frame `n`."""
    pace = peer.producer.pace
    low, high = pace.band
    return {
        "frame": n,
        "speech": peer.speech.state.value,
        "adapter": peer.setting.adapter,
        "mode": pace.mode.value,
        "depth_ms": round(peer.producer.depth_ms, 1),
        "band": [round(low, 1), round(high, 1)],
        "rung": pace.rung,
        "rungs": [round(ms, 1) for ms in pace.rungs_ms],
        "sounding": peer.sounding,
    }
