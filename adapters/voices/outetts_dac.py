"""A DAC decoder as a stream: blocks of code frames in, blocks of samples out, equal to the whole decode.

Knows neither the language model nor the text nor where the weights came from.

Every layer keeps the columns that its next block still looks at, so each frame is decoded once: a third of the cost
of windows of eight frames with ten of context on each side. Blocks lie on one absolute grid and have one shape, so
the bits of a sample do not depend on where decoding began, as long as `HISTORY` blocks before it were pushed.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from peer.core.pcm import Float

from . import outetts_checkpoint as checkpoint
from .outetts_checkpoint import HOP, Conv, Decoder, Residual, Stage

if TYPE_CHECKING:
    import torch

BLOCK = 8
"""Code frames of one step, 107 ms. Four cost a third more per second of audio (weights are read once per step),
sixteen double the wait for the first sound."""

CONTEXT = 10
"""Code frames on each side that reach a sample: the receptive field is 3,141 samples and 10 frames are 3,200."""

HISTORY = ceil(2 * CONTEXT / BLOCK)
"""Blocks to push before those whose samples are wanted: ten frames of delay, and ten of what they look back at."""


def load(path: Path, device: str = "cpu", threads: int = 1) -> Decoder:
    """The decoder of a checkpoint, tried once. Raises Unavailable with one sentence."""
    decoder = checkpoint.load(path, device, threads)
    try:
        Stream(decoder).push(np.zeros((checkpoint.BOOKS, BLOCK), np.int64))
    except RuntimeError as error:
        raise checkpoint.unfit(path.name, "has layers that do not fit each other") from error
    return decoder


def samples_of(frames: int) -> int:
    """Samples that so many code frames decode to: the last one is 8 short, as the library has it."""
    return HOP * frames - 8 if frames else 0


@dataclass(slots=True)
class Stream:
    """Decoding one sentence. `at` is the next code frame, a multiple of `BLOCK`."""

    decoder: Decoder
    at: int = 0
    _tails: dict[Hashable, torch.Tensor] = field(default_factory=dict)

    def push(self, codes: np.ndarray, total: int | None = None) -> tuple[int, Float]:
        """Decodes `codes` (2, n <= BLOCK) int64, the frames from `at`; n < BLOCK only beyond the end.

        `total` is the sentence's length in frames, to be given once a block reaches past it. Returns (position,
        (BLOCK * HOP,) float32): samples from that position on, which lies `decoder.delay` behind and is negative
        at first. What lies outside [0, samples_of(total)) means nothing.
        """
        import torch

        with torch.inference_mode():
            columns = self._latents(codes)
            at, end = self.at, total
            self.at += BLOCK
            _silence(columns, at, end)
            first = self.decoder.first
            columns = _convolved(first, self._extended("first", columns, 2 * first.reach))
            at -= first.reach
            _silence(columns, at, end)
            for index, stage in enumerate(self.decoder.stages):
                columns, at, end = self._staged(index, stage, columns, at, end)
            last = self.decoder.last
            columns = _snake(columns, self.decoder.alpha)
            columns = torch.tanh(_convolved(last, self._extended("last", columns, 2 * last.reach)))
            pcm: Float = columns[0].cpu().numpy()
            return at - last.reach, pcm

    def _latents(self, codes: np.ndarray) -> torch.Tensor:
        """The latent columns (width, BLOCK) of the codes; those that are missing are silenced by the caller."""
        import torch

        books = self.decoder.books
        full = np.zeros((len(books), BLOCK), np.int64)
        full[:, : codes.shape[1]] = codes
        rows = torch.from_numpy(full).to(books[0].device)
        columns = books[0][rows[0]]
        for book, row in zip(books[1:], rows[1:], strict=True):
            columns = columns + book[row]
        return columns.T.contiguous()

    def _staged(
        self, index: int, stage: Stage, columns: torch.Tensor, at: int, end: int | None
    ) -> tuple[torch.Tensor, int, int | None]:
        """One step up in rate: the columns, and where they and the end now lie."""
        stride, pad = stage.up.stride, stage.up.pad
        columns = self._raised(index, stage, _snake(columns, stage.alpha))
        at = at * stride - pad
        end = None if end is None else end * stride + stride - 2 * pad
        _silence(columns, at, end)
        for which, unit in enumerate(stage.residuals):
            columns = self._added(unit, (index, which), columns)
            at -= unit.wide.reach
            _silence(columns, at, end)
        return columns, at, end

    def _raised(self, index: int, stage: Stage, columns: torch.Tensor) -> torch.Tensor:
        """The transposed convolution: each column makes 2 * stride, whose second half meets the next one's first."""
        import torch

        stride, width = stage.up.stride, columns.shape[1]
        made = (stage.up.matrix @ columns).view(2, stride, -1, width)
        before = self._tails.get(("up", index))
        if before is None:
            before = torch.zeros_like(made[1, :, :, :1])
        self._tails["up", index] = made[1, :, :, -1:].clone()
        summed = made[0] + torch.cat([before, made[1, :, :, :-1]], dim=2)
        return summed.permute(1, 2, 0).reshape(-1, width * stride) + stage.up.bias

    def _added(self, unit: Residual, key: tuple[int, int], columns: torch.Tensor) -> torch.Tensor:
        reach, width = unit.wide.reach, columns.shape[1]
        wide = _convolved(unit.wide, self._extended(("wide", key), _snake(columns, unit.alphas[0]), 2 * reach))
        narrow = _convolved(unit.narrow, _snake(wide, unit.alphas[1]))
        return self._extended(("past", key), columns, reach)[:, :width] + narrow

    def _extended(self, key: Hashable, columns: torch.Tensor, kept: int) -> torch.Tensor:
        """`columns` behind the last `kept` ones of the block before, zeros at first; keeps its own."""
        import torch

        before = self._tails.get(key)
        if before is None:
            before = columns.new_zeros(columns.shape[0], kept)
        longer = torch.cat([before, columns], dim=1)
        self._tails[key] = longer[:, longer.shape[1] - kept :].clone()
        return longer


def _snake(columns: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """x + sin(alpha x)² / alpha, with the library's guard against alpha = 0."""
    import torch

    return columns + (alpha + 1e-9).reciprocal() * torch.sin(alpha * columns).pow(2)


def _convolved(conv: Conv, columns: torch.Tensor) -> torch.Tensor:
    import torch

    if conv.weight.shape[2] == 1:
        return torch.addmm(conv.bias[:, None], conv.weight[:, :, 0], columns)
    return torch.nn.functional.conv1d(columns[None], conv.weight, conv.bias, dilation=conv.dilation)[0]


def _silence(columns: torch.Tensor, at: int, end: int | None) -> None:
    """Zeros outside [0, end): what every layer of the whole decode is padded with. In place."""
    if at < 0:
        columns[:, : min(-at, columns.shape[1])] = 0.0
    if end is not None and at + columns.shape[1] > end:
        columns[:, max(0, end - at) :] = 0.0
