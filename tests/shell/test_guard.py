"""The guard against datagrams, the faster ICE, and the proof that upstream still needs both.

No payload here is meant for an unguarded peer: everything is fed in-process, to single functions.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import aioice.ice
import aioice.stun
import aiortc.rtcsctptransport as sctp
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcsctptransport import InitChunk, SackChunk, serialize_packet
from hypothesis import given, settings
from hypothesis import strategies as st

from peer import guard

from .far import FakeSource, FarPeer, Silent, patched, until
from .test_call import Pair, Reader


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    guard.install(guard.Loopback.ONLY)
    yield
    guard.install(guard.Loopback.ONLY)


def dropped(reason: str) -> int:
    counts = guard.status()["dropped"]
    assert isinstance(counts, dict)
    return int(counts[reason])


class Connection:
    """As much of an ICE connection as the guard looks at."""

    def __init__(self) -> None:
        self._check_list: list[object] = []
        self._queue: asyncio.Queue[object] = asyncio.Queue()
        self.requests: list[object] = []

    def data_received(self, data: bytes, component: int) -> None:
        self._queue.put_nowait((data, component))

    def request_received(self, message: object, addr: object, protocol: object) -> None:
        self.requests.append(message)


PEER = ("192.0.2.9", 5_000)
DTLS = b"\x16\xfe\xfd" + bytes(20)


def protocol_with(state: str | None = "SUCCEEDED") -> tuple[aioice.ice.StunProtocol, Connection]:
    connection = Connection()
    protocol = aioice.ice.StunProtocol(connection)  # type: ignore[arg-type]
    host = {"component": 1, "transport": "udp", "priority": 1, "type": "host"}
    protocol.local_candidate = aioice.Candidate(foundation="a", host="127.0.0.1", port=1, **host)  # type: ignore[arg-type]
    if state is not None:
        remote = aioice.Candidate(foundation="b", host=PEER[0], port=PEER[1], **host)  # type: ignore[arg-type]
        remote._network_host = PEER[0]
        pair = aioice.ice.CandidatePair(protocol, remote)
        pair.state = aioice.ice.CandidatePair.State[state]
        connection._check_list.append(pair)
    return protocol, connection


def check() -> bytes:
    return bytes(aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST))


def broken_check() -> bytes:
    """STUN whose fingerprint attribute is too short to unpack."""
    head = struct.pack("!HHI12s", 1, 4, 0x2112A442, bytes(12))
    return head + struct.pack("!HH", 0x8028, 0)


async def test_an_empty_datagram_goes_nowhere() -> None:
    """No byte, no effect, from whomever: counted as `empty`."""
    protocol, connection = protocol_with()
    before = dropped("empty")
    protocol.datagram_received(b"", PEER)
    assert connection._queue.empty() and dropped("empty") == before + 1


@pytest.mark.parametrize("state", [None, "FROZEN", "WAITING", "IN_PROGRESS", "FAILED"])
async def test_data_from_an_unproven_source_goes_nowhere(state: str | None) -> None:
    """DTLS and RTP pass only from an address that ICE has validated on this socket."""
    protocol, connection = protocol_with(state)
    before = dropped("src")
    protocol.datagram_received(DTLS, PEER)
    assert connection._queue.empty() and dropped("src") == before + 1


async def test_data_from_the_validated_peer_passes() -> None:
    """The same bytes pass from the proven address, also as IPv6's four-tuple, not from its neighbours."""
    protocol, connection = protocol_with()
    protocol.datagram_received(DTLS, PEER)
    protocol.datagram_received(DTLS, (*PEER, 0, 0))
    for other in ((PEER[0], PEER[1] + 1), ("192.0.2.8", PEER[1])):
        protocol.datagram_received(DTLS, other)
    assert connection._queue.qsize() == 2


async def test_a_validated_pair_counts_for_its_own_socket_only() -> None:
    """A pair proven on one socket opens no other socket."""
    protocol, connection = protocol_with()
    other = aioice.ice.StunProtocol(connection)  # type: ignore[arg-type]
    other.local_candidate = protocol.local_candidate
    other.datagram_received(DTLS, PEER)
    assert connection._queue.empty()


