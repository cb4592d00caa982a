"""Collects a session's events in order until the shell takes them.

Knows no file: the journal and the panel read what is taken here.
"""

from __future__ import annotations

from .timeline import Event, Record


class Chronicle:
    """`note` appends, `take` empties; a session takes after every call, so it stays short."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def note(
        self, kind: Record, frame: int, stage: str, result: str = "ok", duration_ms: float = 0.0, /, **fields: object
    ) -> None:
        """One fact at `frame`; fields that change between equal runs end in `_ms`."""
        self._events.append(Event(kind, frame, stage, result, "core", duration_ms, fields))

    def take(self) -> list[Event]:
        found, self._events = self._events, []
        return found
