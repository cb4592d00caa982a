"""The speech service's adapter: the common suite against a service on loopback, and every way a service can be bad."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters import registry, settings
from adapters.base import Honour
from adapters.settings import EngineSettings
from adapters.spool import Block
from adapters.voices import openai_exchange, openai_take, openai_text
from adapters.voices.openai_service import OPTIONS, BadOptionError, service_of
from adapters.voices.openai_speech import OpenAISpeech
from adapters.voices.openai_take import Takes
from peer.core.chunk import AudioChunk, Request, Ticket
from peer.core.errors import AdapterError, Broken, Refusal, Stalled, Unavailable, Unspeakable
from peer.core.pcm import EMPTY
from peer.core.voice import Prosody, Voice
from peer.host import ProcessHost
from tests.tiny.loopback_speech import Mode, SpeechServer, in_thread

from .voice_contract import EVERYTHING, FAR, SENTENCE, Driver, VoiceContract, opened

NAME = "openai_speech"
KEY = "sk-a-key-of-somebody"
QUICK = {"connect_s": 2.0, "first_s": 0.4, "silence_s": 0.4}
"""Deadlines of tests that wait for them."""


def row(server: SpeechServer, **options: Any) -> EngineSettings:
    return EngineSettings(options={"url": server.url, "voices": "alloy,nova,en-us+f3", **options})


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of whoever runs the tests goes anywhere."""
    for variable in ("SYNCHRONY_SPEECH_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[SpeechServer]:
    """A service that says nothing twice the same."""
    with in_thread(SpeechServer(Mode.VARIED)) as found:
        yield found


@pytest.fixture(scope="module")
def voice(server: SpeechServer) -> Iterator[Driver]:
    """The adapter in its process, before that service."""
    with settings.override(NAME, row(server)):
        yield from opened(NAME)


@pytest.fixture(scope="module")
def moody() -> Iterator[SpeechServer]:
    """A service whose mode each test sets."""
    with in_thread(SpeechServer()) as found:
        yield found


@contextmanager
def inline(server: SpeechServer, mode: Mode | None = None, **options: Any) -> Iterator[OpenAISpeech]:
    """The adapter in this process, to be looked into; what the service remembers is forgotten."""
    server.mode = mode or server.mode
    server.asked.clear()
    server.keys.clear()
    server.left = 0
    with settings.override(NAME, row(server, **options)):
        engine = OpenAISpeech()
        engine.warm_up()
        try:
            yield engine
        finally:
            engine.close()


def request(text: str = SENTENCE, voice: Voice | None = None, **other: Any) -> Request:
    blank = {"ticket": Ticket(0, 0), "adapter": NAME, "stream": "s", "cursor": 0, "samples": EVERYTHING, "units": 8}
    return Request(**{**blank, "text": text, "knobs": OpenAISpeech.project(voice or Voice()).knobs, "seed": 7, **other})


def hear(engine: OpenAISpeech, wanted: Request) -> np.ndarray:
    """All samples of a request."""
    return np.concatenate([EMPTY, *(piece.pcm for piece in engine.render(wanted))])


class TestContract(VoiceContract):
    """The common suite: the service never repeats itself, so what repeats is what the adapter kept."""

    def steps(self, voice: Driver, text: str) -> tuple[int, int]:
        """Pieces of the answer read until the first sound left, and in all."""
        with in_thread(SpeechServer(Mode.PCM, pause_s=0.004)) as paced, inline(paced) as engine:
            assert engine._exchange is not None
            pieces = engine.render(voice.request(text))
            next(piece for piece in pieces if len(piece.pcm))
            first = engine._exchange.reads
            list(pieces)
            return first, engine._exchange.reads


# --- good services ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.WAV, Mode.WAV_EACH, Mode.FLAKY, Mode.BUSY])
def test_every_good_answer_is_the_same_sound(moody: SpeechServer, mode: Mode) -> None:
    """WAV with one header or with many, and an answer at the second try, give the samples of plain PCM."""
    with inline(moody, Mode.PCM) as engine:
        plain = hear(engine, request())
    with inline(moody, mode) as engine:
        assert np.array_equal(hear(engine, request()), plain)
    assert len(moody.asked) == (2 if mode in (Mode.FLAKY, Mode.BUSY) else 1)
    assert np.abs(plain).max() > 0.3


def test_stereo_of_another_rate(moody: SpeechServer) -> None:
    """48 kHz stereo comes out as the same words at ours: the same length, nearly the same samples."""
    with inline(moody, Mode.PCM) as engine:
        plain = hear(engine, request())
    with inline(moody, Mode.WAV_STEREO) as engine:
        moved = hear(engine, request())
    assert abs(len(moved) - len(plain)) <= 2
    size = min(len(moved), len(plain))
    assert np.corrcoef(moved[:size], plain[:size])[0, 1] > 0.999


def test_question_holds_what_was_asked_and_no_more(moody: SpeechServer) -> None:
    """Model, text, voice, format and speed; what the operator did not turn on is not in it."""
    with inline(moody, Mode.PCM) as engine:
        hear(engine, request("Well\0, it is so.", Voice(timbre="nova", pace=1.5)))
    assert moody.asked == [
        {
            "model": OPTIONS["model"],
            "input": "Well , it is so.",
            "voice": "nova",
            "response_format": "pcm",
            "speed": 1.5,
        }
    ]
    options = {"instructions": True, "stream_format": "audio", "stream": True, "speed": False, "model": "kokoro"}
    with inline(moody, Mode.WAV, format="wav", **options) as engine:
        hear(engine, request("Well.", Voice(emotion_priors={"joy": 0.9})))
    (asked,) = moody.asked
    assert "speed" not in asked
    assert (asked["model"], asked["response_format"], asked["stream_format"], asked["stream"]) == (
        "kokoro", "wav", "audio", True,
    )  # fmt: skip
    assert asked["instructions"] == "Speak with a British English accent. Sound very joyful."


def test_two_renditions_differ_and_each_repeats(server: SpeechServer) -> None:
    """The service varies: another stream hears another rendition, the same one the same bytes, asked for once."""
    with inline(server) as engine:
        first, second = (hear(engine, request(stream=stream)) for stream in ("a", "b"))
        assert not np.array_equal(first, second)
        assert np.array_equal(hear(engine, request(stream="a")), first)
        assert np.array_equal(hear(engine, request(stream="a", cursor=5_000, samples=700)), first[5_000:5_700])
    assert len(server.asked) == 2


def test_nothing_to_pronounce_is_not_asked(moody: SpeechServer) -> None:
    """A text of signs ends at once; a service would answer with an error."""
    with inline(moody, Mode.PCM) as engine:
        for text in ("", "...", "😀 😀"):
            assert len(hear(engine, request(text))) == 0
    assert moody.asked == []


def test_pitch_and_volume_are_moved_here(moody: SpeechServer) -> None:
    """What the protocol has no knob for is done behind it: the same length, another sound, exactly half the level."""
    with inline(moody, Mode.PCM) as engine:
        plain = hear(engine, request())
        half = hear(engine, request(voice=Voice(prosody=Prosody(volume=0.5))))
        high = hear(engine, request(voice=Voice(prosody=Prosody(pitch=4.0))))
    assert np.array_equal(half, plain * np.float32(0.5))
    assert len(high) == len(plain)
    assert not np.array_equal(high, plain)


# --- bad services -------------------------------------------------------------------------------------------------

BAD = [
    (Mode.HTML, Broken, "sent text/html instead of sound: Sign in to the hotel network", 1),
    (Mode.MP3, Broken, "sent audio/mpeg though pcm was asked for", 1),
    (Mode.EMPTY, Broken, "sent no sound", 3),
    (Mode.REFUSED, Broken, "answered 400: no such thing here", 1),
    (Mode.BUSY_LONG, Broken, "429: Rate limit reached; it wants to be left alone for 3600 s", 1),
    (Mode.UNAUTHORIZED, Unavailable, "set SYNCHRONY_SPEECH_KEY", 1),
    (Mode.REDIRECT, Unavailable, "sends us elsewhere .307.*name the right url", 1),
    (Mode.HANG_FIRST, Broken, "gave no answer within 0.4 s", 3),
    (Mode.HANG, Broken, "stopped in the middle for 0.4 s", 1),
    (Mode.BREAK, Broken, "broke off", 1),
    (Mode.ENDLESS, Broken, r"sent more than \d+ s of sound for one sentence", 1),
]


@pytest.mark.parametrize(("mode", "fault", "words", "asked"), BAD, ids=lambda value: str(value)[:20])
def test_bad_answers_have_a_sentence(
    moody: SpeechServer, mode: Mode, fault: type[AdapterError], words: str, asked: int
) -> None:
    """Each way to be bad is named, asked again only where that helps, and the next sentence is well."""
    with inline(moody, mode, **QUICK) as engine:
        with pytest.raises(fault, match=words) as raised:
            hear(engine, request())
        assert moody.url.split("/")[2] in str(raised.value)
        assert "\n" not in str(raised.value)
        assert len(moody.asked) == asked
        moody.mode = Mode.PCM
        assert len(hear(engine, request())) > 24_000


def test_heard_sound_is_never_asked_again(moody: SpeechServer) -> None:
    """Once a piece was given away a fault is told; what came before it stays, and stays the same."""
    with inline(moody, Mode.HANG, **QUICK) as engine:
        given: list[np.ndarray] = []
        with pytest.raises(Broken):
            given.extend(piece.pcm for piece in engine.render(request()))
        assert (len(moody.asked), len(np.concatenate(given))) == (1, 12_000)
        part = hear(engine, request(cursor=1_000, samples=2_000))
        assert np.array_equal(part, np.concatenate(given)[1_000:3_000])
        assert len(moody.asked) == 1


def test_unreachable_and_unknown_services() -> None:
    """A port where nobody listens, and a name that there is not, are told with the address."""
    gone = SpeechServer(port=9)
    with inline(gone) as engine, pytest.raises(Broken, match=r"127\.0\.0\.1:9 cannot be reached"):
        hear(engine, request())
    with settings.override(NAME, EngineSettings(options={"url": "https://speech.invalid/v1", "first_s": 1.0})):
        engine = OpenAISpeech()
        engine.warm_up()
        with pytest.raises(Broken, match=r"speech\.invalid:443 (cannot be reached|gave no answer)"):
            hear(engine, request())
        engine.close()


def test_a_redirect_is_not_followed(moody: SpeechServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither text nor key goes where a service sends us."""
    monkeypatch.setenv("SYNCHRONY_SPEECH_KEY", KEY)
    with in_thread(SpeechServer()) as other:
        moody.elsewhere = f"{other.url}/audio/speech"
        with inline(moody, Mode.REDIRECT) as engine, pytest.raises(Unavailable) as raised:
            hear(engine, request())
        assert other.asked == []
    assert other.url not in str(raised.value)


# --- leaving ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.HANG_FIRST, Mode.HANG, Mode.SLOW])
def test_leaving_closes_the_connection(moody: SpeechServer, mode: Mode) -> None:
    """A render left before the first byte, in a hang or in the middle hangs up; the service sees it."""
    with inline(moody, mode, first_s=30.0, silence_s=30.0) as engine:
        pieces = engine.render(request())
        for piece in pieces:
            assert not piece.last
            if moody.asked and (len(piece.pcm) or mode is Mode.HANG_FIRST):
                break
        assert moody.left == 0
        pieces.close()
        wait_for(lambda: moody.left == 1)
        moody.mode = Mode.PCM
        assert len(hear(engine, request(stream="next"))) > 24_000


def wait_for(fact: Any) -> None:
    """Until the other thread has seen it; the test's own timeout is the limit."""
    pause = asyncio.Runner()
    with pause:
        while not fact():
            pause.run(asyncio.sleep(0.005))


class Pieces:
    """Blocks of a modelled service: ten of 100 samples; counts those that were closed early."""

    def __init__(self) -> None:
        self.begun = self.closed = 0

    def __call__(self, wanted: Request) -> Iterator[Block]:
        self.begun += 1
        number = self.begun
        at = 0
        try:
            for at in range(0, 1_000, 100):
                yield Block(at, np.full(100, number, np.float32))
        except GeneratorExit:
            self.closed += 1
            raise


def taken(takes: Takes, stream: str, cursor: int, samples: int) -> list[AudioChunk]:
    blank = Request(Ticket(0, 0), NAME, stream, "text", cursor, samples, 8, {}, 7)
    return [piece for piece in takes.render(blank) if len(piece.pcm) or piece.last]


def test_open_sentences_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more sentences under way than allowed the oldest is hung up; what it gave is still there."""
    monkeypatch.setattr(openai_take, "MOST_OPEN", 3)
    service = Pieces()
    takes = Takes(service, 1_000)
    for stream in "abcd":
        taken(takes, stream, 0, 250)
    assert (service.begun, service.closed) == (4, 1)
    assert taken(takes, "a", 0, 250)[0].pcm[0] == 1
    assert taken(takes, "a", 250, 250)[0].pcm[0] == 5
    takes.close()


def test_kept_sound_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the sentence unused for longest is forgotten, and asked for again when it is wanted."""
    monkeypatch.setattr(openai_take, "KEPT_S", 3.0)
    service = Pieces()
    takes = Takes(service, 1_000)
    for stream in "abcd":
        taken(takes, stream, 0, 9_999)
    taken(takes, "b", 0, 9_999)
    assert service.begun == 4
    taken(takes, "a", 0, 9_999)
    assert service.begun == 5


def test_idle_sentences_are_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence under way that nobody goes on with is closed at the next request."""
    monkeypatch.setattr(openai_take, "IDLE_S", -1.0)
    service = Pieces()
    takes = Takes(service, 1_000)
    taken(takes, "a", 0, 100)
    taken(takes, "b", 0, 100)
    assert service.closed == 1


# --- the key ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.PCM, Mode.UNAUTHORIZED, Mode.REFUSED, Mode.REDIRECT, Mode.HANG_FIRST])
def test_the_key_is_sent_and_never_told(
    moody: SpeechServer, mode: Mode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It stands in one header of each request; not in errors, where services repeat it, nor in logs or lists."""
    monkeypatch.setenv("SYNCHRONY_SPEECH_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    said = ""
    with inline(moody, mode, **QUICK) as engine:
        try:
            hear(engine, request())
        except AdapterError as error:
            said = f"{error!r} {error.__cause__!r}"
        about = json.dumps(OpenAISpeech.describe().to_wire()) + json.dumps(settings.environment(NAME))
    assert set(moody.keys) == {f"Bearer {KEY}"}
    assert KEY not in said + caplog.text + about


def test_a_publishers_key_goes_to_its_publisher_only(moody: SpeechServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_API_KEY lies in many environments for other reasons: no other service is given it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with inline(moody, Mode.PCM) as engine:
        hear(engine, request())
    assert moody.keys == [""]
    variables = [service_of(EngineSettings(options={"url": url})) for url in ("https://eu.api.openai.com/v1",
                 "https://openai.com.example/v1", "https://notopenai.com/v1")]  # fmt: skip
    assert ["OPENAI_API_KEY" in found.key_variables for found in variables if found] == [True, False, False]


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", "x" * 5_000])
def test_what_is_no_key_is_refused_unheard(moody: SpeechServer, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was pasted wrong is named by its variable, not by its content, and not sent."""
    monkeypatch.setenv("SYNCHRONY_SPEECH_KEY", key)
    with pytest.raises(Unavailable, match="SYNCHRONY_SPEECH_KEY does not hold a key") as raised, inline(moody):
        pass
    assert key not in str(raised.value)


# --- options, persona, texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "asked", "place"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/audio/speech", "api.openai.com:443"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/audio/speech", "api.openai.com:443"),
        ("http://localhost:8880", "http://localhost:8880/v1/audio/speech", "localhost:8880"),
        ("http://10.1.2.3:80/x/audio/speech", "http://10.1.2.3:80/x/audio/speech", "10.1.2.3:80"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/audio/speech", "[::1]:8000"),
        ("http://kokoro/v1", "http://kokoro/v1/audio/speech", "kokoro:80"),
    ],
)
def test_where_a_service_is(url: str, asked: str, place: str) -> None:
    """A base URL, with or without its path, names one address and one place that the process may reach."""
    with settings.override(NAME, EngineSettings(options={"url": url})):
        service = service_of(settings.of(NAME))
        assert service is not None
        assert (service.url, OpenAISpeech.describe().network) == (asked, (place,))
        assert registry.availability(NAME).available


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://example.org/v1"}, "without encryption; write https"),
        ({"url": "http://8.8.8.8/v1"}, "without encryption"),
        ({"url": "https://user:pass@example.org/v1"}, "SYNCHRONY_SPEECH_KEY in the environment only"),
        ({"url": "https://example.org/v1?key=x"}, "query"),
        ({"url": "ftp://example.org"}, "not an address"),
        ({"url": "https://:99"}, "not an address"),
        ({"url": "https://example.org:99999"}, "does not parse"),
        ({"url": "https://example.org", "sample_rate": 7}, "sample_rate"),
        ({"url": "https://example.org", "sample_rate": True}, "sample_rate"),
        ({"url": "https://example.org", "format": "mp3"}, "choose one of pcm, wav"),
        ({"url": "https://example.org", "voices": " , "}, "voices"),
        ({"url": "https://example.org", "speed": "fast"}, "true or false"),
        ({"url": "https://example.org", "first_s": 0}, "seconds"),
        ({"url": "https://example.org", "colour": "red"}, "colour is not known"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    """What cannot be used makes the engine unavailable with a sentence; describing it still works."""
    with settings.override(NAME, EngineSettings(options=options)):
        with pytest.raises(BadOptionError, match=words):
            service_of(settings.of(NAME))
        found = registry.availability(NAME)
        assert not found.available
        assert f"[engines.{NAME}.options]" in found.remedy
        assert OpenAISpeech.describe().network == ()
        with pytest.raises(Unavailable):
            OpenAISpeech().warm_up()


def test_without_a_service_it_says_what_to_set() -> None:
    """Nothing configured is no fault: the remedy names the variable and the table."""
    with settings.override(NAME, EngineSettings()):
        found = registry.availability(NAME)
    assert not found.available
    assert "SYNCHRONY_SPEECH_URL" in found.remedy
    assert f"url in [engines.{NAME}.options]" in found.remedy


def test_projection(moody: SpeechServer) -> None:
    """Voice and speed are exact, what is told in words approximate, the rest is moved behind or not there."""
    wanted = Voice(timbres={NAME: "nova"}, timbre="elsewhere", pace=1.7, emotion_priors={"joy": 0.5})
    with settings.override(NAME, row(moody)):
        plain = OpenAISpeech.project(wanted)
        assert plain.knobs == {"voice": "nova", "speed": 1.7}
        assert plain.report["pace"] is Honour.EXACT
        assert plain.report["accent"] is plain.report["emotion_priors"] is Honour.NONE
        assert OpenAISpeech.project(Voice()).knobs["voice"] == "alloy"
    with settings.override(NAME, row(moody, instructions=True, speed=False, languages="en,de")):
        told = OpenAISpeech.project(wanted)
        assert told.knobs["post_pace"] == 1.7
        assert told.report["accent"] is told.report["emotion_priors"] is Honour.APPROXIMATE
        assert OpenAISpeech.project(Voice(accent="de-AT")).knobs["instructions"]
        with pytest.raises(Refusal) as refused:
            OpenAISpeech.project(Voice(accent="fr-FR"))
    assert (refused.value.field, refused.value.remedy) == ("voice.accent", "choose one of en, de")


def test_a_persona_in_words() -> None:
    """Accent, emotions by degree and range; a plain persona only its accent, a crowded one within the bound."""
    assert openai_text.instructions_of(Voice()) == "Speak with a British English accent."
    much = Voice(accent="fr-CA", prosody=Prosody(range=1.5), emotion_priors={"joy": 0.9, "awe": 0.1, "fear": 0.0})
    assert openai_text.instructions_of(much) == (
        "Speak with the accent of fr-CA. Sound slightly full of awe, very joyful. "
        "Let the pitch of your voice move lively."
    )
    crowd = Voice(emotion_priors={f"{'x' * 60}{number}": 1.0 for number in range(16)})
    assert len(openai_text.instructions_of(crowd)) <= openai_text.MOST_INSTRUCTIONS


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("Привет, мир", "en,de", "Cyrillic"),
        ("Привет, мир", "en,ru", ""),
        ("Привет, мир", "", ""),
        ("日本", "en", "Cjk"),
        ("Say привет to everyone", "en", ""),
        ("12 + 3", "en", ""),
        ("a\ud800", "en", ""),
    ],
)
def test_texts_for_another_voice(moody: SpeechServer, text: str, languages: str, script: str) -> None:
    """Where the operator says what a service speaks, a text in another script is refused and not sent."""
    with inline(moody, Mode.PCM, languages=languages) as engine:
        if script:
            with pytest.raises(Unspeakable, match=script):
                hear(engine, request(text))
        else:
            hear(engine, request(text))
        assert bool(moody.asked) != bool(script)


def test_a_text_beyond_the_protocol_is_not_sent(moody: SpeechServer) -> None:
    """More characters than one request may have is said before it is tried."""
    with inline(moody, Mode.PCM) as engine, pytest.raises(Unspeakable, match="at most 4096 characters"):
        hear(engine, request("word " * 1_000))
    assert moody.asked == []


def test_deadlines_end_before_the_hosts() -> None:
    """A service's own silence is told by the adapter, not by the host that waits for it."""
    from peer.host import GRACE_S, SILENCE_S

    assert float(OPTIONS["silence_s"]) < SILENCE_S
    assert openai_exchange.LOOK_S < GRACE_S / 100


# --- in its process -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def hosted(server: SpeechServer, **options: Any) -> AsyncIterator[ProcessHost]:
    """The adapter behind its host, and that service on this loop."""
    async with server, asyncio.TaskGroup() as tasks:
        with settings.override(NAME, row(server, **options)):
            host = ProcessHost(NAME, registry.load(NAME), tasks)
            try:
                await host.start()
                yield host
            finally:
                await host.close()


async def spoken(host: ProcessHost, wanted: Request) -> bytes:
    deadline = asyncio.get_running_loop().time() + FAR
    return b"".join([piece.pcm.tobytes() async for piece in host.render(wanted, deadline)])


async def test_it_reaches_its_service_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is confined to the declared place, has its key, and shows the one and hides the other."""
    monkeypatch.setenv("SYNCHRONY_SPEECH_KEY", KEY)
    server = SpeechServer(key=KEY)
    async with hosted(server) as host:
        status = host.status()
        assert status["sandbox"] == "allowlist"
        assert status["limits"]["network"] == [f"127.0.0.1:{server.port}"]  # type: ignore[index]
        assert await spoken(host, request())
        assert KEY not in json.dumps(status)


async def test_a_key_that_is_not_taken_fails_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key at the start, and one that is withdrawn, are the engine's state in words; a good one heals it."""
    server = SpeechServer(key=KEY)
    with pytest.raises(BaseException) as raised:
        async with hosted(server):
            pass
    assert raised.group_contains(Unavailable, match="does not take our key .401.; set SYNCHRONY_SPEECH_KEY")
    monkeypatch.setenv("SYNCHRONY_SPEECH_KEY", KEY)
    server = SpeechServer(key=KEY)
    async with hosted(server) as host:
        server.mode = Mode.UNAUTHORIZED
        with pytest.raises(Unavailable, match="does not take our key"):
            await spoken(host, request())
        assert host.status()["state"] == "FAILED"
        assert KEY not in json.dumps(host.status())
        server.mode = Mode.PCM
        while host.status()["state"] != "READY":
            await asyncio.sleep(0.01)
        assert await spoken(host, request())


async def test_a_hanging_service_does_not_cost_the_worker() -> None:
    """A deadline that passes while the service hangs hangs up; the same process serves the next request."""
    server = SpeechServer()
    async with hosted(server, first_s=30.0) as host:
        server.mode = Mode.HANG_FIRST
        pid = host.status()["pid"]
        with pytest.raises(Stalled):
            await anext(host.render(request(), asyncio.get_running_loop().time() + 0.1))
        while not server.left:
            await asyncio.sleep(0.005)
        server.mode = Mode.PCM
        assert await spoken(host, request())
        assert (host.status()["pid"], host.status()["restarts"]) == (pid, 0)


async def test_killed_in_the_middle_costs_one_render() -> None:
    """SIGKILL in a render breaks it; asked once more, a service that repeats itself gives the same bytes."""
    server = SpeechServer(pause_s=0.01)
    async with hosted(server) as host:
        whole = await spoken(host, request(samples=30_000))
        render = host.render(request(stream="again", samples=30_000), asyncio.get_running_loop().time() + FAR)
        await anext(render)
        os.kill(int(str(host.status()["pid"])), signal.SIGKILL)
        with pytest.raises(Broken):
            async for _ in render:
                pass
        assert await spoken(host, request(stream="again", samples=30_000)) == whole
        assert host.status()["restarts"] == 1


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A self-signed certificate of `name`, written as the authority it is trusted by: folder/authority.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin = datetime.datetime(2020, 1, 1)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, begin, begin + datetime.timedelta(36_500))
        .add_extension(
            alternatives if name == "localhost" else x509.SubjectAlternativeName([x509.DNSName(name)]), False
        )
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(made.public_bytes(pem))
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "authority.pem", folder / "key.pem")
    return context


async def test_encrypted_services_are_who_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an authority of the operator's own it is spoken to; a certificate of another name, or of nobody, is not."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with hosted(SpeechServer(tls=certificate(tmp_path, "localhost"))) as host:
        assert host.status()["sandbox"] == "allowlist"
        assert await spoken(host, request())
    for name, trusted in (("speech.example", True), ("localhost", False)):
        tls = certificate(tmp_path, name)
        if not trusted:
            monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(BaseException) as raised:
            async with hosted(SpeechServer(tls=tls)):
                pass
        assert raised.group_contains(Unavailable, match="is not who it should be .*; check url")
