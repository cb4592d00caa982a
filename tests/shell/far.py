"""The other side for tests of the shell: a far peer, a source of frames, a conversation that remembers.

Knows nothing of what the tests assert.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)

from peer.core.frame import Kind, Pull
from peer.core.messages import Message
from peer.core.pcm import FRAME
from peer.seams import Reply

TONE = (np.sin(np.arange(FRAME) * 2 * np.pi * 450 / 48_000) * 8_000).astype(np.int16)
WAIT_S = 15.0
"""Until a test gives up: far above what a loaded machine needs."""


class FakeSource:
    """A source whose `kinds` says what each pull finds; `rest` when it is used up."""

    def __init__(self, kinds: list[Kind] | None = None, rest: Kind = Kind.VOICE, origin: float | None = None) -> None:
        self.kinds = list(kinds or [])
        self.rest = rest
        self.origin = asyncio.get_running_loop().time() if origin is None else origin
        self.read: list[int] = []
        self.sents: list[tuple[int, int | None]] = []
        self.woken = asyncio.Event()
        self.fault: Exception | None = None

    def read_frame(self, n: int) -> Pull:
        if self.fault is not None:
            raise self.fault
        self.read.append(n)
        kind = self.kinds.pop(0) if self.kinds else self.rest
        return Pull(n, kind, None if kind in (Kind.HOLD, Kind.IDLE) else TONE)

    async def wake(self) -> None:
        await self.woken.wait()
        self.woken.clear()

    def sent(self, n: int, rtp: int | None) -> None:
        self.sents.append((n, rtp))


class FakeConversation:
    """Remembers messages and notes; answers `done` at once. `bug` makes it raise."""

    token = "token"

    def __init__(self, source: FakeSource) -> None:
        self.source = source
        self.messages: list[tuple[Message, str]] = []
        self.notes: list[tuple[str, str, dict[str, object]]] = []
        self.listeners: list[Reply] = []
        self.bug: Exception | None = None

    def hello(self) -> Mapping[str, object]:
        return {"protocol": 1, "session": "s", "token": self.token}

    def submit(self, message: Message, surface: str, reply: Reply) -> None:
        if self.bug is not None:
            raise self.bug
        self.messages.append((message, surface))
        reply({"id": getattr(message, "id", None), "result": "done"})

    def subscribe(self, listener: Reply) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def note(self, stage: str, result: str = "ok", **fields: object) -> None:
        self.notes.append((stage, result, fields))

    def noted(self, stage: str, result: str) -> bool:
        return any((s, r) == (stage, result) for s, r, _ in self.notes)

    def speaking(self) -> bool:
        return False

    def far_level_db(self) -> float:
        return -120.0


class FarPeer:
    """A page without a browser: both channels, a microphone if given, remembers all it hears."""

    def __init__(self, microphone: MediaStreamTrack | None = None, channels: bool = True) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.pc.addTransceiver(microphone or "audio", direction="sendrecv" if microphone else "recvonly")
        self.heard: dict[str, list[dict[str, object]]] = {"synchrony": [], "synchrony.now": []}
        self.channels: dict[str, RTCDataChannel] = {}
        self.packets: list[tuple[int, int]] = []
        if channels:
            self._open("synchrony", ordered=True, maxRetransmits=None)
            self._open("synchrony.now", ordered=False, maxRetransmits=0)

    def _open(self, label: str, *, ordered: bool, maxRetransmits: int | None) -> None:
        channel = self.pc.createDataChannel(label, ordered=ordered, maxRetransmits=maxRetransmits)
        channel.on("message", lambda raw: self.heard[label].append(json.loads(raw)))
        self.channels[label] = channel

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take the answer and remember (RTP timestamp, sequence) of what comes, undecoded."""
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        receiver = self.pc.getTransceivers()[0].receiver
        stock = receiver._handle_rtp_packet

        async def hear(packet: object, arrival_time_ms: int) -> None:
            self.packets.append((packet.timestamp, packet.sequence_number))  # type: ignore[attr-defined]
            receiver._enabled = False
            await stock(packet, arrival_time_ms)  # type: ignore[arg-type]

        receiver._handle_rtp_packet = hear  # type: ignore[method-assign, assignment]

    async def connected(self) -> None:
        await until(lambda: self.pc.connectionState == "connected")

    async def channels_open(self) -> None:
        await until(lambda: all(c.readyState == "open" for c in self.channels.values()))

    def say(self, label: str, message: object) -> None:
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        self.channels[label].send(raw)

    def events(self, kind: str) -> list[dict[str, object]]:
        return [message for message in self.heard["synchrony"] if message.get("event") == kind]

    async def close(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.pc.close()


class Silent(MediaStreamTrack):
    """A microphone that sends nothing by itself."""

    kind = "audio"

    async def recv(self) -> object:  # type: ignore[override]
        await asyncio.Event().wait()
        return None


async def until(true: Callable[[], object], limit_s: float = WAIT_S) -> None:
    """Wait until `true()` holds; TimeoutError when it never does."""
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.005)


async def within(awaitable: Awaitable[object], limit_s: float = WAIT_S) -> object:
    async with asyncio.timeout(limit_s):
        return await awaitable


def census() -> tuple[int, int, int]:
    """(tasks, threads, file descriptors) alive now."""
    return len(asyncio.all_tasks()), threading.active_count(), len(os.listdir("/proc/self/fd"))


@contextmanager
def patched(place: object, name: str, value: object) -> Iterator[None]:
    old = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, old)
