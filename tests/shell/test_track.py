"""The outgoing track: paced by the clock, silent while idle, never hurrying after a stall."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from aiortc.mediastreams import MediaStreamError

from peer.core.frame import Kind
from peer.core.pcm import FRAME
from peer.track import FRAME_S, FrameTrack, SourceTrack, VoiceTrack

from .far import FakeSource, within


class Clock:
    """Time that moves only when someone sleeps or the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def make(source: FakeSource, clock: Clock, kind: type[SourceTrack] = VoiceTrack, **options: object) -> SourceTrack:
    return kind(source, clock=clock, sleep=clock.sleep, **options)  # type: ignore[arg-type]


async def test_frames_leave_at_their_deadlines() -> None:
    """Frame n is pulled at origin + n * 20 ms, numbers rise by one, the packet's pts is n * 960."""
    clock = Clock()
    source = FakeSource(origin=100.0)
    track = make(source, clock)
    for n in range(20):
        packet = await track.recv()
        assert packet.pts == n * FRAME
        assert clock.now == pytest.approx(100.0 + n * FRAME_S)
    assert source.read == list(range(20))


@pytest.mark.parametrize("stall_s", [0.031, 0.4, 1.5, 30.0])
async def test_after_a_stall_one_frame_leaves_and_not_a_burst(stall_s: float) -> None:
    """The late frame gets the number of now; the next ones wait for their deadlines again."""
    clock = Clock()
    source = FakeSource(origin=100.0)
    track = make(source, clock)
    for _ in range(5):
        await track.recv()
    clock.now += stall_s
    left = []
    for _ in range(5):
        packet = await track.recv()
        left.append((packet.pts // FRAME, clock.now))
    for n, at in left:
        assert 0 <= at - (100.0 + n * FRAME_S) < 0.030 + 1e-9
    assert all(b - a > 0.0 for (_, a), (_, b) in pairwise(left)), "a burst"
    assert source.read == sorted(set(source.read))


async def test_a_little_late_is_not_renumbered() -> None:
    """Timer jitter under 30 ms leaves no hole in the timestamps."""
    clock = Clock()
    source = FakeSource(origin=100.0)
    track = make(source, clock)
    for _ in range(10):
        clock.now += 0.009
        await track.recv()
    assert source.read == list(range(10))


async def test_hold_asks_again_at_the_next_deadline() -> None:
    """During a hold nothing is returned, numbers go on with the clock, the hole is in the timestamps."""
    clock = Clock()
    source = FakeSource([Kind.VOICE, Kind.HOLD, Kind.HOLD, Kind.VOICE], origin=100.0)
    track = make(source, clock)
    assert (await track.recv()).pts == 0
    assert (await track.recv()).pts == 3 * FRAME
    assert clock.now == pytest.approx(100.0 + 3 * FRAME_S)


async def test_idle_sends_nothing_and_wakes_at_once() -> None:
    """Idle waits for the source alone; woken in mid-slot, the frame leaves without another wait."""
    clock = Clock()
    source = FakeSource([Kind.VOICE, Kind.IDLE], origin=100.0)
    track = make(source, clock)
    await track.recv()
    waiting = asyncio.ensure_future(track.recv())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not waiting.done() and source.read == [0, 1], "an idle track asks once"
    clock.now = 100.0 + 51.4 * FRAME_S
    naps = len(clock.slept)
    source.woken.set()
    packet = await within(waiting)
    assert packet.pts == 51 * FRAME and len(clock.slept) == naps, "it waited although a slot had begun"
    packet = await track.recv()
    assert packet.pts == 52 * FRAME and clock.now == pytest.approx(100.0 + 52 * FRAME_S)


async def test_a_short_idle_does_not_leave_the_stream_behind() -> None:
    """Woken two slots later, the frame has the number of its own slot, not of the one after the last."""
    clock = Clock()
    source = FakeSource([Kind.IDLE], origin=100.0)
    track = make(source, clock)
    waiting = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0.01)
    clock.now = 100.0 + 2.2 * FRAME_S
    source.woken.set()
    assert (await within(waiting)).pts == 2 * FRAME


async def test_numbers_rise_even_when_woken_in_the_same_slot() -> None:
    """A source that wakes too early and is idle again is asked once per slot, not in a loop."""
    clock = Clock()
    source = FakeSource([Kind.IDLE, Kind.IDLE, Kind.IDLE], origin=100.0)
    track = make(source, clock)

    async def wake() -> None:
        await asyncio.sleep(0)

    source.wake = wake  # type: ignore[method-assign]
    assert (await within(track.recv())).pts == 3 * FRAME
    assert source.read == [0, 1, 2, 3]


async def test_a_track_that_joins_late_starts_at_the_clock() -> None:
    """A later call of the same conversation begins at the frame of now."""
    clock = Clock()
    source = FakeSource(origin=40.0)
    track = make(source, clock)
    assert (await track.recv()).pts == 3_000 * FRAME


async def test_sent_comes_with_the_true_timestamp_once_the_packet_left() -> None:
    """A frame is reported when the sender comes back for more, with origin + n * 960, wrapped."""
    clock = Clock()
    source = FakeSource([Kind.VOICE, Kind.HOLD], origin=100.0)
    origin = 2**32 - 1_000
    track = make(source, clock, rtp_origin=lambda: origin)
    await track.recv()
    assert source.sents == [], "not yet sent"
    await track.recv()
    assert source.sents == [(0, origin)]
    await track.recv()
    assert source.sents[-1] == (2, (origin + 2 * FRAME) % 2**32)
    assert track.frame_of(track.rtp_of(1) or 0) == 1
    assert track.frame_of((origin + 2 * FRAME + 959) % 2**32) == 2, "inside frame 2"
    assert track.frame_of((origin + 3 * FRAME) % 2**32) == 3


@pytest.mark.parametrize("kind", [VoiceTrack, FrameTrack])
async def test_a_broken_source_ends_the_track_loudly(kind: type[SourceTrack]) -> None:
    """Whatever the source raises becomes MediaStreamError, an ended track and one call of `on_fault`."""
    clock = Clock()
    source = FakeSource(origin=100.0)
    faults: list[Exception] = []
    track = make(source, clock, kind, on_fault=faults.append)
    await track.recv()
    source.fault = RuntimeError("boom")
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert track.readyState == "ended" and [str(fault) for fault in faults] == ["boom"]
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_cancelling_is_not_swallowed() -> None:
    """A cancelled recv ends at once: aiortc's close waits for it."""
    source = FakeSource([Kind.IDLE])
    track = VoiceTrack(source)
    waiting = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(waiting)
    assert track.readyState == "live"


async def test_the_frame_track_has_the_same_schedule() -> None:
    """The fallback hands out raw frames of 20 ms whose pts begin at 0."""
    clock = Clock()
    source = FakeSource([Kind.VOICE, Kind.HOLD, Kind.VOICE], origin=0.0)
    track = make(source, clock, FrameTrack)
    frames = [await track.recv(), await track.recv()]
    assert [frame.pts for frame in frames] == [0, 2 * FRAME]
    assert {(frame.samples, frame.format.name, frame.layout.name) for frame in frames} == {(960, "s16", "mono")}
    assert source.read == [5_000, 5_001, 5_002]


async def test_real_time_pacing_is_even() -> None:
    """On the real loop thirty frames take thirty slots: neither early nor bunched up."""
    loop = asyncio.get_running_loop()
    source = FakeSource()
    track = VoiceTrack(source)
    for _ in range(30):
        packet = await track.recv()
        assert loop.time() - source.origin >= packet.pts / 48_000 - 0.001, "too early"
    assert source.read == sorted(set(source.read))
