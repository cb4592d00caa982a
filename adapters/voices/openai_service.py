"""The speech service an operator named: where it is, what it is asked for, how long it is waited for.

Knows no connection: options in, a checked `Service` out. Only the standard library; it is read cold.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from adapters.settings import EngineSettings, Option

OWN_KEY = "SYNCHRONY_SPEECH_KEY"
PUBLISHER_KEY = "OPENAI_API_KEY"
PUBLISHER = "openai.com"
"""Who the second key is for: it goes to nobody else, because it lies in many environments for other reasons."""

PATH = "/audio/speech"
VERSION_PATH = "/v1"
"""Put between where the operator named a host alone, as the servers that speak this protocol have it."""

VOICES = "alloy,ash,ballad,coral,echo,fable,nova,onyx,sage,shimmer,verse"
MODEL = "gpt-4o-mini-tts"
RATE = 24_000
"""What the protocol's headerless sound has."""

RATES = (8_000, 48_000)
FORMATS = ("pcm", "wav")
INTERNAL = (".internal", ".lan", ".local", ".home.arpa", ".localhost")
"""Names that no public server has; like names without a dot they may be spoken to without encryption."""

OPTIONS: Mapping[str, Option] = {
    "url": "",
    "model": MODEL,
    "voices": VOICES,
    "sample_rate": RATE,
    "languages": "",
    "speed": True,
    "instructions": False,
    "format": "pcm",
    "stream_format": "",
    "stream": False,
    "connect_s": 5.0,
    "first_s": 8.0,
    "silence_s": 5.0,
}
"""What may be set, and what holds where nothing is said. Deadlines are shorter than the host's, so that the
service's own failure is told and not ours: 10 s between two pieces, and what a call's buffer carries before them."""


class BadOptionError(ValueError):
    """An option that cannot be used; the text names it and what to write instead."""


@dataclass(frozen=True, slots=True)
class Service:
    """`url` is the whole address asked, `place` the "host:port" of it. Times are in seconds."""

    url: str
    host: str
    port: int
    secure: bool
    model: str
    voices: tuple[str, ...]
    rate: int
    languages: tuple[str, ...]
    speed: bool
    instructions: bool
    format: str
    stream_format: str
    stream: bool
    connect_s: float
    first_s: float
    silence_s: float

    @property
    def place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def exposed(self) -> bool:
        """True where text and key cross a network that others may listen to."""
        return not self.secure and not is_loopback(self.host)

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Environment variables whose key may be sent there, the first one that is set."""
        publisher = self.host == PUBLISHER or self.host.endswith("." + PUBLISHER)
        return (OWN_KEY, PUBLISHER_KEY) if publisher else (OWN_KEY,)


def service_of(row: EngineSettings) -> Service | None:
    """The service in an operator's row; None where none is named. Raises BadOptionError."""
    unknown = sorted(set(row.options) - set(OPTIONS))
    if unknown:
        raise BadOptionError(f"option {unknown[0]} is not known; known are {', '.join(OPTIONS)}")
    options = {**OPTIONS, **row.options}
    url = str(options["url"]).strip()
    if not url:
        return None
    parts = _parts(url)
    host, secure = str(parts.hostname), parts.scheme == "https"
    return Service(
        url=_address(parts),
        host=host,
        port=parts.port or (443 if secure else 80),
        secure=secure,
        model=_text(options, "model"),
        voices=_names(options, "voices", least=1),
        rate=_rate(options),
        languages=_names(options, "languages", least=0),
        speed=_flag(options, "speed"),
        instructions=_flag(options, "instructions"),
        format=_one_of(options, "format", FORMATS),
        stream_format=str(options["stream_format"]),
        stream=_flag(options, "stream"),
        connect_s=_seconds(options, "connect_s"),
        first_s=_seconds(options, "first_s"),
        silence_s=_seconds(options, "silence_s"),
    )


def _parts(url: str) -> SplitResult:
    """A base URL taken apart: no user, query or fragment; encrypted, unless it stays on this machine or network."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadOptionError(f"url does not parse ({error}); write https://host/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BadOptionError("url is not an address; write https://host/v1")
    if parts.username is not None or parts.password is not None:
        raise BadOptionError(f"url holds a user or password; a key comes from {OWN_KEY} in the environment only")
    if parts.query or parts.fragment:
        raise BadOptionError("url holds a query or fragment; write https://host/v1")
    if parts.scheme == "http" and not is_internal(parts.hostname):
        raise BadOptionError(f"url sends text and key to {parts.hostname} without encryption; write https://")
    return parts


def is_internal(host: str) -> bool:
    """True for this machine and for addresses and names of private networks."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.lower().endswith(INTERNAL)
    return address.is_loopback or address.is_private or address.is_link_local


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _address(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    if not path.endswith(PATH):
        path = (path or VERSION_PATH) + PATH
    return parts._replace(path=path).geturl()


def _text(options: Mapping[str, Option], name: str) -> str:
    value = str(options[name]).strip()
    if not value or not value.isprintable():
        raise BadOptionError(f"option {name} is empty or not printable; give a name")
    return value


def _names(options: Mapping[str, Option], name: str, least: int) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in str(options[name]).split(",") if part.strip()))
    if len(found) < least or not all(part.isprintable() for part in found):
        raise BadOptionError(f"option {name}: give names with commas between them")
    return found


def _rate(options: Mapping[str, Option]) -> int:
    value, (least, most) = options["sample_rate"], RATES
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadOptionError(f"option sample_rate: give a whole number between {least} and {most}")
    return value


def _flag(options: Mapping[str, Option], name: str) -> bool:
    value = options[name]
    if not isinstance(value, bool):
        raise BadOptionError(f"option {name}: give true or false")
    return value


def _one_of(options: Mapping[str, Option], name: str, known: tuple[str, ...]) -> str:
    value = str(options[name])
    if value not in known:
        raise BadOptionError(f"option {name}: choose one of {', '.join(known)}")
    return value


def _seconds(options: Mapping[str, Option], name: str) -> float:
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= 600.0:
        raise BadOptionError(f"option {name}: give seconds up to 600")
    return float(value)
