"""Changing engine, voice or mode while speaking: the wish, the SWAP machine, the hand-over.

Knows no engine: it waits until the shell says that the wanted one is warm.
"""

from __future__ import annotations

from .chronicle import Chronicle
from .machines import SWAP, Machine, Swap, SwapEvent
from .messages import Mode
from .producer import Producer
from .timeline import Record
from .voice import Voice
from .wish import Settled, Wish, Wishes


class Changeover:
    """Reads the mailbox of wishes at chunk boundaries."""

    def __init__(self, producer: Producer, chronicle: Chronicle) -> None:
        self._producer = producer
        self._log = chronicle
        self.wishes = Wishes(producer.setting)
        self.swap: Machine[Swap, SwapEvent] = Machine("SWAP", SWAP, Swap.STEADY)
        self._settled: list[Settled] = []

    @property
    def wanted_adapter(self) -> str | None:
        """The engine that must be warmed; None when nothing waits for one."""
        wish = self.wishes.wanted
        return wish.setting.adapter if wish is not None and self.swap.state is Swap.PREPARING else None

    def take_settled(self) -> list[Settled]:
        """Wishes that ended since the last call."""
        found, self._settled = self._settled, []
        return found

    def ask(self, n: int, adapter: str, voice: Voice, mode: Mode | None) -> Wish:
        """A new wish; the one it overtakes is answered `superseded`."""
        wish, overtaken = self.wishes.ask(adapter, voice, mode)
        if overtaken is not None:
            self._settle(overtaken.version, "superseded", n)
        self.swap.fire(SwapEvent.REQUESTED)
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
        self._settle(wish.version, "failed", n, why=why)

    def boundary(self, n: int, silent: bool) -> None:
        """Between two chunks: a wish takes effect if the words allow it. `silent`: nothing sounds."""
        wish = self.wishes.wanted
        if wish is None or self.swap.state is not Swap.ARMED:
            return
        old, new = self._producer.setting, wish.setting
        audible = (old.adapter, old.voice) != (new.adapter, new.voice)
        forced = self._producer.failed and old.adapter != new.adapter
        if self._producer.committed and not forced:
            return
        if audible and self._producer.in_sentence and not self._producer.hand_over(forced):
            return
        self.wishes.take()
        self.swap.fire(SwapEvent.HANDED_OVER)
        self._producer.use(n, new)
        if audible:
            self._log.note(
                Record.SWAP, n, "swap", adapter_from=old.adapter, adapter_to=new.adapter, version=wish.version,
                chunk=self._producer.chunks,
            )  # fmt: skip
        self._settle(wish.version, "done", n, chunk=self._producer.chunks)
        if silent or not audible:
            self.blended(n)

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
