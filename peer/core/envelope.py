"""How a voice sounds in three numbers: loudness, pitch, pace; so that another engine can be brought near to it.

Knows no engine: samples in, numbers out. Pitch by normalised autocorrelation (Boersma 1993, without refinements).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .pcm import Float
from .voice import RANGES, Voice

WINDOW_S = 0.04
"""One look: two periods of the lowest voice."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 400.0
VOICED = 0.55
"""Normalised autocorrelation from which a window counts as voiced; whispered and random sound stays under it."""
LEAST_VOICED = 6
"""Windows with a pitch that make a median: a quarter of a second."""
GATE_DB = 25.0
"""Windows this far under the loudest are pauses."""
ANALYSIS_HZ = 8000
"""Enough for the pitch; six times less to compute than 48 kHz."""

MOST_SEMITONES = 4.0
"""A voice moved further no longer sounds like anyone."""
MOST_PACE = 4.0 / 3.0
MOST_GAIN_DB = 12.0
LEAST_SEMITONES = 1.5
"""Less is within what two sentences of one voice differ by: correcting it would move the voice, not keep it."""
LEAST_PACE = 1.12
LEAST_GAIN = 1.15
"""1.2 dB."""
SILENT_DB = -100.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """`rms_db` dBFS of the speech without its pauses; `f0_hz` median pitch, `letters_s` pace; None: cannot be told."""

    rms_db: float
    f0_hz: float | None = None
    letters_s: float | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """What brings one engine's voice near to another's, as changes of the schema: semitones and two factors."""

    semitones: float = 0.0
    pace: float = 1.0
    volume: float = 1.0

    def apply(self, voice: Voice) -> Voice:
        """`voice`, moved; within the schema's ranges."""
        if self == Match():
            return voice
        prosody = replace(
            voice.prosody,
            pitch=_within("prosody.pitch", voice.prosody.pitch + self.semitones),
            volume=_within("prosody.volume", voice.prosody.volume * self.volume),
        )
        return replace(voice, prosody=prosody, pace=_within("pace", voice.pace * self.pace))

    def to_wire(self) -> dict[str, float]:
        return {"semitones": self.semitones, "pace": self.pace, "volume": self.volume}


def _within(name: str, value: float) -> float:
    low, high = RANGES[name]
    return min(max(value, low), high)


def measure(pcm: Float, sample_rate: int, letters_s: float | None = None) -> Envelope | None:
    """The envelope of (n,) float32 at `sample_rate`; None where nothing sounds. Milliseconds for two seconds."""
    step = max(1, round(sample_rate / ANALYSIS_HZ))
    rate = sample_rate / step
    size = round(WINDOW_S * rate)
    small = pcm[: len(pcm) - len(pcm) % step].reshape(-1, step).mean(axis=1)
    windows = small[: len(small) - len(small) % size].reshape(-1, size).astype(np.float64)
    if not len(windows):
        return None
    power = (windows**2).mean(axis=1)
    loud = power > max(power.max() * 10 ** (-GATE_DB / 10), 10 ** (SILENT_DB / 10))
    if not loud.any():
        return None
    rms_db = 10 * math.log10(float(power[loud].mean()))
    return Envelope(round(rms_db, 2), _pitch(windows[loud], rate), letters_s)


def _pitch(windows: np.ndarray, rate: float) -> float | None:
    """Median pitch in Hz of (k, size) windows, or None."""
    size = windows.shape[1]
    centred = windows - windows.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * size, axis=1)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :size]
    lags /= np.maximum(lags[:, :1], 1e-12)
    lags /= 1.0 - np.arange(size) / size
    low, high = math.ceil(rate / HIGHEST_HZ), min(math.floor(rate / LOWEST_HZ), size * 3 // 4)
    strengths = lags[:, low : high + 1]
    # The first peak nearly as strong as the strongest: a later one would be an octave too low.
    strong = strengths >= 0.9 * strengths.max(axis=1, keepdims=True)
    at = low + strong.argmax(axis=1)
    rows = np.arange(len(at))
    while (climb := (at + 1 <= high) & (lags[rows, np.minimum(at + 1, size - 1)] > lags[rows, at])).any():
        at = at + climb
    voiced = lags[rows, at] >= VOICED
    if voiced.sum() < LEAST_VOICED:
        return None
    return round(float(np.median(rate / _refined(lags, at)[voiced])), 2)


def _refined(lags: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Lag of the peak between samples: a parabola through three points."""
    rows = np.arange(len(at))
    here = np.minimum(at, lags.shape[1] - 2)
    a, b, c = lags[rows, here - 1], lags[rows, here], lags[rows, here + 1]
    curve = a - 2 * b + c
    shift = np.where(np.abs(curve) > 1e-9, (a - c) / (2 * np.where(curve == 0, 1, curve)), 0.0)
    found: np.ndarray = here + np.clip(shift, -0.5, 0.5)
    return found


def match(heard: Envelope | None, own: Envelope | None, voice: Voice) -> Match:
    """What an engine whose plain voice is `own` has to change, speaking as `voice`, to go on as it was `heard`."""
    if heard is None or own is None:
        return Match()
    semitones, pace = 0.0, 1.0
    if heard.f0_hz and own.f0_hz:
        semitones = 12 * math.log2(heard.f0_hz / own.f0_hz) - voice.prosody.pitch
    if heard.letters_s and own.letters_s:
        pace = heard.letters_s / (own.letters_s * voice.pace)
    loud_db = heard.rms_db - own.rms_db
    gain = 10 ** (min(max(loud_db, -MOST_GAIN_DB), MOST_GAIN_DB) / 20) / max(voice.prosody.volume, 0.1)
    return Match(
        0.0 if abs(semitones) < LEAST_SEMITONES else round(min(max(semitones, -MOST_SEMITONES), MOST_SEMITONES), 2),
        1.0 if max(pace, 1 / pace) < LEAST_PACE else round(min(max(pace, 1 / MOST_PACE), MOST_PACE), 3),
        1.0 if max(gain, 1 / gain) < LEAST_GAIN else round(gain, 3),
    )