async def test_the_queue_is_bounded() -> None:
    """A flood from the peer itself fills the queue to its limit and no further."""
    protocol, connection = protocol_with()
    before = dropped("full")
    for _ in range(1_000):
        protocol.datagram_received(DTLS, PEER)
    assert connection._queue.qsize() == guard.MAX_QUEUE + 1
    assert dropped("full") - before == 1_000 - guard.MAX_QUEUE - 1


async def test_stun_passes_from_anywhere() -> None:
    """ICE must hear checks from addresses it does not know yet."""
    protocol, connection = protocol_with(None)
    protocol.datagram_received(check(), ("203.0.113.7", 9))
    assert len(connection.requests) == 1


@pytest.mark.parametrize("rubbish", [b"\x00", b"\x01\x02\x03", bytes(20), check()[:19], check() + b"x", broken_check()])
async def test_what_only_begins_like_stun_goes_nowhere(rubbish: bytes) -> None:
    """A first byte of 0 to 3 is no passport: without a valid message nothing reaches queue or handler."""
    protocol, connection = protocol_with(None)
    protocol.datagram_received(rubbish, PEER)
    assert connection._queue.empty() and not connection.requests


async def test_broken_stun_from_the_peer_raises_nothing() -> None:
    """What upstream's parser cannot unpack is dropped and counted, whoever sent it."""
    protocol, _ = protocol_with()
    before = dropped("stun")
    protocol.datagram_received(broken_check(), PEER)
    assert dropped("stun") == before + 1


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=80), st.booleans(), st.integers(0, 5))
def test_no_datagram_raises(tail: bytes, stunny: bool, kind: int) -> None:
    """Any bytes, from known and unknown addresses, end without an exception."""

    async def feed() -> None:
        protocol, _ = protocol_with("SUCCEEDED" if kind % 2 else None)
        head = struct.pack("!HHI12s", kind, len(tail), 0x2112A442, bytes(12)) if stunny else b""
        protocol.datagram_received(head + tail, PEER)

    asyncio.run(feed())


# ---------------------------------------------------------------- SCTP


@given(st.lists(st.tuples(st.integers(0, 65_535), st.binary(max_size=40)), max_size=8))
def test_good_parameters_decode_as_before(params: list[tuple[int, bytes]]) -> None:
    """What a well-behaved peer encodes, guard and upstream decode alike."""
    body = sctp.encode_params(params)
    assert sctp.decode_params(body) == params == guard.ORIGINAL["decode_params"](body)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 9, 65_535])
def test_impossible_parameter_lengths_are_refused(length: int) -> None:
    """A length under the parameter's own header, or beyond the chunk, is a ValueError."""
    sctp.decode_params(struct.pack("!HHI", 7, 8, 0))
    with pytest.raises(ValueError, match="length"):
        sctp.decode_params(struct.pack("!HHI", 7, length, 0))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=120))
def test_any_parameter_bytes_end(body: bytes) -> None:
    """Every byte string decodes or is a ValueError, and quickly."""
    began = time.monotonic()
    with suppress(ValueError):
        sctp.decode_params(body)
    assert time.monotonic() - began < 1.0


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=100))
def test_any_chunk_is_parsed_or_a_value_error(kind: int, body: bytes) -> None:
    """A packet with a right checksum and any chunk in it is parsed or a ValueError."""

    class Any(sctp.Chunk):
        type = kind

    Any.body = body
    with suppress(ValueError):
        sctp.parse_packet(serialize_packet(5_000, 5_000, 1, Any(body=body)))


def packet_of(*chunks: sctp.Chunk) -> bytes:
    class Joined(sctp.Chunk):
        def __bytes__(self) -> bytes:
            return b"".join(bytes(chunk) for chunk in chunks)

    return serialize_packet(5_000, 5_000, 0, Joined())


def test_an_init_travels_alone() -> None:
    """In company it is a ValueError, which its reader ignores, instead of a failed assertion."""
    sctp.parse_packet(packet_of(InitChunk()))
    with pytest.raises(ValueError, match="INIT"):
        sctp.parse_packet(packet_of(InitChunk(), SackChunk()))


