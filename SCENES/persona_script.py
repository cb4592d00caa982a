"""Persona Script: a JSON persona is asked of every engine; pace, pitch and loudness answer, in the same direction.

The response to what was asked is judged, not the likeness of two voices: engines with random weights have no pitch,
and the verdict says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from peer.core.envelope import Envelope, measure
from peer.core.pcm import RATE
from peer.core.voice import Voice, parse_voice

from . import shapes
from .engines import Cost
from .harness import Theatre
from .scene import Performance, Stage
from .shapes.figures import Finding, found
from .take import Take
from .texts import STORY

COST = Cost(overhead_ms=10.0, ratio=0.1)
TEXT = " ".join(STORY[:2])
BRIEF = "Well, it is so."
"""For engines with random weights, which go on until they are stopped: their length is all that is judged."""
TURNS: Mapping[str, Mapping[str, object]] = {
    "slower": {"pace": 0.8},
    "quicker": {"pace": 1.25},
    "higher": {"prosody": {"pitch": 3.0}},
    "lower": {"prosody": {"pitch": -3.0}},
    "softer": {"prosody": {"volume": 0.5}},
}
PERSONA: Mapping[str, object] = {
    "accent": "en-GB", "pace": 1.2, "prosody": {"pitch": 2.0, "range": 1.2, "volume": 0.8},
    "emotion_priors": {"joy": 0.3},
}  # fmt: skip
"""A whole persona: every engine speaks it, whatever of it it can keep."""
LEAST = 0.6
"""Share of the asked change that must be heard: what an engine rounds or stretches away is less."""


def play(stage: Stage) -> Performance:
    plain = _spoken(stage, {})
    turned = {name: _spoken(stage, patch) for name, patch in TURNS.items()}
    take = _spoken(stage, PERSONA)
    judged = [shape(take) for shape in shapes.ALWAYS]
    voice = stage.speech and "reference" not in stage.company.engine(stage.engine).describe().features
    return Performance(take, (*judged, paced(plain, turned), pitched(plain, turned, voice), loud(plain, turned)))


def _spoken(stage: Stage, patch: Mapping[str, object]) -> Take:
    parse_voice(patch, Voice())
    theatre = Theatre(engines={stage.engine: stage.model(COST)}, adapter=stage.engine)
    theatre.say(TEXT if stage.speech else BRIEF, voice=dict(patch))
    return theatre.until_quiet().take()


def _samples(take: Take) -> np.ndarray:
    voiced = [frame.pcm for frame in take.sent if frame.pcm is not None and frame.kind == "voice"]
    return np.concatenate(voiced).astype(np.float32) / 32768.0


def _envelope(take: Take) -> Envelope:
    heard = measure(_samples(take), RATE)
    assert heard is not None, "nothing sounded"
    return heard


def _response(asked: float, heard: float) -> float:
    """Share of the asked change, in equal ratios, that was heard; negative: the wrong way."""
    return heard / asked


def paced(plain: Take, turned: Mapping[str, Take]) -> Finding:
    """A faster voice is shorter, by the factor asked for."""
    length = len(_samples(plain))
    shares = {
        name: _response(math.log(float(str(TURNS[name]["pace"]))), math.log(length / len(_samples(turned[name]))))
        for name in ("slower", "quicker")
    }
    faults = [f"{name}: {share:.0%} of the change" for name, share in shares.items() if share < LEAST]
    return found("paced", faults, **{name: round(share, 3) for name, share in shares.items()})


def pitched(plain: Take, turned: Mapping[str, Take], voice: bool) -> Finding:
    """A higher voice is higher; what has no pitch cannot be measured, and is not claimed."""
    before = _envelope(plain).f0_hz if voice else None
    if before is None:
        return found("pitched", [], measured="not a voice: tones, or random weights")
    shares: dict[str, float] = {}
    for name, semitones in (("higher", 3.0), ("lower", -3.0)):
        after = _envelope(turned[name]).f0_hz
        shares[name] = _response(semitones, 12 * math.log2(after / before)) if after is not None else 0.0
    faults = [f"{name}: {share:.0%} of the change" for name, share in shares.items() if share < LEAST]
    return found("pitched", faults, **{name: round(share, 3) for name, share in shares.items()})


def loud(plain: Take, turned: Mapping[str, Take]) -> Finding:
    """Half the volume is about 6 dB less."""
    change = _envelope(plain).rms_db - _envelope(turned["softer"]).rms_db
    share = _response(6.02, change)
    return found("loud", [] if share >= LEAST else [f"softer: {share:.0%} of the change"], softer=round(share, 3))
