"""A server in a process of its own and a page that calls it, as the browser tests use them.

Knows no pytest: what is missing or late is an ordinary exception.
"""

from __future__ import annotations

import base64
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Locator, Page

from peer.core.errors import Refusal
from peer.logbook import rows

ROOT = Path(__file__).parents[2]
READY = re.compile(r"Synchrony is ready: open (http://\S+)")
START_S = 20.0
STOP_S = 8.0
"""The server gives its calls 5 s to say goodbye."""
CALL_MS = 20_000
LONG = " ".join(f"Sentence number {n} of this long story goes on about the weather and the sea." for n in range(1, 40))
"""Minutes of speech: nobody needs to hear the end of it."""

T = TypeVar("T")
Json = dict[str, Any]


def until(look: Callable[[], T | None], what: str, seconds: float = 10.0) -> T:
    """What `look` returns once it is neither None nor False. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Server:
    """`python -m peer` on a free port of the loopback, with its journal in `folder`."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.journal = folder / "journal"
        self._log = folder / f"server-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "peer", "--port", str(port), "--journal", str(self.journal), *options],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        try:
            self.url = self._await_ready()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].strip("/"))

    def _await_ready(self) -> str:
        out = self._process.stdout
        assert out is not None
        seen, deadline = "", time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if select.select([out], [], [], 0.1)[0]:
                seen += os.read(out.fileno(), 4096).decode()
            found = READY.search(seen)
            if found:
                return found[1]
        raise RuntimeError(f"the server did not get ready: {seen}{self.log()}")

    def log(self) -> str:
        """What it wrote for people: warnings, faults."""
        return self._log.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def records(self, session: str, *kinds: str) -> list[Json]:
        """The journal of a session so far, in order; of the given kinds, or all."""
        path = self.journal / f"{session}.jsonl"
        try:
            found = rows(path)
        except Refusal:
            return []  # it is about to be begun
        return [one for one in found if not kinds or one["kind"] in kinds]

    def await_record(self, session: str, kind: str, seconds: float = 10.0, **fields: object) -> Json:
        """The first record of a kind with these fields, once it is written."""

        def look() -> Json | None:
            records = self.records(session, kind)
            return next((one for one in records if fields.items() <= one.items()), None)

        return until(look, f"a record {kind} {fields} of session {session}", seconds)


def frames(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """(frame, kind) of every frame that left, from the `frames` records of a journal."""
    for record in records:
        if record["kind"] != "frames":
            continue
        runs = record["runs"]
        ends = [run[0] for run in runs[1:]] + [record["to"]]
        for run, end in zip(runs, ends, strict=True):
            for n in range(run[0], end):
                yield n, run[1]


def chunks(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    """(frame, chunk) where a frame begins to play a chunk, from the `frames` records of a journal."""
    for record in records:
        for run in record["runs"] if record["kind"] == "frames" else ():
            for chunk, _, _ in run[3]:
                yield run[0], chunk


@dataclass
class Caller:
    """A page at a server: what a person does, and what can be measured of it."""

    page: Page
    server: Server
    troubles: list[str] = field(default_factory=list)
    """Errors of the console and exceptions of the page; a test ends red with any it does not expect."""

    def find(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    def call(self) -> str:
        """Press the button, be connected; the session's name."""
        self.find("call").click()
        return self.connected()

    def connected(self, timeout_ms: float = CALL_MS) -> str:
        self.phase("live", timeout_ms)
        self.page.evaluate("synchrony.warm()")
        return self.session

    def phase(self, name: str, timeout_ms: float = CALL_MS) -> None:
        self.page.locator(f"body[data-phase={name}]").wait_for(timeout=timeout_ms)

    def speech(self, name: str, timeout_ms: float = CALL_MS) -> None:
        self.page.locator(f"body[data-speech={name}]").wait_for(timeout=timeout_ms)

    def say(self, text: str) -> None:
        self.find("text").fill(text)
        self.find("text").press("Enter")

    def speak(self, text: str = LONG) -> None:
        """Say it and wait until its sound is at the loudspeaker's side of the page."""
        self.page.evaluate("() => { window.onset = synchrony.listen('on', {timeoutMs: 15000}); }")
        self.say(text)
        assert self.page.evaluate("window.onset") is not None, "no sound within 15 s of the text"

    def hang_up(self) -> list[Json]:
        """End the call; the whole journal of its session."""
        session = self.session
        self.find("hangup").click()
        self.phase("idle")
        self.server.await_record(session, "end")
        return self.records(session)

    @property
    def state(self) -> Json:
        found: Json = self.page.evaluate("synchrony.state()")
        return found

    @property
    def session(self) -> str:
        return str(self.state["session"])

    @property
    def marks(self) -> dict[str, float]:
        found: dict[str, float] = self.page.evaluate("synchrony.marks")
        return found

    def stats(self) -> Counter[str]:
        """The numbers of `inbound-rtp` as the browser counts them; nothing received yet is 0 of everything."""
        found = self.page.evaluate("synchrony.stats()") or {}
        return Counter({name: value for name, value in found.items() if isinstance(value, int | float)})

    def records(self, session: str = "", *kinds: str) -> list[Json]:
        return self.server.records(session or self.session, *kinds)

    def rms(self) -> float:
        """How loud the page's output is at this moment, 0 to 1."""
        return float(self.page.evaluate("synchrony.rms().out"))

    def begin_recording(self, seconds: float) -> None:
        """Record what leaves for the loudspeaker; `recorded` waits for it."""
        self.page.evaluate(f"() => {{ window.recording = synchrony.record({seconds}); }}")

    def recorded(self) -> npt.NDArray[np.float32]:
        """(n,) float32 at 48 kHz."""
        text = self.page.evaluate(
            """async () => {
                const { samples, rate } = await window.recording;
                if (rate !== 48000) throw new Error(`recorded at ${rate}`);
                const bytes = new Uint8Array(Float32Array.from(samples).buffer);
                let text = '';
                for (let at = 0; at < bytes.length; at += 8192) {
                    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
                }
                return btoa(text);
            }"""
        )
        return np.frombuffer(base64.b64decode(text), np.float32)


def loudness(pcm: npt.NDArray[np.float32]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64)))) if len(pcm) else 0.0
