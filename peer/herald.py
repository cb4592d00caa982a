"""Events for the far end: what of the timeline a page must know at once, at a bearable rate.

Knows no channel: listeners are functions that never block.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from .core.timeline import Event, Record
from .seams import Reply

log = logging.getLogger(__name__)

SPOKEN_FRAMES = 5
"""At most one `spoken` event in 100 ms: ten a second are as many as a person can follow."""


class Herald:
    """Tells listeners. Words are gathered between two `spoken` events."""

    def __init__(self) -> None:
        self._listeners: dict[int, Reply] = {}
        self._count = 0
        self._spoken: dict[str, list[int]] = {}
        self._told_at = -SPOKEN_FRAMES

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

    def hear(self, event: Event) -> None:
        """Pass on what concerns the far end."""
        facts = event.fields
        match event.kind:
            case Record.WORD:
                self._word(event)
            case Record.SPEECH if "state" in facts:
                self._flush(event.frame)
                self.tell({"event": "speech", "frame": event.frame, "state": facts["state"]})
            case Record.CONFIG if event.stage == "applied" and event.result == "done":
                self.tell({"event": "config", "frame": event.frame, **facts})
            case Record.HEALTH if event.result == "failed":
                self._unwell(event)
            case Record.LOG_GAP:
                self.notice(event.frame, "warning", "log_gap", "The log could not keep up; some records are missing.")
            case _:
                pass

    def _unwell(self, event: Event) -> None:
        text = f"{event.fields.get('adapter')} does not answer: {event.fields.get('why')}. Your text is kept."
        self.notice(event.frame, "error", "engine_failed", text)

    def _word(self, event: Event) -> None:
        utterance, start, end = str(event.fields["utterance"]), event.fields["from"], event.fields["to"]
        assert isinstance(start, int) and isinstance(end, int)
        span = self._spoken.setdefault(utterance, [start, end])
        span[0], span[1] = min(span[0], start), max(span[1], end)
        if event.frame - self._told_at >= SPOKEN_FRAMES:
            self._flush(event.frame)

    def _flush(self, frame: int) -> None:
        for utterance, (start, end) in self._spoken.items():
            self.tell({"event": "spoken", "frame": frame, "utterance": utterance, "from": start, "to": end})
        self._spoken.clear()
        self._told_at = frame
