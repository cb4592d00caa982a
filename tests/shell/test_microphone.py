"""The microphone with real Opus and real Silero: what reaches the ear, when, and what becomes of it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from itertools import pairwise
from typing import Any, ClassVar
from wave import open as open_wave

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError

from adapters import ears
from adapters.ears.base import EarDescriptor
from peer import guard
from peer.core.errors import Broken, Unavailable
from peer.core.messages import BargeIn, Cause
from peer.core.pcm import FRAME, RATE
from peer.microphone import BURST, HOLE, PACKETS_PER_S, Microphone, level_db
from peer.opus import Encoder, audio_frame

ESPEAK = shutil.which("espeak-ng")
needs_speech = pytest.mark.skipif(ESPEAK is None, reason="no speech to hear: install espeak-ng (apt install espeak-ng)")
CHUNKS_PER_PACKET = 20 / 32


@dataclass(frozen=True, slots=True)
class Packet:
    sequence: int
    timestamp: int
    payload: bytes
    ssrc: int = 1
    at: float = 0.0


@dataclass(slots=True)
class Conversation:
    """What a session looks like from the microphone."""

    far: float = -120.0
    talking: bool = False
    asked: list[BargeIn] = field(default_factory=list)
    notes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def submit(self, message: BargeIn, surface: str, reply: Callable[[Mapping[str, object]], None]) -> None:
        assert surface == "microphone"
        self.asked.append(message)
        reply({"id": message.id, "result": "done"})

    def note(self, stage: str, result: str = "ok", **fields: object) -> None:
        self.notes.append((stage, result, fields))

    def speaking(self) -> bool:
        return self.talking

    def far_level_db(self) -> float:
        return self.far

    def heard(self) -> list[str]:
        """Onsets and ends, in order."""
        return [result for stage, result, _ in self.notes if stage == "mic" and result in ("onset", "end")]


class Track:
    """A public track: frames, then its end."""

    def __init__(self, frames: Iterable[av.AudioFrame] = ()) -> None:
        self._frames = iter(frames)
        self.readyState = "live"

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0)
        frame = next(self._frames, None)
        if frame is None:
            self.readyState = "ended"
            raise MediaStreamError
        return frame


class BrokenEar:
    """Starts, and fails at its third chunk."""

    name: ClassVar[str] = "silero"

    def __init__(self) -> None:
        self.left = 2
        self.closed = 0

    @classmethod
    def describe(cls) -> EarDescriptor:
        return EarDescriptor(cls.name, "0", "none")

    def warm_up(self) -> None: ...

    def hear(self, pcm: np.ndarray) -> float:
        self.left -= 1
        if self.left < 0:
            raise Broken("gone")
        return 0.0

    def reset(self) -> None: ...

    def close(self) -> None:
        self.closed += 1


class ColdEar(BrokenEar):
    def warm_up(self) -> None:
        raise Unavailable("no weights: pip install them")


def _tap(_: object, __: object) -> bool:
    return True


def _no_tap(_: object, __: object) -> bool:
    return False


def _microphone(conversation: Conversation, **given: Any) -> Microphone:
    given = {"tap": _tap, "ear": None, "track": Track()} | given
    return Microphone(object(), given.pop("track"), conversation, given.pop("ear"), **given)


@cache
def _speech(text: str, voice: str = "en-us") -> np.ndarray:
    """A sentence, (n,) float32 at 48 kHz, -20 dBFS."""
    made = subprocess.run([str(ESPEAK), "-v", voice, "--stdout", text], capture_output=True, check=True).stdout
    with open_wave(BytesIO(made)) as sound:
        rate = sound.getframerate()
    pcm = np.frombuffer(made[44:], np.int16).astype(np.float64) / 32768
    pcm = np.interp(np.arange(0, len(pcm), rate / RATE), np.arange(len(pcm)), pcm)
    return (pcm * 0.1 / np.sqrt(np.mean(pcm**2))).astype(np.float32)


def _quiet(seconds: float, level: float = 0.0005, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, int(seconds * RATE)).astype(np.float32)


def _packets(pcm: np.ndarray, sequence: int = 0) -> list[Packet]:
    """Real Opus, 20 ms each, arriving in time."""
    encoder = Encoder()
    frames = (np.clip(pcm[: len(pcm) // FRAME * FRAME], -1, 1) * 32767).astype(np.int16).reshape(-1, FRAME)
    return [
        Packet((sequence + n) % 65_536, n * FRAME % 2**32, encoder.encode(frame), at=n * 0.02)
        for n, frame in enumerate(frames)
    ]


def _feed(microphone: Microphone, packets: Iterable[Packet]) -> None:
    for packet in packets:
        microphone.hear_packet(packet)


@needs_speech
def test_a_sentence_is_an_onset_and_an_end() -> None:
    """Speech while the peer is silent is noted with its level and interrupts nobody."""
    conversation = Conversation()
    microphone = _microphone(conversation)
    _feed(microphone, _packets(np.concatenate((_quiet(0.5), _speech("wait a moment please"), _quiet(1.0)))))
    assert conversation.heard() == ["onset", "end"]
    onset = next(fields for stage, result, fields in conversation.notes if result == "onset")
    assert onset["speaking"] is True and -60 < onset["level_db"] < -5
    assert conversation.asked == []


@needs_speech
@pytest.mark.parametrize("sequence", [0, 65_520])
def test_an_onset_while_the_peer_speaks_is_a_barge_in(sequence: int) -> None:
    """A word over the peer's voice is one barge-in by voice, under an id nobody used before."""
    ids = set()
    for _ in range(2):
        conversation = Conversation(far=-22.0)
        microphone = _microphone(conversation, aec=True)
        sound = _packets(np.concatenate((_quiet(3.0), _speech("stop please"), _quiet(0.5))), sequence)
        conversation.talking = True
        _feed(microphone, sound)
        assert [asked.cause for asked in conversation.asked] == [Cause.VOICE]
        ids.add(conversation.asked[0].id)
    assert len(ids) == 2


