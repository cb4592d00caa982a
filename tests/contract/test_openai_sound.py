"""Answers as bytes: PCM and WAV, headers in any place, cut at any byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.voices.openai_sound import MOST_HEADER, NotSoundError, Sound

CALM = settings(deadline=None, max_examples=40)
RATE = 24_000
WAVE = (12_000 * np.sin(np.arange(1_001) / 9.0)).astype("<i2")
UNKNOWN = 0xFFFF_FFFF


def header(size: int = UNKNOWN, rate: int = RATE, channels: int = 1, bits: int = 16, kind: int = 1) -> bytes:
    """A WAV header of 44 bytes."""
    frame = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, channels, rate, rate * frame, frame, bits)
    return struct.pack("<4sI4s", b"RIFF", size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


def each(pieces: int, real: bool) -> bytes:
    """The wave in pieces, a header before every one."""
    parts = [part.tobytes() for part in np.array_split(WAVE, pieces)]
    return b"".join(header(len(part) if real else UNKNOWN) + part for part in parts)


def extended() -> bytes:
    """An extensible header of 68 bytes with a chunk before the samples."""
    form = struct.pack("<4sIHHIIHHHHI", b"fmt ", 40, 0xFFFE, 1, RATE, 2 * RATE, 2, 16, 22, 16, 4)
    guid = struct.pack("<H", 1) + bytes(14)
    note = b"LIST" + struct.pack("<I", 5) + b"notes\0"
    return b"RIFF" + struct.pack("<I", UNKNOWN) + b"WAVE" + form + guid + note + b"data" + struct.pack("<I", 0)


BODY = WAVE.tobytes()
TRAILER = b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0d\0\0\0Lavf61.7.100\0\0"
ANSWERS = {
    "raw": BODY,
    "raw and half a sample": BODY + b"\x7f",
    "streamed": header() + BODY,
    "size zero": header(0) + BODY,
    "true size": header(len(BODY)) + BODY,
    "true size and a trailer": header(len(BODY)) + BODY + TRAILER,
    "size of the first piece only": header(100) + BODY,
    "header in every piece": each(7, real=False),
    "file in every piece": each(7, real=True),
    "extensible": extended() + BODY,
    "stereo": header(channels=2) + np.repeat(WAVE, 2).tobytes(),
    "floating": header(kind=3, bits=32) + (WAVE / 32768.0).astype("<f4").tobytes(),
    "32 bits": header(bits=32) + (WAVE.astype("<i4") << 16).tobytes(),
}


def heard(data: bytes, sizes: list[int]) -> np.ndarray:
    """The samples of `data` cut into pieces of `sizes`, in turn."""
    sound, parts, at, turn = Sound(RATE, RATE), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        parts.append(sound.feed(data[at : at + size]))
        at, turn = at + size, turn + 1
    return np.concatenate([*parts, sound.end()])


@pytest.mark.parametrize("name", ANSWERS)
@CALM
@given(sizes=st.lists(st.integers(1, 90) | st.just(2_000), min_size=1, max_size=6))
def test_every_answer_is_the_same_sound(name: str, sizes: list[int]) -> None:
    """Whatever the headers and however it is cut, the samples are those that were sent, and no more."""
    assert np.array_equal(heard(ANSWERS[name], sizes), (WAVE / np.float32(32768.0)).astype(np.float32))


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
@CALM
@given(sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=4))
def test_other_rates_are_brought_to_ours(rate: int, sizes: list[int]) -> None:
    """A sine of another rate is the same sine at ours, over several headers and however it was cut."""
    times = np.arange(rate // 2) / rate
    sine = (12_000 * np.sin(2 * np.pi * 440 * times)).astype("<i2")
    data = header(rate=rate) + sine[:5_000].tobytes() + header(rate=rate) + sine[5_000:].tobytes()
    found = heard(data, sizes)
    ours = 12_000 / 32768.0 * np.sin(2 * np.pi * 440 * np.arange(len(found)) / RATE)
    assert abs(len(found) - RATE // 2) <= 2
    assert np.abs(found - ours)[500:-500].max() < 1e-3
    assert np.array_equal(found, heard(data, [len(data)]))


def test_headerless_samples_of_another_rate() -> None:
    """The rate that a service names for raw samples is theirs, not ours."""
    sound = Sound(RATE, 12_000)
    assert abs(len(np.concatenate([sound.feed(BODY), sound.end()])) - 2 * len(WAVE)) <= 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><p>no", "HTML"),
        (b"<HTML><body>", "HTML"),
        (b"ID3\x04\0\0\0\0\0\0" + bytes(99), "MP3"),
        (b"OggS" + bytes(99), "Ogg"),
        (b"fLaC" + bytes(99), "FLAC"),
        (header(bits=24) + bytes(99), "24 bits"),
        (header(kind=7, bits=8) + bytes(99), "8 bits of kind 7"),
        (header(channels=40) + bytes(99), "40 channels"),
        (header(rate=7) + bytes(99), "7 Hz"),
        (header(kind=3, bits=32) + np.full(9, np.nan, "<f4").tobytes(), "not numbers"),
        (b"RIFF\xff\xff\xff\xffWAVEdata" + bytes(99), "how the samples lie"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \x04\0\0\0" + bytes(40), "cut short"),
        (b"RIFF\xff\xff\xff\xffWAVEJUNK\xff\xff\xff\x0f" + bytes(MOST_HEADER), "longer"),
    ],
)
def test_what_is_no_sound_is_said_to_be(data: bytes, words: str) -> None:
    """Other things, and layouts that are not read, are named; none of them becomes noise."""
    for sizes in ([len(data)], [1, 3]):
        with pytest.raises(NotSoundError, match=words):
            heard(data, sizes)


@CALM
@given(data=st.binary(max_size=300), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=4), wav=st.booleans())
def test_noise_is_sound_or_refused(data: bytes, sizes: list[int], wav: bool) -> None:
    """Any bytes, behind a header or not, give finite samples in [-1, 1] or one clean refusal."""
    try:
        found = heard((header() if wav else b"") + data, sizes)
    except NotSoundError:
        return
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert not len(found) or np.abs(found).max() <= 1.0
