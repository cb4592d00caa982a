"""Everything this program does with names that aiortc and aioice keep private, in one place.

Knows no call and no session. Three things: a guard against datagrams that the libraries trust too
far, a faster and more local ICE, and three doors (RTP origin, raw RTP in, last sign of life) that
their public interface lacks. Written for exactly the versions below: beside any other, nothing is
patched, the doors answer "not known", and `status()` says so. Besides it keeps libav from starting
threads it has no work for.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import logging
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import aioice.ice
import aiortc.rtcrtpsender
import aiortc.rtcsctptransport
import av._core
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import AnyRtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSrPacket, RtpPacket

from .core.pcm import RATE
from .core.sctp import decode_params, spanned

log = logging.getLogger(__name__)

WRITTEN_FOR = MappingProxyType({"aiortc": "1.16.0", "aioice": "0.13.0"})

MAX_PROVEN = 64
"""Addresses of one call that signed a check: a browser has a handful of candidates."""
MAX_QUEUE = 256
"""Datagrams waiting for one connection: five seconds of RTP, more is a flood or a dead loop."""
MAX_GAPS = 65_535
"""TSNs one SACK may name: the 16-bit reach of its gap blocks; overlapping blocks repeat them at our cost."""
MAX_MISORDERED = 4_096
"""DATA chunks beyond a hole: a peer that honours our 1 MiB window has at most about 900 full ones."""
MAX_OVERDRAFT = 65_536
"""Bytes beyond our window before a peer's data is dropped: room for zero-window probes."""
ICE_PACE_S = 0.020
"""Time between two connectivity checks (RFC 8445, Ta), as aioice has it."""
REPORT_S = 1.0
"""Time between two receiver reports, while packets come."""

STUN_HEADER = 20
STUN_COOKIE = b"\x21\x12\xa4\x42"

_Address = tuple[Any, ...]


class Loopback(StrEnum):
    """Which addresses of this machine become candidates."""

    FALLBACK = "fallback"
    """127.0.0.1 when there is no other: a machine without a network can still call itself."""
    ALWAYS = "always"
    ONLY = "only"


PLACES: Mapping[str, tuple[tuple[object, str], ...]] = MappingProxyType(
    {
        "datagrams": (
            (aioice.ice.StunProtocol, "datagram_received"),
            (aioice.ice.Connection, "check_incoming"),
        ),
        "sctp": (
            (aiortc.rtcsctptransport, "decode_params"),
            (aiortc.rtcsctptransport, "parse_packet"),
            (aiortc.rtcsctptransport.RTCSctpTransport, "_handle_data"),
        ),
        "fast_ice": ((aioice.ice.Connection, "connect"),),
        "loopback": ((aioice.ice, "get_host_addresses"),),
        "rtp_origin": ((RTCRtpSender, "_run_rtp"), (aiortc.rtcrtpsender, "random32")),
    }
)
"""Patch -> the names it replaces."""

ORIGINAL: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {name: getattr(place, name) for places in PLACES.values() for place, name in places if hasattr(place, name)}
)
"""What stood there before we came; tests hold it against the guard."""

COUNTERS = ("empty", "src", "full", "stun", "sctp", "window", "tap")
"""What was dropped and why: no byte; a source ICE never validated; a full queue; broken STUN; broken
SCTP; SCTP beyond our window; packets a tap's reader failed on."""

_dropped: Counter[str] = Counter()
_patches: dict[str, str] = {}
_heard: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
_proven: WeakKeyDictionary[Any, set[tuple[int, _Address]]] = WeakKeyDictionary()
_origins: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_sending: contextvars.ContextVar[Any] = contextvars.ContextVar("sending", default=None)


def versions() -> dict[str, str]:
    """The installed versions of the libraries patched here; "missing" when not installed."""
    found = {}
    for name in WRITTEN_FOR:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def status() -> dict[str, object]:
    """For `/capabilities`: versions, what each patch does now, what was dropped since the start."""
    return {
        "versions": versions(),
        "written_for": dict(WRITTEN_FOR),
        "patches": dict(_patches),
        "dropped": {name: _dropped[name] for name in COUNTERS},
    }


