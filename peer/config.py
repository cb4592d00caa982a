"""The configuration: frozen, from the command line, the environment and a file; every limit with its reason.

Knows no server; a bad value is refused here, by name.
"""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
import secrets
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from adapters import registry, settings, shelf_rows
from adapters.settings import EngineSettings

from .core.errors import Refusal
from .core.messages import Mode

ENV = "SYNCHRONY_"


def _limit(value: float, why: str) -> Any:
    return field(default=value, metadata={"why": why})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one machine promises to keep up with, and no more; each with its reason."""

    sessions: int = _limit(100, "conversations at once: under the 110 speaking calls that one core carries")
    half_open: int = _limit(20, "calls that do not stand yet: each costs two sockets and checks until its deadline")
    offers_per_s: float = _limit(5.0, "offers of one address: a person reloads once a second at most")
    offers_burst: int = _limit(10, "offers of one address at once: a page that tries again and again")
    says_per_s: float = _limit(20.0, "POST /say and WebSockets of one address: each is a session with its own log")
    says_burst: int = _limit(40, "the same at once: a text sent paragraph by paragraph")
    sdp_bytes: int = _limit(64 * 1024, "ten times what a browser offers")
    body_bytes: int = _limit(1024 * 1024, "text for POST /say: more than a book's chapter")
    body_s: float = _limit(10.0, "for a body to arrive: 100 kB/s for the largest")
    websocket_bytes: int = _limit(64 * 1024, "one message of GET /say/ws")
    hold_s: float = _limit(30.0, "a lost conversation waits so long: a reload, a tunnel, a lift")
    idle_s: float = _limit(600.0, "a conversation in which nobody says anything, neither side")
    longest_s: float = _limit(7200.0, "a conversation: whoever forgets a tab does not keep a place for ever")
    render_s: float = _limit(
        5.0, "for an engine's first sound beyond what the buffer still plays; then it is asked again"
    )
    answers: int = _limit(256, "responses remembered per session for repeated ids")
    taps: int = _limit(4, "listeners of one call besides its own; each has a queue of two seconds")
    streams: int = _limit(4, "panels per call that follow its telemetry")
    timelines: int = _limit(32, "logs that are read at once: each takes its turn on the two threads of the archive")
    auditions: int = _limit(2, "logs that are spoken again at once: each asks as much of an engine as a call or two")
    stall_s: float = _limit(10.0, "a listener that takes nothing for so long has left without a word")
    shutdown_s: float = _limit(5.0, "for all calls to say goodbye before the process ends")


@dataclass(frozen=True, slots=True)
class Config:
    """What an operator decides. Fields that hold secrets are never shown."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = field(default="", repr=False)
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    allow_hosts: tuple[str, ...] = ()
    ice_servers: tuple[str, ...] = ()
    turn_username: str = ""
    turn_credential: str = field(default="", repr=False)
    adapter: str = ""
    mode: Mode = Mode.LOW_LATENCY
    journal: str = "journal"
    keep_chunks: bool = False
    """What engines say that never say the same twice is kept beside the logs, so that a replay can play it."""
    private: bool = False
    """Logs hold lengths and digests instead of words."""
    keep_days: float = 30.0
    """Logs are removed so long after they were last written to; 0 keeps them."""
    keep_mb: float = 2000.0
    """What all logs together may take before the oldest go; 0 is without limit."""
    resume_after_s: float = 2.0
    """Quiet after a spoken barge-in until speech goes on by itself; 0 waits for the caller."""
    seed: int | None = None
    dither: bool = False
    models: str = ""
    """The folder with one folder of models per engine; empty: `models` where the program was started."""
    personas: str = ""
    """A folder of more personas beside those that come with the program."""
    engines: Mapping[str, EngineSettings] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """What was said about single engines, by registered name; their options may name services."""
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
    if config.keep_chunks and (config.private or not config.journal):
        raise Refusal(
            "contradiction", "keep-chunks", "it keeps speech beside logs: not with --private, nor without any"
        )
    if not 0 <= config.resume_after_s <= 3600:
        raise Refusal("out_of_range", "resume-after", "give seconds up to an hour, 0 for never")
    for name in ("keep_days", "keep_mb"):
        if getattr(config, name) < 0:
            raise Refusal("out_of_range", name.replace("_", "-"), "give 0 for no limit, or more")
    for name in ("models", "personas"):
        path = getattr(config, name)
        if path and Path(path).expanduser().exists() and not Path(path).expanduser().is_dir():
            raise Refusal("invalid", name, f"{path} is a file; name a folder")
    if not 1 <= config.limits.sessions <= 10_000:
        raise Refusal("out_of_range", "sessions", "choose between 1 and 10000")
    if config.loopback:
        return config
    if not (config.tls_cert or config.behind_proxy):
        raise Refusal(
            "unsafe", "host", "a bind beyond loopback needs --tls-cert and --tls-key, or --behind-proxy with TLS there"
        )
    return config if config.token else replace(config, token=secrets.token_urlsafe(32))


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
    found.add_argument("--keep-chunks", action="store_true", default=None, help="keep what no engine can say again")
    found.add_argument("--private", action="store_true", default=None, help="logs without the words that were said")
    found.add_argument("--keep-days", type=float, help="logs older than this go; 0 keeps them")
    found.add_argument("--keep-mb", type=float, help="what all logs may take before the oldest go; 0 for no limit")
    found.add_argument("--resume-after", dest="resume_after_s", type=float, help="seconds of quiet; 0 waits")
    found.add_argument("--seed", type=int, help="every session starts from it (for comparisons)")
    found.add_argument("--dither", action="store_true", default=None)
    found.add_argument("--sessions", type=int, help="conversations at once")
    found.add_argument("--models", help="folder with one folder of models per engine")
    found.add_argument("--personas", help="folder of personas")
    return found


