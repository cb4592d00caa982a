"""What is wanted of engine, voice and mode: a one-slot, latest-wins mailbox.

Knows no engine; the orchestrator reads it at a chunk boundary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .messages import Mode
from .voice import Voice


@dataclass(frozen=True, slots=True)
class Setting:
    """Engine, voice and mode as they are in force."""

    adapter: str
    voice: Voice
    mode: Mode

    def to_wire(self) -> dict[str, object]:
        return {"adapter": self.adapter, "voice": self.voice.to_wire(), "mode": self.mode.value}


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of a wish: `result` is "done", "superseded" or "failed"; `artifacts` say where."""

    version: int
    result: str
    artifacts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall be in force from the next chunk boundary on."""

    version: int
    setting: Setting


class Wishes:
    """Counts versions; a new wish takes the fields of the overtaken one that it does not name."""

    def __init__(self, setting: Setting) -> None:
        self.current = setting
        self.version = 0
        self.wanted: Wish | None = None

    def ask(self, adapter: str | None, voice: Voice | None, mode: Mode | None) -> tuple[Wish, Wish | None]:
        """The new wish and the one it overtakes."""
        overtaken = self.wanted
        base = overtaken.setting if overtaken else self.current
        self.version += 1
        setting = replace(
            base, adapter=adapter or base.adapter, voice=base.voice if voice is None else voice, mode=mode or base.mode
        )
        self.wanted = Wish(self.version, setting)
        return self.wanted, overtaken

    def take(self) -> Wish | None:
        """The wish is in force now."""
        wish, self.wanted = self.wanted, None
        if wish is not None:
            self.current = wish.setting
        return wish

    def drop(self) -> Wish | None:
        """The wish cannot be had; what was in force stays."""
        wish, self.wanted = self.wanted, None
        return wish
