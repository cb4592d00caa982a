"""The two data channels of a call: bytes to messages on the way in, a bounded way out.

Knows no peer connection and no session: it is given channels, and a `Conversation` to talk to.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial

import orjson
from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from .core.errors import Refusal
from .core.messages import (
    MAX_MESSAGE,
    Abandon,
    BargeIn,
    Message,
    Pause,
    Playout,
    Resume,
    decode,
    parse,
    request_id,
)
from .seams import Conversation

log = logging.getLogger(__name__)

MAIN = "synchrony"
NOW = "synchrony.now"
SURFACE = "channel"

MAX_VIOLATIONS = 500
"""Refused messages before the call is closed: no page that means well sends one."""
MAX_WAITING = 50
"""Messages kept while `synchrony` is not open yet."""
MAX_BARGES = 64
"""Barge-in ids remembered; copies of one come within 60 ms."""
SOFT_BUFFER = 32 * 1024
"""Bytes queued in SCTP above which captions and level reports wait: two full messages."""
HARD_BUFFER = 256 * 1024
"""Bytes queued above which even responses are dropped: 30 s of a 64 kbit/s line, the peer is gone."""


class Lane(Enum):
    """What becomes of a message beyond its lane's rate: refused, taken all the same, or ignored.

    The first value is messages per second, the second the burst.
    """

    REQUEST = (50.0, 100.0, "refuse")
    CONTROL = (50.0, 100.0, "take")
    """Stopping must always work; who does it 50 times a second still collects violations."""
    PLAYOUT = (20.0, 40.0, "ignore")
    """Five a second are asked for."""


class Bucket:
    """A token bucket; `now` is monotonic seconds."""

    def __init__(self, lane: Lane, now: float) -> None:
        self._rate, self._burst, self.beyond = lane.value
        self._tokens, self._at = self._burst, now

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Limits:
    """What a test may want smaller."""

    soft: int = SOFT_BUFFER
    hard: int = HARD_BUFFER
    violations: int = MAX_VIOLATIONS


def lane_of(message: Message) -> Lane:
    match message:
        case Playout():
            return Lane.PLAYOUT
        case BargeIn() | Pause() | Resume() | Abandon():
            return Lane.CONTROL
        case _:
            return Lane.REQUEST


class Channels:
    """The channels of one call. `greeting` are the fields of `hello` that the call adds, `on_flood`
    is called once when the far end has broken too many rules.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        clock: Callable[[], float],
        greeting: Callable[[], Mapping[str, object]] = dict,
        on_flood: Callable[[], None] = lambda: None,
        limits: Limits = Limits(),
    ) -> None:
        self._conversation = conversation
        self._clock = clock
        self._greeting = greeting
        self._on_flood = on_flood
        self._limits = limits
        self._open: dict[str, RTCDataChannel] = {}
        self._buckets = {lane: Bucket(lane, clock()) for lane in Lane}
        self._barges: OrderedDict[str, None] = OrderedDict()
        self._waiting: deque[bytes] = deque()
        self._held: dict[tuple[object, ...], dict[str, object]] = {}
        self._unsubscribe: Callable[[], None] = lambda: None
        self._heard: float | None = None
        self._reported: float | None = None
        self.counts: Counter[str] = Counter()
        """violations, dropped, faults: for the call's own record."""

    # ------------------------------------------------------------ channels come and go

    def adopt(self, channel: RTCDataChannel) -> None:
        """Take a channel that the far end opened; one of each known label, the rest are closed."""
        channel.on("error", self._fault)
        if channel.label not in (MAIN, NOW) or channel.label in self._open:
            self._violation()
            channel.close()
            return
        self._open[channel.label] = channel
        channel.on("message", partial(self._receive, channel.label))
        channel.on("close", partial(self._lost, channel.label))
        channel.on("bufferedamountlow", self._relieve)
        if channel.label == MAIN:
            channel.bufferedAmountLowThreshold = self._limits.soft // 2
        # A channel that the far end made arrives open, and then `open` never fires.
        if channel.readyState == "open":
            self._opened(channel.label)
        else:
            channel.on("open", partial(self._opened, channel.label))

    def _opened(self, label: str) -> None:
        if label != MAIN:
            return
        try:
            hello = {"event": "hello", **self._conversation.hello(), **self._greeting()}
            self._send(MAIN, hello)
            while self._waiting:
                self._put(MAIN, self._waiting.popleft())
            self._unsubscribe = self._conversation.subscribe(self.tell)
        except Exception as fault:
            self._fault(fault)

    def _lost(self, label: str) -> None:
        self._open.pop(label, None)
        if label == MAIN:
            self._end_subscription()

    def _end_subscription(self) -> None:
        ended, self._unsubscribe = self._unsubscribe, lambda: None
        ended()

    def close(self) -> None:
        """No more events go out, nothing that comes in counts; the connection closes the channels."""
        self._end_subscription()
        self._open.clear()
        self._waiting.clear()
        self._held.clear()

    def silence_s(self, now: float) -> float | None:
        """Seconds since the last message, None while no playout report made it a heartbeat."""
        return None if self._reported is None or self._heard is None else now - self._heard

    def buffered(self) -> int:
        """Bytes on their way out of `synchrony`."""
        channel = self._open.get(MAIN)
        return channel.bufferedAmount if channel is not None else 0

    # ------------------------------------------------------------ in

    def _receive(self, label: str, raw: bytes | str) -> None:
        """A raise here would end the whole call: aiortc closes the transport."""
        if label not in self._open:
            return
        self._heard = self._clock()
        try:
            self._read(label, raw)
        except Exception as fault:
            self._fault(fault)

    def _read(self, label: str, raw: bytes | str) -> None:
        value: Mapping[str, object] = {}
        try:
            value = decode(raw)
            self._admit(label, parse(value))
        except Refusal as refusal:
            self._violation()
            self._send(label, _refused(value, refusal))

    def _admit(self, label: str, message: Message) -> None:
        lane = lane_of(message)
        bucket = self._buckets[lane]
        if not bucket.take(self._clock()):
            if bucket.beyond == "refuse":
                raise Refusal("too_fast", "message", "at most 50 messages a second")
            self._violation()
            if bucket.beyond == "ignore":
                return
        if isinstance(message, Playout):
            self._reported = self._heard
            self._conversation.submit(message, SURFACE, lambda answer: None)
        elif isinstance(message, BargeIn):
            self._barge(label, message)
        else:
            self._conversation.submit(message, SURFACE, partial(self._send, label))

    def _barge(self, label: str, message: BargeIn) -> None:
        """Three copies come by two channels: the first counts, and is answered where it came by and
        once on the reliable channel, because the other may lose the answer.
        """
        if message.id in self._barges:
            return
        self._barges[message.id] = None
        if len(self._barges) > MAX_BARGES:
            self._barges.popitem(last=False)

        def reply(answer: Mapping[str, object]) -> None:
            for name in dict.fromkeys((label, MAIN)):
                self._send(name, answer)

        self._conversation.submit(message, SURFACE, reply)

    def _violation(self) -> None:
        self.counts["violations"] += 1
        if self.counts["violations"] == self._limits.violations + 1:
            self._conversation.note("channel", "flood", violations=self.counts["violations"])
            self._on_flood()

    def _fault(self, fault: object) -> None:
        """Our own mistake: the call lives on, the record knows."""
        self.counts["faults"] += 1
        log.error("data channel: %r", fault, exc_info=fault if isinstance(fault, BaseException) else None)
        self._conversation.note("channel", "fault", error=type(fault).__name__)

    # ------------------------------------------------------------ out

    def tell(self, event: Mapping[str, object]) -> None:
        """Send an event on `synchrony`. With much on its way, captions are joined and levels replaced."""
        kind = event.get("event")
        if kind in _HOLDABLE and (self._held or self.buffered() > self._limits.soft):
            key = _HOLDABLE[kind](event)
            self._held[key] = _joined(self._held.get(key), event)
            self._relieve()
        else:
            self._send(MAIN, event)

    def _relieve(self) -> None:
        """What was held goes out as soon as there is room."""
        while self._held and self.buffered() <= self._limits.soft and MAIN in self._open:
            key = next(iter(self._held))
            self._send(MAIN, self._held.pop(key))

    def _send(self, label: str, answer: Mapping[str, object]) -> None:
        """One message out; never blocks, never raises, drops when the far end does not take it."""
        try:
            data = orjson.dumps(answer)
        except TypeError as fault:
            self._fault(fault)
            return
        if len(data) > MAX_MESSAGE:
            self.counts["dropped"] += 1
            if "event" in answer:
                return
            remedy = f"the answer has {len(data)} bytes, more than {MAX_MESSAGE}; read it over HTTP"
            data = orjson.dumps(_refused(answer, Refusal("too_large", "message", remedy)))
        self._put(label, data)

    def _put(self, label: str, data: bytes) -> None:
        channel = self._open.get(label)
        if channel is None or channel.readyState == "connecting":
            if label == MAIN and len(self._waiting) < MAX_WAITING:
                self._waiting.append(data)
            else:
                self.counts["dropped"] += 1
        elif channel.bufferedAmount + len(data) > self._limits.hard:
            self.counts["dropped"] += 1
        else:
            try:
                channel.send(data.decode())
            except (InvalidStateError, ValueError):
                # It closed under us, or takes only smaller messages than we may send.
                self.counts["dropped"] += 1


_HOLDABLE: dict[object, Callable[[Mapping[str, object]], tuple[object, ...]]] = {
    "spoken": lambda event: ("spoken", event.get("utterance")),
    "mic": lambda event: ("mic",),
}
"""Events that may wait, and what makes two of them one."""


def _joined(old: Mapping[str, object] | None, new: Mapping[str, object]) -> dict[str, object]:
    """The newer event, reaching back to where the older one began."""
    return {**new, "from": old["from"]} if old and "from" in old else dict(new)


def _refused(value: Mapping[str, object], refusal: Refusal) -> dict[str, object]:
    """The response shape of a refusal, with the id where one is readable."""
    result: dict[str, object] = {"result": {"refusal": refusal.to_wire()}}
    try:
        return {"id": request_id(value), **result}
    except Refusal:
        return result
