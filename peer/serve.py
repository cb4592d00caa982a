"""`peer serve`: engines, switchboard and HTTP put together, and taken apart in order.

Knows no detail of any of them.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import importlib.metadata
import logging
import platform
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from aiohttp import web

from adapters import registry
from adapters.ears import start_ear

from . import guard
from .app import application
from .archive import Archive
from .config import Config, Limits, use_engines
from .core.descriptor import CONTRACT
from .core.errors import AdapterError, Refusal
from .core.messages import INTENTS, PROTOCOL, Mode
from .core.voice import SCHEMA as VOICE_SCHEMA
from .engines import Engines, HostMaker
from .journal import SCHEMA, Journal
from .larder import Larder, beside, forgotten
from .personas import Personas
from .retention import MB, Keep, tidied
from .salvage import salvaged
from .switchboard import Switchboard

log = logging.getLogger(__name__)

SWITCH_S = 0.0005
"""How long another thread may keep the interpreter: the journal's must not delay a frame."""
REAP_S = 5.0
LAG_S = 0.5
"""Between two looks at the loop's own lateness."""
LAG_NOTED_S = 0.1
"""A loop that is this late is said: five frames."""
TIDY_S = 3600.0
"""Between two looks at what the logs take: an hour of a full server writes a fifth of what may be kept."""
LIBRARIES = ("aiortc", "aioice", "av", "aiohttp", "numpy", "soxr", "onnxruntime", "sentencex", "num2words")

Ready = Callable[[str], None]


def capabilities(limits: Limits, logged: bool = True) -> dict[str, object]:
    """Versions, limits, features: what `describe` and GET /capabilities answer. `logged`: sessions leave logs."""
    features = ["webrtc", "barge_in", "resume", "swap", "journal", "telemetry", "say_wav", "say_ws", "tap", "vad"]
    return {
        "versions": {
            "protocol": PROTOCOL,
            "journal": SCHEMA,
            "adapter_contract": CONTRACT,
            "voice_schema": VOICE_SCHEMA,
        },
        "libraries": dict(_libraries()),
        "python": platform.python_version(),
        "intents": list(INTENTS),
        "modes": [mode.value for mode in Mode],
        "limits": {f.name: {"value": getattr(limits, f.name), "why": f.metadata["why"]} for f in fields(limits)},
        "features": [*features, "sessions"] if logged else features,
        "guard": guard.status(),
    }


@cache
def _libraries() -> Mapping[str, str]:
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


async def serve(config: Config, ready: Ready, stop: asyncio.Event | None = None) -> None:
    """Serve until `stop` or a signal. `ready` gets the page's address. Raises Refusal where it cannot begin."""
    stop = stop or _signals()
    use_engines(config)
    async with house(config) as (board, address), asyncio.TaskGroup() as tasks:
        beginning = tasks.create_task(_begin(board, lambda: ready(address)))
        await stop.wait()
        beginning.cancel()


async def _begin(board: Switchboard, ready: Callable[[], None]) -> None:
    """The engine of new calls, and the one that is always there to stand in."""
    await _warm(board.engines, *dict.fromkeys((board.defaults.adapter, *board.engines.fallback()[-1:])))
    ready()


@asynccontextmanager
async def house(config: Config, make: HostMaker | None = None) -> AsyncIterator[tuple[Switchboard, str]]:
    """Everything that serves, cold, and the page's address; taken apart in order at the end. Raises Refusal.

    What may be refused is tried before the first task begins.
    """
    guard.install()
    sys.setswitchinterval(SWITCH_S)
    registry.resolve(config.adapter)
    context = _tls(config)
    with _listening(config) as listener, _journal(config) as journal, _larder(config) as larder:
        async with asyncio.TaskGroup() as tasks:
            engines = Engines(tasks, make, Personas([config.personas] if config.personas else ()))
            about = partial(capabilities, config.limits, bool(config.journal))
            board = Switchboard(config, engines, journal, tasks, about, larder)
            app = application(config, board, about)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
            keepers = [tasks.create_task(work) for work in (_reap(board), _watch_lag(board), _keep_tidy(config))]
            try:
                await runner.setup()
                await web.SockSite(runner, listener, ssl_context=context).start()
                yield board, _address(runner, config)
            finally:
                for keeper in keepers:
                    keeper.cancel()
                await _within(config.limits.shutdown_s, board.close())
                await engines.close()
                await runner.cleanup()