def install(loopback: Loopback = Loopback.FALLBACK, found: dict[str, str] | None = None) -> bool:
    """Patch the libraries; again is harmless. False when their versions are not the ones known here.

    `found` replaces the installed versions in tests.
    """
    strange = [f"{name} {have}" for name, have in (found or versions()).items() if have != WRITTEN_FOR[name]]
    ours = {**_OURS, "get_host_addresses": partial(_host_addresses, loopback)}
    for patch, places in PLACES.items():
        _patches[patch] = f"skipped: {', '.join(strange)}" if strange else "on"
        for place, name in () if strange else places:
            setattr(place, name, ours[name])
    _patches["one_thread"] = "on" if _one_thread() else "skipped: this libav does not offer it"
    if strange:
        log.warning("no datagram guard: written for %s, found %s", dict(WRITTEN_FOR), ", ".join(strange))
    return not strange


def uninstall() -> None:
    """Put the originals back: for tests that show what upstream does."""
    for places in PLACES.values():
        for place, name in places:
            setattr(place, name, ORIGINAL[name])
    _patches.clear()


def _active() -> bool:
    return bool(_patches) and all(_patches[patch] == "on" for patch in PLACES)


def _one_thread() -> bool:
    """Tell libav that this machine has one core, by its own public function.

    PyAV puts a filter graph in front of every audio encoder, and the graph starts as many threads as
    there are cores, which never get work: `thread_count` does not reach them.
    """
    try:
        ctypes.CDLL(av._core.__file__).av_cpu_force_count(1)
    except (OSError, AttributeError):
        return False
    return True


def _drop(reason: str) -> None:
    _dropped[reason] += 1


# ---------------------------------------------------------------- datagrams


def _looks_like_stun(data: bytes) -> bool:
    return data[0] <= 3 and len(data) >= STUN_HEADER and data[4:8] == STUN_COOKIE


def _validated(protocol: Any, addr: _Address) -> bool:
    """Whether ICE has proven that the one behind `addr` holds the password of this call.

    By a check of ours that succeeded, or by one of theirs that was signed: a browser may send from a pair
    whose check of ours was cancelled when another pair had been nominated first.
    """
    if (id(protocol), addr) in _proven.get(protocol.receiver, ()):
        return True
    succeeded = aioice.ice.CandidatePair.State.SUCCEEDED
    return any(
        pair.state is succeeded and pair.protocol is protocol and pair.remote_addr == addr
        for pair in protocol.receiver._check_list
    )


def _remember(connection: Any, protocol: Any, addr: _Address) -> None:
    """The one behind `addr` signed a check on this socket; by identity, for a reference would keep both alive."""
    proven = _proven.setdefault(connection, set())
    if len(proven) < MAX_PROVEN:
        proven.add((id(protocol), (addr[0], addr[1])))


def _check_incoming(self: Any, message: Any, addr: _Address, protocol: Any) -> None:
    """Called for a binding request whose MESSAGE-INTEGRITY was right."""
    _remember(self, protocol, addr)
    ORIGINAL["check_incoming"](self, message, addr, protocol)


def _datagram_received(self: Any, data: bytes, addr: _Address) -> None:
    """Lets through STUN from anyone and everything else only from validated peers, in bounds."""
    if not data:
        return _drop("empty")
    peer = (addr[0], addr[1])
    known = _validated(self, peer)
    if known:
        _heard[self.receiver] = asyncio.get_running_loop().time()
    if not _looks_like_stun(data):
        if not known:
            return _drop("src")
        if self.receiver._queue.qsize() > MAX_QUEUE:
            return _drop("full")
    elif not known or self.receiver._queue.qsize() > MAX_QUEUE:
        # Whatever merely starts like STUN would reach the queue as data: parse it before upstream does.
        try:
            aioice.stun.parse_message(data)
        except (ValueError, struct.error):
            return _drop("stun")
    try:
        ORIGINAL["datagram_received"](self, data, addr)
    except struct.error:
        _drop("stun")


# ---------------------------------------------------------------- SCTP


def _parse_packet(data: bytes) -> Any:
    """As upstream, but everything malformed is a ValueError, which its caller takes as "ignore"."""
    try:
        parsed = ORIGINAL["parse_packet"](data)
    except (ValueError, struct.error) as broken:
        _drop("sctp")
        raise ValueError(str(broken)) from broken
    chunks = parsed[3]
    init = any(isinstance(chunk, aiortc.rtcsctptransport.InitChunk) for chunk in chunks)
    sacks = (chunk for chunk in chunks if isinstance(chunk, aiortc.rtcsctptransport.SackChunk))
    if (init and len(chunks) != 1) or spanned(gap for sack in sacks for gap in sack.gaps) > MAX_GAPS:
        _drop("sctp")
        raise ValueError("SCTP packet with an INIT in company or impossible gap blocks")
    return parsed


