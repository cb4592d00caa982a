"""From latents to sound as they come: the library's interpolations column by column, the vocoder on a grid of blocks.

Knows no text and no code. Where a block lies depends on the prompt alone, never on what was asked for: the same
samples are the same bytes, from wherever they are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .xtts_vocoder import Columns, Vocoder

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 12
"""Frames of a block, 128 ms: the second brings the first 120 ms out. Smaller ones cost more: there are 400 small
operations in each."""


class Sound(NamedTuple):
    """Samples [at, at + n) of the prompt, `pcm` (n,) float32."""

    at: int
    pcm: Tensor


class Interpolation:
    """One `interpolate(mode="linear", scale_factor=scale)` of the library, as far as its input is known.

    Positions are computed as torch computes them, in float32: far into a sentence their rounding shows in the fourth
    digit. One thing is not followed: where a whole row keeps its length (two codes in all, or a speed nearer to 1 than
    one code in the sentence) torch copies it, which nobody can know before the end.
    """

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._held: Tensor | None = None
        self._first = 0
        self._made = 0

    def push(self, x: Tensor | None, last: bool) -> Tensor | None:
        """`x` (1, d, m) more columns, or None; what they settle of the output (1, d, k), or None."""
        import torch

        if x is not None:
            self._held = x if self._held is None else torch.cat([self._held, x], dim=-1)
        if self._held is None:
            return None
        known = self._first + self._held.shape[-1]
        reach = math.floor(known * self._scale)
        place = torch.arange(self._made, reach, dtype=torch.float32, device=self._held.device)
        place = ((place + 0.5) * torch.tensor(1.0 / self._scale, dtype=torch.float32) - 0.5).clamp(min=0.0)
        left = place.floor().to(torch.int64)
        if not last:
            # The neighbour on the right has to be known; positions ascend, so this counts a beginning.
            settled = int((left + 1 < known).sum())
            place, left = place[:settled], left[:settled]
        if not len(left):
            return None
        right = (left + 1).clamp(max=known - 1)
        share = (place - left).clamp(0.0, 1.0)
        out = (1.0 - share) * self._held[..., left - self._first] + share * self._held[..., right - self._first]
        self._made += len(left)
        self._forget(int(left[-1]))
        return out

    def _forget(self, column: int) -> None:
        assert self._held is not None
        self._held = self._held[..., column - self._first :]
        self._first = column


def scales(decoder: Any, speed: float) -> list[float]:
    """The library's interpolations between a latent and a frame, in its order."""
    found = [1.0 / speed] if speed != 1.0 else []
    found.append(decoder.ar_mel_length_compression / decoder.output_hop_length)
    if decoder.output_sample_rate != decoder.input_sample_rate:
        found.append(decoder.output_sample_rate / decoder.input_sample_rate)
    return found


def samples(decoder: Any, speed: float, latents: int) -> int:
    """How many samples a prompt of that many latents has."""
    columns = latents
    for scale in scales(decoder, speed):
        columns = math.floor(columns * scale)
    return columns * int(decoder.output_hop_length)


class Speech:
    """Latents in, sound out, block by block; what lies before `cursor` is left out where that saves work."""

    def __init__(self, decoder: Any, speaker: Tensor, speed: float, cursor: int = 0) -> None:
        """`decoder` is the library's HifiDecoder, `speaker` (1, e, 1), `speed` its factor on the pace."""
        import torch

        self._interpolations = [Interpolation(scale) for scale in scales(decoder, speed)]
        with torch.inference_mode():
            self._vocoder = Vocoder(decoder.waveform_decoder, speaker)
        self._frames: Tensor | None = None
        self._start = 0
        self._total = -1
        # A sample depends on frames up to `lag` samples away, so what is decoded may begin with the first of them; but
        # the blocks at the very beginning have columns before it, which are left out there and nowhere else.
        first = max(0, (cursor - self._vocoder.lag) // self._vocoder.hop) // BLOCK * BLOCK
        self._first = first if first * self._vocoder.hop >= self._vocoder.lag else 0

    def push(self, latent: Tensor | None) -> Iterator[Sound]:
        """The blocks that the next `latent` (1, d) completes; None ends the prompt."""
        import torch

        with torch.inference_mode():
            self._take(latent.reshape(1, -1, 1) if latent is not None else None, last=latent is None)
        if latent is None and self._frames is not None:
            self._total = self._start + self._frames.shape[-1]
        while self._frames is not None:
            with torch.inference_mode():
                sound = self._block(self._frames)
            if sound is None:
                return
            if len(sound.pcm):
                yield sound

    def _take(self, x: Tensor | None, last: bool) -> None:
        """One more latent into frames."""
        import torch

        for interpolation in self._interpolations:
            x = interpolation.push(x, last)
        if x is not None:
            self._frames = x if self._frames is None else torch.cat([self._frames, x], dim=-1)

    def _block(self, frames: Tensor) -> Sound | None:
        """The next block of the grid, or None before it is known or after the end."""
        from torch.nn.functional import pad

        start, known, ended = self._start, frames.shape[-1], self._total >= 0
        hop, lag = self._vocoder.hop, self._vocoder.lag
        if start * hop - lag >= self._total * hop if ended else known < BLOCK:
            return None
        self._start += BLOCK
        self._frames = frames[..., BLOCK:]
        if start < self._first:
            return Sound(0, frames.new_empty(0))
        block = pad(frames[..., :BLOCK], (0, max(0, BLOCK - known)))
        made = self._vocoder(Columns(block, start, self._total))
        valid = self._first * hop + lag if self._first else 0
        low = max(0, valid - made.start)
        high = max(low, self._total * hop - made.start) if ended else made.x.shape[-1]
        return Sound(made.start + low, made.x.reshape(-1)[low:high])
