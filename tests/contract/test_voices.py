"""Every voice of ours fulfils the contract; and what is particular to one of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from adapters import registry
from adapters.base import Honour
from adapters.voices import espeak, espeak_scripts, espeak_shape, tone
from adapters.voices.espeak_shape import Event, Shaper
from peer.core.errors import Refusal, Unavailable
from peer.core.voice import Prosody, Voice

from .voice_contract import ROOT, SENTENCE, Driver, VoiceContract, opened

CALLBACKS = """
import os, sys
sys.path.insert(0, {folder!r})
from adapters.voices import espeak_child as z
lib, _ = z.load({library!r}, {home!r})
assert not z.prepare(lib, z.Setting("gmw/en", ()))
steps, first = 0, None
def put(pipe, marks, pcm):
    global first
    if pcm and first is None: first = steps
def events(head, real=z._events):
    global steps
    steps += 1
    return real(head)
z._put, z._events, z._write = put, events, lambda *a: None
z.speak(lib, {text!r}, 1, 0)
print(first, steps)
"""


def espeak_steps(text: str) -> tuple[int, int]:
    """Synthesis callbacks until the first sound left, and in all."""
    home, folder = espeak.home(), str(ROOT)
    code = CALLBACKS.format(folder=folder, library=str(espeak.library()), home=str(home), text=text)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    first, steps = done.stdout.split()
    return int(first), int(steps)


def tone_steps(text: str) -> tuple[int, int]:
    """Tones computed until the first piece came, and in all."""
    engine = tone.Tone()
    driver = Driver("tone", tone.Tone)
    tone.tone.cache_clear()
    pieces = engine.render(driver.request(text))
    next(pieces)
    first = tone.tone.cache_info().misses
    list(pieces)
    return first, max(first, len(tone.plan(text, 1.0, 0.0).words))


STEPS: dict[str, Callable[[str], tuple[int, int]]] = {"espeak": espeak_steps, "tone": tone_steps}


@pytest.fixture(scope="module", params=sorted(STEPS))
def voice(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """The voice under test, in its process."""
    yield from opened(request.param)


@pytest.fixture(scope="module")
def speaker() -> Iterator[Driver]:
    """The default voice, in its process."""
    yield from opened(registry.DEFAULT)


class TestVoices(VoiceContract):
    """The common suite over all our voices."""

    def steps(self, voice: Driver, text: str) -> tuple[int, int]:
        return STEPS[voice.name](text)


def test_registry_is_data() -> None:
    """The default is embedded, only engines that keep the words stand in, unknown names are refused."""
    assert registry.DEFAULT in registry.names()
    assert registry.fallback()[-1] == registry.DEFAULT
    assert "tone" in registry.names()
    assert registry.describe("tone").name == "tone"
    with pytest.raises(Refusal) as refused:
        registry.load("nonesuch")
    assert refused.value.field == "adapter"


def test_availability_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose library is missing says so and says which command helps, without importing anything."""
    assert registry.availability("espeak") == registry.Availability(True)
    row = registry.Row("nowhere:Nothing", "none", extra="big", needs=("no_such_module",), aliases=("other",))
    monkeypatch.setattr(registry, "rows", lambda: {"missing": row})
    registry._aliases.cache_clear()
    try:
        missing = registry.availability("other")
        assert not missing.available
        assert "no_such_module" in missing.reason
        assert missing.remedy == "make engines"
        with pytest.raises(Unavailable):
            registry.load("missing")
    finally:
        registry._aliases.cache_clear()


def test_espeak_stays_out_of_this_process() -> None:
    """The default voice's class warms up and renders nowhere but in its zygote, and says so."""
    engine = espeak.Espeak()
    driver = Driver("espeak", espeak.Espeak)
    with pytest.raises(Unavailable):
        engine.warm_up()
    with pytest.raises(Unavailable):
        engine.render(driver.request())
    engine.close()
    engine.close()


