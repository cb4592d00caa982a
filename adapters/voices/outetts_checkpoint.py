"""The decoder's half of a DAC checkpoint: plain weights read safely, checked and put together.

Knows neither how they are applied nor where the codes come from.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peer.core.errors import Unavailable

if TYPE_CHECKING:
    import torch

RATE = 24_000
HOP = 320
"""Samples of one code frame."""

BOOKS, CODES = 2, 1024
KERNEL = 7
DILATIONS = (1, 3, 9)
"""The architecture of DAC: what its checkpoints do not say."""


@dataclass(slots=True)
class Conv:
    """A convolution over the columns of a stream. `weight` (out, in, kernel) float32, `bias` (out,)."""

    weight: torch.Tensor
    bias: torch.Tensor
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Columns it looks to each side."""
        return int(self.weight.shape[2] - 1) // 2 * self.dilation


@dataclass(slots=True)
class Up:
    """A transposed convolution as a matrix product. `matrix` (2 * stride * out, in), `bias` (out, 1)."""

    matrix: torch.Tensor
    bias: torch.Tensor
    stride: int

    @property
    def pad(self) -> int:
        return ceil(self.stride / 2)


@dataclass(slots=True)
class Residual:
    """x + convolution of snake of wide convolution of snake of x; `alphas` (channels, 1) each."""

    alphas: tuple[torch.Tensor, torch.Tensor]
    wide: Conv
    narrow: Conv


@dataclass(slots=True)
class Stage:
    """One step up in rate."""

    alpha: torch.Tensor
    up: Up
    residuals: tuple[Residual, ...]


@dataclass(slots=True)
class Decoder:
    """The weights that decoding needs. `books` are (1024, width) each: a code's share of the latent."""

    books: tuple[torch.Tensor, ...]
    first: Conv
    stages: tuple[Stage, ...]
    alpha: torch.Tensor
    last: Conv

    @property
    def device(self) -> str:
        return str(self.books[0].device.type)

    @property
    def delay(self) -> int:
        """Samples that the output of a step lies behind its input, by which later frames still change it."""
        at = -self.first.reach
        for stage in self.stages:
            at = at * stage.up.stride - stage.up.pad - sum(unit.wide.reach for unit in stage.residuals)
        return self.last.reach - at


def load(path: Path, device: str = "cpu", threads: int = 1) -> Decoder:
    """The decoder of a checkpoint as the DAC library saves its weights. Raises Unavailable with one sentence.

    Only plain tensors are read: the library's own loader would first run whatever program the file holds.
    """
    torch = _prepared(device, threads)
    try:
        with torch.no_grad():
            return _Checkpoint(torch.load(path, map_location="cpu", weights_only=True), path.name, device).decoder()
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise unfit(path.name, "cannot be read as plain DAC weights") from error


def _prepared(device: str, threads: int) -> Any:
    """torch, set so that the same input gives the same bits. Raises Unavailable."""
    try:
        import torch
    except ImportError as error:
        raise Unavailable(f"torch does not load ({error}): make engines") from error
    if device != "cpu" and not torch.cuda.is_available():
        raise Unavailable(
            f"torch finds no GPU for the device {device}: install its CUDA build, or set the engine's device to cpu"
        )
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch


def unfit(name: str, why: str) -> Unavailable:
    return Unavailable(f"{name} {why}: put weights_24khz_1.5kbps_v1.0.pth of ibm-research/DAC.speech.v1.0 in its place")


class _Checkpoint:
    """Names and shapes of the library's state dictionary, checked on the way out."""

    def __init__(self, content: object, name: str, device: str) -> None:
        self._name, self._device = name, device
        if not isinstance(content, Mapping) or not isinstance(content.get("state_dict"), Mapping):
            raise unfit(name, "holds no DAC weights")
        self._tensors: Mapping[str, Any] = content["state_dict"]
        metadata = content.get("metadata")
        said: object = metadata.get("kwargs") if isinstance(metadata, Mapping) else None
        self._said: Mapping[str, Any] = said if isinstance(said, Mapping) else {}

    def decoder(self) -> Decoder:
        rates = self._said.get("decoder_rates")
        if not isinstance(rates, list) or not all(isinstance(rate, int) and rate > 1 for rate in rates):
            raise unfit(self._name, "does not say its decoder's rates")
        books = tuple(self._book(index) for index in range(BOOKS))
        is_ours = prod(rates) == HOP and self._said.get("sample_rate") == RATE and books[0].shape[0] == CODES
        if not is_ours or f"quantizer.quantizers.{BOOKS}.codebook.weight" in self._tensors:
            raise unfit(self._name, "is not the DAC for 24 kHz with two books of 1024 codes")
        end = len(rates) + 1
        return Decoder(
            books,
            self._conv("decoder.model.0", KERNEL),
            tuple(self._stage(f"decoder.model.{1 + index}", rate) for index, rate in enumerate(rates)),
            self._alpha(f"decoder.model.{end}"),
            self._conv(f"decoder.model.{end + 1}", KERNEL),
        )

    def _get(self, key: str) -> torch.Tensor:
        import torch

        found = self._tensors.get(key)
        if not isinstance(found, torch.Tensor) or not found.is_floating_point():
            raise unfit(self._name, f"lacks {key}")
        if not bool(torch.isfinite(found).all()):
            raise unfit(self._name, f"is damaged, {key} is not finite")
        return found.float()

    def _weight(self, at: str) -> torch.Tensor:
        """Direction times length; newer torch names them otherwise, and a folded checkpoint has the product."""
        import torch

        if f"{at}.weight" in self._tensors:
            return self._get(f"{at}.weight")
        old = f"{at}.weight_g" in self._tensors
        length = self._get(f"{at}.weight_g" if old else f"{at}.parametrizations.weight.original0")
        direction = self._get(f"{at}.weight_v" if old else f"{at}.parametrizations.weight.original1")
        return torch._weight_norm(direction, length, 0)

    def _conv(self, at: str, kernel: int, dilation: int = 1) -> Conv:
        weight, bias = self._weight(at), self._get(f"{at}.bias")
        if weight.ndim != 3 or weight.shape[2] != kernel:
            raise unfit(self._name, f"has another shape at {at}")
        return Conv(self._there(weight), self._there(bias), dilation)

    def _alpha(self, at: str) -> torch.Tensor:
        return self._there(self._get(f"{at}.alpha")[0])

    def _book(self, index: int) -> torch.Tensor:
        at = f"quantizer.quantizers.{index}"
        rows = self._get(f"{at}.codebook.weight")
        conv = self._conv(f"{at}.out_proj", 1)
        return self._there(rows @ conv.weight[:, :, 0].cpu().T + conv.bias.cpu())

    def _stage(self, at: str, stride: int) -> Stage:
        weight = self._weight(f"{at}.block.1")
        if weight.ndim != 3 or weight.shape[2] != 2 * stride:
            raise unfit(self._name, f"has another shape at {at}")
        matrix = weight.permute(2, 1, 0).reshape(-1, weight.shape[0])
        up = Up(self._there(matrix), self._there(self._get(f"{at}.block.1.bias")[:, None]), stride)
        units = tuple(self._residual(f"{at}.block.{2 + i}.block", dilation) for i, dilation in enumerate(DILATIONS))
        return Stage(self._alpha(f"{at}.block.0"), up, units)

    def _residual(self, at: str, dilation: int) -> Residual:
        alphas = self._alpha(f"{at}.0"), self._alpha(f"{at}.2")
        return Residual(alphas, self._conv(f"{at}.1", KERNEL, dilation), self._conv(f"{at}.3", 1))

    def _there(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.contiguous().to(self._device)
