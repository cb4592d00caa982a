"""A caller without a browser: time-stamps RTP as it is decrypted, decodes only afterwards.

Knows no measurement; holds no packet back.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from peer.opus import Decoder

from . import loopback

WAIT_S = 15.0
VOICED = 0.02 * 32768
"""Peak from which a packet is heard: the page's probe has the same."""
KEPT = 4_000
"""Packets: 80 s."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One packet; `at` is the loop's clock (s)."""

    at: float
    rtp: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Sound:
    """What a packet held, `peak` of 32,768."""

    at: float
    rtp: int
    peak: float

    @property
    def voiced(self) -> bool:
        return self.peak > VOICED


class Caller:
    """One call. `began` and `connected` are the loop's times of the offer and of the connection."""

    def __init__(self) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.pc.addTransceiver("audio", direction="recvonly")
        self.arrivals: list[Arrival] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.began = self.connected = 0.0
        self.hello = asyncio.Event()
        self._ids = itertools.count()
        self._clock = asyncio.get_running_loop().time
        self._sure = self._channel("synchrony", ordered=True, most=None)
        self._now = self._channel("synchrony.now", ordered=False, most=0)

    def _channel(self, label: str, *, ordered: bool, most: int | None) -> RTCDataChannel:
        channel = self.pc.createDataChannel(label, ordered=ordered, maxRetransmits=most)
        channel.on("message", self._message)
        return channel

    def _message(self, raw: str | bytes) -> None:
        message = json.loads(raw)
        if message.get("event") == "hello":
            self.hello.set()
        if "event" not in message and isinstance(message.get("id"), str):
            self.answers.setdefault(message["id"], message)

    async def call(self, http: aiohttp.ClientSession, address: str) -> None:
        """Returns when the channels are open."""
        done = asyncio.Event()

        @self.pc.on("connectionstatechange")
        def changed() -> None:
            if self.pc.connectionState == "connected" and not done.is_set():
                self.connected = self._clock()
                done.set()

        self.began = self._clock()
        await self.pc.setLocalDescription(await self.pc.createOffer())
        headers = {"Content-Type": "application/sdp"}
        async with http.post(f"{address}calls", data=self.pc.localDescription.sdp, headers=headers) as response:
            answer = await response.text()
            if response.status != 201:
                raise RuntimeError(f"{response.status}: {answer[:500]}")
        self._tap()
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(WAIT_S):
            await done.wait()
            while any(channel.readyState != "open" for channel in (self._sure, self._now)):
                await asyncio.sleep(0.002)

    def _tap(self) -> None:
        """Packets end here: no jitter buffer, no decoder thread."""
        receiver: Any = self.pc.getTransceivers()[0].receiver

        async def hear(packet: Any, arrival_time_ms: int) -> None:
            self.arrivals.append(Arrival(self._clock(), packet.timestamp, packet.payload))
            del self.arrivals[:-KEPT]

        receiver._handle_rtp_packet = hear

    def say(self, text: str) -> float:
        """When it was sent."""
        return self._send(self._sure, "say", {"text": text})

    def barge_in(self) -> float:
        """On both channels, like the page; the copies that follow 20 and 60 ms later never matter on loopback."""
        ident = self._ident()
        at = self._send(self._now, "barge_in", {}, ident)
        self._send(self._sure, "barge_in", {}, ident)
        return at

    def _ident(self) -> str:
        return f"b{next(self._ids)}"

    def _send(self, channel: RTCDataChannel, intent: str, inputs: dict[str, object], ident: str = "") -> float:
        at = self._clock()
        channel.send(json.dumps({"id": ident or self._ident(), "intent": intent, "inputs": inputs}))
        return at

    async def first_packet(self) -> float:
        async with asyncio.timeout(WAIT_S):
            while not self.arrivals:
                await asyncio.sleep(0.0005)
        return self.arrivals[0].at

    def sounds(self, since: float) -> list[Sound]:
        """What arrived after `since`, decoded as one stream."""
        decoder = Decoder()
        found = []
        for one in sorted((a for a in self.arrivals if a.at >= since), key=lambda a: a.at):
            pcm = decoder.decode(one.payload)
            peak = 0.0 if pcm is None else float(np.abs(pcm.astype(np.int32)).max())
            found.append(Sound(one.at, one.rtp, peak))
        return found

    async def close(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.pc.close()


@asynccontextmanager
async def caller(address: str, *, ours: bool) -> AsyncIterator[Caller]:
    """A connected caller; its ICE is ours or the library's, as its server's is."""
    with loopback.ice(ours):
        async with aiohttp.ClientSession() as http:
            found = Caller()
            try:
                await found.call(http, address)
                yield found
            finally:
                await found.close()
