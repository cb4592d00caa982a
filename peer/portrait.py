"""What is said of a session: to its log at the start, to its panel all the time.

Knows no transport; reads the core, changes nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from .core.messages import PROTOCOL
from .core.orchestrator import Orchestrator
from .core.pcm import FRAME, RATE
from .core.timeline import Event, Record
from .core.wish import Setting
from .journal import SCHEMA


@dataclass(frozen=True, slots=True)
class Identity:
    """`ident` names the session everywhere, `token` re-attaches to it and is shown to its page only."""

    ident: str
    token: str
    seed: int


def header(
    identity: Identity, clocked: bool, dither: bool, setting: Setting, version: str, about: Mapping[str, object]
) -> Event:
    """The first record of a log: what its samples depend on."""
    return Event(
        Record.HEADER,
        0,
        "begin",
        fields={
            "schema": SCHEMA,
            "session": identity.ident,
            "seed": identity.seed,
            "sample_rate": RATE,
            "frame_samples": FRAME,
            "clocked": clocked,
            "dither": dither,
            **setting.to_wire(),
            "adapters": {setting.adapter: {"version": version}},
            "libs": about["libraries"],
            "guard": about["guard"],
            "cpu": {"isa": platform.machine(), "system": platform.system()},
            "threads": os.cpu_count(),
        },
    )


def hello(identity: Identity, peer: Orchestrator, n: int) -> dict[str, object]:
    """What a page is told first, at frame `n`."""
    return {
        "protocol": PROTOCOL,
        "session": identity.ident,
        "token": identity.token,
        "frame": n,
        "speech": peer.speech.state.value,
        **peer.setting.to_wire(),
    }


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
