"""The strict reading of an SDP offer, before any library sees it.

Knows no connection and no HTTP: text in, an `Offer` out or a `Refusal` that names the line at fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from .core.errors import Refusal

MAX_OFFER = 64 * 1024
"""Bytes: a browser's offer with everything in it has about 7 KiB."""
MAX_LINES = 2_000
"""Lines: what 20 sections of 100 lines have."""
MAX_SECTIONS = 20
MAX_CANDIDATES = 50
"""Each candidate costs connectivity checks to an address the caller chose."""
MAX_FORMATS = 64
"""Payload types of one section; there are 128."""

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
SETUPS = ("actpass", "active", "passive")
CONTROL_PAYLOADS = range(72, 77)
"""Payload types that look like RTCP on a shared port."""

_MEDIA = re.compile(r"m=([a-z]+) ([0-9]{1,5}) ([A-Z/]+) (\S+(?: \S+)*)")
_CONNECTION = re.compile(r"IN (?:IP4|IP6) \S+")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_MID = re.compile(r"[!-~]{1,32}")
_SHA_256 = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){31}", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,10}")
_OPUS = re.compile(r"([0-9]{1,3}) opus/48000/2", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Section:
    """One m-line and the attributes below it, in order, as (name, value)."""

    kind: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    def one(self, name: str) -> str | None:
        found = self.all(name)
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Offer:
    """What passed. `text` is the offer without mDNS candidates: resolving them would send multicast
    queries on a stranger's word, and the caller is found by its own checks anyway.
    """

    text: str
    sections: tuple[Section, ...]


def read_offer(raw: bytes | str) -> Offer:
    """The offer in `raw`. Raises Refusal: `sdp_large`, `no_opus` or `sdp_broken`."""
    text = _decode(raw)
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise Refusal("sdp_large", "offer", f"at most {MAX_LINES} lines")
    if not lines or lines[0] != "v=0":
        raise _broken("offer", "start with v=0")
    session, sections = _sections(lines)
    _check_counts(sections)
    for number, section in enumerate(sections):
        _check_section(section, session, f"m-line {number + 1} ({section.kind})")
    _check_bundle(session, sections)
    _check_audio(next(section for section in sections if section.kind == "audio"))
    return Offer(_without_mdns(lines), tuple(sections))


def opus_only(answer: str) -> bool:
    """Whether the audio section of this answer names Opus and nothing else."""
    _, sections = _sections(answer.splitlines())
    audio = [section for section in sections if section.kind == "audio"]
    return bool(audio) and all(_payloads(section) and set(section.formats) <= _payloads(section) for section in audio)


def _broken(field: str, remedy: str) -> Refusal:
    return Refusal("sdp_broken", field, remedy)


def _decode(raw: bytes | str) -> str:
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if len(data) > MAX_OFFER:
        raise Refusal("sdp_large", "offer", f"at most {MAX_OFFER} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _broken("offer", "send UTF-8") from None
    if not all(char.isprintable() or char in "\r\n" for char in text):
        raise _broken("offer", "send printable characters and line ends only")
    return text


def _sections(lines: Sequence[str]) -> tuple[Section, list[Section]]:
    """The attributes before the first m-line, and the sections."""
    groups: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            groups.append([])
        groups[-1].append(line)
    session = Section("session", (), tuple(_attributes(groups[0])))
    return session, [_section(group) for group in groups[1:]]


def _section(lines: Sequence[str]) -> Section:
    found = _MEDIA.fullmatch(lines[0])
    if not found:
        raise _broken("m-line", "write m=<kind> <port> <PROTOCOL> <formats>")
    return Section(found[1], tuple(found[4].split()), tuple(_attributes(lines[1:])))


def _attributes(lines: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            found.append((name, value))
        elif line.startswith("c=") and not _CONNECTION.fullmatch(line[2:]):
            raise _broken("c-line", "write c=IN IP4 or IN IP6 and an address")
    return found


def _check_counts(sections: Sequence[Section]) -> None:
    if len(sections) > MAX_SECTIONS:
        raise Refusal("sdp_large", "m-lines", f"at most {MAX_SECTIONS}")
    if sum(len(section.all("candidate")) for section in sections) > MAX_CANDIDATES:
        raise Refusal("sdp_large", "candidates", f"at most {MAX_CANDIDATES}")
    kinds = [section.kind for section in sections]
    if kinds.count("audio") != 1:
        code = "sdp_broken" if "audio" in kinds else "no_opus"
        raise Refusal(code, "m-lines", "offer exactly one audio section, with Opus")
    if kinds.count("application") > 1:
        raise _broken("m-lines", "offer at most one application section")
    for kind in kinds:
        if kind not in ("audio", "video", "application"):
            raise _broken("m-lines", "offer audio, application and video sections only")


def _check_section(section: Section, session: Section, field: str) -> None:
    """What every section must have, its own or the session's."""

    def given(name: str) -> list[str]:
        return section.all(name) or session.all(name)

    if not _fits(_UFRAG, given("ice-ufrag")) or not _fits(_PASSWORD, given("ice-pwd")):
        raise _broken(f"{field}.ice", "give ice-ufrag and ice-pwd")
    if not _has_sha_256(given("fingerprint")):
        raise _broken(f"{field}.fingerprint", "give a sha-256 fingerprint")
    if given("setup")[-1:] not in [[role] for role in SETUPS]:
        raise _broken(f"{field}.setup", f"choose one of {', '.join(SETUPS)}")
    if not _fits(_MID, section.all("mid")):
        raise _broken(f"{field}.mid", "give every section one mid")
    for candidate in section.all("candidate"):
        _check_candidate(candidate, f"{field}.candidate")
    if section.kind != "application":
        _check_media(section, field)


def _fits(shape: re.Pattern[str], values: Sequence[str]) -> bool:
    return bool(values) and all(shape.fullmatch(value) for value in values)


def _has_sha_256(values: Sequence[str]) -> bool:
    """Every fingerprint is two words, and one of them is sha-256 of the right length."""
    words = [value.split() for value in values]
    if not all(len(pair) == 2 for pair in words):
        return False
    strong = [digest for algorithm, digest in words if algorithm.lower() == "sha-256"]
    return bool(strong) and all(_SHA_256.fullmatch(digest) for digest in strong)


def _check_candidate(value: str, field: str) -> None:
    words = value.split()
    if len(words) < 8 or words[6] != "typ":
        raise _broken(field, "write foundation, component, protocol, priority, address, port, typ, kind")
    numbers = (words[1], words[3], words[5])
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        raise _broken(field, "give component, priority and port as numbers")
    if words[1] not in ("1", "2") or int(words[3]) >= 2**32 or not 1 <= int(words[5]) < 2**16:
        raise _broken(field, "component 1 or 2, priority below 2^32, port 1 to 65535")
    rest = dict(zip(words[8::2], words[9::2], strict=False))
    if "rport" in rest and not _NUMBER.fullmatch(rest["rport"]):
        raise _broken(field, "give rport as a number")
    if not words[4].endswith(".local"):
        try:
            ip_address(words[4])
        except ValueError:
            raise _broken(field, "give an IP address") from None


def _check_media(section: Section, field: str) -> None:
    if len(section.formats) > MAX_FORMATS or not all(_is_payload(name) for name in section.formats):
        raise _broken(f"{field}.formats", f"give at most {MAX_FORMATS} payload types from 0 to 127, without 72 to 76")
    if not section.all("rtcp-mux"):
        raise _broken(f"{field}.rtcp-mux", "share one port for RTP and RTCP")
    if not any(section.all(direction) for direction in DIRECTIONS):
        raise _broken(f"{field}.direction", f"give one of {', '.join(DIRECTIONS)}")
    mapped = {value.partition(" ")[0] for value in section.all("rtpmap")}
    if not {value.partition(" ")[0] for value in section.all("fmtp")} <= mapped:
        raise _broken(f"{field}.fmtp", "describe mapped payload types only")


def _is_payload(name: str) -> bool:
    return bool(_NUMBER.fullmatch(name)) and int(name) < 128 and int(name) not in CONTROL_PAYLOADS


def _check_bundle(session: Section, sections: Sequence[Section]) -> None:
    mids = [section.all("mid")[-1] for section in sections]
    if len(set(mids)) != len(mids):
        raise _broken("mid", "give every section a mid of its own")
    groups = [value.split()[1:] for value in session.all("group") if value.split()[:1] == ["BUNDLE"]]
    if len(groups) > 1 or (groups and not set(groups[0]) <= set(mids)):
        raise _broken("group", "write one BUNDLE group of existing mids")
    if len(sections) > 1 and (not groups or set(groups[0]) != set(mids)):
        raise _broken("group", "bundle all sections: the call has one transport")


def _payloads(section: Section) -> set[str]:
    """The payload types that this section maps to Opus."""
    found = (_OPUS.fullmatch(value.strip()) for value in section.all("rtpmap"))
    return {match[1] for match in found if match}


def _check_audio(audio: Section) -> None:
    if not _payloads(audio) & set(audio.formats):
        raise Refusal("no_opus", "audio", "offer Opus (opus/48000/2): it is the only codec spoken here")


def _without_mdns(lines: Sequence[str]) -> str:
    """The text without .local candidates; without an end of candidates too then, for theirs come yet."""
    kept = [line for line in lines if not (line.startswith("a=candidate:") and ".local" in line)]
    if len(kept) < len(lines):
        kept = [line for line in kept if line != "a=end-of-candidates"]
    return "\r\n".join(kept) + "\r\n"
