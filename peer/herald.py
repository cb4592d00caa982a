"""Events for the far end: what of the timeline a page must know at once, at a bearable rate.

Knows no channel: listeners are functions that never block.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from .core.machines import Health
from .core.timeline import Event, Record
from .seams import Reply

log = logging.getLogger(__name__)

SPOKEN_FRAMES = 5
"""At most one `spoken` event in 100 ms: ten a second are as many as a person can follow."""
STANDING_IN = ("stall", "fault", "text")
"""Why another engine speaks than was chosen; a swap for another reason was asked for."""


class Herald:
    """Tells listeners. Words are gathered between two `spoken` events; trouble is told once, and its end."""

    def __init__(self) -> None:
        self._listeners: dict[int, Reply] = {}
        self._count = 0
        self._spoken: dict[str, list[int]] = {}
        self._told_at = -SPOKEN_FRAMES
        self._unwell: set[str] = set()
        self.utterance: Callable[[], str | None] = lambda: None
        """What sounds, or would: asked when speech moves."""
        self.honoured: Callable[[], Mapping[str, str]] = dict
        """How well the voice in force is kept: asked when it was changed."""

    def subscribe(self, listener: Reply) -> Callable[[], None]:
        self._count += 1
        number = self._count
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None

    def tell(self, event: Mapping[str, object]) -> None:
        for listener in list(self._listeners.values()):
            listener(event)

    def notice(self, frame: int, level: str, code: str, text: str) -> None:
        """Something a person should know, in words."""
        log.log(logging.ERROR if level == "error" else logging.INFO, "%s", text)
        self.tell({"event": "notice", "frame": frame, "level": level, "code": code, "text": text})

    def logged(self, frame: int, kept: bool) -> None:
        """The log began to lose records, or is whole again from here on."""
        if kept:
            self.notice(frame, "info", "log_back", "The log is kept again; it says where records are missing.")
        else:
            self.notice(frame, "warning", "log_gap", "The log cannot be kept now; some records will be missing.")

    def hear(self, event: Event) -> None:
        """Pass on what concerns the far end."""
        facts = event.fields
        match event.kind:
            case Record.WORD:
                self._word(event)
            case Record.SPEECH if "state" in facts:
                self._flush(event.frame)
                named = {"utterance": found} if (found := self.utterance()) is not None else {}
                self.tell({"event": "speech", "frame": event.frame, "state": facts["state"], **named})
            case Record.CONFIG if event.stage == "applied" and event.result == "done":
                self.tell({"event": "config", "frame": event.frame, **facts, "honoured": self.honoured()})
            case Record.CONFIG if event.stage == "applied" and event.result == "failed":
                text = f"The change did not take place: {facts.get('why')}. {facts.get('adapter')} goes on."
                self.notice(event.frame, "warning", "config_failed", text)
            case Record.SWAP if facts.get("reason") in STANDING_IN:
                text = f"{facts.get('adapter_to')} speaks for {facts.get('adapter_from')}: {facts.get('why')}."
                self.notice(event.frame, "warning", "stand_in", text)
            case Record.FAULT if event.stage == "text":
                self.notice(event.frame, "warning", "passed_over", f"A sentence was left out: {facts.get('why')}.")
            case Record.HEALTH if "state" in facts:
                self._health(event.frame, str(facts.get("adapter")), str(facts["state"]), facts.get("why"))
            case _:
                pass

    def _health(self, frame: int, adapter: str, state: str, why: object) -> None:
        if state == Health.FAILED and adapter not in self._unwell:
            self._unwell.add(adapter)
            self.notice(frame, "error", "engine_failed", f"{adapter} cannot speak now: {why}. Your text is kept.")
        elif state == Health.READY and adapter in self._unwell:
            self._unwell.discard(adapter)
            self.notice(frame, "info", "engine_back", f"{adapter} speaks again.")

    def _word(self, event: Event) -> None:
        utterance, start, end = str(event.fields["utterance"]), event.fields["from"], event.fields["to"]
        assert isinstance(start, int) and isinstance(end, int)
        span = self._spoken.setdefault(utterance, [start, end])
        span[0], span[1] = min(span[0], start), max(span[1], end)
        self.tick(event.frame)

    def tick(self, frame: int) -> None:
        """Words that waited long enough are told; called for every frame."""
        if self._spoken and frame - self._told_at >= SPOKEN_FRAMES:
            self._flush(frame)

    def _flush(self, frame: int) -> None:
        if not self._spoken:
            return
        for utterance, (start, end) in self._spoken.items():
            self.tell({"event": "spoken", "frame": frame, "utterance": utterance, "from": start, "to": end})
        self._spoken.clear()
        self._told_at = frame
