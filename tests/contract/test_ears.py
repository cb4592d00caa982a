"""What every ear promises, and that Silero's weights hear speech and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import wave
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest

from adapters import ears
from adapters.ears import silero
from adapters.ears.base import CONTRACT, WINDOW, Ear
from peer.core.errors import Broken, Unavailable

RATE = 16_000
ESPEAK = shutil.which("espeak-ng")
needs_speech = pytest.mark.skipif(ESPEAK is None, reason="no speech to hear: install espeak-ng (apt install espeak-ng)")


def _speech(text: str, voice: str = "en-us") -> np.ndarray:
    """A real sentence, (n,) float32 at 16 kHz, -20 dBFS, with half a second of quiet before and after."""
    made = subprocess.run([str(ESPEAK), "-v", voice, "--stdout", text], capture_output=True, check=True).stdout
    with wave.open(BytesIO(made)) as sound:
        rate = sound.getframerate()
        pcm = np.frombuffer(made[44:], np.int16).astype(np.float32) / 32768
    pcm = np.interp(np.arange(0, len(pcm), rate / RATE), np.arange(len(pcm)), pcm)
    pcm *= 0.1 / np.sqrt(np.mean(pcm**2))
    quiet = np.zeros(RATE // 2)
    return np.concatenate((quiet, pcm, quiet)).astype(np.float32)


def _noises() -> dict[str, np.ndarray]:
    """Four seconds each of what is not speech, float32 at 16 kHz."""
    rng = np.random.default_rng(7)
    n = 4 * RATE
    t = np.arange(n) / RATE
    clicks = np.zeros(n)
    clicks[rng.integers(0, n, 40)] = 0.9
    return {
        "silence": np.zeros(n),
        "white": rng.normal(0, 0.05, n),
        "brown": np.cumsum(rng.normal(0, 0.002, n)) * 0.2,
        "tone": 0.3 * np.sin(2 * np.pi * 440 * t),
        "chord": sum(0.1 * np.sin(2 * np.pi * f * t) for f in (220, 277, 330)),
        "clicks": clicks,
    }


def _hear(ear: Ear, pcm: np.ndarray) -> np.ndarray:
    chunks = pcm[: len(pcm) // WINDOW * WINDOW].astype(np.float32).reshape(-1, WINDOW)
    return np.array([ear.hear(chunk) for chunk in chunks])


@pytest.fixture(params=ears.names())
def ear(request: pytest.FixtureRequest):
    """Each ear of the table, warm."""
    opened = ears.open_ear(request.param)
    yield opened
    opened.close()


def test_describe_is_cold() -> None:
    """Asking every ear what it is loads no model library: the list of ears costs nothing."""
    code = (
        "import sys; from adapters import ears; d=[ears.describe(n) for n in ears.names()];"
        "assert len(d) >= 2; bad = {'onnxruntime', 'torch', 'silero_vad'} & set(sys.modules); assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_silero_never_imports_its_package() -> None:
    """The wheel of the weights imports torch at its first line, so hearing must go without it."""
    code = (
        "import sys, numpy as np; from adapters import ears; e = ears.open_ear('silero');"
        "e.hear(np.zeros(512, np.float32)); bad = {'torch', 'silero_vad'} & set(sys.modules); assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_descriptor(ear: Ear) -> None:
    """A descriptor names its ear, a licence, the contract and the step, as plain values."""
    told = ear.describe()
    wire = told.to_wire()
    assert told.name == ear.name and told.licence and told.onset_chunks >= 1
    assert (wire["window"], wire["sample_rate"], wire["contract"]) == (WINDOW, RATE, CONTRACT)
    assert all(isinstance(value, str | int | list) for value in wire.values())


def test_a_probability_for_any_sound(ear: Ear) -> None:
    """Whatever the chunk holds, full scale included, the answer is a number from 0 to 1."""
    rng = np.random.default_rng(1)
    for pcm in (np.zeros(WINDOW), np.ones(WINDOW), -np.ones(WINDOW), rng.uniform(-1, 1, WINDOW)):
        given = pcm.astype(np.float32)
        before = given.copy()
        assert 0.0 <= ear.hear(given) <= 1.0
        assert np.array_equal(given, before), "an ear leaves the sound as it was"


@pytest.mark.parametrize("shape", [(0,), (511,), (513,), (1, 512)])
def test_wrong_shape_is_refused(ear: Ear, shape: tuple[int, ...]) -> None:
    """A chunk of another length is a fault said aloud, not a probability of something else."""
    with pytest.raises(Broken):
        ear.hear(np.zeros(shape, np.float32))


def test_no_numbers_do_not_deafen(ear: Ear) -> None:
    """Not-a-number is no speech, refused or not, and leaves nothing behind: the next chunks are heard."""
    with suppress(Broken):
        assert ear.hear(np.full(WINDOW, np.nan, np.float32)) < 0.5
    after = _hear(ear, np.random.default_rng(6).normal(0, 0.01, WINDOW * 5))
    assert np.isfinite(after).all()


def test_same_sound_same_answer(ear: Ear) -> None:
    """After a reset the same chunks give the same probabilities: nothing leaks between calls."""
    pcm = np.random.default_rng(2).normal(0, 0.1, WINDOW * 20)
    fresh = type(ear)()
    fresh.warm_up()
    first = _hear(fresh, pcm)
    again = type(ear)()
    again.warm_up()
    _hear(ear, pcm[::-1])
    assert np.array_equal(first, _hear(again, pcm)), "two ears share nothing"


def test_closed_twice(ear: Ear) -> None:
    """Closing twice is harmless, and a closed ear says so instead of guessing."""
    ear.close()
    ear.close()
    with pytest.raises(Broken):
        ear.hear(np.zeros(WINDOW, np.float32))


def test_cold_ear_refuses(ear: Ear) -> None:
    """An ear that was never warmed up does not pretend to hear."""
    with pytest.raises(Broken):
        type(ear)().hear(np.zeros(WINDOW, np.float32))


@needs_speech
def test_every_ear_hears_a_sentence(ear: Ear) -> None:
    """A sentence in a quiet room is heard for most of its length, and the quiet around it is not."""
    heard = _hear(ear, _speech("stop right there and wait a moment please"))
    assert (heard[:12] < 0.5).all()
    middle = heard[20:-20]
    assert (middle >= 0.5).mean() > 0.5


@needs_speech
@pytest.mark.parametrize("voice", ["en-us", "en-gb", "de", "fr"])
@pytest.mark.parametrize("words", ["stop", "wait", "no no no"])
def test_silero_hears_short_words(voice: str, words: str) -> None:
    """The words one interrupts with are heard, each of them, in several voices."""
    assert _hear(ears.open_ear("silero"), _speech(words, voice)).max() >= 0.5


@pytest.mark.parametrize("name", sorted(_noises()))
def test_silero_hears_no_speech_in_noise(name: str) -> None:
    """Silence, noise, tones and clicks are no speech at any chunk."""
    heard = _hear(ears.open_ear("silero"), _noises()[name])
    assert heard.max() < 0.5


def test_silero_context_is_carried() -> None:
    """The model sees the last 64 samples in front of each chunk: without them it answers otherwise."""
    pcm = np.random.default_rng(3).normal(0, 0.2, WINDOW * 2).astype(np.float32)
    whole = ears.open_ear("silero")
    whole.hear(pcm[:WINDOW])
    assert np.array_equal(whole._input[0, : silero.CONTEXT], pcm[WINDOW - silero.CONTEXT : WINDOW])


def test_missing_weights_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the weights are not installed, the next ear starts and the reason holds the command that helps."""
    monkeypatch.setattr(silero, "PACKAGE", "no_such_package_here")
    silero._session.cache_clear()
    started = ears.start_ear()
    silero._session.cache_clear()
    assert started.ear is not None and started.ear.name == "energy"
    assert [name for name, _ in started.refused] == ["silero"]
    assert "pip install" in started.refused[0][1]


def test_preferred_ear_wins_and_unknown_is_named() -> None:
    """A name from the configuration comes first; a name nobody has is skipped with a reason."""
    assert ears.start_ear("energy").ear.name == "energy"  # type: ignore[union-attr]
    started = ears.start_ear("nobody")
    assert started.ear is not None and started.ear.name == ears.names()[0]
    assert started.refused[0][0] == "nobody"
    assert ears.start_ear(without=frozenset(ears.names())).ear is None
    with pytest.raises(Unavailable):
        ears.open_ear("nobody")


def test_energy_learns_a_fan() -> None:
    """A steady noise is loud when it starts and the room's floor a few seconds later."""
    noise = np.random.default_rng(4).normal(0, 0.02, RATE * 20)
    quiet = np.random.default_rng(5).normal(0, 0.0005, RATE)
    heard = _hear(ears.open_ear("energy"), np.concatenate((quiet, noise)))
    assert heard[35] > 0.5
    assert heard[-30:].max() < 0.5
