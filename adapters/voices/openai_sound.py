"""The bytes of an answer to samples: PCM or WAV told apart, headers anywhere, cut anywhere, mono at one rate.

Knows no connection. Sizes in headers are believed only as far as what follows them bears them out: servers send
0xFFFFFFFF, zero, one header per chunk, or the size of the first chunk alone.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import soxr

from peer.core.pcm import EMPTY, Float

SIGNATURE = 12
"""Bytes of "RIFF", a size and "WAVE"."""

MOST_HEADER = 65_536
"""Bytes before the first sample; players put pictures there, speech servers a hundred bytes."""

PLACEHOLDER = 0x7FFF_FF00
"""A data size from here on, or zero, says that its writer did not know it."""

MOST_CHANNELS = 8
RATES = (4_000, 384_000)
PCM, FLOATING, EXTENSIBLE = 1, 3, 0xFFFE
EXTRAS = frozenset({b"LIST", b"fact", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"PEAK", b"JUNK", b"iXML"})
"""What may stand behind the samples of a WAV file and is no sound."""

FOREIGN: dict[bytes, str] = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC", b"<!do": "HTML", b"<htm": "HTML"}
"""How other things begin, lower-cased where they are text; as samples each would be a burst of full scale."""

MAGIC = max(map(len, FOREIGN))


class NotSoundError(ValueError):
    """What came is not the sound that was asked for; the text says what it is."""


class Layout(NamedTuple):
    """How samples lie: `width` bytes of each of `channels`, integers or floating-point numbers."""

    rate: int
    channels: int = 1
    width: int = 2
    floating: bool = False

    @property
    def frame(self) -> int:
        return self.width * self.channels


class _State(Enum):
    START = "start"
    HEADER = "header"
    SAMPLES = "samples"
    BEHIND = "behind"
    SKIP = "skip"


class Sound:
    """One answer. `feed` gives the samples that are complete, (n,) float32 in [-1, 1] at `rate`; `end` the rest.

    Headerless samples are 16-bit little-endian mono at `raw_rate`. Both raise NotSoundError.
    """

    def __init__(self, rate: int, raw_rate: int) -> None:
        self._rate = rate
        self._layout = Layout(raw_rate)
        self._state = _State.START
        self._buffer = bytearray()
        self._left: int | None = None
        self._wav = False
        self._resampler: Any = None

    def feed(self, data: bytes) -> Float:
        self._buffer += data
        return self._drain(final=False)

    def end(self) -> Float:
        """What is left, the resampler's tail included; half a sample is dropped."""
        return np.concatenate([self._drain(final=True), self._flush()])

    def _drain(self, final: bool) -> Float:
        parts = [EMPTY]
        while (step := self._step(final)) is not None:
            parts.append(step)
        return np.concatenate(parts)

    def _step(self, final: bool) -> Float | None:
        """One step of the way through the buffer; None where more bytes are needed."""
        match self._state:
            case _State.START:
                return self._start(final)
            case _State.HEADER:
                return self._header()
            case _State.SAMPLES:
                return self._samples(final)
            case _State.BEHIND:
                return self._behind()
            case _State.SKIP:
                return self._skip()

    def _start(self, final: bool) -> Float | None:
        buffer = self._buffer
        undecided = len(buffer) < MAGIC or (len(buffer) < SIGNATURE and _may_be_header(buffer))
        if not buffer or (undecided and not final):
            return None
        if _is_header(buffer, 0):
            return self._become(_State.HEADER)
        for magic, name in FOREIGN.items():
            if bytes(buffer[: len(magic)]) == magic or bytes(buffer[: len(magic)]).lower() == magic:
                raise NotSoundError(f"it sent {name} instead of sound")
        return self._become(_State.SAMPLES)

    def _become(self, state: _State) -> Float:
        self._state = state
        return EMPTY

    def _header(self) -> Float | None:
        """The chunks before the samples; what they say holds until the next header."""
        at, layout = SIGNATURE, None
        while at + 8 <= len(self._buffer):
            name, size = struct.unpack_from("<4sI", self._buffer, at)
            at += 8
            if name == b"data":
                if layout is None:
                    raise NotSoundError("its WAV header does not say how the samples lie")
                del self._buffer[:at]
                return self._begin(layout, size)
            if name == b"fmt " and len(self._buffer) >= at + min(size, 26):
                layout = _layout(bytes(self._buffer[at : at + size]))
            at += size + size % 2
        if at > MOST_HEADER or len(self._buffer) > MOST_HEADER:
            raise NotSoundError(f"its WAV header is longer than {MOST_HEADER} bytes")
        return None

    def _begin(self, layout: Layout, size: int) -> Float:
        """Samples follow: of one layout through one resampler, over as many headers as there are."""
        flushed = EMPTY
        if layout.rate != self._layout.rate:
            flushed = self._flush()
        self._layout, self._wav = layout, True
        self._left = None if size == 0 or size >= PLACEHOLDER else size
        self._state = _State.SAMPLES
        return flushed

    def _samples(self, final: bool) -> Float | None:
        """Whole samples up to the next header, to the end that the last one promised, or to the end of the buffer."""
        buffer, most = self._buffer, len(self._buffer)
        header = _next_header(buffer) if self._wav else -1
        if header >= 0:
            most = header
        elif self._wav and not final:
            most = _before_possible_header(buffer)
        if self._left is not None:
            most = min(most, self._left)
        ending = most == header or most == self._left
        taken = most - most % self._layout.frame
        pcm = self._converted(bytes(buffer[:taken]))
        gone = most if ending else taken
        del buffer[:gone]
        if self._left is not None:
            self._left -= gone
        if ending:
            self._state = _State.HEADER if gone == header else _State.BEHIND
            return pcm
        return pcm if taken else None

    def _behind(self) -> Float | None:
        """After the promised samples: another header, a chunk that is no sound, or sound that nobody promised."""
        buffer = self._buffer
        if len(buffer) < SIGNATURE and (len(buffer) < 8 or bytes(buffer[:4]) == b"RIFF"):
            return None
        self._left = None
        if _is_header(buffer, 0):
            return self._become(_State.HEADER)
        name, size = struct.unpack_from("<4sI", buffer)
        if name not in EXTRAS:
            return self._become(_State.SAMPLES)
        del buffer[:8]
        self._left = size + size % 2
        return self._become(_State.SKIP)

    def _skip(self) -> Float | None:
        assert self._left is not None
        gone = min(self._left, len(self._buffer))
        del self._buffer[:gone]
        self._left -= gone
        return self._become(_State.BEHIND) if self._left == 0 else None

    def _converted(self, data: bytes) -> Float:
        layout = self._layout
        if layout.floating:
            pcm = np.frombuffer(data, "<f4").astype(np.float32)
            if not np.isfinite(pcm).all():
                raise NotSoundError("its samples are not numbers")
        elif layout.width == 2:
            pcm = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768.0)
        else:
            pcm = np.frombuffer(data, "<i4").astype(np.float32) / np.float32(2147483648.0)
        if layout.channels > 1:
            pcm = pcm.reshape(-1, layout.channels).mean(axis=1, dtype=np.float32)
        return np.clip(self._moved(pcm), -1.0, 1.0)

    def _moved(self, pcm: Float) -> Float:
        """To `rate`, in one stream, however it was cut."""
        if self._layout.rate == self._rate or not len(pcm):
            return pcm
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(self._layout.rate, self._rate, 1, dtype="float32")
        moved: Float = self._resampler.resample_chunk(pcm, last=False)
        return moved

    def _flush(self) -> Float:
        if self._resampler is None:
            return EMPTY
        rest: Float = self._resampler.resample_chunk(EMPTY, last=True)
        self._resampler = None
        return np.clip(rest, -1.0, 1.0)