async def _handle_data(self: Any, data: bytes) -> None:
    """One SCTP packet; what a chunk's content breaks ends here instead of ending the transport."""
    if self._advertised_rwnd < -MAX_OVERDRAFT or len(self._sack_misordered) > MAX_MISORDERED:
        return _drop("window")
    try:
        await ORIGINAL["_handle_data"](self, data)
    except (ValueError, AssertionError, struct.error, KeyError, IndexError) as broken:
        log.debug("SCTP packet dropped: %r", broken)
        _drop("sctp")


# ---------------------------------------------------------------- ICE


async def _connect(self: Any) -> None:
    """`Connection.connect` step for step, but awake as soon as the check list is complete.

    Upstream sleeps 20 ms between two checks and looks at the outcome only afterwards.
    """
    if not self._local_candidates_end:
        raise ConnectionError("Local candidates gathering was not performed")
    if self.remote_username is None or self.remote_password is None:
        raise ConnectionError("Remote username or password is missing")
    for remote in self._remote_candidates:
        self._pair_remote_candidate(remote)
    self.sort_check_list()
    self._unfreeze_initial()
    for early in self._early_checks:
        self.check_incoming(*early)
    self._early_checks.clear()
    self._early_checks_done = True

    outcome = None
    while outcome is None and self._check_periodic():
        with suppress(TimeoutError):
            async with asyncio.timeout(ICE_PACE_S):
                outcome = await self._check_list_state.get()
    if outcome is None:
        outcome = await self._check_list_state.get() if self._check_list else aioice.ice.ICE_FAILED
    for check in self._check_list:
        if check.task:
            check.task.cancel()
    if outcome != aioice.ice.ICE_COMPLETED:
        raise ConnectionError("ICE negotiation failed")
    self._query_consent_task = asyncio.create_task(self.query_consent())


def _host_addresses(loopback: Loopback, use_ipv4: bool, use_ipv6: bool) -> list[str]:
    own = ["127.0.0.1"] if use_ipv4 else ["::1"]
    if loopback is Loopback.ONLY:
        return own
    found: list[str] = ORIGINAL["get_host_addresses"](use_ipv4, use_ipv6)
    return found + own if loopback is Loopback.ALWAYS or not found else found


# ---------------------------------------------------------------- RTP out


async def _run_rtp(self: Any, codec: Any) -> None:
    """Marks the sender's own task, so that the origin drawn in it can be told from other draws."""
    _sending.set(self)
    await ORIGINAL["_run_rtp"](self, codec)


def _random32() -> int:
    value: int = ORIGINAL["random32"]()
    sender = _sending.get()
    if sender is not None:
        _origins.setdefault(sender, value)
    return value


_OURS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "datagram_received": _datagram_received,
        "check_incoming": _check_incoming,
        "decode_params": decode_params,
        "parse_packet": _parse_packet,
        "_handle_data": _handle_data,
        "connect": _connect,
        "_run_rtp": _run_rtp,
        "random32": _random32,
    }
)


def rtp_origin(sender: RTCRtpSender) -> int | None:
    """The RTP timestamp of pts 0, known from the moment the call is connected; None before."""
    return _origins.get(sender)


def last_rtp(sender: RTCRtpSender) -> int | None:
    """RTP timestamp of the last packet that left; None where the name is gone or nothing left yet.

    The way to learn the origin beside other versions: it needs one packet first.
    """
    if getattr(sender, "_RTCRtpSender__packet_count", 0) == 0:
        return None
    stamp = getattr(sender, "_RTCRtpSender__rtp_timestamp", None)
    return stamp if isinstance(stamp, int) else None


# ---------------------------------------------------------------- RTP in


@dataclass(frozen=True, slots=True)
class Arrival:
    """One RTP packet as it came, before any buffer. `at` is the loop's time (s) of its arrival."""

    sequence: int
    timestamp: int
    payload: bytes
    ssrc: int
    at: float


