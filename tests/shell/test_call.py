"""A call from offer to end, between two peers in one process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from itertools import pairwise

import pytest
from aiortc import RTCPeerConnection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peer import guard
from peer.call import Call, Ending
from peer.core.errors import Refusal
from peer.core.frame import Kind
from peer.core.messages import Say
from peer.core.pcm import FRAME
from peer.guard import Arrival

from .far import FakeConversation, FakeSource, FarPeer, Silent, census, patched, until, within
from .test_sdp import GOOD


@pytest.fixture(autouse=True)
def guarded() -> None:
    guard.install(guard.Loopback.ONLY)


class Reader:
    """Ears that remember what came; `run` waits."""

    def __init__(self, receiver: object, track: object) -> None:
        self.arrivals: list[Arrival] = []
        self.tapped = guard.tap_rtp(receiver, self.arrivals.append)  # type: ignore[arg-type]

    async def run(self) -> None:
        await asyncio.Event().wait()


class Pair:
    """Our call and its far end."""

    def __init__(self, source: FakeSource | None = None, far: FarPeer | None = None, **options: object) -> None:
        self.conversation = FakeConversation(source or FakeSource())
        self.call = Call("c1", self.conversation, **options)  # type: ignore[arg-type]
        self.far = far or FarPeer()
        self.running: asyncio.Task[Ending] | None = None

    async def __aenter__(self) -> Pair:
        await self.far.accept(await self.call.answer(await self.far.offer()))
        self.running = asyncio.create_task(self.call.run())
        await self.far.connected()
        await self.far.channels_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await within(self.call.close())
        if self.running is not None:
            await within(self.running)
        await self.far.close()

    async def ended(self) -> Ending:
        assert self.running is not None
        ending = await within(asyncio.shield(self.running))
        assert isinstance(ending, Ending)
        return ending


async def test_a_call_connects_speaks_and_greets() -> None:
    """Voice packets arrive with rising sequence and exact timestamps, and hello says where they begin."""
    async with Pair() as pair:
        await until(lambda: len(pair.far.packets) >= 10 and pair.far.events("hello"))
        hello = pair.far.events("hello")[0]
        assert hello["token"] == "token" and hello["call"] == "c1"
        sent = {rtp: n for n, rtp in pair.conversation.source.sents}
        for rtp, _ in pair.far.packets[:8]:
            assert rtp == (hello["rtp"] + sent[rtp] * FRAME) % 2**32
            assert pair.call.frame_of(rtp) == sent[rtp] and pair.call.rtp_of(sent[rtp]) == rtp
        assert pair.conversation.noted("call", "connected")
    assert pair.conversation.listeners == []


async def test_the_answer_speaks_opus_only() -> None:
    """Whatever else is offered, the answer names one codec, and all candidates."""
    async with Pair() as pair:
        answer = pair.far.pc.remoteDescription.sdp
        maps = [line for line in answer.splitlines() if line.startswith("a=rtpmap")]
        assert len(maps) == 1 and "opus/48000/2" in maps[0]
        assert "a=candidate" in answer


async def test_idle_sends_nothing_and_wakes() -> None:
    """While the source idles no packet leaves; after a wake-up the next one does."""
    source = FakeSource([Kind.IDLE])
    async with Pair(source) as pair:
        await asyncio.sleep(0.2)
        assert pair.far.packets == []
        source.woken.set()
        await until(lambda: pair.far.packets)


async def test_messages_come_in_and_answers_go_out() -> None:
    """A request on the reliable channel is parsed, submitted and answered there."""
    async with Pair() as pair:
        pair.far.say("synchrony", {"id": "a", "intent": "say", "inputs": {"text": "hello"}})
        await until(lambda: {"id": "a", "result": "done"} in pair.far.heard["synchrony"])
        assert pair.conversation.messages == [(Say("a", "hello"), "channel")]


async def test_a_bug_in_the_conversation_does_not_kill_the_call() -> None:
    """An exception while a message is handled is noted; the call stays connected and works."""
    async with Pair() as pair:
        pair.conversation.bug = RuntimeError("our mistake")
        pair.far.say("synchrony", {"id": "a", "intent": "describe"})
        await until(lambda: pair.conversation.noted("channel", "fault"))
        pair.conversation.bug = None
        pair.far.say("synchrony", {"id": "b", "intent": "describe"})
        await until(lambda: {"id": "b", "result": "done"} in pair.far.heard["synchrony"])
        assert pair.far.pc.connectionState == "connected"


async def test_a_fault_in_the_source_ends_the_call() -> None:
    """No connected, silent call: run returns `fault`, and the far end is told."""
    async with Pair() as pair:
        await until(lambda: pair.far.packets)
        pair.conversation.source.fault = RuntimeError("boom")
        assert await pair.ended() is Ending.FAULT
        assert pair.conversation.noted("track", "fault")
        await until(lambda: pair.far.events("bye"))


async def test_the_far_end_hangs_up() -> None:
    """A closed connection is noticed at once, without waiting for any clock."""
    async with Pair() as pair:
        await pair.far.close()
        assert await pair.ended() is Ending.REMOTE


async def test_hanging_up_says_bye() -> None:
    """Closing from this side tells the reason before the transport goes."""
    async with Pair() as pair:
        await within(pair.call.close())
        assert await pair.ended() is Ending.HANGUP
        await until(lambda: pair.far.events("bye"))
        assert pair.far.events("bye")[0]["reason"] == "hangup"


async def test_a_silent_heartbeat_is_a_lost_call() -> None:
    """A page that reported its playout once and then says nothing is gone; one that never did is not."""
    async with Pair(heartbeat_s=0.5) as pair:
        await asyncio.sleep(1.2)
        assert not pair.running.done(), "no heartbeat was promised"
        pair.far.say("synchrony.now", {"intent": "playout", "inputs": {"rtp": 5}})
        assert await pair.ended() is Ending.LOST


async def test_a_peer_without_channels_that_falls_silent_is_lost() -> None:
    """No datagram for a while, not even a consent check, ends the call long before ICE would."""
    far = FarPeer(channels=False)
    async with Pair(far=far, silence_s=1.0) as pair:
        for _, ice in guard._transports(far.pc):
            for protocol in ice._connection._protocols:
                protocol.send_stun = lambda message, addr: None
                protocol.transport.sendto = lambda data, addr=None: None
        assert await pair.ended() is Ending.LOST
        assert pair.conversation.noted("call", "lost")


async def test_an_offer_nobody_follows_times_out() -> None:
    """Our own deadline ends a half-open call; aiortc would check for ever."""
    conversation = FakeConversation(FakeSource())
    call = Call("c2", conversation, connect_s=0.6)
    await call.answer(GOOD)
    assert await within(call.run()) is Ending.TIMEOUT


async def test_raw_packets_reach_the_microphone() -> None:
    """The tap hands over Opus payloads in order, without a decoder thread, and reports go back."""
    readers: list[Reader] = []

    def microphone(receiver: object, track: object) -> Reader:
        readers.append(Reader(receiver, track))
        return readers[-1]

    from peer.track import VoiceTrack

    before = census()[1]
    far = FarPeer(VoiceTrack(FakeSource()))
    with patched(guard, "REPORT_S", 0.1):
        async with Pair(far=far, microphone=microphone) as pair:
            reader = readers[0]
            await until(lambda: len(reader.arrivals) > 20)
            assert reader.tapped
            stamps = [arrival.timestamp for arrival in reader.arrivals[:20]]
            assert all((b - a) % 2**32 % FRAME == 0 for a, b in pairwise(stamps))
            assert all(arrival.payload for arrival in reader.arrivals)
            sender = pair.far.pc.getSenders()[0]

            async def reported() -> bool:
                return any(s.type == "remote-inbound-rtp" for s in (await sender.getStats()).values())

            async with asyncio.timeout(10):
                while not await reported():
                    await asyncio.sleep(0.05)
    assert census()[1] <= before + 1, "a decoder thread here (the far end has one of its own)"


async def test_without_a_microphone_nothing_is_received() -> None:
    """The inbound track is refused in the answer, so no queue can grow."""
    from peer.track import VoiceTrack

    far = FarPeer(VoiceTrack(FakeSource()))
    async with Pair(far=far):
        assert far.pc.getTransceivers()[0].currentDirection == "recvonly"


async def test_ears_that_fail_leave_the_call_alone() -> None:
    """A microphone that raises makes the call deaf, not dead."""

    class Broken:
        async def run(self) -> None:
            raise RuntimeError("no ear")

    async with Pair(far=FarPeer(Silent()), microphone=lambda receiver, track: Broken()) as pair:
        await until(lambda: pair.conversation.noted("microphone", "fault"))
        await until(lambda: len(pair.far.packets) > 5)
        assert not pair.running.done()


async def test_a_cancelled_run_still_closes() -> None:
    """Cancelling the task that runs the call closes the connection before the cancellation goes on."""
    async with Pair() as pair:
        pair.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await within(pair.running)
        await until(lambda: pair.far.pc.connectionState == "closed")
        pair.running = None


async def test_close_twice_and_before_anything() -> None:
    """Close works on a call that never answered, any number of times, at once."""
    call = Call("c3", FakeConversation(FakeSource()))
    await within(asyncio.gather(call.close(), call.close(), call.close()))
    await within(call.close())


async def test_calls_leave_nothing_behind() -> None:
    """After fifteen calls there are as many tasks, threads and file descriptors as after three."""

    async def one() -> None:
        async with Pair() as pair:
            await until(lambda: pair.far.packets)

    for _ in range(3):
        await one()
    await asyncio.sleep(0.05)
    before = census()
    for _ in range(12):
        await one()
    gc.collect()
    await until(lambda: census() <= before, 5)


async def _refuse_or_answer(offer: str) -> str:
    """One mutated offer: "refused" or "answered"; anything else raises. Always closed, in time."""
    call = Call("m", FakeConversation(FakeSource()))
    try:
        await within(call.answer(offer), 12)
        return "answered"
    except Refusal as refusal:
        assert refusal.code in ("sdp_broken", "sdp_large", "no_opus") and refusal.remedy
        return "refused"
    finally:
        await within(call.close(), 10)


BITS = ["\r\n", ":", " ", "a=", "m=", "9", "-1", "99999999999", "x", "\x00", "é", "audio", "opus", "actpass", "0", ""]


def mutate(text: str, seed: int) -> str:
    rng = random.Random(seed)
    lines = text.split("\r\n")
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                del lines[i]
            case 1:
                lines.insert(i, lines[rng.randrange(len(lines))] if lines else "")
            case 2:
                j = rng.randint(0, len(lines[i]))
                lines[i] = lines[i][:j] + rng.choice(BITS) + lines[i][j:]
            case 3:
                j = rng.randint(0, len(lines[i]))
                lines[i] = lines[i][:j] + lines[i][j + rng.randint(1, 5) :]
            case 4:
                lines[i] = lines[i][: rng.randint(0, len(lines[i]))]
        if not lines:
            lines = [""]
    return "\r\n".join(lines)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_mutated_offers_are_refused_or_answered(seed: int) -> None:
    """Whatever becomes of an offer, the outcome is a Refusal or an answer, and close completes."""
    assert asyncio.run(_refuse_or_answer(mutate(GOOD, seed))) in ("refused", "answered")


async def test_what_slips_through_the_reading_is_refused_too() -> None:
    """An exception from inside aiortc becomes a refusal, and nothing stays open behind it."""
    await asyncio.sleep(0)
    before = census()

    async def explode(self: RTCPeerConnection, description: object) -> None:
        raise AttributeError("half made")

    for name in ("setRemoteDescription", "setLocalDescription"):
        conversation = FakeConversation(FakeSource())
        with patched(RTCPeerConnection, name, explode), pytest.raises(Refusal, match="AttributeError"):
            await Call("x", conversation).answer(GOOD)
        assert conversation.noted("call", "closed")
    await until(lambda: census() <= before, 5)


async def test_a_close_that_fails_is_finished_by_hand() -> None:
    """When aiortc's close raises halfway, the sockets are closed all the same."""
    before = census()
    stock = RTCPeerConnection.close

    async def explode(self: RTCPeerConnection) -> None:
        raise AttributeError("half closed")

    call = Call("h", FakeConversation(FakeSource()))
    await call.answer(GOOD)
    assert census()[2] > before[2]
    with patched(RTCPeerConnection, "close", explode):
        await within(call.close())
    assert RTCPeerConnection.close is stock
    await until(lambda: census() <= before, 5)