def test_gap_blocks_cost_what_they_can_name() -> None:
    """Overlapping gap blocks would walk the same TSNs again and again: over 65,535 they are refused."""
    sack = SackChunk()
    sack.gaps = [(2, 3), (5, 9)]
    sctp.parse_packet(packet_of(sack))
    sack.gaps = [(0, 65_535), (0, 65_535)]
    with pytest.raises(ValueError, match="gap"):
        sctp.parse_packet(packet_of(sack))


async def test_sctp_that_breaks_inside_leaves_the_call_alone() -> None:
    """A chunk that parses and breaks its reader is dropped; the channel goes on working."""
    async with Pair() as pair:
        inside = pair.call._pc.sctp
        before = dropped("sctp")
        chunk = sctp.ReconfigChunk()
        chunk.params = [(13, b"\x00")]
        await inside._handle_data(serialize_packet(5_000, 5_000, inside._local_verification_tag, chunk))
        assert dropped("sctp") == before + 1
        pair.far.say("synchrony", {"id": "a", "intent": "describe"})
        await until(lambda: {"id": "a", "result": "done"} in pair.far.heard["synchrony"])


async def test_beyond_our_window_data_is_dropped() -> None:
    """A peer that ignores the window it was given stops being heard, and costs no more memory."""
    async with Pair() as pair:
        inside = pair.call._pc.sctp
        before = dropped("window")
        with patched(inside, "_advertised_rwnd", -guard.MAX_OVERDRAFT - 1):
            await inside._handle_data(b"anything")
        assert dropped("window") == before + 1


# ---------------------------------------------------------------- connections


@pytest.mark.parametrize("payload", [b"", DTLS, b"\x80\x6f" + bytes(40), b"\x01"], ids=["empty", "dtls", "rtp", "stun"])
async def test_a_stranger_cannot_disturb_a_call(payload: bytes) -> None:
    """Datagrams from an unproven address, before and after the handshake: the call comes up and stays."""
    far = FarPeer()
    pair = Pair(far=far)
    answer = await pair.call.answer(await far.offer())
    loop = asyncio.get_running_loop()
    ports = [c.port for _, ice in guard._transports(pair.call._pc) for c in ice._connection.local_candidates]
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))

    def shoot() -> None:
        for port in ports:
            transport.sendto(payload, ("127.0.0.1", port))

    shoot()
    pair.running = asyncio.create_task(pair.call.run())
    await far.accept(answer)
    shoot()
    try:
        await far.connected()
        await far.channels_open()
        shoot()
        seen = len(far.packets)
        await until(lambda: len(far.packets) > seen + 5)
        assert not pair.running.done()
    finally:
        transport.close()
        await pair.__aexit__()


async def test_an_offer_without_candidates_connects() -> None:
    """The far end is learnt from its own checks, through the guard."""
    far = FarPeer()
    pair = Pair(far=far)
    offer = "\r\n".join(
        line
        for line in (await far.offer()).split("\r\n")
        if not line.startswith(("a=candidate", "a=end-of-candidates"))
    )
    await far.accept(await pair.call.answer(offer))
    pair.running = asyncio.create_task(pair.call.run())
    await far.connected()
    await pair.__aexit__()


async def _connect_s() -> float:
    loop = asyncio.get_running_loop()
    pair = Pair(far=FarPeer(channels=False))
    try:
        answer = await pair.call.answer(await pair.far.offer())
        began = loop.time()
        await pair.far.accept(answer)
        await pair.far.connected()
        return loop.time() - began
    finally:
        await pair.__aexit__()


async def test_ice_is_faster_than_stock() -> None:
    """The best of five connections takes less than the best of five with upstream's sleeping loop."""
    fast = min([await _connect_s() for _ in range(5)])
    with patched(aioice.ice.Connection, "connect", guard.ORIGINAL["connect"]):
        stock = min([await _connect_s() for _ in range(5)])
    assert fast < stock * 0.8


