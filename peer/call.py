"""One call: a peer connection, what it carries, and the reasons for which it ends.

Knows no HTTP and no session: an offer comes in, an answer goes out, a `Conversation` is the other
side of everything. What happens after the last word, whether the conversation is kept or ended, is
not decided here: `run` returns why the call is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)

from . import guard, sdp
from .channel import Channels
from .core.errors import Refusal
from .seams import Conversation
from .track import FRAME_S, SourceTrack, VoiceTrack

log = logging.getLogger(__name__)

CONNECT_S = 10.0
"""From the answer to connected. aiortc waits for ever, and half-open calls cost checks all the time."""
ANSWER_S = 8.0
"""To negotiate: STUN and TURN servers, where configured, have 5 s of their own."""
HEARTBEAT_S = 3.0
"""Without a message from a page that reports its playout: it is gone, 30 s before ICE would notice."""
SILENCE_S = 9.0
"""Without any datagram from the far end: browsers check consent every 2.5 s, aiortc every 6 s at most."""
TICK_S = 0.25
"""Between two looks at the clocks above."""
STALL_S = 0.5
"""A look that comes this much late was held up here; then it was we who did not listen."""
FAREWELL_S = 0.1
"""For `bye` to leave before the transport closes: two round trips inside one country."""
CLOSE_S = 3.0
"""For aiortc to close; measured 5 ms, but after a broken offer it may never return."""


class Ending(StrEnum):
    """Why a call is over; the far end reads it in `bye`."""

    HANGUP = "hangup"
    """Closed from this side: DELETE, or the session's end."""
    SHUTDOWN = "shutdown"
    """The server ends."""
    REMOTE = "remote"
    """The far end closed the connection."""
    TIMEOUT = "timeout"
    """It never connected."""
    LOST = "lost"
    """It was connected and fell silent."""
    FLOOD = "flood"
    """It broke too many rules on the data channel."""
    FAULT = "fault"
    """Our own mistake."""


class Ears(Protocol):
    """What reads an inbound track. Its constructor puts the tap in place, `run` is one task's body."""

    async def run(self) -> None: ...


Microphone = Callable[[RTCRtpReceiver, MediaStreamTrack], Ears]
Voice = Callable[..., SourceTrack]