@needs_speech
def test_an_onset_is_decided_within_few_packets() -> None:
    """From the packet that holds the first sound to the barge-in it takes at most 120 ms of sound."""
    word = _speech("stop")
    first = int(np.argmax(np.abs(word) > 0.02))
    conversation = Conversation()
    microphone = _microphone(conversation)
    packets = _packets(np.concatenate((_quiet(3.0), word)))
    _feed(microphone, packets[:150])
    conversation.talking = True
    microphone._gate._warmed = 10_000
    deciding = next(n for n, packet in enumerate(packets[150:]) if microphone.hear_packet(packet) or conversation.asked)
    assert deciding - first // FRAME <= 6


def _noise(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    t = np.arange(4 * RATE) / RATE
    match kind:
        case "silence":
            return np.zeros(4 * RATE)
        case "white":
            return rng.normal(0, 0.05, 4 * RATE)
        case "tone":
            return 0.3 * np.sin(2 * np.pi * 440 * t)
        case "clicks":
            clicks = np.zeros(4 * RATE)
            clicks[rng.integers(0, 4 * RATE, 30)] = 0.9
            return clicks
        case _:
            return 0.3 * np.sign(np.sin(2 * np.pi * 50 * t))


@pytest.mark.parametrize("kind", ["silence", "white", "tone", "clicks", "hum"])
def test_what_is_not_speech_interrupts_nobody(kind: str) -> None:
    """Through Opus and with the peer speaking, no noise is an onset, though every chunk of it was heard."""
    conversation = Conversation(far=-22.0, talking=True)
    microphone = _microphone(conversation, aec=True)
    _feed(microphone, _packets(_noise(kind).astype(np.float32)))
    assert conversation.asked == [] and conversation.heard() == []
    assert microphone.counts()["chunks"] == int(200 * CHUNKS_PER_PACKET)


@needs_speech
def test_telephone_sound_is_heard() -> None:
    """Speech with nothing above 4 kHz, as from a telephone, is an onset too."""
    pcm = _speech("wait a moment please")
    spectrum = np.fft.rfft(pcm)
    spectrum[int(3_400 / (RATE / 2) * len(spectrum)) :] = 0
    conversation = Conversation()
    _feed(
        _microphone(conversation),
        _packets(np.concatenate((_quiet(0.5), np.fft.irfft(spectrum).astype(np.float32), _quiet(1)))),
    )
    assert conversation.heard()[:1] == ["onset"]


def test_a_lost_packet_adds_no_latency() -> None:
    """Each packet is heard when it comes, before and after losses: chunks follow packets, never held back."""
    microphone = _microphone(Conversation())
    packets = _packets(_quiet(4.0))
    lost = {50, 90, 91, 92, 140}
    arrived = 0
    for n, packet in enumerate(packets):
        if n in lost:
            continue
        microphone.hear_packet(packet)
        arrived += 1
        assert microphone.counts()["chunks"] == int(arrived * CHUNKS_PER_PACKET)
    assert arrived == len(packets) - len(lost)
    assert microphone.counts()["late"] == 0


def test_stock_jitter_buffer_does_add_latency() -> None:
    """The reason for the tap: behind aiortc's own buffer one loss keeps 14 packets back for ever."""
    from aiortc.jitterbuffer import JitterBuffer
    from aiortc.rtp import RtpPacket

    buffer, out = JitterBuffer(capacity=16, prefetch=4), 0
    for n in range(150):
        if n == 50:
            continue
        packet = RtpPacket(sequence_number=n, timestamp=n * FRAME)
        packet._data = b"x"  # type: ignore[attr-defined]
        out += buffer.add(packet)[1] is not None
    assert 149 - out >= 14, "aiortc mends its buffer: the public track would do"


def test_reordered_and_repeated_packets() -> None:
    """A packet that comes behind its successor, or again, is dropped and counted, and costs no sound but its own."""
    microphone = _microphone(Conversation())
    packets = _packets(_quiet(1.0))
    shuffled = [*packets[:10], packets[11], packets[10], *packets[12:20], packets[15], packets[19], *packets[20:]]
    _feed(microphone, shuffled)
    counts = microphone.counts()
    assert counts["late"] == 3
    assert counts["chunks"] == int((len(packets) - 1) * CHUNKS_PER_PACKET)


def test_garbage_never_raises_and_is_forgotten() -> None:
    """Whatever bytes come as payload, the next honest packet is heard, and the timeline is told a few times only."""
    conversation = Conversation()
    microphone = _microphone(conversation)
    rng = np.random.default_rng(11)
    for n in range(600):
        payload = rng.bytes(int(rng.integers(0, 400)))
        microphone.hear_packet(Packet(n, n * FRAME, payload, at=n * 0.02))
    counts = microphone.counts()
    assert counts["undecodable"] > 50
    assert sum(result == "undecodable" for _, result, _ in conversation.notes) <= 11
    before = counts["chunks"]
    _feed(microphone, [Packet(600 + p.sequence, p.timestamp, p.payload, at=12 + p.at) for p in _packets(_quiet(1.0))])
    assert microphone.counts()["chunks"] - before >= int(49 * CHUNKS_PER_PACKET)


def test_an_empty_payload_does_not_deafen() -> None:
    """libav takes an empty packet for the end of the stream; here it is counted and the next one heard."""
    microphone = _microphone(Conversation())
    packets = _packets(_quiet(1.0))
    for n, packet in enumerate(packets):
        given = Packet(packet.sequence, packet.timestamp, b"", at=packet.at) if n == 10 else packet
        microphone.hear_packet(given)
    assert microphone.counts()["empty"] == 1
    assert microphone.counts()["chunks"] == int((len(packets) - 1) * CHUNKS_PER_PACKET)


def test_a_flood_is_dropped_before_it_is_decoded() -> None:
    """Beyond one burst and the honest rate nothing is decoded, and honest packets are heard again soon after."""
    microphone = _microphone(Conversation())
    packet = _packets(_quiet(0.02))[0]
    for n in range(5_000):
        microphone.hear_packet(Packet(n, n * FRAME, packet.payload, at=n * 0.0001))
    passed = 5_000 - microphone.counts()["flood"]
    assert BURST <= passed <= BURST + 0.5 * PACKETS_PER_S + 1
    before = microphone.counts()["flood"]
    _feed(microphone, [Packet(5_000 + n, n * FRAME, packet.payload, at=1 + n * 0.02) for n in range(50)])
    assert microphone.counts()["flood"] == before


@needs_speech
def test_a_hole_ends_speech() -> None:
    """When the sender's time jumps in mid-word, what was heard ends; nothing waits for the missing."""
    conversation = Conversation()
    microphone = _microphone(conversation)
    packets = _packets(np.concatenate((_quiet(0.5), _speech("one two three four five six"))))
    _feed(microphone, packets[:60])
    assert conversation.heard() == ["onset"]
    later = [Packet(p.sequence, p.timestamp + HOLE, p.payload, at=p.at + 1) for p in _packets(_quiet(0.5), 61)]
    _feed(microphone, [Packet(p.sequence, p.timestamp + 60 * FRAME, p.payload, at=p.at) for p in later])
    assert conversation.heard() == ["onset", "end"]
    assert microphone.counts()["holes"] == 1


@needs_speech
async def test_a_microphone_that_falls_silent_is_not_speaking_for_ever() -> None:
    """When packets stop in mid-word, the end is noted all the same, and the task ends with its track."""
    conversation, track = Conversation(), Track()
    microphone = _microphone(conversation, track=track)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(microphone.run())
        _feed(microphone, _packets(np.concatenate((_quiet(0.5), _speech("one two three four"))))[:60])
        while conversation.heard() != ["onset", "end"]:
            await asyncio.sleep(0.05)
        track.readyState = "ended"


@needs_speech
async def test_the_public_track_when_there_is_no_tap() -> None:
    """Beside another aiortc every frame of the track is read to its end, stereo too, and speech is heard."""
    pcm = np.concatenate((_quiet(0.5), _speech("wait a moment please"), _quiet(1.0)))
    mono = (pcm[: len(pcm) // FRAME * FRAME] * 32767).astype(np.int16).reshape(-1, FRAME)
    frames = []
    for n, one in enumerate(mono):
        frame = av.AudioFrame.from_ndarray(np.repeat(one, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        frames.append(frame if n % 2 else audio_frame(one, n * FRAME))
    conversation = Conversation()
    microphone = _microphone(conversation, track=Track(frames), tap=_no_tap)
    await microphone.run()
    assert conversation.heard() == ["onset", "end"]
    assert microphone.counts()["packets"] == len(frames)
    assert microphone.counts()["chunks"] == int(len(frames) * CHUNKS_PER_PACKET)
    assert ("ear", "ok", {"ear": "silero", "path": "recv"}) in conversation.notes


async def test_a_frame_of_another_rate_is_counted() -> None:
    """A frame that is not 48 kHz sound is dropped aloud and the track read on."""
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 160), np.int16), format="s16", layout="mono")
    frame.sample_rate = 8_000
    conversation = Conversation()
    microphone = _microphone(conversation, track=Track([frame, frame]), tap=_no_tap)
    await microphone.run()
    assert microphone.counts()["undecodable"] == 2


def test_an_ear_that_fails_is_replaced_and_said() -> None:
    """When an ear breaks in mid-call the next one listens, the timeline says why, and the call goes on."""
    conversation, ear = Conversation(), BrokenEar()
    microphone = _microphone(conversation, ear=ear)
    _feed(microphone, _packets(_quiet(1.0)))
    said = [(result, fields["ear"]) for stage, result, fields in conversation.notes if stage == "ear"]
    assert said == [("fallback", "energy")]
    assert ear.closed == 1
    assert microphone.counts()["chunks"] == int(50 * CHUNKS_PER_PACKET)


def test_an_ear_that_cannot_start_is_replaced_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cold ear falls back with its reason; when none starts at all, the call is deaf, says so and drains on."""
    conversation = Conversation()
    _microphone(conversation, ear=ColdEar())
    assert [(result, fields["ear"]) for _, result, fields in conversation.notes] == [("fallback", "energy")]
    assert "pip install" in conversation.notes[0][2]["why"]
    monkeypatch.setattr(ears, "EARS", {})
    deaf = Conversation()
    microphone = _microphone(deaf, ear=ColdEar())
    assert [result for _, result, _ in deaf.notes] == ["deaf"]
    _feed(microphone, _packets(_quiet(0.5)))
    assert microphone.counts()["chunks"] == int(25 * CHUNKS_PER_PACKET)


class SureEar(BrokenEar):
    """Takes everything for speech."""

    def hear(self, pcm: np.ndarray) -> float:
        return 1.0


def test_notes_are_fewer_than_ten_a_second() -> None:
    """Onsets and ends that follow each other as fast as they can are noted at most ten times a second, in turn."""
    conversation = Conversation(far=-120.0, talking=False)
    microphone = _microphone(conversation, ear=SureEar())
    tone = 0.2 * np.sin(2 * np.pi * 300 * np.arange(4 * RATE) / RATE)
    jumps = [Packet(p.sequence, p.timestamp + p.sequence // 2 * HOLE, p.payload, at=p.at) for p in _packets(tone)]
    _feed(microphone, jumps)
    heard = conversation.heard()
    chunks = microphone.counts()["chunks"]
    assert microphone.counts()["onsets"] > chunks // 2
    assert 0 < len(heard) <= chunks * 0.032 * 10
    assert all(a != b for a, b in pairwise(heard))


PEER_SAYS = (
    "The weather tomorrow will be mostly cloudy with a little rain in the morning, and it clears up in the "
    "afternoon. Temperatures stay mild, between ten and fourteen degrees, with a light wind from the west."
)


def _overheard(near: np.ndarray, far: np.ndarray, conversation: Conversation, aec: bool | None) -> None:
    """Play `far` through the session and `near` at the microphone, with the session's own level rule."""
    microphone = _microphone(conversation, aec=aec)
    levels = [level_db(far[n : n + FRAME]) for n in range(0, len(far) - FRAME, FRAME)]
    for n, packet in enumerate(_packets(near)):
        recent = levels[max(0, n - 17) : n + 1]
        conversation.far = max(recent, default=-120.0)
        conversation.talking = n < len(levels)
        microphone.hear_packet(packet)


def _echo_of(far: np.ndarray, gain_db: float, delay_ms: float = 120.0) -> np.ndarray:
    """`far` as a room returns it: late, smeared over 60 ms, `gain_db` louder."""
    rng = np.random.default_rng(5)
    taps = rng.normal(0, 1, int(0.06 * RATE)) * np.exp(-np.arange(int(0.06 * RATE)) / (0.012 * RATE))
    size = len(far) + len(taps)
    room = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(taps, size), size)[: len(far)]
    room *= 10 ** (gain_db / 20) * np.sqrt(np.mean(far**2) / np.mean(room**2))
    return np.concatenate((_quiet(delay_ms / 1000), room.astype(np.float32)))[: len(far)] + _quiet(len(far) / RATE)


@needs_speech
@pytest.mark.parametrize(
    ("gain_db", "aec"),
    [(-10.0, False), (-10.0, None), (-20.0, False), (-20.0, True), (-30.0, None), (-30.0, True)],
)
def test_the_peers_own_echo_interrupts_nobody(gain_db: float, aec: bool | None) -> None:
    """The peer's voice back from the room is speech to any ear, and still no barge-in."""
    far = np.tile(_speech(PEER_SAYS), 2)
    conversation = Conversation()
    echo = _echo_of(far, gain_db)
    _overheard(echo, far, conversation, aec)
    assert conversation.asked == []
    ear = ears.open_ear("silero")
    sound = np.interp(np.arange(0, len(echo), 3), np.arange(len(echo)), echo).astype(np.float32)
    likely = [ear.hear(sound[n : n + 512]) >= 0.5 for n in range(0, len(sound) - 512, 512)]
    assert sum(likely) > 20, "without the gate this echo would interrupt"


@needs_speech
@pytest.mark.parametrize("gain_db", [-20.0, -30.0, -60.0])
def test_a_talker_over_the_peers_echo_interrupts(gain_db: float) -> None:
    """Somebody at the peer's own loudness is heard over its echo, once."""
    far = np.tile(_speech(PEER_SAYS), 2)
    near = _echo_of(far, gain_db)
    start = int(9.0 * RATE)
    words = _speech("hold on, stop, I have a question about that", "en-gb") * 1.5
    near[start : start + len(words)] += words
    conversation = Conversation()
    _overheard(near, far, conversation, True)
    assert len(conversation.asked) >= 1


class Spoken(MediaStreamTrack):
    """A caller's microphone: the given sound, paced by the loop's clock."""

    kind = "audio"

    def __init__(self, pcm: np.ndarray) -> None:
        super().__init__()
        self._frames = (pcm[: len(pcm) // FRAME * FRAME] * 32767).astype(np.int16).reshape(-1, FRAME)
        self._next = 0
        self._origin = 0.0

    async def recv(self) -> av.AudioFrame:
        now = asyncio.get_running_loop().time()
        self._origin = self._origin or now
        await asyncio.sleep(max(self._origin + self._next * 0.02 - now, 0))
        frame = audio_frame(self._frames[self._next % len(self._frames)], self._next * FRAME)
        self._next += 1
        return frame


@needs_speech
@pytest.mark.parametrize("guarded", [True, False])
async def test_in_a_call(guarded: bool) -> None:
    """In a real call, by the tap or by the public track, speech over the peer is a barge-in, and no thread is left."""
    conversation, made = Conversation(far=-22.0, talking=True), []
    guard.install(guard.Loopback.ONLY)
    caller, callee = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))

    @callee.on("track")
    def listen(track: MediaStreamTrack) -> None:
        (receiver,) = callee.getReceivers()
        tap = guard.tap_rtp if guarded else _no_tap
        made.append(Microphone(receiver, track, conversation, None, tap=tap))

    try:
        caller.addTrack(Spoken(np.concatenate((_quiet(0.5), _speech("stop please, wait a moment")))))
        await caller.setLocalDescription(await caller.createOffer())
        await callee.setRemoteDescription(caller.localDescription)
        await callee.setLocalDescription(await callee.createAnswer())
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(made[0].run())
            await caller.setRemoteDescription(callee.localDescription)
            while not conversation.asked:
                await asyncio.sleep(0.02)
            await callee.close()
    finally:
        await caller.close()
        await callee.close()
        guard.uninstall()
    paths = [fields["path"] for stage, result, fields in conversation.notes if stage == "ear" and result == "ok"]
    assert paths == ["tap" if guarded else "recv"]
    assert conversation.asked[0].cause is Cause.VOICE
    assert made[0].counts()["undecodable"] == 0
    assert not [thread.name for thread in threading.enumerate() if "decoder" in thread.name]
