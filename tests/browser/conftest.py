"""Chromium with a microphone from a file, one server per module, pages that fail their test with any error of theirs.

Knows no test; Chromium, the server and the driver end with the module, so that no loop of theirs is left running.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from tests.tiny.loopback_speech import SpeechServer, in_thread

from .caller import Caller, Server

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING_CHROMIUM = "Chromium is missing: sudo apt-get install chromium"
MISSING_ESPEAK = "espeak-ng is missing: sudo apt-get install espeak-ng"
FLAGS = ("--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required")
CAPTURE_RATE = 22_050


class Launch(Protocol):
    """Starts Chromium with the given flags; it ends with the test's module."""

    def __call__(self, *flags: str) -> Browser: ...


class OpenPage(Protocol):
    """Opens the page of a server in a context of its own."""

    def __call__(
        self, *, server: Server | None = None, browser: Browser | None = None, microphone: bool = True,
        expected: str = "", init: str = "",
    ) -> Caller: ...  # fmt: skip


class StartHouse(Protocol):
    """Starts a server with a speech service on loopback whose voices, as espeak calls them, are these."""

    def __call__(self, voices: str, *options: str) -> Server: ...


def missing(what: str) -> NoReturn:
    """Skip, saying which command helps; where nothing may be skipped, fail."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(what)
    pytest.skip(what)


def spoken_wav(path: Path, text: str, *options: str) -> Path:
    """A file as a fake microphone, spoken by the espeak-ng of the system."""
    program = shutil.which("espeak-ng")
    if program is None:
        missing(MISSING_ESPEAK)
    subprocess.run([program, *options, "-w", str(path), text], check=True, timeout=20)
    return path


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def launch(driver: Playwright) -> Iterator[Launch]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        missing(MISSING_CHROMIUM)
    browsers: list[Browser] = []

    def start(*flags: str) -> Browser:
        browsers.append(driver.chromium.launch(executable_path=program, headless=True, args=list(flags)))
        return browsers[-1]

    yield start
    for one in browsers:
        one.close()


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears: silence. A module about the microphone has another."""
    path = tmp_path_factory.mktemp("capture") / "silence.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(CAPTURE_RATE)
        out.writeframes(bytes(2 * CAPTURE_RATE))
    return path


@pytest.fixture(scope="module")
def browser(launch: Launch, capture: Path) -> Browser:
    return launch(*FLAGS, f"--use-file-for-fake-audio-capture={capture}")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*options: str, port: int = 0) -> Server:
        servers.append(Server(tmp_path_factory.mktemp("server"), *options, port=port))
        return servers[-1]

    yield start
    for one in servers:
        one.stop()


@pytest.fixture(scope="module")
def server(launch: Launch, start_server: Callable[..., Server]) -> Server:
    """Asked for only where there is a browser (`launch`) to call it."""
    return start_server()


@pytest.fixture(scope="module")
def house(launch: Launch, start_server: Callable[..., Server]) -> Iterator[StartHouse]:
    """Asked for only where there is a browser to call it, like `server`; the service speaks through espeak."""
    with in_thread(SpeechServer()) as speech, pytest.MonkeyPatch.context() as environment:
        environment.setenv("SYNCHRONY_SPEECH_URL", speech.url)

        def start(voices: str, *options: str) -> Server:
            environment.setenv("SYNCHRONY_SPEECH_VOICES", voices)
            return start_server(*options)

        yield start


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    contexts: list[BrowserContext] = []
    callers: list[tuple[Caller, str]] = []
    default_browser, default_server = browser, server

    def visit(
        *, server: Server | None = None, browser: Browser | None = None, microphone: bool = True,
        expected: str = "", init: str = "",
    ) -> Caller:  # fmt: skip
        context = (browser or default_browser).new_context(permissions=["microphone"] if microphone else [])
        contexts.append(context)
        page = context.new_page()
        caller = Caller(page, server or default_server)
        callers.append((caller, expected))
        page.on("console", lambda said: caller.troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: caller.troubles.append(str(error)))
        if init:
            page.add_init_script(init)
        page.goto(caller.server.url)
        return caller

    yield visit
    for context in contexts:
        context.close()
    for caller, expected in callers:
        odd = [text for text in caller.troubles if not expected or not re.search(expected, text)]
        assert not odd, f"the page's console has errors: {odd}"


@pytest.fixture
def caller(open_page: OpenPage) -> Caller:
    """A page that has not called yet."""
    return open_page()
