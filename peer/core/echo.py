"""The echo gate: is this chunk louder than the peer's own voice coming back would be?

Knows no sound, only levels in dBFS per 32 ms chunk; whether it is speech, an ear has said before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CHUNK_MS = 32

MARGIN_AEC_DB = 3.0
"""Over the learned coupling, where the far end said that it cancels its echo."""
MARGIN_RAW_DB = 6.0
"""Where it does not, or has not said: an uncancelled echo at -10 dB passes 3 dB now and then, and 6 dB never did."""

COUPLING_START_DB = -6.0
"""Microphone minus far end, before anything is learned: a loud laptop."""
COUPLING_MIN_DB = -45.0
COUPLING_MAX_DB = 3.0
RISE_DB = 0.37
FALL_DB = 0.03
"""Up and down per chunk: the estimate rests where 7 in 100 chunks lie above it, the loud ones of the echo."""

LEARN_FROM_DB = -40.0
"""A quieter far end tells nothing of the coupling: the room's own noise is louder than its echo."""
OPEN_BELOW_DB = -50.0
"""A far end below this has no echo to fear."""
TALKER_CHUNKS = 12
"""384 ms after somebody was judged to speak nothing is learned: the talker would be taken for echo."""

WARM_UP_CHUNKS = 63
"""2 s of the peer's first speech: until then the far end's canceller has not converged."""

NOISE_FLOOR_DB = -55.0
"""The level gate: no talker at a microphone is as quiet, but comfort noise and a far television are."""

SPEECH = 0.5
"""Probability from which an ear's chunk counts as somebody speaking."""


class Verdict(StrEnum):
    """OPEN: what is heard is near. GUARDED: believe it only when the next chunk agrees. CLOSED: it may be echo."""

    OPEN = "open"
    GUARDED = "guarded"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Chunk:
    """32 ms at the microphone; `far_db` is the loudest the peer was in the last 350 ms, `speaking`: it is heard now."""

    mic_db: float
    far_db: float
    probability: float
    speaking: bool


class EchoGate:
    """Learns how loud the peer returns, and passes only what is louder."""

    __slots__ = ("_coupling_db", "_margin_db", "_since_talker", "_warmed")

    def __init__(self, aec: bool | None = None) -> None:
        self._margin_db = margin_db(aec)
        self._coupling_db = COUPLING_START_DB
        self._since_talker = TALKER_CHUNKS
        self._warmed = 0

    @property
    def coupling_db(self) -> float:
        """What was learned: the echo's level minus the peer's."""
        return self._coupling_db

    def trust(self, aec: bool | None) -> None:
        """The far end told whether it cancels its echo."""
        self._margin_db = margin_db(aec)

    def judge(self, chunk: Chunk) -> Verdict:
        """The verdict on one chunk; call it for every chunk, in order."""
        passes = self._passes(chunk)
        self._learn(chunk, passes)
        if chunk.speaking and self._warmed < WARM_UP_CHUNKS:
            self._warmed += 1
            return Verdict.GUARDED if passes else Verdict.CLOSED
        return Verdict.OPEN if passes else Verdict.CLOSED

    def _passes(self, chunk: Chunk) -> bool:
        if chunk.mic_db < NOISE_FLOOR_DB:
            return False
        if chunk.far_db < OPEN_BELOW_DB:
            return True
        return chunk.mic_db - chunk.far_db > self._coupling_db + self._margin_db

    def _learn(self, chunk: Chunk, passes: bool) -> None:
        """Move the coupling, unless the far end is silent or somebody near may be talking."""
        near = passes and chunk.probability >= SPEECH
        self._since_talker = 0 if near else min(self._since_talker + 1, TALKER_CHUNKS)
        if chunk.far_db <= LEARN_FROM_DB or (passes and self._since_talker < TALKER_CHUNKS):
            return
        step = RISE_DB if chunk.mic_db - chunk.far_db > self._coupling_db else -FALL_DB
        self._coupling_db = min(max(self._coupling_db + step, COUPLING_MIN_DB), COUPLING_MAX_DB)


def margin_db(aec: bool | None) -> float:
    """How far over the learned coupling a talker must be. `aec` None: the far end has not said."""
    return MARGIN_AEC_DB if aec else MARGIN_RAW_DB
