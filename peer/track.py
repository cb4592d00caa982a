"""The outgoing audio: waits for a frame's deadline, pulls it from a source, hands it to the sender.

Knows no session and no buffer: a `Source` has the frames, its origin is the schedule. The RTP
timestamp of frame n is the stream's random origin + n * 960, so every hole in n is a hole in time.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, TypeAlias

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from .core.frame import Kind, Pull
from .core.pcm import FRAME, Int16
from .opus import TICK, Encoder, audio_frame
from .seams import Source

Packet: TypeAlias = "av.Packet[Any]"

FRAME_S = 0.020
LATE_S = 0.030
"""A frame later than this gets the number of now. Below it, the timer's own jitter (p99 6 ms) and
the lead of up to one frame after a wake-up are left alone."""
RTP_WRAP = 2**32


class Pacer:
    """Which frame is due when. Frame numbers rise; a late one is renumbered, never hurried after.

    `clock` is the loop's monotonic time (s), `sleep` waits on the same clock.
    """

    def __init__(self, source: Source, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._source = source
        self._clock = clock
        self._sleep = sleep
        self._next = self._number_now()

    def _number_now(self) -> int:
        return max(0, int((self._clock() - self._source.origin) / FRAME_S))

    def _due(self, n: int) -> float:
        return self._source.origin + n * FRAME_S

    async def next(self) -> Pull:
        """The next frame to send; waits through holds and idling."""
        while True:
            wait = self._due(self._next) - self._clock()
            if wait > 0:
                await self._sleep(wait)
            # As late as possible, with the frame's turn come: what is late now is late for the ear.
            lag = self._clock() - self._due(self._next)
            if lag > LATE_S:
                self._next += int(lag / FRAME_S)
            pull = self._source.read_frame(self._next)
            self._next += 1
            if pull.pcm is not None:
                return pull
            if pull.kind is Kind.IDLE:
                await self._source.wake()
                # Its slot began up to 20 ms ago: it leaves at once, and that is the lead of the next.
                self._next = max(self._next, self._number_now())


class SourceTrack(MediaStreamTrack):
    """A track that pulls from a `Source`; the two below differ in what they hand to the sender.

    `rtp_origin` tells the timestamp of pts 0 (None: not yet known), `on_fault` hears the exception
    that ended the track, if one did.
    """

    kind = "audio"

    def __init__(
        self,
        source: Source,
        *,
        rtp_origin: Callable[[], int | None] = lambda: None,
        on_fault: Callable[[Exception], None] = lambda fault: None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__()
        self._source = source
        self._rtp_origin = rtp_origin
        self._on_fault = on_fault
        self._pacer = Pacer(source, clock or asyncio.get_running_loop().time, sleep)
        self._handed: int | None = None
        self._last: int | None = None

    async def recv(self) -> Packet | av.AudioFrame:
        """Raises nothing but MediaStreamError, which ends the sender, and CancelledError."""
        if self.readyState != "live":
            raise MediaStreamError
        try:
            self._report()
            pull = await self._pacer.next()
            assert pull.pcm is not None
            wrapped = self._wrap(pull.n, pull.pcm)
        except MediaStreamError:
            raise
        except Exception as fault:
            # Anything else would leave a connected, silent call: end it where someone hears it.
            self.stop()
            self._on_fault(fault)
            raise MediaStreamError from fault
        self._handed = pull.n
        return wrapped

    def _report(self) -> None:
        """The sender asks again, so the frame handed over before has left."""
        if self._handed is not None:
            self._last, self._handed = self._handed, None
            self._source.sent(self._last, self.rtp_of(self._last))

    def rtp_of(self, n: int) -> int | None:
        """RTP timestamp of frame `n`; None before the call is connected."""
        origin = self._rtp_origin()
        return None if origin is None else (origin + self._pts(n)) % RTP_WRAP

    def origin_by(self, last_rtp: int | None) -> int | None:
        """The origin, given the timestamp of the packet that left last."""
        if last_rtp is None or self._last is None:
            return None
        return (last_rtp - self._pts(self._last)) % RTP_WRAP

    def frame_of(self, rtp: int) -> int | None:
        """The frame that timestamp `rtp` falls in, nearest to the last one that left."""
        if self._last is None or (last := self.rtp_of(self._last)) is None:
            return None
        ahead = (rtp - last + RTP_WRAP // 2) % RTP_WRAP - RTP_WRAP // 2
        return self._last + ahead // FRAME

    def _pts(self, n: int) -> int:
        return n * FRAME

    @abstractmethod
    def _wrap(self, n: int, pcm: Int16) -> Packet | av.AudioFrame:
        """Frame `n`, `pcm` (960,) int16, as the sender takes it."""


class VoiceTrack(SourceTrack):
    """Sends Opus packets encoded here: exact timestamps, no executor, no extra thread."""

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder()

    def _wrap(self, n: int, pcm: Int16) -> Packet:
        packet: Packet = av.Packet(self._encoder.encode(pcm))
        packet.pts = self._pts(n)
        packet.time_base = TICK
        return packet


class FrameTrack(SourceTrack):
    """Sends raw frames and lets aiortc encode: the fallback, and the other side of the bench.

    A hole in the timestamps comes out one packet late on this path, and the stream's first frame
    has pts 0 whatever its number.
    """

    _first: int | None = None

    def _pts(self, n: int) -> int:
        return (n - (self._first or 0)) * FRAME

    def _wrap(self, n: int, pcm: Int16) -> av.AudioFrame:
        if self._first is None:
            self._first = n
        return audio_frame(pcm, self._pts(n))
