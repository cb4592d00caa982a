"""Changing engine, voice or mode while speaking: the wish, the SWAP machine, the hand-over; who stands in for whom.

Knows no engine: it waits until the shell says that the wanted one is warm, or well again.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from .cast import Cast
from .chronicle import Chronicle
from .machines import SWAP, Machine, Swap, SwapEvent
from .messages import Mode
from .pcm import FRAME_MS
from .producer import Producer
from .seam import Seam
from .timeline import Record
from .voice import Voice
from .wish import Setting, Settled, Wish, Wishes

PUT_OFF = 50
"""Frames that a wish waits at most until the buffer carries the new engine: a second, after that a hole is better."""
STOCK_MS = 2000.0
"""Most that is laid in for it: an engine that takes longer to begin has its hole."""
WORD_MS = 500.0
"""Beyond what is needed, for the word that is cut off: a long one."""


class Why(StrEnum):
    """What made the engine change."""

    WISH = "wish"
    FAULT = "fault"
    STALL = "stall"
    TEXT = "text"
    RECOVERED = "recovered"


class Changeover:
    """Reads the mailbox of wishes at chunk boundaries."""

    def __init__(self, cast: Cast, producer: Producer, chronicle: Chronicle) -> None:
        self._cast = cast
        self._producer = producer
        self._log = chronicle
        self.wishes = Wishes(producer.setting)
        self.swap: Machine[Swap, SwapEvent] = Machine("SWAP", SWAP, Swap.STEADY)
        self._settled: list[Settled] = []
        self.preferred: Setting | None = None
        """What was in force before an engine stood in; it comes back when it is well."""
        self._why = Why.WISH
        """Of the stand-in while there is one, else of the wish."""
        self._since = 0
        """Chunks that had been asked for when the stand-in came."""
        self._put_off: int | None = None
        """The frame since which the wish waits for the buffer."""

    @property
    def absent(self) -> str | None:
        """The engine whose place another one takes, to be looked after; None: nobody is missed."""
        if self.preferred is None or self._why in (Why.TEXT, Why.RECOVERED):
            return None
        return self.preferred.adapter

    @property
    def wanted_adapter(self) -> str | None:
        """The engine that must be warmed; None when nothing waits for one."""
        wish = self.wishes.wanted
        return wish.setting.adapter if wish is not None and self.swap.state is Swap.PREPARING else None

    @property
    def put_off(self) -> bool:
        """A wish waits for the buffer; it is looked at again at every frame."""
        return self._put_off is not None

    def take_settled(self) -> list[Settled]:
        """Wishes that ended since the last call."""
        found, self._settled = self._settled, []
        return found

    def ask(self, n: int, adapter: str, voice: Voice, mode: Mode | None, named: bool = True) -> Wish:
        """A new wish; the one it overtakes is answered `superseded`. `named`: the engine is part of the wish."""
        wish, overtaken = self.wishes.ask(adapter, voice, mode)
        if self.preferred is not None and not named:
            self.preferred = replace(self.preferred, voice=voice, mode=mode or self.preferred.mode)
        elif self.preferred is not None and adapter == self._producer.setting.adapter:
            self.preferred = None
        if overtaken is not None:
            self._settle(overtaken.version, "superseded", n)
        self.swap.fire(SwapEvent.REQUESTED)
        self._put_off = None
        self._log.note(Record.CONFIG, n, "requested", version=wish.version, **wish.setting.to_wire())
        if adapter == self._producer.setting.adapter:
            self.swap.fire(SwapEvent.READY)
        return wish

    def engine_ready(self, name: str) -> None:
        if name == self.wanted_adapter:
            self.swap.fire(SwapEvent.READY)

    def engine_failed(self, n: int, name: str, why: str) -> None:
        wish = self.wishes.wanted
        if wish is None or name != wish.setting.adapter or name == self._producer.setting.adapter:
            return
        self.swap.fire(SwapEvent.FAILED)
        self.wishes.drop()
        if self._why is Why.RECOVERED:
            self._why = Why.FAULT
        self._settle(wish.version, "failed", n, why=why)

    def degrade(self, n: int, why: Why, text: str) -> bool:
        """The engine in force cannot go on: the best that is warm says the same words; False: there is none."""
        old = self._producer.setting
        standing = self._cast.stand_ins(old.adapter, old.voice.accent)
        if not standing:
            return False
        self.preferred = self.preferred or old
        self._why, self._since = why, self._producer.chunks
        self.swap.fire(SwapEvent.DEGRADED)
        seam = self._producer.hand_over(forced=True) if self._producer.in_sentence else None
        new = replace(old, adapter=standing[0])
        self._stand_in(old.adapter, new)
        self._producer.use(n, new)
        self._note(n, old, new, why, seam or Seam(), text)
        facts = {**new.to_wire(), "chunk": self._producer.chunks, "instead_of": self.preferred.adapter}
        self._log.note(Record.CONFIG, n, "applied", "done", version=self.wishes.version, reason=why.value, **facts)
        return True

    def _stand_in(self, absent: str, new: Setting) -> None:
        """`new` is in force; a wish that did not name the engine does not call the absent one back."""
        self.wishes.current = new
        wish = self.wishes.wanted
        if wish is not None and wish.setting.adapter == absent:
            self.preferred = wish.setting
            self.wishes.wanted = replace(wish, setting=replace(wish.setting, adapter=new.adapter))

    def recovered(self, n: int, name: str) -> None:
        """The preferred engine is well: it comes back at the next boundary, unless something else is wished."""
        back = self.preferred
        if back is None or name != back.adapter or self.wishes.wanted is not None:
            return
        self.wishes.ask(back.adapter, back.voice, back.mode)
        self._why = Why.RECOVERED
        self.swap.fire(SwapEvent.REQUESTED)
        self.swap.fire(SwapEvent.READY)

    def _note(self, n: int, old: Setting, new: Setting, why: Why, seam: Seam, text: str = "") -> None:
        more = seam.to_wire() | ({"why": text} if text else {})
        self._log.note(
            Record.SWAP, n, "swap", adapter_from=old.adapter, adapter_to=new.adapter, version=self.wishes.version,
            chunk=self._producer.chunks, reason=why.value, match=self._producer.match.to_wire(), **more,
        )  # fmt: skip

    def boundary(self, n: int, silent: bool) -> None:
        """Between two chunks: a wish takes effect if the words allow it. `silent`: nothing sounds."""
        if self.preferred is not None and self._why is Why.TEXT and self._said_for_it():
            self.recovered(n, self.preferred.adapter)
        wish = self.wishes.wanted
        if wish is None or self.swap.state is not Swap.ARMED:
            self._producer.stock_ms, self._put_off = 0.0, None
            return
        old, new = self._producer.setting, wish.setting
        audible = (old.adapter, old.voice) != (new.adapter, new.voice)
        forced = self._producer.failed and old.adapter != new.adapter
        short = audible and not (silent or forced) and self._short(n, new)
        if (self._producer.committed and not forced) or short:
            return
        seam: Seam | None = Seam()
        if audible and self._producer.in_sentence:
            seam = self._producer.hand_over(forced)
        if seam is None:
            return
        self._producer.stock_ms, self._put_off = 0.0, None
        self.wishes.take()
        self.swap.fire(SwapEvent.HANDED_OVER)
        self._producer.use(n, new)
        why = self._why if self.preferred is not None and new.adapter == self.preferred.adapter else Why.WISH
        if old.adapter != new.adapter:
            self.preferred, self._why = None, Why.WISH
        if audible:
            self._note(n, old, new, why, seam)
        self._settle(wish.version, "done", n, chunk=self._producer.chunks)
        if silent or not audible:
            self.blended(n)

    def _short(self, n: int, new: Setting) -> bool:
        """The buffer would run out before `new` has said anything: the old engine lays in more, for a while."""
        need = min(self._producer.entry_ms(new), STOCK_MS)
        self._producer.stock_ms = need + WORD_MS
        self._put_off = n if self._put_off is None else self._put_off
        left = self._producer.left_ms
        return self._producer.expecting and FRAME_MS <= left < need and n - self._put_off < PUT_OFF

    def _said_for_it(self) -> bool:
        """The stand-in has said the sentence that the preferred engine could not."""
        return self._producer.chunks > self._since and not self._producer.in_sentence

    def blended(self, n: int) -> None:
        """The first piece after the hand-over is in."""
        if self.swap.state is Swap.CROSSFADING:
            self.swap.fire(SwapEvent.BLENDED)
            self._log.note(Record.SWAP, n, "blended", adapter=self._producer.setting.adapter)

    def cut(self) -> None:
        self.swap.fire(SwapEvent.CUT)

    def _settle(self, version: int, result: str, n: int, **more: object) -> None:
        found = {"version": version, **self._producer.setting.to_wire(), **more}
        self._settled.append(Settled(version, result, {"frame": n, **found}))
        self._log.note(Record.CONFIG, n, "applied", result, **found)