def model_options(found: argparse.ArgumentParser) -> None:
    """The options of commands that look at engines and serve nobody."""
    found.add_argument("--config", help="the TOML file of serve")
    found.add_argument("--models", help="folder with one folder of models per engine")


def load(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Config:
    """Command line over environment over file over default. Raises Refusal; argparse exits on its own."""
    return checked(read(vars(parser().parse_args(argv)), environ))


def read(given: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Config:
    """The same from options that were read elsewhere, not checked for serving. Raises Refusal."""
    said = {key: value for key, value in given.items() if value is not None}
    env = os.environ if environ is None else environ
    layered: dict[str, object] = {}
    path = said.pop("config", None) or env.get(ENV + "CONFIG")
    if path:
        layered |= _from_file(Path(str(path)))
    layered |= _from_env(env)
    layered |= said
    made = _build(layered)
    return replace(made, engines=_with_environment(made.engines, env))


def use_engines(config: Config) -> None:
    """Tell the engines what was said about them, once, before the first is asked for."""
    settings.use(engine_table(config))


def engine_table(config: Config) -> dict[str, EngineSettings]:
    """A row for every engine, its folder absolute."""
    home = Path(config.models).expanduser().absolute() if config.models else settings.home()
    return {name: _housed(name, config.engines.get(name, EngineSettings()), home) for name in registry.names()}


def _housed(name: str, row: EngineSettings, home: Path) -> EngineSettings:
    return replace(row, models=str(Path(row.models).expanduser().absolute() if row.models else home / name))


def _from_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Refusal("invalid", "config", f"{path.name}: {error}") from None


def _from_env(env: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in sorted(_KNOWN.difference(_TABLES)):
        value = env.get(ENV + name.upper())
        if value is not None:
            found[name] = [v for v in value.split(",") if v] if name in _LISTS else value
    return found


_TABLES = ("engines",)
"""Keys of the file that are tables; they have no environment variable."""
_KNOWN = {f.name for f in fields(Config)} - {"limits"} | {"sessions"}
_LISTS = ("ice_servers", "allow_hosts")
_YES, _NO = (True, "1", "true", "yes", "on"), (False, "", "0", "false", "no", "off")
_NUMBERS = {"port": int, "seed": int, "resume_after_s": float, "keep_days": float, "keep_mb": float}
_FLAGS = ("behind_proxy", "dither", "private", "keep_chunks")


def _build(values: Mapping[str, object]) -> Config:
    made: dict[str, object] = {}
    for name, value in values.items():
        if name == "sessions":
            made["limits"] = Limits(sessions=_number("sessions", value, int))  # type: ignore[arg-type]
        elif name not in _KNOWN:
            raise Refusal("unknown_field", name, f"known are {', '.join(sorted(_KNOWN))}")
        elif name in _NUMBERS:
            made[name] = _number(name, value, _NUMBERS[name])
        elif name in _FLAGS:
            made[name] = _flag(name, value)
        elif name == "mode":
            if value not in tuple(Mode):
                raise Refusal("invalid", "mode", f"choose one of {', '.join(Mode)}")
            made[name] = Mode(str(value))
        elif name in _TABLES:
            made[name] = MappingProxyType(_engines(value))
        elif name in _LISTS:
            made[name] = tuple(str(v) for v in value) if isinstance(value, list | tuple) else (str(value),)
        else:
            made[name] = str(value)
    return Config(**made)  # type: ignore[arg-type]


def _number(name: str, value: object, kind: type[int] | type[float]) -> int | float:
    try:
        number = kind(str(value))
    except (TypeError, ValueError):
        raise Refusal("invalid", name, "give a number") from None
    if not math.isfinite(number):
        raise Refusal("invalid", name, "give a finite number")
    return number


def _flag(name: str, value: object) -> bool:
    word = value.lower() if isinstance(value, str) else value
    if word not in _YES + _NO:
        raise Refusal("invalid", name, "give true or false")
    return word in _YES


def _engines(value: object) -> dict[str, EngineSettings]:
    """The tables [engines.<name>], by registered name."""
    found: dict[str, EngineSettings] = {}
    for given, table in _table("engines", value).items():
        field_name = f"engines.{given}"
        try:
            name = registry.resolve(given)
        except Refusal as refusal:
            raise Refusal(refusal.code, field_name, refusal.remedy) from None
        if name in found:
            raise Refusal("invalid", field_name, f"{name} was described before, under another of its names")
        found[name] = _engine(name, field_name, _table(field_name, table))
    return found


def _table(field_name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Refusal("invalid", field_name, "give a table")
    return value


def _engine(name: str, field_name: str, table: Mapping[str, object]) -> EngineSettings:
    try:
        row = settings.parsed(table)
    except ValueError as error:
        key, _, remedy = str(error).partition(": ")
        code = "invalid" if key in _ENGINE_FIELDS else "unknown_field"
        raise Refusal(code, f"{field_name}.{key}", remedy) from None
    for option in row.options:
        if any(word in option.lower() for word in _SECRET):
            allowed = " or ".join(registry.rows()[name].secrets) or "none for this engine"
            raise Refusal("unsafe", f"{field_name}.options.{option}", f"secrets come from the environment: {allowed}")
    if row.interpreter and shutil.which(row.interpreter) is None:
        raise Refusal("missing", f"{field_name}.interpreter", f"{row.interpreter} is no program here")
    return row


_ENGINE_FIELDS = {f.name for f in fields(EngineSettings)}
_SECRET = ("key", "token", "secret", "password", "credential")
"""Words in the name of an option that show it holds a secret: a file is copied, shown and kept."""


def _with_environment(engines: Mapping[str, EngineSettings], env: Mapping[str, str]) -> Mapping[str, EngineSettings]:
    """The options that environment variables set, over those of the file."""
    found = dict(engines)
    for name, shelf in shelf_rows.rows().items():
        said = {option: env[variable] for option, variable in shelf.environment.items() if env.get(variable)}
        if said:
            row = found.get(name, EngineSettings())
            found[name] = replace(row, options={**row.options, **said})
    return MappingProxyType(found)