class Call:
    """To be used as: `answer` once, then `run` in a task of the caller's; `close` at any time.

    `ident` names the call, `microphone` makes the reader of the inbound track (None: nothing is
    received), `voice` the outgoing track.
    """

    def __init__(
        self,
        ident: str,
        conversation: Conversation,
        *,
        microphone: Microphone | None = None,
        ice_servers: Sequence[RTCIceServer] = (),
        voice: Voice = VoiceTrack,
        connect_s: float = CONNECT_S,
        heartbeat_s: float = HEARTBEAT_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.ident = ident
        self._conversation = conversation
        self._microphone = microphone
        self._ice_servers = list(ice_servers)
        self._voice = voice
        self._limits = {"connect": connect_s, "heartbeat": heartbeat_s, "silence": silence_s}
        self._clock = asyncio.get_running_loop().time
        self._channels = Channels(
            conversation, clock=self._clock, greeting=self._greeting, on_flood=lambda: self._end(Ending.FLOOD)
        )
        self._pc: RTCPeerConnection | None = None
        self._track: SourceTrack | None = None
        self._sender: RTCRtpSender | None = None
        self._receiver: RTCRtpReceiver | None = None
        self._ears: Ears | None = None
        self._learnt: int | None = None
        self._began = self._looked = self._clock()
        self._connected: float | None = None
        self._over = asyncio.Event()
        self._ending: Ending | None = None
        self._closing: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ beginning

    async def answer(self, offer: bytes | str) -> str:
        """The SDP answer with all our candidates. Raises Refusal; then nothing is left open."""
        read = sdp.read_offer(offer)
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._negotiate(read.text)
        except TimeoutError:
            await self.close(Ending.TIMEOUT)
            raise Refusal("sdp_broken", "offer", f"not negotiated within {ANSWER_S:.0f} s; offer again") from None
        except asyncio.CancelledError:
            await self.close(Ending.HANGUP)
            raise
        except Exception as broken:
            # aiortc raises whatever its parser stumbles over; this is the edge where it gets one name.
            log.info("offer refused by aiortc: %r", broken)
            await self.close(Ending.FAULT)
            remedy = f"offer what a browser offers ({type(broken).__name__})"
            raise Refusal("sdp_broken", "offer", remedy) from broken
        self._began = self._looked = self._clock()
        return answer

    async def _negotiate(self, offer: str) -> str:
        configuration = RTCConfiguration(iceServers=self._ice_servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self._pc = pc = RTCPeerConnection(configuration)
        pc.on("connectionstatechange", self._state_changed)
        pc.on("datachannel", self._adopt)
        pc.on("error", self._broken)
        audio = self._attach(pc)
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for other in pc.getTransceivers():
            if other is not audio:
                other.direction = "inactive"
        self._listen(audio)
        await pc.setLocalDescription(await pc.createAnswer())
        answer = pc.localDescription.sdp
        if not sdp.opus_only(answer):
            raise Refusal("no_opus", "audio", "offer Opus (opus/48000/2)")
        return answer

    def _attach(self, pc: RTCPeerConnection) -> RTCRtpTransceiver:
        """Our voice, on a transceiver that speaks Opus only; the offer's audio section becomes it."""
        self._track = track = self._voice(
            self._conversation.source, rtp_origin=self._rtp_origin, on_fault=self._track_failed
        )
        audio = pc.addTransceiver(track, direction="sendrecv")
        opus = [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.mimeType == "audio/opus"]
        audio.setCodecPreferences(opus)
        self._sender = audio.sender
        return audio

    def _listen(self, audio: RTCRtpTransceiver) -> None:
        """Give the inbound track its reader, or refuse it: an unread track grows without end."""
        track: MediaStreamTrack | None = audio.receiver.track
        if self._microphone is None or track is None:
            audio.direction = "sendonly"
            return
        track.on("error", self._broken)
        self._receiver = audio.receiver
        self._ears = self._microphone(audio.receiver, track)

    # ------------------------------------------------------------ what the library tells us
    # Plain functions that never raise: an exception in a listener would end the transport.

    def _state_changed(self) -> None:
        state = self._pc.connectionState if self._pc is not None else "closed"
        if state == "connected":
            self._connected = self._looked = self._clock()
            self._conversation.note("call", "connected", call=self.ident, connect_ms=self._since(self._began))
        elif state == "failed":
            self._end(Ending.TIMEOUT if self._connected is None else Ending.LOST)
        elif state == "closed":
            self._end(Ending.REMOTE)

    def _adopt(self, channel: RTCDataChannel) -> None:
        self._channels.adopt(channel)

    def _broken(self, fault: object) -> None:
        log.error("call %s: %r", self.ident, fault)
        self._conversation.note("call", "fault", call=self.ident, error=type(fault).__name__)

    def _track_failed(self, fault: Exception) -> None:
        log.error("call %s: the voice failed", self.ident, exc_info=fault)
        self._conversation.note("track", "fault", call=self.ident, error=type(fault).__name__)
        self._end(Ending.FAULT)

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
        self._over.set()

    def _since(self, start: float) -> float:
        return round((self._clock() - start) * 1000.0, 1)

    # ------------------------------------------------------------ timestamps

    def rtp_of(self, n: int) -> int | None:
        """The RTP timestamp of frame `n`; None before the call is connected."""
        return self._track.rtp_of(n) if self._track is not None else None

    def frame_of(self, rtp: int) -> int | None:
        """The frame that an RTP timestamp falls in; None before anything was sent."""
        return self._track.frame_of(rtp) if self._track is not None else None

    def _rtp_origin(self) -> int | None:
        """From the guard; beside other versions, learnt from the first packet once it has left."""
        if self._sender is None or self._track is None:
            return None
        origin = guard.rtp_origin(self._sender)
        if origin is None and self._learnt is None:
            self._learnt = self._track.origin_by(guard.last_rtp(self._sender))
        return self._learnt if origin is None else origin

    def _greeting(self) -> Mapping[str, object]:
        """What `hello` says of the call: `rtp` is the timestamp of frame 0, so a page can place any frame."""
        frame = int((self._clock() - self._conversation.source.origin) / FRAME_S)
        return {"frame": frame, "call": self.ident, "rtp": self.rtp_of(0)}

    # ------------------------------------------------------------ running

    async def run(self) -> Ending:
        """Returns when the call is over and closed. One task inside, the ears; it ends with the call."""
        try:
            async with asyncio.TaskGroup() as tasks:
                ears = tasks.create_task(self._hear())
                await self._watch()
                ears.cancel()
        finally:
            await self.close(self._ending or Ending.HANGUP)
        return self._ending or Ending.HANGUP

    async def _hear(self) -> None:
        if self._ears is None or self._receiver is None:
            return
        try:
            await self._ears.run()
        except Exception as fault:
            # Deaf is not dumb: the call goes on without ears, and says so.
            log.error("call %s: the ears failed", self.ident, exc_info=fault)
            self._conversation.note("microphone", "fault", call=self.ident, error=type(fault).__name__)
        finally:
            guard.mute(self._receiver)

    async def _watch(self) -> None:
        while self._ending is None:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._over.wait()
            except TimeoutError:
                self._look()

    def _look(self) -> None:
        """End the call when one of its clocks has run out."""
        now = self._clock()
        stalled = now - self._looked - TICK_S > STALL_S
        self._looked = now
        if stalled or self._pc is None:
            return  # whatever came meanwhile is still in the sockets; the next look will know
        if self._connected is None:
            if now - self._began > self._limits["connect"]:
                self._end(Ending.TIMEOUT)
            return
        silence = self._channels.silence_s(now)
        heard = guard.last_heard(self._pc)
        if silence is not None and silence > self._limits["heartbeat"]:
            self._lost("heartbeat", silence)
        elif heard is not None and now - max(heard, self._connected) > self._limits["silence"]:
            self._lost("silence", now - heard)

    def _lost(self, why: str, silence_s: float) -> None:
        self._conversation.note("call", "lost", call=self.ident, why=why, silence_ms=round(silence_s * 1000.0))
        self._end(Ending.LOST)

    # ------------------------------------------------------------ ending

    async def close(self, ending: Ending = Ending.HANGUP) -> None:
        """Hang up. Any number of times, from anywhere; returns within a few seconds, nothing left open.

        The work is a task of its own because it must come to its end even when who asked is cancelled.
        """
        self._end(ending)
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._shut(), name=f"close {self.ident}")
        await asyncio.shield(self._closing)

    async def _shut(self) -> None:
        if self._ending not in (Ending.REMOTE, Ending.LOST, Ending.TIMEOUT):
            await self._say_bye()
        self._channels.close()
        if self._track is not None:
            self._track.stop()
        if self._pc is not None:
            await self._shut_connection(self._pc)
        if self._ears is not None and self._receiver is not None:
            guard.mute(self._receiver)
        self._conversation.note("call", "closed", call=self.ident, reason=self._ending, **self._channels.counts)

    async def _say_bye(self) -> None:
        frame = int((self._clock() - self._conversation.source.origin) / FRAME_S)
        self._channels.tell({"event": "bye", "frame": frame, "reason": self._ending})
        deadline = self._clock() + FAREWELL_S
        while self._channels.buffered() and self._clock() < deadline:  # noqa: ASYNC110 (no event for "all sent")
            await asyncio.sleep(0.005)

    async def _shut_connection(self, pc: RTCPeerConnection) -> None:
        """aiortc's close, and when it fails or hangs halfway, the same by hand."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await pc.close()
        except Exception as fault:
            log.info("call %s: closing by hand after %r", self.ident, fault)
            try:
                async with asyncio.timeout(CLOSE_S):
                    await guard.abandon(pc)
            except TimeoutError:
                self._conversation.note("call", "leak", call=self.ident)
        pc.remove_all_listeners()