class _Tap:
    """Stands in the router where the receiver would: no jitter buffer, no decoder thread, no queue.

    Sends the receiver reports that the receiver would have sent, when a packet comes and one is due:
    that needs no task, and without packets there is nothing to report.
    """

    def __init__(self, transport: Any, ssrc: int, on_packet: Callable[[Arrival], None]) -> None:
        self._transport = transport
        self._ssrc = ssrc
        self._on_packet = on_packet
        self._streams: dict[int, StreamStatistics] = {}
        self._sender_reports: dict[int, tuple[int, float]] = {}
        self._reported = 0.0

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        now = asyncio.get_running_loop().time()
        if packet.ssrc not in self._streams and len(self._streams) >= 4:
            return  # one microphone has one source; a few for renegotiation, not one per packet
        self._streams.setdefault(packet.ssrc, StreamStatistics(RATE)).add(packet)
        arrival = Arrival(packet.sequence_number, packet.timestamp, packet.payload, packet.ssrc, now)
        try:
            self._on_packet(arrival)
        except Exception:
            # Raising here would end the DTLS transport, that is the call; a deaf second is better.
            _drop("tap")
            log.exception("the reader of raw RTP failed")
        if now - self._reported >= REPORT_S:
            self._reported = now
            await self._report(now)

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            middle = (packet.sender_info.ntp_timestamp >> 16) & 0xFFFFFFFF
            if packet.ssrc in self._streams:
                self._sender_reports[packet.ssrc] = (middle, asyncio.get_running_loop().time())

    def _handle_disconnect(self) -> None:
        self._streams.clear()

    async def _report(self, now: float) -> None:
        reports = [self._line(ssrc, stream, now) for ssrc, stream in self._streams.items()]
        with suppress(ConnectionError):
            await self._transport._send_rtp(bytes(RtcpRrPacket(ssrc=self._ssrc, reports=reports)))

    def _line(self, ssrc: int, stream: StreamStatistics, now: float) -> RtcpReceiverInfo:
        lsr, heard = self._sender_reports.get(ssrc, (0, now))
        return RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=stream.fraction_lost,
            packets_lost=stream.packets_lost,
            highest_sequence=stream.cycles + (stream.max_seq or 0),
            jitter=stream.jitter,
            lsr=lsr,
            dlsr=min(0xFFFFFFFF, int((now - heard) * 65_536)),
        )


def tap_rtp(receiver: RTCRtpReceiver, on_packet: Callable[[Arrival], None]) -> bool:
    """From now on this receiver's packets go to `on_packet`, in order of arrival, on the loop.

    To be called before the answer is applied. False when this aiortc is not the one known here, or
    the guard is not installed: then read the public track.
    """
    if not _active() or getattr(receiver, "_RTCRtpReceiver__started", True):
        return False
    inside: Any = receiver

    async def receive(parameters: RTCRtpReceiveParameters) -> None:
        if inside._RTCRtpReceiver__started:
            return
        inside._RTCRtpReceiver__started = True
        tap = _Tap(receiver.transport, inside._RTCRtpReceiver__rtcp_ssrc or 0, on_packet)
        inside.synchrony_tap = tap
        receiver.transport._register_rtp_receiver(tap, parameters)

    async def stop() -> None:
        tap = inside.__dict__.pop("synchrony_tap", None)
        if tap is not None:
            receiver.transport._unregister_rtp_receiver(tap)
        if receiver.track is not None:
            receiver.track.stop()

    inside.receive = receive
    inside.stop = stop
    return True


def mute(receiver: RTCRtpReceiver) -> None:
    """Nobody reads this receiver's track any more: let packets end before its unbounded queue."""
    receiver._enabled = False


# ---------------------------------------------------------------- a whole connection


def _transports(pc: RTCPeerConnection) -> Iterator[tuple[Any, Any]]:
    """The (DTLS, ICE) transports that a connection still holds, found by every way there is."""
    seen: set[int] = set()
    held = list(getattr(pc, "_RTCPeerConnection__dtlsTransports", ()))
    held += [part.receiver.transport for part in pc.getTransceivers()]
    if pc.sctp is not None:
        held.append(pc.sctp.transport)
    for dtls in held:
        if dtls is not None and id(dtls) not in seen:
            seen.add(id(dtls))
            yield dtls, dtls.transport


def last_heard(pc: RTCPeerConnection) -> float | None:
    """Loop time (s) of the last datagram from the validated peer, consent checks included; None
    when nothing came yet or nobody counts.
    """
    times = [_heard[ice._connection] for _, ice in _transports(pc) if ice._connection in _heard]
    return max(times, default=None)


async def abandon(pc: RTCPeerConnection) -> None:
    """Close what a failed `pc.close()` left open: sockets, checks, tasks. For a call that is over."""
    for part in pc.getTransceivers():
        for end in (part.receiver, part.sender):
            with suppress(Exception):
                await end.stop()
    for dtls, ice in _transports(pc):
        with suppress(Exception):
            await dtls.stop()
        with suppress(Exception):
            await ice.stop()
