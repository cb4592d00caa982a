"""A caller without a browser: an aiortc peer with both channels, the packets it gets, and a tap on what was sent.

Knows no scene. Packets are kept as they came and decoded afterwards; the tap holds the exact samples.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from peer.core.pcm import FRAME, Int16

WAIT_S = 30.0
"""For anything that must happen: a bounded wait, never a figure."""
RIFF = 44


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet as it came."""

    timestamp: int
    sequence: int
    payload: bytes


@dataclass(slots=True)
class Caller:
    """An async context manager: called on entry, hung up at the end."""

    url: str
    packets: list[Packet] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    tapped: bytearray = field(default_factory=bytearray)
    call: str = ""
    _http: aiohttp.ClientSession = field(init=False)
    _pc: RTCPeerConnection = field(init=False)
    _channels: dict[str, RTCDataChannel] = field(default_factory=dict)
    _tap: asyncio.Task[None] | None = None
    _ids: count[int] = field(default_factory=count)

    async def __aenter__(self) -> Caller:
        self._http = aiohttp.ClientSession()
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        try:
            async with asyncio.timeout(WAIT_S):
                await self._call()
        except BaseException:
            await self.close()
            raise
        return self

    async def _call(self) -> None:
        self._pc.addTransceiver("audio", direction="recvonly")
        self._open("synchrony", ordered=True, retransmits=None)
        self._open("synchrony.now", ordered=False, retransmits=0)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        offer = self._pc.localDescription.sdp
        kind = {"Content-Type": "application/sdp"}
        async with self._http.post(f"{self.url}/calls", data=offer, headers=kind) as answer:
            assert answer.status == 201, f"{answer.status}: {await answer.text()}"
            self.call = answer.headers["Location"]
            text = await answer.text()
        self._keep_packets()
        await self._pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
        await self.until(lambda: self._pc.connectionState == "connected" and self.event("hello"))
        listening = asyncio.Event()
        self._tap = asyncio.create_task(self._listen(listening), name="tap")
        await listening.wait()

    def _open(self, label: str, *, ordered: bool, retransmits: int | None) -> None:
        channel = self._pc.createDataChannel(label, ordered=ordered, maxRetransmits=retransmits)
        channel.on("message", lambda raw: self.messages.append(json.loads(raw)))
        self._channels[label] = channel

    def _keep_packets(self) -> None:
        receiver: Any = self._pc.getTransceivers()[0].receiver
        stock = receiver._handle_rtp_packet

        async def keep(packet: Any, arrival_time_ms: int) -> None:
            self.packets.append(Packet(packet.timestamp, packet.sequence_number, bytes(packet.payload)))
            receiver._enabled = False
            await stock(packet, arrival_time_ms)

        receiver._handle_rtp_packet = keep

    async def _listen(self, listening: asyncio.Event) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._http.get(f"{self.url}{self.call}/audio", timeout=timeout) as answer:
            listening.set()
            async for data in answer.content.iter_any():
                self.tapped += data

    # the story's verbs ----------------------------------------------------------------------

    def ask(self, intent: str, label: str = "synchrony", **inputs: object) -> str:
        """Send a request; returns its id."""
        ident = f"c{next(self._ids)}"
        self._channels[label].send(json.dumps({"id": ident, "intent": intent, "inputs": inputs}))
        return ident

    async def answer(self, ident: str) -> Mapping[str, Any]:
        """The response to `ident`."""
        await self.until(lambda: any(m.get("id") == ident and "result" in m for m in self.messages))
        return next(m for m in self.messages if m.get("id") == ident and "result" in m)

    def event(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("event") == kind]

    def state(self) -> str:
        moves = self.event("speech")
        return str(moves[-1]["state"]) if moves else "IDLE"

    async def until(self, true: Callable[[], object], most_s: float = WAIT_S) -> None:
        """Raises TimeoutError when it never comes true."""
        async with asyncio.timeout(most_s):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def get(self, path: str) -> dict[str, Any]:
        async with self._http.get(self.url + path) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def close(self) -> None:
        """Hang up; the tap ends with the call."""
        if self.call:
            async with self._http.delete(self.url + self.call):
                pass
        if self._tap is not None:
            async with asyncio.timeout(WAIT_S):
                await self._tap
        await self._pc.close()
        await self._http.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    # what it got ----------------------------------------------------------------------------

    @property
    def session(self) -> str:
        return str(self.event("hello")[0]["session"])

    def frames(self) -> list[Int16]:
        """The tap's frames, (960,) int16 each."""
        data = np.frombuffer(bytes(self.tapped[RIFF:]), "<i2")
        return list(data[: len(data) // FRAME * FRAME].reshape(-1, FRAME))


def peaks(packets: list[Packet]) -> dict[int, int]:
    """RTP timestamp → the largest sample (int16 units) of each packet, decoded one after the other."""
    decoder: Any = av.CodecContext.create("opus", "r")
    found: dict[int, int] = {}
    for packet in sorted(packets, key=lambda p: p.timestamp):
        for frame in decoder.decode(av.Packet(packet.payload)):
            pcm = frame.to_ndarray()
            scale = 32768.0 if pcm.dtype.kind == "f" else 1.0
            found[packet.timestamp] = int(np.abs(pcm.astype(np.float64)).max(initial=0.0) * scale)
    return found