async def test_ice_without_any_pair_fails() -> None:
    """An empty check list with the end of candidates is a failure at once, as upstream has it."""
    connection = aioice.ice.Connection(ice_controlling=True)
    await connection.gather_candidates()
    connection.remote_username, connection.remote_password = "user", "p" * 22
    await connection.add_remote_candidate(None)
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(5):
            await connection.connect()
    await connection.close()


async def test_closing_while_ice_checks_ends_the_wait() -> None:
    """A close in the middle of the checks ends `connect` as it does upstream."""
    connection = aioice.ice.Connection(ice_controlling=True)
    await connection.gather_candidates()
    connection.remote_username, connection.remote_password = "user", "p" * 22
    trying = asyncio.ensure_future(connection.connect())
    await asyncio.sleep(0.05)
    await connection.close()
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(5):
            await trying


@pytest.mark.parametrize(
    ("loopback", "found", "expected"),
    [
        (guard.Loopback.FALLBACK, [], ["127.0.0.1"]),
        (guard.Loopback.FALLBACK, ["192.0.2.2"], ["192.0.2.2"]),
        (guard.Loopback.ALWAYS, ["192.0.2.2"], ["192.0.2.2", "127.0.0.1"]),
        (guard.Loopback.ONLY, ["192.0.2.2"], ["127.0.0.1"]),
    ],
)
def test_which_addresses_become_candidates(loopback: guard.Loopback, found: list[str], expected: list[str]) -> None:
    """A machine without a network calls itself; with one, loopback is a choice."""
    with patched(guard, "ORIGINAL", {**guard.ORIGINAL, "get_host_addresses": lambda v4, v6: found}):
        guard.install(loopback)
        assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == expected


# ---------------------------------------------------------------- the doors


async def test_the_origin_is_known_before_the_first_packet() -> None:
    """The drawn origin is the one on the wire, known while the source still idles."""
    from peer.core.frame import Kind

    source = FakeSource([Kind.IDLE])
    async with Pair(source) as pair:
        origin = guard.rtp_origin(pair.call._sender)
        assert origin is not None and guard.last_rtp(pair.call._sender) is None
        source.woken.set()
        await until(lambda: pair.far.packets and pair.conversation.source.sents)
        n, rtp = pair.conversation.source.sents[0]
        assert rtp == (origin + n * 960) % 2**32 == pair.far.packets[0][0]


async def test_without_the_patch_the_origin_is_learnt_from_the_first_packet() -> None:
    """Beside another aiortc the first frame that left tells it."""
    with patched(guard, "rtp_origin", lambda sender: None):
        async with Pair() as pair:
            await until(lambda: len(pair.far.packets) > 5 and len(pair.conversation.source.sents) > 5)
            sent = {rtp for _, rtp in pair.conversation.source.sents}
            assert {rtp for rtp, _ in pair.far.packets[:3]} <= sent


async def test_a_failing_reader_of_raw_packets_is_counted() -> None:
    """An exception in the tap's reader is dropped and counted: it must not end the transport."""
    from peer.track import VoiceTrack

    class Failing(Reader):
        def __init__(self, receiver: object, track: object) -> None:
            guard.tap_rtp(receiver, self.fail)  # type: ignore[arg-type]

        def fail(self, arrival: guard.Arrival) -> None:
            raise RuntimeError("deaf")

    before = dropped("tap")
    async with Pair(far=FarPeer(VoiceTrack(FakeSource())), microphone=Failing) as pair:
        await until(lambda: dropped("tap") > before + 3)
        assert not pair.running.done()


async def test_no_tap_beside_another_version() -> None:
    """Then the answer is False and the public track is untouched."""
    guard.uninstall()
    pc = RTCPeerConnection()
    receiver = pc.addTransceiver("audio").receiver
    stock = receiver.receive
    assert guard.tap_rtp(receiver, lambda arrival: None) is False
    assert receiver.receive == stock
    await pc.close()


async def test_last_heard_moves_with_the_far_end() -> None:
    """A sign of life is any datagram of the validated peer, and none before it is validated."""
    pc = RTCPeerConnection()
    assert guard.last_heard(pc) is None
    await pc.close()
    async with Pair(far=FarPeer(Silent())) as pair:
        first = guard.last_heard(pair.call._pc)
        pair.far.say("synchrony", {"id": "a", "intent": "describe"})
        await until(lambda: (guard.last_heard(pair.call._pc) or 0) > (first or 0))


