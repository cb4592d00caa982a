"""The strict reading of offers: browsers pass, everything odd is refused by name."""

from __future__ import annotations

import pytest

from peer.core.errors import Refusal
from peer.sdp import MAX_OFFER, opus_only, read_offer

DIGEST = ":".join(["AB"] * 32)


def section(kind: str = "audio", mid: str = "0", candidates: int = 0, codecs: bool = True) -> list[str]:
    head = {
        "audio": "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9",
        "video": "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "application": "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    }[kind]
    lines = [head, "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:" + "p" * 24]
    lines += [f"a=fingerprint:sha-256 {DIGEST}", "a=setup:actpass", f"a=mid:{mid}"]
    lines += [f"a=candidate:1 1 udp 2122260223 192.0.2.{i % 250} {5000 + i} typ host" for i in range(candidates)]
    if kind == "application":
        return [*lines, "a=sctp-port:5000", "a=max-message-size:262144"]
    lines += ["a=sendrecv", "a=rtcp-mux"]
    if not codecs:
        return [*lines, "a=rtpmap:9 G722/8000"]
    if kind == "video":
        return [*lines, "a=rtpmap:96 VP8/90000"]
    return [*lines, "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:9 G722/8000"]


def offer(*sections: list[str], group: str | None = None) -> str:
    mids = [line[6:] for lines in sections for line in lines if line.startswith("a=mid:")]
    head = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", group or f"a=group:BUNDLE {' '.join(mids)}"]
    return "\r\n".join([*head, *(line for lines in sections for line in lines)]) + "\r\n"


GOOD = offer(section(), section("application", "1"))


def without(prefix: str) -> str:
    return "\r\n".join(line for line in GOOD.split("\r\n") if not line.startswith(prefix))


def test_what_browsers_offer_passes() -> None:
    """Audio with a channel, without candidates, with them, with video beside: read as it is."""
    assert read_offer(GOOD).text == GOOD
    assert read_offer(GOOD.encode()).sections[0].kind == "audio"
    assert read_offer(GOOD.replace("\r\n", "\n")).text == GOOD
    read_offer(offer(section(candidates=6), section("video", "1"), section("video", "2"), section("application", "3")))


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (b"\xff\xfe", "sdp_broken", "offer"),
        ("", "sdp_broken", "offer"),
        ("hello", "sdp_broken", "offer"),
        (GOOD.replace("s=-", "s=\x00"), "sdp_broken", "offer"),
        (GOOD + "a" * MAX_OFFER, "sdp_large", "offer"),
        (GOOD + "\n" * 3_000, "sdp_large", "offer"),
        (offer(section("application")), "no_opus", "m-lines"),
        (offer(section(codecs=False)), "no_opus", "audio"),
        (GOOD.replace("opus/48000/2", "opus/16000/1"), "no_opus", "audio"),
        (offer(section(), section(mid="1")), "sdp_broken", "m-lines"),
        (offer(section(), section("application", "1"), section("application", "2")), "sdp_broken", "m-lines"),
        (offer(section(), *[section("video", str(i)) for i in range(1, 21)]), "sdp_large", "m-lines"),
        (offer(section(candidates=51)), "sdp_large", "candidates"),
        (without("a=fingerprint"), "sdp_broken", "fingerprint"),
        (GOOD.replace("sha-256", "sha-1"), "sdp_broken", "fingerprint"),
        (GOOD.replace(DIGEST, "AB:CD"), "sdp_broken", "fingerprint"),
        (without("a=ice-ufrag"), "sdp_broken", "ice"),
        (without("a=ice-pwd"), "sdp_broken", "ice"),
        (without("a=setup"), "sdp_broken", "setup"),
        (GOOD.replace("actpass", "holdconn"), "sdp_broken", "setup"),
        (without("a=mid"), "sdp_broken", "mid"),
        (GOOD.replace("a=mid:1", "a=mid:0"), "sdp_broken", "mid"),
        (without("a=group"), "sdp_broken", "group"),
        (GOOD.replace("BUNDLE 0 1", "BUNDLE 0 7"), "sdp_broken", "group"),
        (without("a=rtcp-mux"), "sdp_broken", "rtcp-mux"),
        (without("a=sendrecv"), "sdp_broken", "direction"),
        (GOOD.replace("SAVPF 111", "SAVPF 72 111"), "sdp_broken", "formats"),
        (GOOD.replace("SAVPF 111", "SAVPF x 111"), "sdp_broken", "formats"),
        (GOOD.replace("m=audio 9", "m=audio nine"), "sdp_broken", "m-line"),
        (GOOD.replace("m=application", "m=text"), "sdp_broken", "m-lines"),
        (GOOD.replace("c=IN", "c=OUT"), "sdp_broken", "c-line"),
        (GOOD.replace("a=fmtp:111", "a=fmtp:112"), "sdp_broken", "fmtp"),
    ],
)
def test_what_is_wrong_is_named(raw: str | bytes, code: str, field: str) -> None:
    """Each rule refuses with its code, the place and something to do about it."""
    with pytest.raises(Refusal) as refused:
        read_offer(raw)
    assert refused.value.code == code
    assert refused.value.field.endswith(field) and refused.value.remedy


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 udp 1 192.0.2.1 5000",
        "1 1 udp x 192.0.2.1 5000 typ host",
        "1 3 udp 1 192.0.2.1 5000 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 1 example.org 5000 typ host",
        "1 1 udp 1 192.0.2.1 5000 typ srflx raddr 0.0.0.0 rport x",
        "1 1 udp 99999999999 192.0.2.1 5000 typ host",
    ],
)
def test_broken_candidates_are_refused(candidate: str) -> None:
    """Candidates that aiortc would stumble over, or that name a host to be looked up, do not pass."""
    with pytest.raises(Refusal, match="candidate"):
        read_offer(GOOD.replace("a=mid:0", f"a=mid:0\r\na=candidate:{candidate}"))


def test_the_no_opus_refusal_names_opus() -> None:
    """A caller without Opus learns which codec to offer."""
    with pytest.raises(Refusal, match="opus/48000/2"):
        read_offer(offer(section(codecs=False)))


def test_mdns_candidates_never_reach_the_resolver() -> None:
    """.local names are dropped, with the end of candidates, since their owners will still come."""
    local = "a=candidate:1 1 udp 1 0f3a.local 5000 typ host\r\na=end-of-candidates"
    text = read_offer(GOOD.replace("a=mid:0", f"a=mid:0\r\n{local}")).text
    assert ".local" not in text and "end-of-candidates" not in text
    assert "end-of-candidates" in read_offer(GOOD.replace("a=mid:0", "a=mid:0\r\na=end-of-candidates")).text


def test_opus_only_reads_the_answer() -> None:
    """An answer with any other codec beside Opus, or none at all, is told apart."""
    alone = offer([line for line in section() if "G722" not in line])
    assert opus_only(alone.replace(" 111 63 9", " 111"))
    assert not opus_only(alone)
    assert not opus_only(offer(section()))
    assert not opus_only(offer(section("application")))
