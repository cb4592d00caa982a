"""What a session remembers of its answers: a repeated id is answered from here, not performed again.

Knows no message: ids come in, responses go out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from .core.errors import Refusal
from .seams import Reply

ASKERS = 16
"""Who may wait for one answer: both channels, three copies, HTTP, and some to spare."""


class Answers:
    """Responses by id, the last `kept` of them; and who waits for one that comes later, by its version."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._given: OrderedDict[str, Mapping[str, object]] = OrderedDict()
        self._askers: dict[str, list[Reply]] = {}
        self._idents: dict[int, str] = {}

    def again(self, ident: str, reply: Reply) -> bool:
        """True if `ident` was asked before: it is answered from memory, now or when the first one is."""
        if ident in self._askers:
            if len(self._askers[ident]) < ASKERS:
                self._askers[ident].append(reply)
            return True
        if ident not in self._given:
            return False
        reply(self._given[ident])
        return True

    def give(self, ident: str, response: Mapping[str, object], reply: Reply) -> None:
        """Answer now."""
        reply(self._remember(ident, response))

    def later(self, ident: str, version: int, reply: Reply) -> None:
        """The answer comes with `version`; it is never forgotten before that."""
        self._idents[version] = ident
        self._askers[ident] = [reply]

    def settle(self, version: int, response: Mapping[str, object]) -> None:
        """What was promised for `version`, to everyone who asked."""
        ident = self._idents.pop(version, None)
        if ident is None:
            return
        full = self._remember(ident, response)
        for reply in self._askers.pop(ident):
            reply(full)

    def close(self, refusal: Refusal) -> None:
        """Whoever still waits is refused."""
        for version in list(self._idents):
            self.settle(version, {"result": {"refusal": refusal.to_wire()}})

    def _remember(self, ident: str, response: Mapping[str, object]) -> Mapping[str, object]:
        full = {"id": ident, **response}
        self._given[ident] = full
        self._given.move_to_end(ident)
        while len(self._given) > self._kept:
            self._given.popitem(last=False)
        return full
