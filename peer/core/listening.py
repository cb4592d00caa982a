"""Voice activity as a table: probabilities and verdicts per chunk in, onsets and ends out.

Knows no sound and no clock: a chunk is 32 ms, and chunks are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from .echo import SPEECH, Verdict
from .errors import IllegalTransition

STAYS = 0.35
"""Below this a chunk is quiet; from here to `SPEECH` it keeps what is on and starts nothing."""

GUARDED_CHUNKS = 2
"""Evidence under guard: one more chunk halves the false onsets and costs 32 ms."""

HANGOVER_CHUNKS = 8
"""256 ms: longer than the closure of any plosive and than the gap between words, half as long as a turn's end."""

OVERLAP_CHUNKS = 10
"""320 ms: whoever was talking when the peer began, and still is, takes the floor; whoever was just ending, does not."""


class State(StrEnum):
    """QUIET: nobody. ONSET: perhaps somebody. SPEAKING, HANGOVER: somebody, in a pause. OVERLAP: somebody
    was talking when the peer began, and has not stopped since.
    """

    QUIET = "quiet"
    ONSET = "onset"
    SPEAKING = "speaking"
    HANGOVER = "hangover"
    OVERLAP = "overlap"


class Cue(StrEnum):
    """What one chunk is evidence of; PEER is no chunk but the moment in which the peer begins to be heard."""

    VOICE = "voice"
    MAYBE = "maybe"
    FAINT = "faint"
    SILENT = "silent"
    PEER = "peer"


class Heard(StrEnum):
    ONSET = "onset"
    END = "end"


_Q, _O, _S, _H, _V = State.QUIET, State.ONSET, State.SPEAKING, State.HANGOVER, State.OVERLAP

TABLE: Mapping[tuple[State, Cue], tuple[State, Heard | None]] = {
    (_Q, Cue.VOICE): (_S, Heard.ONSET),
    (_Q, Cue.MAYBE): (_O, None),
    (_Q, Cue.FAINT): (_Q, None),
    (_Q, Cue.SILENT): (_Q, None),
    (_Q, Cue.PEER): (_Q, None),
    (_O, Cue.VOICE): (_S, Heard.ONSET),
    (_O, Cue.MAYBE): (_O, None),
    (_O, Cue.FAINT): (_Q, None),
    (_O, Cue.SILENT): (_Q, None),
    (_O, Cue.PEER): (_Q, None),
    (_S, Cue.VOICE): (_S, None),
    (_S, Cue.MAYBE): (_S, None),
    (_S, Cue.FAINT): (_S, None),
    (_S, Cue.SILENT): (_H, None),
    (_S, Cue.PEER): (_V, None),
    (_H, Cue.VOICE): (_S, None),
    (_H, Cue.MAYBE): (_S, None),
    (_H, Cue.FAINT): (_H, None),
    (_H, Cue.SILENT): (_H, None),
    (_H, Cue.PEER): (_Q, Heard.END),
    (_V, Cue.VOICE): (_V, None),
    (_V, Cue.MAYBE): (_V, None),
    (_V, Cue.FAINT): (_V, None),
    (_V, Cue.SILENT): (_Q, Heard.END),
    (_V, Cue.PEER): (_V, None),
}
"""(state, cue) → (next state, what was heard)."""

FULL: Mapping[State, tuple[State, Heard]] = {
    State.ONSET: (State.SPEAKING, Heard.ONSET),
    State.HANGOVER: (State.QUIET, Heard.END),
    State.OVERLAP: (State.SPEAKING, Heard.ONSET),
}
"""Where a state leads that has lasted its number of chunks."""


def cue(probability: float, verdict: Verdict) -> Cue:
    """What one chunk is evidence of. What may be echo is as good as silent, however much like speech."""
    if verdict is Verdict.CLOSED or probability < STAYS:
        return Cue.SILENT
    if probability < SPEECH:
        return Cue.FAINT
    return Cue.MAYBE if verdict is Verdict.GUARDED else Cue.VOICE


class Listening:
    """The state of one microphone. `onset_chunks`: the evidence its ear needs."""

    __slots__ = ("_held", "_limits", "_needs_more", "_state")

    def __init__(self, onset_chunks: int = 1) -> None:
        self._state = State.QUIET
        self._held = 0
        self._needs_more = onset_chunks > 1
        self._limits = {
            State.ONSET: max(onset_chunks, GUARDED_CHUNKS),
            State.HANGOVER: HANGOVER_CHUNKS,
            State.OVERLAP: OVERLAP_CHUNKS,
        }

    @property
    def state(self) -> State:
        return self._state

    @property
    def active(self) -> bool:
        """True from an onset to its end."""
        return self._state in (State.SPEAKING, State.HANGOVER, State.OVERLAP)

    def hear(self, probability: float, verdict: Verdict) -> Heard | None:
        """One chunk; an onset or an end when this chunk decided it."""
        found = cue(probability, verdict)
        return self._step(Cue.MAYBE if found is Cue.VOICE and self._needs_more else found)

    def peer_begins(self) -> Heard | None:
        """The peer begins to be heard: from now on a talker needs an onset of their own."""
        return self._step(Cue.PEER)

    def silence(self) -> Heard | None:
        """A hole in the sound longer than a hangover: whoever spoke, this ended it."""
        ended = Heard.END if self.active else None
        self._state, self._held = State.QUIET, 0
        return ended

    def _step(self, found: Cue) -> Heard | None:
        try:
            state, heard = TABLE[self._state, found]
        except KeyError:
            raise IllegalTransition(f"{self._state} has no row for {found}") from None
        self._held = self._held + 1 if state is self._state else 1
        self._state = state
        if state in FULL and self._held >= self._limits[state]:
            (self._state, heard), self._held = FULL[state], 1
        return heard
