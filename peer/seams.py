"""The protocols between the shell's parts: what a track pulls from, what a call talks to.

Knows no implementation; `peer.session` provides both, tests provide small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from .core.frame import Pull
from .core.messages import Message

Reply = Callable[[Mapping[str, object]], None]
"""Sends one response or event to whoever asked; never blocks, never raises, drops when full."""


class Source(Protocol):
    """Where an outlet pulls its frames. One reader; the pull is the clock."""

    @property
    def origin(self) -> float:
        """The loop's monotonic time (s) of frame 0; frame n is due at origin + n * 0.020."""
        ...

    def read_frame(self, n: int) -> Pull:
        """Frame `n`; `n` rises from call to call, holes are allowed. Never blocks, never raises."""
        ...

    async def wake(self) -> None:
        """Returns when a frame may be due after IDLE. Cancellable; at once if one is due now."""
        ...

    def sent(self, n: int, rtp: int | None) -> None:
        """Frame `n` is handed to the network with this RTP timestamp (None: not known)."""
        ...


class Conversation(Protocol):
    """What a call (its channels, its ears) talks to. Nothing here blocks or raises."""

    @property
    def source(self) -> Source: ...

    @property
    def token(self) -> str: ...

    def hello(self) -> Mapping[str, object]:
        """The fields of the `hello` event."""
        ...

    def submit(self, message: Message, surface: str, reply: Reply) -> None:
        """Put one message in the session's inbox; `reply` gets its response, perhaps later."""
        ...

    def subscribe(self, listener: Reply) -> Callable[[], None]:
        """`listener` gets every event meant for the far end; returns how to end that."""
        ...

    def note(self, stage: str, result: str = "ok", **fields: object) -> None:
        """Record a fact of the transport (connected, lost, guard, loop_lag …) on the timeline."""
        ...

    def speaking(self) -> bool:
        """True while the peer is heard: voice frames leave now."""
        ...

    def far_level_db(self) -> float:
        """Level of what the peer sent in the last 350 ms, dBFS, -120 when silent (the echo gate)."""
        ...
