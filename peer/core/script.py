"""What is to be said: utterances in order, cut, parked, resumed, forgotten.

Knows no audio; sentences are cut by the segmenter, positions are characters of the source.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import Refusal
from .messages import Hints, Mode, Say
from .segment import Hunger, Segmenter, Window

MAX_UTTERANCES = 64
"""Queued at once; a caller that is further ahead has lost track of what it said."""
MAX_PENDING = 200_000
"""Characters not yet spoken: about three hours of speech."""
REMEMBERED = 256
"""Identities of cut utterances, so that their late pieces are stale and not spoken."""


@dataclass(slots=True)
class Utterance:
    """`number` counts the session's utterances; `voice` (a patch of the setting's), `mode`, `hints` are its own."""

    id: str
    number: int
    segmenter: Segmenter
    voice: Mapping[str, object] | None = None
    mode: Mode | None = None
    hints: Hints = field(default_factory=Hints)
    begun: bool = False
    origin: int = 0
    """Where it began or was last resumed: all before it was heard."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a piece of text went: characters [start, end) of the utterance's source."""

    utterance: Utterance
    start: int
    end: int


class Script:
    """The utterances that are not yet heard to their end; the first is the one that sounds."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self._utterances: deque[Utterance] = deque()
        self._at = 0
        self._parked: list[Utterance] = []
        self._stale: OrderedDict[str, None] = OrderedDict()
        self._count = 0

    # what is asked --------------------------------------------------------------------------

    def _named(self, ident: str) -> Utterance | None:
        return next((u for u in self._utterances if u.id == ident), None)

    def empties(self, say: Say) -> bool:
        """True if `say` ends something of which nothing was said, or which is over: there is nothing to do."""
        ident = say.utterance or say.id
        return not say.text and ident not in self._stale and self._named(ident) is None

    def say(self, say: Say) -> Placed | None:
        """Place a piece of text; None if it belongs to an utterance that was cut. Raises Refusal."""
        ident = say.utterance or say.id
        if ident in self._stale:
            return None
        if self.pending + len(say.text) > MAX_PENDING:
            raise Refusal(
                "too_long", "inputs.text", f"at most {MAX_PENDING} unspoken characters; wait and send the rest"
            )
        found = self._named(ident)
        if found is None:
            if len(self._utterances) >= MAX_UTTERANCES:
                raise Refusal(
                    "too_many", "inputs.utterance", f"at most {MAX_UTTERANCES} utterances wait; barge in or wait"
                )
            self._count += 1
            found = Utterance(ident, self._count, Segmenter(self.language), say.voice, say.mode, say.hints)
            self._utterances.append(found)
        elif found.segmenter.ended:
            raise Refusal("ended", "inputs.utterance", "this utterance has ended; use a new name")
        start = found.segmenter.source_length
        if say.text:
            found.segmenter.append(say.text)
        if say.end:
            found.segmenter.end()
        return Placed(found, start, found.segmenter.source_length)

    # what is next ---------------------------------------------------------------------------

    @property
    def current(self) -> Utterance | None:
        """The utterance whose sentences are rendered now, or None when all are rendered."""
        while self._at < len(self._utterances) and self._utterances[self._at].segmenter.exhausted:
            self._at += 1
        return self._utterances[self._at] if self._at < len(self._utterances) else None

    @property
    def pending(self) -> int:
        """Characters not yet handed to an engine."""
        return sum(u.segmenter.pending for u in self._utterances)

    @property
    def empty(self) -> bool:
        return not self._utterances

    @property
    def first(self) -> Utterance | None:
        """The utterance that sounds, or would."""
        return self._utterances[0] if self._utterances else None

    @property
    def several(self) -> bool:
        return len(self._utterances) > 1

    def holds(self, number: int) -> bool:
        return any(u.number == number for u in self._utterances)

    def next_window(self, hunger: Hunger, most_words: int | None = None) -> tuple[Utterance, Window] | None:
        """The next speakable window, of about `most_words` words at most, or None: nothing complete enough is there."""
        while (utterance := self.current) is not None:
            window = utterance.segmenter.next(hunger, most_words)
            if window is not None:
                utterance.begun = True
                return utterance, window
            if not utterance.segmenter.exhausted:
                return None
        return None

    # what happened --------------------------------------------------------------------------

    def rewind(self, number: int, source: int) -> None:
        """Render again from that character; utterances after it from their beginning."""
        for i, candidate in enumerate(self._utterances):
            if candidate.number == number:
                candidate.segmenter.rewind(source)
                candidate.origin = source
                for later in list(self._utterances)[i + 1 :]:
                    if later.begun:
                        later.segmenter.rewind(0)
                        later.begun = False
                self._at = i
                return

    def heard(self, number: int) -> None:
        """Utterance `number` is heard: those before it are heard to their end, and done."""
        while self._utterances and self._utterances[0].number < number:
            if not self._utterances[0].segmenter.exhausted:
                return
            self._utterances.popleft()
            self._at = max(0, self._at - 1)

    def drained(self) -> None:
        """Everything was heard."""
        self._utterances.clear()
        self._at = 0

    def park(self) -> None:
        """A cut: nothing of this is spoken unless it is resumed; late pieces are stale."""
        self.forget()
        self._parked = list(self._utterances)
        for utterance in self._parked:
            self._mark_stale(utterance.id)
        self.drained()

    def unpark(self) -> bool:
        """Resume what was parked, before anything else; False if there is nothing."""
        if not self._parked:
            return False
        for utterance in self._parked:
            self._stale.pop(utterance.id, None)
        self._utterances.extendleft(reversed(self._parked))
        self._parked = []
        self._at = 0
        return True

    @property
    def parked(self) -> Utterance | None:
        return self._parked[0] if self._parked else None

    def forget(self) -> None:
        """What was parked will not be resumed."""
        self._parked = []

    def _mark_stale(self, ident: str) -> None:
        self._stale[ident] = None
        while len(self._stale) > REMEMBERED:
            self._stale.popitem(last=False)