def _tls(config: Config) -> ssl.SSLContext | None:
    if not config.tls_cert:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(config.tls_cert, config.tls_key)
    except OSError as error:
        raise Refusal("invalid", "tls-cert", f"{config.tls_cert} and its key: {error.strerror or error}") from None
    return context


def _listening(config: Config) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        return socket.create_server((config.host, config.port), family=family, backlog=128)
    except OSError as error:
        busy = "; another program uses it: choose another with --port, or 0 for any free one"
        remedy = f"{config.host}:{config.port}: {error.strerror}{busy if error.errno == errno.EADDRINUSE else ''}"
        raise Refusal("unavailable", "port", remedy) from None


@contextmanager
def _larder(config: Config) -> Iterator[Larder | None]:
    """Where chunks are kept, if they are."""
    if not config.keep_chunks:
        yield None
        return
    larder = Larder(beside(Path(config.journal)))
    try:
        larder.start()
    except OSError as error:
        raise Refusal(
            "unwritable", "keep-chunks", f"cannot keep chunks in {config.journal}: {error.strerror}"
        ) from None
    try:
        yield larder
    finally:
        larder.close()


@contextmanager
def _journal(config: Config) -> Iterator[Journal]:
    folder = Path(config.journal) if config.journal else None
    journal = Journal(folder, private=config.private)
    try:
        journal.start()
        _put_in_order(config)
    except OSError as error:
        remedy = f"cannot write in {config.journal}: {error.strerror}; name another folder, or none with --journal ''"
        raise Refusal("unwritable", "journal", remedy) from None
    try:
        yield journal
    finally:
        journal.close()


def _put_in_order(config: Config) -> None:
    """Logs that nobody ended are ended, those that need not be kept any longer go. Raises nothing of one log's."""
    if not config.journal:
        return
    archive = Archive(Path(config.journal))
    for path, cut in salvaged(archive).items():
        log.warning("%s had no end: it was cut by %d bytes and ended", path.name, cut)
    _tidy(config)


def _tidy(config: Config) -> None:
    keep = Keep(config.keep_days, config.keep_mb)
    try:
        gone = tidied(Archive(Path(config.journal)), keep, datetime.now(UTC).timestamp())
    except (OSError, Refusal) as error:
        log.warning("the logs were not looked through: %s", error)
        return
    forgotten(beside(Path(config.journal)), config.keep_days, config.keep_mb * MB, datetime.now(UTC).timestamp())
    if gone.logs:
        log.warning("%d logs (%.1f MB) were removed: see --keep-days and --keep-mb", gone.logs, gone.bytes / MB)


async def _keep_tidy(config: Config) -> None:
    """Once an hour, on a thread of its own: a folder of thousands takes a while."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="retention")
    try:
        while config.journal:
            await asyncio.sleep(TIDY_S)
            await asyncio.get_running_loop().run_in_executor(thread, _tidy, config)
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


def _address(runner: web.AppRunner, config: Config) -> str:
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    fragment = f"#t={config.token}" if config.token else ""
    return f"{config.scheme}://{shown}:{port}/{fragment}"


async def _warm(engines: Engines, *adapters: str) -> None:
    """The engines, the ear and a first connection, so that no caller pays for them."""
    started = start_ear()
    if started.ear is not None:
        started.ear.close()
    for adapter in adapters:
        try:
            await engines.warm(adapter)
        except (AdapterError, Refusal) as fault:
            log.error("%s cannot speak: %s. Calls are taken, their text is kept until it can.", adapter, fault)
    await _dummy_call()
    gc.collect()
    gc.freeze()


async def _dummy_call() -> None:
    """aiortc's first connection costs 10 ms more than the next."""
    from aiortc import RTCConfiguration, RTCPeerConnection

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.createDataChannel("warm")
    peer.addTransceiver("audio")
    await peer.setLocalDescription(await peer.createOffer())
    await peer.close()


async def _reap(board: Switchboard) -> None:
    while True:
        await asyncio.sleep(REAP_S)
        board.reap()


async def _watch_lag(board: Switchboard) -> None:
    """Say when the loop itself was held up: then every call was late at once."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_S
        await asyncio.sleep(LAG_S)
        late = loop.time() - due
        if late > LAG_NOTED_S:
            log.warning("the event loop was held up for %.0f ms", late * 1000.0)
            board.noted_lag(late * 1000.0)


async def _within(limit_s: float, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await work
    except TimeoutError:
        log.warning("not everything was closed within %g s", limit_s)


def _signals() -> asyncio.Event:
    """Set by Ctrl-C or a terminate; a second one ends at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    return stop


def default_adapter() -> str:
    return registry.DEFAULT
