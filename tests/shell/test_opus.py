"""Opus in and out: one frame is one packet, sound survives, rubbish is a lost packet."""

from __future__ import annotations

import os
import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from peer import guard
from peer.core.pcm import FRAME, SILENCE
from peer.opus import LONGEST, Decoder, Encoder

from .far import TONE


def speech(frames: int) -> list[np.ndarray]:
    t = np.arange(frames * FRAME) / 48_000
    wave = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
    return list((wave * 5_000).astype(np.int16).reshape(frames, FRAME))


def test_one_frame_is_one_packet_of_20_ms() -> None:
    """Every frame gives one packet at once, and the decoder makes 960 samples of it."""
    encoder, decoder = Encoder(), Decoder()
    for pcm in speech(25):
        packet = encoder.encode(pcm)
        assert 3 <= len(packet) < 1_000
        assert packet[0] & 0x03 == 0, "one Opus frame per packet"
        heard = decoder.decode(packet)
        assert heard is not None and heard.shape == (FRAME,) and heard.dtype == np.int16


def test_what_goes_in_comes_out() -> None:
    """The decoded sound correlates with the original at the codec's own delay."""
    encoder, decoder = Encoder(), Decoder()
    frames = speech(30)
    heard = np.concatenate([decoder.decode(encoder.encode(pcm)) for pcm in frames]).astype(float)
    said = np.concatenate(frames).astype(float)
    best = max(
        np.corrcoef(said[FRAME : -FRAME - delay], heard[FRAME + delay : -FRAME])[0, 1] for delay in range(0, 400, 10)
    )
    assert best > 0.95


def test_mono_on_the_wire() -> None:
    """The packet says mono: stereo would be decoded to mono by every browser under our answer."""
    assert Encoder().encode(TONE)[0] & 0x04 == 0


def test_silence_after_sound_stays_silent_and_sound_returns() -> None:
    """Digital silence goes through the encoder like anything else, so no state is left behind."""
    encoder, decoder = Encoder(), Decoder()
    for pcm in speech(5):
        decoder.decode(encoder.encode(pcm))
    quiet = [decoder.decode(encoder.encode(SILENCE)) for _ in range(6)]
    assert np.abs(quiet[-1]).max() < 50
    loud = [decoder.decode(encoder.encode(pcm)) for pcm in speech(5)]
    assert np.abs(loud[-1]).max() > 4_000


def test_no_thread_per_call() -> None:
    """Ten encoders and decoders at work start no thread, once the guard is installed."""
    guard.install()
    before = threading.active_count(), _threads()
    pairs = [(Encoder(), Decoder()) for _ in range(10)]
    for encoder, decoder in pairs:
        decoder.decode(encoder.encode(TONE))
    assert (threading.active_count(), _threads()) == before


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_rubbish_is_a_lost_packet(payload: bytes) -> None:
    """Any bytes decode to sound or to None, never to an exception, and the decoder lives on."""
    decoder = Decoder()
    pcm = decoder.decode(payload)
    assert pcm is None or (0 < len(pcm) <= LONGEST and pcm.dtype == np.int16)
    encoder = Encoder()
    assert decoder.decode(encoder.encode(TONE)) is not None
