"""The state machines, as tables: a missing entry is the error.

Knows nothing of what a state means to anyone; README's diagrams are drawn from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from .errors import IllegalTransition

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class Machine(Generic[S, E]):
    """A state and its table."""

    def __init__(self, name: str, table: Mapping[tuple[S, E], S], state: S) -> None:
        self.name = name
        self.table = table
        self.state = state

    def fire(self, event: E) -> S:
        """Move, or raise IllegalTransition, which names the machine, the state and the event."""
        try:
            self.state = self.table[self.state, event]
        except KeyError:
            raise IllegalTransition(f"{self.name}: {event.value} in {self.state.value}") from None
        return self.state

    def takes(self, event: E) -> bool:
        return (self.state, event) in self.table


class Speech(StrEnum):
    IDLE = "IDLE"
    PRIMING = "PRIMING"
    SPEAKING = "SPEAKING"
    DRAINING = "DRAINING"
    YIELDED = "YIELDED"
    PAUSED = "PAUSED"


class SpeechEvent(StrEnum):
    TEXT = "text"
    FIRST_FRAME = "first_frame"
    END_OF_STREAM = "end_of_stream"
    DRAINED = "drained"
    BARGE_IN = "barge_in"
    PAUSE = "pause"
    RESUME = "resume"
    ABANDON = "abandon"


_S, _SE = Speech, SpeechEvent

SPEECH: Mapping[tuple[Speech, SpeechEvent], Speech] = {
    (_S.IDLE, _SE.TEXT): _S.PRIMING,
    (_S.IDLE, _SE.BARGE_IN): _S.IDLE,
    (_S.PRIMING, _SE.TEXT): _S.PRIMING,
    (_S.PRIMING, _SE.FIRST_FRAME): _S.SPEAKING,
    (_S.PRIMING, _SE.DRAINED): _S.IDLE,
    (_S.PRIMING, _SE.BARGE_IN): _S.YIELDED,
    (_S.PRIMING, _SE.PAUSE): _S.PAUSED,
    (_S.SPEAKING, _SE.TEXT): _S.SPEAKING,
    (_S.SPEAKING, _SE.END_OF_STREAM): _S.DRAINING,
    (_S.SPEAKING, _SE.BARGE_IN): _S.YIELDED,
    (_S.SPEAKING, _SE.PAUSE): _S.PAUSED,
    (_S.DRAINING, _SE.TEXT): _S.SPEAKING,
    (_S.DRAINING, _SE.DRAINED): _S.IDLE,
    (_S.DRAINING, _SE.BARGE_IN): _S.YIELDED,
    (_S.DRAINING, _SE.PAUSE): _S.PAUSED,
    (_S.YIELDED, _SE.TEXT): _S.PRIMING,
    (_S.YIELDED, _SE.BARGE_IN): _S.YIELDED,
    (_S.YIELDED, _SE.RESUME): _S.PRIMING,
    (_S.YIELDED, _SE.ABANDON): _S.IDLE,
    (_S.PAUSED, _SE.TEXT): _S.PAUSED,
    (_S.PAUSED, _SE.RESUME): _S.PRIMING,
    (_S.PAUSED, _SE.BARGE_IN): _S.YIELDED,
    (_S.PAUSED, _SE.ABANDON): _S.IDLE,
}


class Conversation(StrEnum):
    NEW = "NEW"
    NEGOTIATING = "NEGOTIATING"
    LIVE = "LIVE"
    HELD = "HELD"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"


class ConversationEvent(StrEnum):
    OFFER = "offer"
    CONNECTED = "connected"
    LOST = "lost"
    REATTACH = "reattach"
    TIMEOUT = "timeout"
    HANGUP = "hangup"
    CLOSED = "closed"


_C, _CE = Conversation, ConversationEvent

SESSION: Mapping[tuple[Conversation, ConversationEvent], Conversation] = {
    (_C.NEW, _CE.OFFER): _C.NEGOTIATING,
    (_C.NEW, _CE.CONNECTED): _C.LIVE,
    (_C.NEW, _CE.TIMEOUT): _C.CLOSING,
    (_C.NEW, _CE.HANGUP): _C.CLOSING,
    (_C.NEGOTIATING, _CE.OFFER): _C.NEGOTIATING,
    (_C.NEGOTIATING, _CE.REATTACH): _C.NEGOTIATING,
    (_C.NEGOTIATING, _CE.CONNECTED): _C.LIVE,
    (_C.NEGOTIATING, _CE.LOST): _C.HELD,
    (_C.NEGOTIATING, _CE.TIMEOUT): _C.CLOSING,
    (_C.NEGOTIATING, _CE.HANGUP): _C.CLOSING,
    (_C.LIVE, _CE.REATTACH): _C.NEGOTIATING,
    (_C.LIVE, _CE.LOST): _C.HELD,
    (_C.LIVE, _CE.TIMEOUT): _C.CLOSING,
    (_C.LIVE, _CE.HANGUP): _C.CLOSING,
    (_C.HELD, _CE.REATTACH): _C.NEGOTIATING,
    (_C.HELD, _CE.LOST): _C.HELD,
    (_C.HELD, _CE.TIMEOUT): _C.CLOSING,
    (_C.HELD, _CE.HANGUP): _C.CLOSING,
    (_C.CLOSING, _CE.HANGUP): _C.CLOSING,
    (_C.CLOSING, _CE.TIMEOUT): _C.CLOSING,
    (_C.CLOSING, _CE.LOST): _C.CLOSING,
    (_C.CLOSING, _CE.CLOSED): _C.CLOSED,
}


class Swap(StrEnum):
    STEADY = "STEADY"
    PREPARING = "PREPARING"
    ARMED = "ARMED"
    CROSSFADING = "CROSSFADING"


class SwapEvent(StrEnum):
    REQUESTED = "requested"
    READY = "ready"
    HANDED_OVER = "handed_over"
    BLENDED = "blended"
    FAILED = "failed"
    CUT = "cut"
    DEGRADED = "degraded"


_W, _WE = Swap, SwapEvent

SWAP: Mapping[tuple[Swap, SwapEvent], Swap] = {
    (_W.STEADY, _WE.REQUESTED): _W.PREPARING,
    (_W.PREPARING, _WE.REQUESTED): _W.PREPARING,
    (_W.PREPARING, _WE.READY): _W.ARMED,
    (_W.PREPARING, _WE.FAILED): _W.STEADY,
    (_W.PREPARING, _WE.CUT): _W.PREPARING,
    (_W.ARMED, _WE.REQUESTED): _W.PREPARING,
    (_W.ARMED, _WE.HANDED_OVER): _W.CROSSFADING,
    (_W.ARMED, _WE.FAILED): _W.STEADY,
    (_W.ARMED, _WE.CUT): _W.ARMED,
    (_W.CROSSFADING, _WE.REQUESTED): _W.PREPARING,
    (_W.CROSSFADING, _WE.BLENDED): _W.STEADY,
    (_W.CROSSFADING, _WE.CUT): _W.STEADY,
    (_W.STEADY, _WE.CUT): _W.STEADY,
    (_W.STEADY, _WE.DEGRADED): _W.CROSSFADING,
    (_W.PREPARING, _WE.DEGRADED): _W.PREPARING,
    (_W.ARMED, _WE.DEGRADED): _W.ARMED,
    (_W.CROSSFADING, _WE.DEGRADED): _W.CROSSFADING,
}


class Health(StrEnum):
    COLD = "COLD"
    WARMING = "WARMING"
    READY = "READY"
    STRAINED = "STRAINED"
    FAILED = "FAILED"


class HealthEvent(StrEnum):
    START = "start"
    READY = "ready"
    STRAIN = "strain"
    RELIEF = "relief"
    FAULT = "fault"
    RETRY = "retry"


_H, _HE = Health, HealthEvent

HEALTH: Mapping[tuple[Health, HealthEvent], Health] = {
    (_H.COLD, _HE.START): _H.WARMING,
    (_H.COLD, _HE.READY): _H.READY,
    (_H.COLD, _HE.FAULT): _H.FAILED,
    (_H.WARMING, _HE.READY): _H.READY,
    (_H.WARMING, _HE.FAULT): _H.FAILED,
    (_H.READY, _HE.READY): _H.READY,
    (_H.READY, _HE.STRAIN): _H.STRAINED,
    (_H.READY, _HE.FAULT): _H.FAILED,
    (_H.STRAINED, _HE.RELIEF): _H.READY,
    (_H.STRAINED, _HE.READY): _H.STRAINED,
    (_H.STRAINED, _HE.FAULT): _H.FAILED,
    (_H.FAILED, _HE.FAULT): _H.FAILED,
    (_H.FAILED, _HE.RETRY): _H.WARMING,
    (_H.FAILED, _HE.READY): _H.READY,
}


MACHINES: Mapping[str, Mapping[tuple[StrEnum, StrEnum], StrEnum]] = {
    "SESSION": SESSION,  # type: ignore[dict-item]
    "SPEECH": SPEECH,  # type: ignore[dict-item]
    "SWAP": SWAP,  # type: ignore[dict-item]
    "HEALTH": HEALTH,  # type: ignore[dict-item]
}


def diagram(name: str) -> str:
    """The machine as a Mermaid state diagram, rows in table order."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {a.value} --> {b.value}: {e.value}" for (a, e), b in MACHINES[name].items()]
    return "\n".join(lines)
