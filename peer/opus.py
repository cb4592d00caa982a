"""Opus on both sides of the wire: one frame in, one packet out, and back; mono at 48 kHz.

Knows no RTP and no pacing: what a packet's timestamp is, the track says.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from .core.pcm import FRAME, RATE, Int16

BIT_RATE = 64_000
"""163 bytes a packet on average; CELT at this rate costs half the CPU of 32 kbit/s SILK."""
APPLICATION = "lowdelay"
"""CELT only: 4 ms less look-ahead than voip."""
THREADS = 1
"""One packet is no work to share. What PyAV's own filter graph starts besides, `guard` prevents."""
LONGEST = 5_760
"""Samples of the longest packet Opus allows: 120 ms."""

TICK = Fraction(1, RATE)


class Encoder:
    """Frames of one call, in order. Its own clock counts frames without holes: what the ear hears
    as continuous is continuous here, whatever the timestamps on the wire do meanwhile.

    Digital silence goes through it like any frame. The constant packet `f8 ff fe` would save 30 us
    four times an utterance, and would leave the encoder's overlap and energy prediction at the last
    voiced frame while the decoder has moved on.
    """

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = RATE
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = BIT_RATE
        codec.time_base = TICK
        codec.options = {"application": APPLICATION}
        codec.thread_count = THREADS
        self._codec = codec
        self._frames = 0

    def encode(self, pcm: Int16) -> bytes:
        """One packet from `pcm` (960,) int16."""
        packets = self._codec.encode(audio_frame(pcm, self._frames * FRAME))
        self._frames += 1
        return b"".join(bytes(packet) for packet in packets)


class Decoder:
    """Packets of one stream, in order; a stereo stream is mixed down by Opus itself."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = RATE
        codec.layout = "mono"
        codec.format = "s16"
        codec.thread_count = THREADS
        self._codec = codec

    def decode(self, payload: bytes) -> Int16 | None:
        """(n,) int16, n <= 5760, or None when this is no Opus packet: then it counts as lost.

        An empty packet never reaches libav: there it means the end of the stream, for ever.
        """
        if not payload:
            return None
        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.error.FFmpegError:
            return None
        if not frames:
            return None
        pcm = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
        return pcm[:LONGEST].astype(np.int16, copy=False)


def audio_frame(pcm: Int16, pts: int) -> av.AudioFrame:
    """An av frame from `pcm` (n,) int16, mono; `pts` in samples."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = RATE
    frame.pts = pts
    frame.time_base = TICK
    return frame
