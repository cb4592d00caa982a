"""The suite every voice passes, run through its real process and the real host.

A voice of a third party is tested by subclassing `VoiceContract` and giving it a `voice` fixture.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import registry
from adapters.base import Honour, TTSAdapter

from .core.chunk import AudioChunk, Marker, Request, Ticket
from .core.descriptor import CONTRACT, Determinism
from .core.errors import Broken, Refusal, Unspeakable
from .core.voice import Prosody, Voice
from .host import ProcessHost

ROOT = Path(__file__).resolve().parents[1]
SENTENCE = "Well, the quick brown fox jumps over 12 lazy dogs."
FAR = 3600.0
"""A deadline (s from now) that no test reaches."""

EVERYTHING = 10_000_000
"""More samples than any sentence here has."""

LIGHT = {"numpy", "aiohttp"}
"""Of what engines need, what the peer has loaded anyway."""

ALWAYS_HEAVY = {"transformers", "aiortc", "av"}
FIELDS = {"timbre", "prosody.pitch", "prosody.range", "prosody.volume", "accent", "emotion_priors", "pace"}
T = TypeVar("T")


@dataclass
class Heard:
    """What one or more renders of a sentence gave."""

    pcm: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    markers: list[Marker] = field(default_factory=list)
    pieces: list[AudioChunk] = field(default_factory=list)

    @property
    def cursor(self) -> int:
        return self.pieces[-1].cursor

    @property
    def eos(self) -> bool:
        return self.pieces[-1].eos

    def add(self, pieces: Sequence[AudioChunk]) -> None:
        self.pieces += pieces
        self.pcm = np.concatenate([self.pcm, *(piece.pcm for piece in pieces)])
        self.markers += [marker for piece in pieces for marker in piece.markers]


class Driver:
    """One voice behind its host on a loop of its own; plain calls, so that hypothesis can drive it."""

    def __init__(self, name: str, adapter: type[TTSAdapter]) -> None:
        self.name = name
        self.adapter = adapter
        self.descriptor = adapter.describe()
        self._runner = asyncio.Runner()
        self._serial = 0

    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(awaitable)

    @contextmanager
    def open(self) -> Iterator[Driver]:
        stop = asyncio.Event()

        async def live(started: asyncio.Future[None]) -> None:
            async with asyncio.TaskGroup() as tasks:
                self.host = ProcessHost(self.name, self.adapter, tasks)
                await self.host.start()
                started.set_result(None)
                await stop.wait()
                await self.host.close()
                await self.host.close()

        async def begin() -> asyncio.Task[None]:
            started = asyncio.get_running_loop().create_future()
            life = asyncio.create_task(live(started))
            await asyncio.wait([started, life], return_when=asyncio.FIRST_COMPLETED)
            return life

        async def end(life: asyncio.Task[None]) -> None:
            stop.set()
            await life

        with self._runner:
            life = self.run(begin())
            yield self
            self.run(end(life))

    def request(self, text: str = SENTENCE, cursor: int = 0, samples: int = EVERYTHING, **other: Any) -> Request:
        """A request of a stream of its own, unless `stream` is given.

        An engine that does not repeat itself keeps what it said, by stream: to it, every request is of one stream.
        """
        self._serial += 1
        knobs = self.adapter.project(other.pop("voice", Voice())).knobs
        repeats = self.descriptor.determinism is not Determinism.NONE
        stream = other.pop("stream", f"stream {self._serial}" if repeats else "stream")
        seed = other.pop("seed", 7)
        return Request(Ticket(0, self._serial), self.name, stream, text, cursor, samples, 8, knobs, seed)

    async def pieces(self, request: Request) -> list[AudioChunk]:
        deadline = asyncio.get_running_loop().time() + FAR
        return [chunk async for chunk in self.host.render(request, deadline)]

    async def struck(self, request: Request) -> list[AudioChunk]:
        """The pieces of a request whose process is killed while it is asked for it, and which is asked again.

        It is stopped first: a fast engine would have answered before the blow.
        """
        deadline, pid = asyncio.get_running_loop().time() + FAR, int(str(self.host.status()["pid"]))
        os.kill(pid, signal.SIGSTOP)
        with self.host.render(request, deadline) as render:
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(Broken):
                async for _ in render:
                    pass
        while self.host.status()["state"] != "READY":  # noqa: ASYNC110 (the host tells nobody)
            await asyncio.sleep(0.02)
        return await self.pieces(replace(request, ticket=replace(request.ticket, attempt=1)))

    async def sentence(self, text: str, chunks: Callable[[int], int]) -> Heard:
        """A whole sentence; `chunks(i)` is the size of the i-th request."""
        heard, request, index = Heard(), self.request(text), 0
        while True:
            heard.add(await self.pieces(replace(request, samples=chunks(index), cursor=len(heard.pcm))))
            index += 1
            if heard.eos:
                return heard

    def whole(self, text: str = SENTENCE, **other: Any) -> Heard:
        heard = Heard()
        heard.add(self.run(self.pieces(self.request(text, **other))))
        return heard

    def rung(self, units: int) -> int:
        """Native samples of a rung."""
        return round(units * self.descriptor.unit_ms * self.descriptor.sample_rate / 1000)


def opened(name: str) -> Iterator[Driver]:
    """What a `voice` fixture yields from."""
    with Driver(name, registry.load(name)).open() as driver:
        yield driver


CALM = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
TEXTS = [
    "",
    "a",
    "?",
    "...",
    "日本",
    "مرحبا بالعالم",
    "Привет, мир!",
    "😀 😀",
    "a\0b",
    "\ud800x",
    "it's 3.14 & <b>so</b>",
]


class VoiceContract:
    """Every method is one promise of the contract. A subclass says how its engine counts its own steps."""

    kills: int = 100
    """Chunks of a sentence in which the process is killed; fewer where it takes seconds to be back."""

    whole_first: bool = False
    """True where the first piece may cost more for a longer sentence; the subclass says why."""

    def steps(self, voice: Driver, text: str) -> tuple[int, int]:
        """The engine's own steps (tokens, blocks, callbacks) until the first piece of `text` left, and in all."""
        raise NotImplementedError

    def test_first_piece_does_not_wait_for_the_sentence(self, voice: Driver) -> None:
        """Eight times the text costs at most half as much again before the first sound, in the engine's steps."""
        short, all_short = self.steps(voice, SENTENCE)
        long, all_long = self.steps(voice, SENTENCE + " and so on" * 40)
        assert all_long > 4 * all_short
        assert self.whole_first or long <= 1.5 * short

    def test_describe_is_cold(self, voice: Driver) -> None:
        """Describing, projecting and asking for the command import no engine, model library or transport."""
        needed = {module for row in registry.rows().values() for module in row.needs}
        heavy = sorted((needed | ALWAYS_HEAVY) - LIGHT)
        code = (
            "import sys; from adapters import registry; from peer.core.voice import Voice;"
            f"a = registry.load({voice.name!r}); a.describe(); a.project(Voice()); a.worker_command();"
            f"print([m for m in {heavy!r} if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.strip() == "[]"

    def test_descriptor(self, voice: Driver) -> None:
        """The descriptor names itself, speaks this contract and has an ascending ladder."""
        descriptor = voice.descriptor
        assert descriptor.name == voice.name
        assert descriptor.contract == CONTRACT
        assert list(descriptor.granularity) == sorted(set(descriptor.granularity))
        assert descriptor.granularity[0] > 0
        assert descriptor.unit_ms > 0
        assert descriptor.licence
        assert set(descriptor.to_wire()) > {"name", "unit", "granularity", "sample_rate"}

    def test_projection_reports_every_field(self, voice: Driver) -> None:
        """Every field of the schema is reported as exact, approximate or none."""
        report = voice.adapter.project(Voice(emotion_priors={"joy": 0.5})).report
        assert set(report) == FIELDS
        assert all(isinstance(honour, Honour) for honour in report.values())

    def test_unsupported_is_refused(self, voice: Driver) -> None:
        """A timbre that is not there is refused, naming the field and a remedy."""
        with pytest.raises(Refusal) as refused:
            voice.adapter.project(Voice(timbre="no such voice"))
        assert refused.value.field == "voice.timbre"
        assert refused.value.remedy

    def test_pieces_have_their_shape(self, voice: Driver) -> None:
        """Pieces are mono float32 in [-1, 1] at the declared rate and read-only; only the last is last."""
        heard = voice.whole()
        for piece in heard.pieces:
            assert piece.pcm.dtype == np.float32
            assert piece.pcm.ndim == 1
            assert piece.sample_rate == voice.descriptor.sample_rate
            assert not piece.pcm.flags.writeable
            assert not len(piece.pcm) or float(np.abs(piece.pcm).max()) <= 1.0
            assert piece.render_ms >= 0.0
        assert [piece.last for piece in heard.pieces] == [False] * (len(heard.pieces) - 1) + [True]
        assert heard.eos
        assert float(np.abs(heard.pcm).max()) > 0.05

    def test_cursor_advances(self, voice: Driver) -> None:
        """The cursor counts the samples, and nothing comes at or behind the end."""
        heard, at = voice.whole(), 0
        for piece in heard.pieces:
            at += len(piece.pcm)
            assert piece.cursor == at
        for _ in range(10):
            assert voice.whole(samples=at).eos
            assert not voice.whole(samples=at - 1).eos
        for cursor in (at, at + 1000):
            beyond = voice.whole(cursor=cursor, samples=1000)
            assert (len(beyond.pcm), beyond.eos, beyond.markers) == (0, True, [])

    def test_markers(self, voice: Driver) -> None:
        """Markers ascend, lie inside sound and text, and there is one for every word."""
        heard, kinds = voice.whole(), voice.descriptor.markers
        assert {marker.kind for marker in heard.markers} == set(kinds)
        assert [marker.at for marker in heard.markers] == sorted(marker.at for marker in heard.markers)
        assert all(0 <= marker.at < len(heard.pcm) for marker in heard.markers)
        assert all(0 <= marker.start <= marker.end <= len(SENTENCE) for marker in heard.markers)
        if "word" in kinds:
            words = [
                SENTENCE[marker.start : marker.end].strip(",.") for marker in heard.markers if marker.kind == "word"
            ]
            assert words == SENTENCE.replace(",", "").replace(".", "").split()

    def test_same_request_same_bytes(self, voice: Driver) -> None:
        """A request repeated, under other stream names too, gives the same samples and markers."""
        first = voice.whole()
        for _ in range(8):
            again = voice.whole()
            assert again.pcm.tobytes() == first.pcm.tobytes()
            assert again.markers == first.markers

    @CALM
    @given(data=st.data())
    def test_every_chunking_is_the_same(self, voice: Driver, data: st.DataObject) -> None:
        """However a sentence is asked for, from single samples to everything, sound and markers are equal."""
        rungs = [voice.rung(units) for units in voice.descriptor.granularity]
        sizes = data.draw(st.lists(st.sampled_from(rungs) | st.integers(1, 100) | st.integers(0, 30_000), max_size=20))
        whole = voice.whole("Yes, it is so.")
        heard = voice.run(voice.sentence("Yes, it is so.", lambda index: (sizes + rungs[:1] * 1000)[index]))
        assert heard.pcm.tobytes() == whole.pcm.tobytes()
        assert heard.markers == whole.markers

    @CALM
    @given(cursor=st.integers(0, 60_000), samples=st.integers(0, 20_000))
    def test_any_span_is_a_slice(self, voice: Driver, cursor: int, samples: int) -> None:
        """Any span asked for out of nothing is that slice of the whole, with the markers inside it."""
        whole, span = voice.whole(), voice.whole(cursor=cursor, samples=samples)
        end = min(cursor + samples, len(whole.pcm))
        assert span.pcm.tobytes() == whole.pcm[cursor:end].tobytes()
        assert span.eos == (cursor + samples >= len(whole.pcm))
        assert span.markers == [marker for marker in whole.markers if cursor <= marker.at < end]

    def test_every_rung(self, voice: Driver) -> None:
        """Every rung gives exactly its samples while the sentence lasts."""
        for units in voice.descriptor.granularity:
            assert len(voice.whole(samples=voice.rung(units)).pcm) == voice.rung(units)

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_odd_texts(self, voice: Driver, text: str) -> None:
        """Empty, one letter, other scripts, emoji, NUL and lone surrogates end cleanly and repeat themselves.

        What the voice has no language for it says it cannot speak; then it speaks on as if nothing had been.
        """
        try:
            heard = voice.whole(text)
        except Unspeakable:
            assert any(ord(letter) > 127 for letter in text)
            assert voice.whole("Well.").eos
            return
        assert heard.eos
        assert heard.pcm.tobytes() == voice.whole(text).pcm.tobytes()
        assert all(0 <= marker.start <= marker.end <= len(text) for marker in heard.markers)

    def test_voice_changes_the_sound(self, voice: Driver) -> None:
        """Pace and volume are heard: shorter, and quieter."""
        plain = voice.whole()
        fast, quiet = Voice(pace=1.6), Voice(prosody=Prosody(volume=0.4))
        assert len(voice.whole(voice=fast).pcm) < 0.85 * len(plain.pcm)
        assert np.abs(voice.whole(voice=quiet).pcm).max() < 0.6 * np.abs(plain.pcm).max()

    def test_cancelled_then_next(self, voice: Driver) -> None:
        """A render left in the middle disturbs nothing: the next one is whole."""
        plain = voice.whole()

        async def leave() -> None:
            deadline = asyncio.get_running_loop().time() + FAR
            with voice.host.render(voice.request(SENTENCE * 8), deadline) as render:
                async for _ in render:
                    break

        for _ in range(5):
            voice.run(leave())
            assert voice.host.status()["rendering"] == 0
            assert voice.whole().pcm.tobytes() == plain.pcm.tobytes()

    def test_interleaved_streams(self, voice: Driver) -> None:
        """Sixteen sentences, more than are kept in progress, rendered in turns, equal those rendered alone."""
        rung = voice.rung(voice.descriptor.granularity[-1])
        texts = [f"Number {index}." for index in range(16)]

        async def together() -> list[Heard]:
            return await asyncio.gather(*(voice.sentence(text, lambda _: rung) for text in texts))

        for text, heard in zip(texts, voice.run(together()), strict=True):
            alone = voice.whole(text)
            assert heard.pcm.tobytes() == alone.pcm.tobytes()
            assert heard.markers == alone.markers

    def test_killed_at_every_chunk(self, voice: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
        """The process is killed in each chunk of a sentence; asked again, with what the log has, it gives the same."""
        if voice.descriptor.determinism is Determinism.NONE:
            pytest.skip("an engine that never says the same twice: what it said is kept by its own process")
        monkeypatch.setattr("peer.host.BACKOFF_S", (0.0,))
        rung, request = voice.rung(voice.descriptor.granularity[-1]), voice.request("Yes, it is so.")
        chunks: list[tuple[Request, Heard]] = []
        while not chunks or not chunks[-1][1].eos:
            heard = Heard()
            heard.add(voice.run(voice.pieces(replace(request, samples=rung))))
            chunks.append((replace(request, samples=rung), heard))
            request = replace(request, cursor=heard.cursor, state=heard.pieces[-1].state)
        for asked, heard in chunks[: self.kills]:
            again = Heard()
            again.add(voice.run(voice.struck(asked)))
            assert again.pcm.tobytes() == heard.pcm.tobytes()
            assert (again.markers, again.eos) == (heard.markers, heard.eos)
