"""The configuration: frozen, from the command line, the environment and a file; every limit with its reason.

Knows no server; a bad value is refused here, by name.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from .core.errors import Refusal
from .core.messages import Mode

ENV = "SYNCHRONY_"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one machine promises to keep up with, and no more."""

    sessions: int = 100
    """Conversations at once: under the 110 speaking calls that one core carries."""
    half_open: int = 20
    """Calls that negotiate: each costs two sockets and checks until its deadline."""
    offers_per_s: float = 5.0
    """Offers of one address: a person reloads once a second at most."""
    offers_burst: int = 10
    sdp_bytes: int = 64 * 1024
    """Ten times what a browser offers."""
    body_bytes: int = 1024 * 1024
    """Text for POST /say: more than a book's chapter."""
    websocket_bytes: int = 64 * 1024
    """One message of GET /say/ws."""
    hold_s: float = 30.0
    """A lost conversation waits so long: a reload, a tunnel, a lift."""
    idle_s: float = 600.0
    """A call in which nobody says anything, neither side."""
    longest_s: float = 7200.0
    """A call: whoever forgets a tab does not keep a place for ever."""
    render_s: float = 5.0
    """For an engine to bring its first sound beyond what the buffer still plays; then it is asked again."""
    answers: int = 256
    """Responses remembered per session for repeated ids."""
    taps: int = 4
    """Listeners of one call besides its own; each has a queue of two seconds."""
    streams: int = 4
    """Panels per call that follow its telemetry."""
    shutdown_s: float = 5.0
    """For all calls to say goodbye before the process ends."""


@dataclass(frozen=True, slots=True)
class Config:
    """What an operator decides. Fields that hold secrets are never shown."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    allow_hosts: tuple[str, ...] = ()
    ice_servers: tuple[str, ...] = ()
    turn_username: str = ""
    turn_credential: str = ""
    adapter: str = ""
    mode: Mode = Mode.LOW_LATENCY
    journal: str = "journal"
    resume_after_s: float = 2.0
    """Quiet after a spoken barge-in until speech goes on by itself; 0 waits for the caller."""
    seed: int | None = None
    dither: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"


def checked(config: Config) -> Config:
    """`config`, if it is safe to serve with; a token is made where one is needed. Raises Refusal."""
    if not 0 <= config.port <= 65535:
        raise Refusal("out_of_range", "port", "choose between 0 (any free one) and 65535")
    if bool(config.tls_cert) != bool(config.tls_key):
        raise Refusal("invalid", "tls-cert", "give --tls-cert and --tls-key together")
    for name in ("tls_cert", "tls_key"):
        path = getattr(config, name)
        if path and not Path(path).is_file():
            raise Refusal("missing", name.replace("_", "-"), "the file does not exist")
    if config.resume_after_s < 0:
        raise Refusal("out_of_range", "resume-after", "give seconds, 0 for never")
    if config.loopback:
        return config
    if not (config.tls_cert or config.behind_proxy):
        raise Refusal(
            "unsafe", "host", "a bind beyond loopback needs --tls-cert and --tls-key, or --behind-proxy with TLS there"
        )
    return config if config.token else _with(config, token=secrets.token_urlsafe(32))


def _with(config: Config, **changes: object) -> Config:
    values = {f.name: getattr(config, f.name) for f in fields(Config)} | changes
    return Config(**values)


def parser() -> argparse.ArgumentParser:
    """The options of `serve`; each has an environment variable SYNCHRONY_… and a key in the file."""
    found = argparse.ArgumentParser("peer serve", add_help=True)
    found.add_argument("--config", help="a TOML file with these options as keys (tls_cert, …)")
    found.add_argument("--host", help="address to bind; beyond loopback a token and TLS are needed")
    found.add_argument("--port", type=int, help="0 takes any free one")
    found.add_argument("--token", help="who does not know it is refused")
    found.add_argument("--tls-cert")
    found.add_argument("--tls-key")
    found.add_argument("--behind-proxy", action="store_true", default=None, help="a proxy in front speaks TLS")
    found.add_argument("--allow-host", dest="allow_hosts", action="append", help="a Host name by which we are called")
    found.add_argument("--ice-server", dest="ice_servers", action="append", help="stun:… or turn:…; none by default")
    found.add_argument("--turn-username")
    found.add_argument("--turn-credential")
    found.add_argument("--adapter", help="engine of new calls")
    found.add_argument("--mode", choices=[m.value for m in Mode])
    found.add_argument("--journal", help="folder of the logs; empty for none")
    found.add_argument("--resume-after", dest="resume_after_s", type=float, help="seconds of quiet; 0 waits")
    found.add_argument("--seed", type=int, help="every session starts from it (for comparisons)")
    found.add_argument("--dither", action="store_true", default=None)
    found.add_argument("--sessions", type=int, help="conversations at once")
    return found


def load(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Config:
    """Command line over environment over file over default. Raises Refusal; argparse exits on its own."""
    given = {k: v for k, v in vars(parser().parse_args(argv)).items() if v is not None}
    env = os.environ if environ is None else environ
    layered: dict[str, object] = {}
    path = given.pop("config", None) or env.get(ENV + "CONFIG")
    if path:
        layered |= _from_file(Path(str(path)))
    layered |= _from_env(env)
    layered |= given
    return checked(_build(layered))


def _from_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Refusal("invalid", "config", f"{path.name}: {error}") from None


def _from_env(env: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for item in fields(Config):
        value = env.get(ENV + item.name.upper())
        if value is None or item.name == "limits":
            continue
        found[item.name] = value.split(",") if item.name in ("ice_servers", "allow_hosts") else value
    return found


_NUMBERS = {"port": int, "seed": int, "resume_after_s": float}
_FLAGS = ("behind_proxy", "dither")


def _build(values: Mapping[str, object]) -> Config:
    known = {f.name for f in fields(Config)} - {"limits"}
    made: dict[str, object] = {}
    for name, value in values.items():
        if name == "sessions":
            made["limits"] = Limits(sessions=_number("sessions", value, int))  # type: ignore[arg-type]
        elif name not in known:
            raise Refusal("unknown_field", name, f"known are {', '.join(sorted(known | {'sessions'}))}")
        elif name in _NUMBERS:
            made[name] = _number(name, value, _NUMBERS[name])
        elif name in _FLAGS:
            made[name] = value in (True, "1", "true", "yes")
        elif name == "mode":
            if value not in tuple(Mode):
                raise Refusal("invalid", "mode", f"choose one of {', '.join(Mode)}")
            made[name] = Mode(str(value))
        elif name in ("ice_servers", "allow_hosts"):
            made[name] = tuple(str(v) for v in value) if isinstance(value, list | tuple) else (str(value),)
        else:
            made[name] = str(value)
    return Config(**made)  # type: ignore[arg-type]


def _number(name: str, value: object, kind: type[int] | type[float]) -> int | float:
    try:
        return kind(str(value))
    except (TypeError, ValueError):
        raise Refusal("invalid", name, "give a number") from None
