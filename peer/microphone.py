"""The far end's microphone: packets in, always drained; onsets of speech out, as a barge-in while the peer speaks.

Knows no session and no socket: packets come from a tap in front of the jitter buffer, or, where
that cannot be, as frames of the public track. Nothing waits here: each packet is decoded, heard
and forgotten within the call that brought it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Protocol, assert_never

import av
import numpy as np
import numpy.typing as npt
from aiortc.mediastreams import MediaStreamError

from adapters.ears import start_ear
from adapters.ears.base import WINDOW, Ear

from .core.arrivals import Arrivals
from .core.decimate import Decimator
from .core.echo import Chunk, EchoGate
from .core.errors import AdapterError, Unavailable
from .core.listening import HANGOVER_CHUNKS, Heard, Listening
from .core.messages import BargeIn, Cause
from .core.pcm import EMPTY, RATE, Float
from .opus import Decoder
from .seams import Conversation

SURFACE = "microphone"

HOLE = HANGOVER_CHUNKS * WINDOW * 3
"""RTP time (256 ms) between two packets from which the sound before it is over."""

STARVED_S = 0.3
"""Without a packet this long nobody is speaking any more: a muted microphone may send nothing at all."""

PACKETS_PER_S = 120
"""Packets of 10 ms and a fifth more: what a caller sends beyond is dropped before it costs a decoder's time."""
BURST = 120
"""A network that stalled for a second may deliver that second at once."""

NOTE_EVERY = 4
"""Chunks (128 ms) between two notes of speech turning on or off: fewer than ten a second."""

SILENT_DB = -120.0

COUNTS = ("packets", "late", "empty", "flood", "undecodable", "holes", "chunks", "onsets", "barge_ins")
"""What came and what became of it: packets dropped for four reasons, holes, chunks heard, what was heard."""

_ids = count(1)
"""One count for all microphones: a conversation may get a second one, and its ids are idempotency keys."""