# ---------------------------------------------------------------- versions


def test_other_versions_are_left_alone() -> None:
    """Beside a version not known here nothing is patched, and the status says why."""
    guard.uninstall()
    assert guard.install(found={"aiortc": "1.17.0", "aioice": "0.13.0"}) is False
    assert sctp.decode_params is guard.ORIGINAL["decode_params"]
    patches = guard.status()["patches"]
    assert isinstance(patches, dict)
    assert all("aiortc 1.17.0" in patches[name] for name in guard.PLACES)


def test_installing_twice_is_installing_once() -> None:
    """The second installation wraps nothing a second time."""
    guard.install(guard.Loopback.ONLY)
    first = [getattr(place, name) for places in guard.PLACES.values() for place, name in places]
    guard.install(guard.Loopback.ONLY)
    again = [getattr(place, name) for places in guard.PLACES.values() for place, name in places]
    assert [f for f in first if not hasattr(f, "func")] == [f for f in again if not hasattr(f, "func")]
    assert set(guard.status()["patches"].values()) == {"on"}  # type: ignore[attr-defined]


class TestUpstreamStillNeedsIt:
    """Each of these FAILS when upstream has mended the fault: then remove that part of the guard."""

    def test_versions(self) -> None:
        """The installed libraries are the ones this guard was written for."""
        assert guard.versions() == dict(guard.WRITTEN_FOR)

    async def test_empty_and_unproven_datagrams_reach_the_queue(self) -> None:
        """Upstream hands on whatever is not STUN, of any length, from anyone."""
        protocol, connection = protocol_with(None)
        guard.ORIGINAL["datagram_received"](protocol, b"", PEER)
        guard.ORIGINAL["datagram_received"](protocol, DTLS, PEER)
        assert connection._queue.qsize() == 2

    def test_short_stun_attributes_escape_the_parser(self) -> None:
        """Upstream's STUN parser raises struct.error, which its caller does not expect."""
        with pytest.raises(struct.error):
            aioice.stun.parse_message(broken_check())

    def test_impossible_parameter_lengths_are_believed(self) -> None:
        """Upstream accepts a parameter shorter than its own header."""
        assert guard.ORIGINAL["decode_params"](b"\x00\x01\x00\x01") == [(1, b"")]

    def test_short_chunks_escape_the_parser(self) -> None:
        """Upstream's packet parser raises struct.error for a truncated chunk."""

        class Short(sctp.Chunk):
            type = sctp.SackChunk.type

        with pytest.raises(struct.error):
            guard.ORIGINAL["parse_packet"](serialize_packet(1, 1, 1, Short(body=b"\x00")))

    def test_an_init_in_company_is_parsed(self) -> None:
        """Upstream's packet parser lets it through, to an assertion."""
        assert len(guard.ORIGINAL["parse_packet"](packet_of(InitChunk(), SackChunk()))[3]) == 2

    async def test_ice_sleeps_between_checks(self) -> None:
        """Upstream's connect still sleeps a fixed time in its check loop."""
        import inspect

        assert "asyncio.sleep(0.02)" in inspect.getsource(guard.ORIGINAL["connect"])

    def test_loopback_is_never_gathered(self) -> None:
        """Upstream skips 127.0.0.1 on every machine."""
        assert "127.0.0.1" not in guard.ORIGINAL["get_host_addresses"](True, False)


async def test_who_signed_a_check_is_heard() -> None:
    """Data passes from an address whose own signed check came in on this socket, though none of ours succeeded."""
    protocol, connection = protocol_with("FAILED")
    before = dropped("src")
    protocol.datagram_received(DTLS, PEER)
    assert connection._queue.empty() and dropped("src") == before + 1
    guard._remember(connection, protocol, PEER)
    protocol.datagram_received(DTLS, PEER)
    protocol.datagram_received(DTLS, (PEER[0], PEER[1] + 1))
    assert connection._queue.qsize() == 1 and dropped("src") == before + 2
