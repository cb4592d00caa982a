"""The peer beside ours: aiortc as its examples use it, `python -m bench.stock [--timed] [--core N] [--speaking]`.

Raw frames paced by an absolute sleep, the library's own encoder; speaks at once what is always there.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

from . import console, loopback
from .lateness import Meter, due

RATE, FRAME, FRAME_S = 48_000, 960, 0.020
SECONDS = 10
APART = 37
"""Frames between the places at which two calls begin in the signal: no two send the same packet."""
HERE = Path(__file__).resolve().parent
WEB = HERE.parent / "web"
FILES = {"": HERE / "stock.html", "stock.js": HERE / "stock.js"}
PROBE = ("probe.js", "probe-worklet.js")
TYPES = {".html": "text/html", ".js": "text/javascript"}


def signal_of(seconds: int = SECONDS) -> np.ndarray:
    """Voice-like: 19 harmonics of 120 Hz with a vibrato, a slow swell, a little noise; (n,) int16, peak 12,000."""
    t = np.arange(seconds * RATE) / RATE
    phase = 2 * np.pi * (120 * t + 20 / (2 * np.pi * 0.7) * np.sin(2 * np.pi * 0.7 * t))
    wave = sum(np.sin(k * phase) / k for k in range(1, 20))
    wave = wave * (0.75 + 0.25 * np.cos(2 * np.pi * 3 * t)) + 0.02 * np.random.default_rng(1).standard_normal(len(t))
    return (wave * (12_000 / np.abs(wave).max())).astype(np.int16)


class StockTrack(MediaStreamTrack):
    """Frame after frame on a fixed schedule; silence until it is told to speak."""

    kind = "audio"

    def __init__(self, signal_: np.ndarray, offset: int, speaking: bool) -> None:
        super().__init__()
        self._signal = signal_
        self._at = offset * FRAME
        self._start: float | None = None
        self._n = 0
        self.speaking = speaking

    async def recv(self) -> av.AudioFrame:
        clock = asyncio.get_running_loop().time
        if self._start is None:
            self._start = clock()
        at = self._start + self._n * FRAME_S
        if (wait := at - clock()) > 0:
            await asyncio.sleep(wait)
        due(at)
        frame = av.AudioFrame.from_ndarray(self._samples().reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = self._n * FRAME
        frame.time_base = fractions.Fraction(1, RATE)
        self._n += 1
        return frame

    def _samples(self) -> np.ndarray:
        if not self.speaking:
            return np.zeros(FRAME, np.int16)
        start = self._at % len(self._signal)
        self._at += FRAME
        return self._signal[start : start + FRAME]


class Peer:
    """Offers in, answers out; `say` and `barge_in` on any data channel."""

    def __init__(self, speaking: bool) -> None:
        self._signal = signal_of()
        self._speaking = speaking
        self._calls: set[RTCPeerConnection] = set()
        self._count = 0

    async def answer(self, request: web.Request) -> web.Response:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._calls.add(pc)
        self._count += 1
        track = StockTrack(self._signal, self._count * APART, self._speaking)
        sink = MediaBlackhole()
        pc.on("track", sink.addTrack)
        pc.on("datachannel", lambda channel: _obey(channel, track))
        await pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        pc.addTrack(track)
        await pc.setLocalDescription(await pc.createAnswer())
        await sink.start()
        return web.Response(status=201, text=pc.localDescription.sdp, content_type="application/sdp")

    async def close(self) -> None:
        await asyncio.gather(*(pc.close() for pc in self._calls), return_exceptions=True)


def _obey(channel: RTCDataChannel, track: StockTrack) -> None:
    def message(raw: str | bytes) -> None:
        intent = json.loads(raw).get("intent")
        if intent in ("say", "barge_in"):
            track.speaking = intent == "say"
            channel.send(json.dumps({"event": intent}))

    channel.on("message", message)


async def file(request: web.Request) -> web.Response:
    name = request.match_info.get("name", "")
    path = WEB / name if name in PROBE else FILES.get(name)
    if path is None:
        raise web.HTTPNotFound
    return web.Response(text=path.read_text(), content_type=TYPES[path.suffix])


async def serve(timed: bool, speaking: bool) -> None:
    meter = Meter()
    if timed:
        meter.install()
    peer = Peer(speaking)
    app = web.Application()
    app.add_routes([web.post("/calls", peer.answer), web.get("/", file), web.get("/{name}", file)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    commands = {"measure": lambda words: meter.measure(float(words[0]))}
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener = asyncio.create_task(console.listen(commands))
    try:
        console.tell({"ready": f"http://127.0.0.1:{runner.addresses[0][1]}/"})
        await stop.wait()
    finally:
        listener.cancel()
        await peer.close()
        await runner.cleanup()


def main(argv: Sequence[str]) -> int:
    options = argparse.ArgumentParser("bench.stock")
    options.add_argument("--timed", action="store_true")
    options.add_argument("--speaking", action="store_true")
    options.add_argument("--core", type=int)
    given = options.parse_args(argv)
    console.pin(given.core)
    loopback.stay_home()
    asyncio.run(serve(given.timed, given.speaking))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
