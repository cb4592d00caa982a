"""Loudness, pitch and pace of known sounds, and what brings one voice near to another."""

from __future__ import annotations

import numpy as np
import pytest

from peer.core.envelope import Envelope, Match, match, measure
from peer.core.pcm import Float
from peer.core.voice import Prosody, Voice


def buzz(hz: float, seconds: float = 1.0, rate: int = 24_000, level: float = 0.2) -> Float:
    """A voice-like wave: many harmonics of one pitch, with pauses."""
    t = np.arange(round(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * hz * k * t + k * k) / k for k in range(1, 12))
    wave *= (t % 0.5) < 0.4
    return (level * wave / np.abs(wave).max()).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("hz", [75.0, 100.0, 137.0, 180.0, 220.0, 300.0, 380.0])
def test_the_pitch_of_a_voice(hz: float, rate: int) -> None:
    """Within a fifth of a semitone, no octave off, whatever the rate."""
    found = measure(buzz(hz, rate=rate), rate)
    assert found is not None and found.f0_hz is not None
    assert abs(12 * np.log2(found.f0_hz / hz)) < 0.2


def test_noise_has_no_pitch() -> None:
    """Breath, random weights and short sounds are not given one."""
    noise = np.random.default_rng(3).normal(0, 0.1, 24_000).astype(np.float32)
    found = measure(noise, 24_000)
    assert found is not None and found.f0_hz is None
    short = measure(buzz(150, 0.1), 24_000)
    assert short is not None and short.f0_hz is None
    assert measure(np.zeros(48_000, np.float32), 48_000) is None
    assert measure(np.zeros(0, np.float32), 48_000) is None


def test_pauses_do_not_count() -> None:
    """The same speech with more silence is as loud; half the amplitude is 6 dB less."""
    speech = buzz(150)
    long = np.concatenate((np.zeros(24_000, np.float32), speech, np.zeros(24_000, np.float32)))
    plain, padded, half = measure(speech, 24_000), measure(long, 24_000), measure(0.5 * speech, 24_000)
    assert plain is not None and padded is not None and half is not None
    assert abs(plain.rms_db - padded.rms_db) < 0.5 and abs(plain.rms_db - half.rms_db - 6.02) < 0.05


def test_a_match_undoes_the_difference() -> None:
    """An engine whose own voice is higher, quicker and quieter is brought to what was heard, as far as is decent."""
    heard, own = Envelope(-20.0, 100.0, 12.0), Envelope(-26.0, 112.25, 15.0)
    voice = Voice()
    found = match(heard, own, voice)
    assert found.semitones == pytest.approx(-2.0, abs=0.02)
    assert found.pace == pytest.approx(0.8) and found.volume == pytest.approx(1.995, abs=0.01)
    moved = found.apply(voice)
    assert moved.prosody.pitch == found.semitones and moved.pace == found.pace
    far = match(Envelope(-10.0, 300.0, 30.0), Envelope(-60.0, 75.0, 10.0), voice)
    assert (far.semitones, far.pace) == (4.0, 1.333) and far.volume == pytest.approx(3.981, abs=0.01)
    assert far.apply(voice).prosody.volume == 2.0


def test_what_was_asked_for_is_not_asked_twice() -> None:
    """The heard voice already had the schema's pitch, pace and volume: the other engine gets them once."""
    voice = Voice(prosody=Prosody(pitch=3.0, volume=0.5), pace=1.25)
    own = Envelope(-20.0, 100.0, 10.0)
    heard = Envelope(-20.0 + 20 * np.log10(0.5), 100.0 * 2 ** (3 / 12), 12.5)
    assert match(heard, own, voice) == Match()
    assert match(None, own, voice) == match(heard, None, voice) == Match()
    assert match(Envelope(-20.0), Envelope(-20.0), voice).semitones == 0.0