def test_espeak_projects_the_schema() -> None:
    """Accent, variant, pace, pitch, range and volume land in the library's own knobs."""
    voice = Voice(timbre="F3", accent="en-gb", pace=2.0, prosody=Prosody(pitch=12.0, range=0.5, volume=0.5))
    projection = espeak.Espeak.project(voice)
    assert projection.knobs == {"voice": "gmw/en+f3", "rate": 350, "pitch": 99, "range": 25, "volume": 50}
    assert projection.report["accent"] is Honour.EXACT
    assert espeak.Espeak.project(Voice(accent="en-AU")).report["accent"] is Honour.APPROXIMATE
    joyful = espeak.Espeak.project(Voice(emotion_priors={"joy": 1.0}))
    assert joyful.knobs != espeak.Espeak.project(Voice()).knobs
    assert joyful.report["emotion_priors"] is Honour.APPROXIMATE
    with pytest.raises(Refusal) as refused:
        espeak.Espeak.project(Voice(accent="tlh-QQ"))
    assert refused.value.field == "voice.accent"
    assert "en-gb" in refused.value.remedy


def test_espeak_speaks_every_language_it_lists(speaker: Driver) -> None:
    """Each listed accent is a voice the library finds; none falls back to English in silence."""
    for voice in sorted({accent.voice for accent in espeak.accents().values()}):
        request = speaker.request("a", samples=100)
        knobs = {**request.knobs, "voice": voice}
        pieces = speaker.run(speaker.pieces(replace(request, knobs=knobs)))
        assert pieces[-1].last, voice


def test_espeak_variants_repeat_with_their_seed(speaker: Driver) -> None:
    """A breathy voice draws noise: the same seed gives the same bytes, another seed others."""
    voice = Voice(timbre="whisper")
    one, same, other = (speaker.whole(voice=voice, seed=seed).pcm.tobytes() for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("text", "voice"),
    [
        ("Hello there", "gmw/en+f3"),
        ("Привет, мир", "zle/ru+f3"),
        ("你好,世界", "sit/cmn+f3"),
        ("こんにちは世界", "jpx/ja+f3"),
        ("مرحبا", "sem/ar+f3"),
        ("שלום", "sem/he+f3"),
        ("Καλημέρα", "grk/el+f3"),
        ("नमस्ते", "inc/hi+f3"),
        ("안녕하세요", "ko+f3"),
        ("Say привет to everyone here", "gmw/en+f3"),
        ("", "gmw/en+f3"),
    ],
)
def test_espeak_reads_other_scripts(text: str, voice: str) -> None:
    """A sentence mostly in another script is read by a voice of that script; the variant stays."""
    assert espeak_scripts.voice_for(text, "gmw/en+f3") == voice


def test_espeak_scripts_exist() -> None:
    """Every voice the script table names is in the data folder, and a reader of its script is left alone."""
    have = {accent.voice for accent in espeak.accents().values()}
    for readers in espeak_scripts.READERS.values():
        assert {readers.first, *readers.others} <= have
    assert espeak_scripts.voice_for("Привіт", "zle/uk") == "zle/uk"


def test_sentence_ends_with_a_pause(speaker: Driver) -> None:
    """What stays behind the last word is the pause of the table, whatever the sentence or variant."""
    for text, timbre in (("Hello.", ""), (SENTENCE, "f3"), ("Is it?", "whisper")):
        heard = speaker.whole(text, voice=Voice(timbre=timbre))
        pause = [marker.at for marker in heard.markers if marker.label == espeak_shape.LONG_PAUSE][-1]
        assert len(heard.pcm) - pause == espeak_shape.PAUSE


def test_shaper_does_not_depend_on_callbacks() -> None:
    """The same sound in callbacks of any size leaves as the same samples, the last pause cut and faded."""
    total, pause = 12_000, 4_000
    pcm = b"".join((1000).to_bytes(2, "little") for _ in range(total))
    events = [Event(1, 1, 2, 0, ""), Event(7, 1, 0, pause, "_:"), Event(7, 1, 0, total, "_")]
    results = set()
    for size in (100, 441, 1324, 12_000):
        shaper, out = Shaper(2), b""
        for start in range(0, total, size):
            inside = [event for event in events if start <= event.sample < start + size]
            out += shaper.push(pcm[2 * start : 2 * (start + size)], inside)[1]
        results.add(out + shaper.end())
    assert len(results) == 1
    assert len(results.pop()) == 2 * (pause + espeak_shape.PAUSE)


def test_tone_never_stands_in() -> None:
    """The reference says of itself that it loses words."""
    assert "loses_words" in tone.Tone.describe().features
    assert json.dumps(tone.Tone.describe().to_wire())