class Packet(Protocol):
    """What of an RTP packet is read here; `at` is the loop's time (s) of its arrival."""

    @property
    def ssrc(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def at(self) -> float: ...


class Track(Protocol):
    """The public end of a receiver, as aiortc has it."""

    @property
    def readyState(self) -> str: ...  # noqa: N802
    async def recv(self) -> object: ...


Tap = Callable[[Any, Callable[[Packet], None]], bool]
"""Hands a receiver's packets over in arrival order, before any jitter buffer; False: not with this library."""


class Microphone:
    """One call's ear. To be made before the answer is applied: from then on the tap hears.

    `run` is the body of one task; it ends when the track does, or when cancelled. `ear` None: the
    best one that starts here.
    """

    def __init__(
        self,
        receiver: Any,
        track: Track,
        conversation: Conversation,
        ear: Ear | None,
        *,
        tap: Tap,
        aec: bool | None = None,
    ) -> None:
        self._track = track
        self._conversation = conversation
        self._decoder = Decoder()
        self._arrivals = Arrivals()
        self._decimator = Decimator()
        self._gate = EchoGate(aec)
        self._pending: Float = EMPTY
        self._peer_heard = False
        self._allowance, self._refilled = float(BURST), -math.inf
        self._told, self._untold, self._since_note = Heard.END, Heard.END, NOTE_EVERY
        self._counts = dict.fromkeys(COUNTS, 0)
        self._broken: set[str] = set()
        self._listening = Listening()
        self._ear: Ear | None = None
        self._adopt(ear)
        self._tapped = tap(receiver, self.hear_packet)

    def tell_aec(self, aec: bool | None) -> None:
        """The browser said whether it cancels echo (`track.getSettings().echoCancellation`)."""
        self._gate.trust(aec)

    def counts(self) -> Mapping[str, int]:
        """What came and what became of it, since the call began."""
        return dict(self._counts)

    async def run(self) -> None:
        """Hear until the track ends. The ear is closed at the end, whichever way it comes."""
        self._conversation.note("ear", ear=self._ear_name(), path="tap" if self._tapped else "recv")
        try:
            if self._tapped:
                await self._watch()
            else:
                await self._drain()
        finally:
            self._close_ear()

    async def _drain(self) -> None:
        """The public way: every frame of the track, 80 ms later and worse under loss, but never left lying."""
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch())
            try:
                while True:
                    self.hear_frame(await self._track.recv())
            except MediaStreamError:
                watch.cancel()

    async def _watch(self) -> None:
        """End what was heard when nothing comes any more, until the track ends."""
        seen = -1
        while self._track.readyState != "ended":
            await asyncio.sleep(STARVED_S)
            if seen == self._counts["packets"] and self._listening.active:
                self._since_note = NOTE_EVERY
                self._hole()
            seen = self._counts["packets"]

    def hear_packet(self, packet: Packet) -> None:
        """One packet, at once. Never raises, never blocks longer than decoding takes."""
        self._counts["packets"] += 1
        if not self._afford(packet.at):
            self._counts["flood"] += 1
            return
        passed = self._arrivals.admit(packet.ssrc, packet.sequence, packet.timestamp)
        if passed is None:
            self._counts["late"] += 1
            return
        if not packet.payload:
            self._counts["empty"] += 1
            return
        if passed > HOLE:
            self._hole()
        pcm = self._decoder.decode(packet.payload)
        if pcm is None:
            self._undecodable("not Opus")
        else:
            self._hear(_float(pcm))

    def hear_frame(self, frame: object) -> None:
        """One decoded frame of the public track; anything but 48 kHz sound is counted and dropped."""
        self._counts["packets"] += 1
        if not isinstance(frame, av.AudioFrame) or frame.sample_rate != RATE:
            self._undecodable("not a frame of 48 kHz sound")
            return
        channels = frame.layout.nb_channels
        pcm = _float(frame.to_ndarray())
        self._hear(pcm.mean(axis=0) if frame.format.is_planar else pcm.reshape(-1, channels).mean(axis=1))

    def _hear(self, pcm: Float) -> None:
        """(n,) float32 at 48 kHz, into chunks of 32 ms; less than one chunk is kept."""
        self._pending = np.concatenate((self._pending, self._decimator.feed(pcm)))
        while len(self._pending) >= WINDOW:
            chunk, self._pending = self._pending[:WINDOW], self._pending[WINDOW:]
            self._hear_chunk(chunk)

    def _hear_chunk(self, pcm: Float) -> None:
        self._counts["chunks"] += 1
        self._since_note += 1
        speaking = self._conversation.speaking()
        level = level_db(pcm)
        if speaking and not self._peer_heard:
            self._tell(self._listening.peer_begins(), level, 0.0)
        self._peer_heard = speaking
        probability = self._ask(pcm)
        verdict = self._gate.judge(Chunk(level, self._conversation.far_level_db(), probability, speaking))
        self._tell(self._listening.hear(probability, verdict), level, probability)

    def _tell(self, heard: Heard | None, level: float, probability: float) -> None:
        """Act on an onset or an end, and note it: the act at once, the note when its turn comes."""
        match heard:
            case Heard.ONSET:
                self._untold = heard
                self._counts["onsets"] += 1
                if self._conversation.speaking():
                    self._barge_in()
            case Heard.END:
                self._untold = heard
            case None:
                pass
            case _:
                assert_never(heard)
        if self._untold is not self._told and self._since_note >= NOTE_EVERY:
            self._told, self._since_note = self._untold, 0
            self._conversation.note(
                "mic",
                self._told.value,
                speaking=self._told is Heard.ONSET,
                level_db=round(level, 1),
                probability=round(probability, 3),
                coupling_db=round(self._gate.coupling_db, 1),
            )

    def _barge_in(self) -> None:
        self._counts["barge_ins"] += 1
        self._conversation.submit(BargeIn(f"mic-{next(_ids)}", Cause.VOICE), SURFACE, self._answered)

    def _answered(self, response: Mapping[str, object]) -> None:
        """A barge-in is never refused; should it be, the timeline shows it."""
        result = response.get("result")
        if isinstance(result, Mapping):
            self._conversation.note("mic", "refused", refusal=result.get("refusal"))

    def _ask(self, pcm: Float) -> float:
        """The ear's probability; 0 when it fails, after which the next ear listens."""
        if self._ear is None:
            return 0.0
        try:
            return self._ear.hear(pcm)
        except AdapterError as reason:
            self._replace_ear(why=str(reason))
            return 0.0

    def _adopt(self, ear: Ear | None) -> None:
        """Listen with this ear; when it is None or cannot start, with the best that can."""
        if ear is None:
            return self._replace_ear("none was given")
        try:
            ear.warm_up()
        except Unavailable as reason:
            self._broken.add(ear.name)
            return self._replace_ear(str(reason))
        return self._listen_with(ear)

    def _replace_ear(self, why: str) -> None:
        """The best ear that has not failed in this call, or none; either way said aloud."""
        if self._ear is not None:
            self._broken.add(self._ear.name)
            self._close_ear()
        started = start_ear(without=frozenset(self._broken))
        self._listen_with(started.ear)
        reasons = "; ".join((why, *(f"{name}: {text}" for name, text in started.refused)))
        self._conversation.note("ear", "fallback" if self._ear else "deaf", ear=self._ear_name(), why=reasons)

    def _listen_with(self, ear: Ear | None) -> None:
        self._tell(self._listening.silence(), SILENT_DB, 0.0)
        self._ear = ear
        self._listening = Listening(1 if ear is None else ear.describe().onset_chunks)

    def _close_ear(self) -> None:
        if self._ear is not None:
            self._ear.close()
            self._ear = None

    def _ear_name(self) -> str | None:
        return None if self._ear is None else self._ear.name

    def _hole(self) -> None:
        """Forget the sound before a hole, and end what it held."""
        self._counts["holes"] += 1
        self._decimator.reset()
        self._pending = self._pending[:0]
        if self._ear is not None:
            self._ear.reset()
        self._tell(self._listening.silence(), SILENT_DB, 0.0)

    def _undecodable(self, why: str) -> None:
        """Count it; the timeline gets the 1st, 2nd, 4th, 8th …"""
        self._counts["undecodable"] += 1
        seen = self._counts["undecodable"]
        if seen & (seen - 1) == 0:
            self._conversation.note("mic", "undecodable", count=seen, why=why)

    def _afford(self, now: float) -> bool:
        """One packet's worth of the allowance, which refills with the time that packets carry."""
        refill = max(now - self._refilled, 0.0) * PACKETS_PER_S
        self._allowance, self._refilled = min(self._allowance + refill, BURST), now
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True


def _float(pcm: npt.NDArray[Any]) -> Float:
    """int16 or float32 as float32 in [-1, 1], shape kept."""
    if pcm.dtype == np.int16:
        return pcm.astype(np.float32) * np.float32(1.0 / 32768.0)
    return pcm.astype(np.float32, copy=False)


def level_db(pcm: Float) -> float:
    """Level of (n,) float32 in dBFS, -120 when silent; a full-scale square wave is 0."""
    power = float(np.dot(pcm, pcm)) / max(len(pcm), 1)
    return 10.0 * math.log10(max(power, 1e-12))