def _layout(chunk: bytes) -> Layout:
    """What a "fmt " chunk says. Raises NotSoundError where it is not 16 or 32 bits, or not believable."""
    if len(chunk) < 16:
        raise NotSoundError("its WAV header is cut short")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == EXTENSIBLE and len(chunk) >= 26:
        (kind,) = struct.unpack_from("<H", chunk, 24)
    if (kind, bits) not in ((PCM, 16), (PCM, 32), (FLOATING, 32)):
        raise NotSoundError(f"its WAV holds {bits} bits of kind {kind}; 16 and 32 bits are read")
    if not 1 <= channels <= MOST_CHANNELS or not RATES[0] <= rate <= RATES[1]:
        raise NotSoundError(f"its WAV header says {channels} channels at {rate} Hz")
    return Layout(rate, channels, bits // 8, kind == FLOATING)


def _is_header(buffer: bytearray, at: int) -> bool:
    return buffer[at : at + 4] == b"RIFF" and buffer[at + 8 : at + SIGNATURE] == b"WAVE"


def _may_be_header(begin: bytearray) -> bool:
    """True where fewer bytes than a signature could become one."""
    return begin[:4] == b"RIFF"[: len(begin)] and begin[8:] == b"WAVE"[: max(0, len(begin) - 8)]


def _next_header(buffer: bytearray) -> int:
    """Where the first whole signature begins, or -1."""
    at = buffer.find(b"RIFF")
    while at >= 0 and not _is_header(buffer, at):
        at = buffer.find(b"RIFF", at + 1)
    return at


def _before_possible_header(buffer: bytearray) -> int:
    """Bytes before what could be the begin of a signature."""
    start = max(0, len(buffer) - SIGNATURE + 1)
    return next((at for at in range(start, len(buffer)) if _may_be_header(buffer[at:])), len(buffer))
