"""Every error this program raises on purpose; a refusal names the field and the remedy.

Knows nothing of HTTP status codes or channels: the shell maps them.
"""

from __future__ import annotations


class PeerError(Exception):
    """Root of all errors of this program."""


class Refusal(PeerError):
    """We do not do that: a response to the asker; the session lives on.

    `code` is a stable word, `field` the offending input (dotted path), `remedy` what to do instead.
    """

    def __init__(self, code: str, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {remedy}" if field else remedy)
        self.code = code
        self.field = field
        self.remedy = remedy

    def to_wire(self) -> dict[str, str]:
        return {"code": self.code, "field": self.field, "remedy": self.remedy}


class AdapterError(PeerError):
    """An engine failed; HEALTH takes it as a fault."""


class Unavailable(AdapterError):
    """The engine cannot start here: a library or a model is missing. The text says which command helps."""


class Stalled(AdapterError):
    """The engine did not answer before its deadline."""


class Broken(AdapterError):
    """The engine died or returned something that is not audio."""


class Unspeakable(AdapterError):
    """This text is not for this voice (a language it does not have); the engine itself is well."""


class SessionLost(PeerError):
    """The conversation is gone."""


class IllegalTransition(PeerError):
    """A state machine met an event its table does not hold: our bug, that session ends loudly."""
