"""The layers of a SNAC decoder, one code frame at a time: each keeps what the next frame needs of this one.

Knows neither tokens nor sentences. Positions are absolute at every layer's own rate; what lies before 0 or after
the end is zero there, as the library's padding is in a whole decode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

Memory: TypeAlias = "list[Tensor]"

FEW = 8
"""Columns up to which a matrix product is bound by reading the weights, and twice as fast transposed."""


class Place(NamedTuple):
    """Where a layer's input lies: `at` is the position of its first column, `end` the signal's length if known."""

    at: int
    end: int | None = None


class Key(NamedTuple):
    """What noise depends on besides its layer."""

    seed: int
    frame: int


class Layer(Protocol):
    """One step: (1, channels, n) in, as many columns times the layer's factor out, later by what it looks ahead."""

    def fresh(self) -> Memory:
        """What it remembers before the first frame: nothing but zeros."""
        ...

    def step(self, x: Tensor, memory: Memory, place: Place, key: Key) -> tuple[Tensor, Place]: ...


def silenced(y: Tensor, place: Place) -> Tensor:
    """`y` with everything outside [0, end) zero, in place."""
    count = y.shape[-1]
    if place.at < 0:
        y[..., : min(count, -place.at)] = 0
    if place.end is not None and place.at + count > place.end:
        y[..., max(0, place.end - place.at) :] = 0
    return y


class Snake:
    """x + sin²(αx)/α; 0 stays 0, so what was silenced stays so."""

    def __init__(self, module: nn.Module) -> None:
        self._alpha = cast("Tensor", module.alpha).detach().clone()
        self._inverse = (self._alpha + 1e-9).reciprocal()

    def fresh(self) -> Memory:
        return []

    def step(self, x: Tensor, memory: Memory, place: Place, key: Key) -> tuple[Tensor, Place]:
        y = (x * self._alpha).sin_()
        return x.addcmul(y, y * self._inverse), place


class Tanh:
    """The last layer."""

    def fresh(self) -> Memory:
        return []

    def step(self, x: Tensor, memory: Memory, place: Place, key: Key) -> tuple[Tensor, Place]:
        return x.tanh(), place


class Conv:
    """A convolution that remembers its last (kernel - 1) · dilation inputs; `pad` columns late."""

    def __init__(self, module: nn.Conv1d) -> None:
        self._weight, self._bias = _folded(module)
        self._dilation, self._groups = module.dilation[0], module.groups
        self._kept = (module.kernel_size[0] - 1) * self._dilation
        self.channels, self.pad = module.in_channels, self._kept // 2

    def fresh(self) -> Memory:
        return [self._weight.new_zeros(1, self.channels, self._kept)] if self._kept else []

    def step(self, x: Tensor, memory: Memory, place: Place, key: Key) -> tuple[Tensor, Place]:
        import torch

        if self._kept:
            x = torch.cat([memory[0], x], -1)
            memory[0] = x[..., -self._kept :].clone()
        elif self._groups == 1 and x.shape[-1] <= FEW:
            y = torch.nn.functional.linear(x[0].T, self._weight[..., 0], self._bias).T[None]
            return silenced(y, place), place
        y = torch.conv1d(x, self._weight, self._bias, dilation=self._dilation, groups=self._groups)
        place = Place(place.at - self.pad, place.end)
        return silenced(y, place), place


class Up:
    """A transposed convolution of kernel 2s and stride s as one matrix product: out[js + r] = W[r] x[j] + W[r + s]
    x[j - 1]. The library's own repacks its 33 MB of weights in every call. It remembers W[r + s] x[j]."""

    def __init__(self, module: nn.ConvTranspose1d) -> None:
        weight, self._bias = _folded(module)
        self._stride, self._pad = module.stride[0], int(module.padding[0])
        self._out = module.out_channels
        self._weight = weight.permute(1, 2, 0).reshape(self._out * 2 * self._stride, module.in_channels).contiguous()

    def fresh(self) -> Memory:
        return [self._weight.new_zeros(self._out, self._stride, 1)]

    def step(self, x: Tensor, memory: Memory, place: Place, key: Key) -> tuple[Tensor, Place]:
        import torch

        count, stride = x.shape[-1], self._stride
        each = self._product(x[0]).reshape(self._out, 2 * stride, count)
        late = torch.cat([memory[0], each[:, stride:]], -1)
        memory[0] = late[..., count:].clone()
        y = (each[:, :stride] + late[..., :count]).permute(0, 2, 1).reshape(1, self._out, count * stride)
        if self._bias is not None:
            y += self._bias.view(1, -1, 1)
        end = None if place.end is None else place.end * stride
        place = Place(place.at * stride - self._pad, end)
        return silenced(y, place), place

    def _product(self, x: Tensor) -> Tensor:
        import torch

        if x.shape[-1] > FEW:
            return self._weight @ x
        return torch.nn.functional.linear(x.T, self._weight).T


class Noise:
    """x + noise · linear(x), the noise drawn from its key: always on the CPU, so that a GPU hears the same."""

    def __init__(self, module: nn.Module, layer: int) -> None:
        weight, _ = _folded(cast("nn.Conv1d", module.linear))
        self._weight, self._layer = weight[..., 0].contiguous(), layer

    def fresh(self) -> Memory:
        return []

    def step(self, x: Tensor, memory: Memory, place: Place, key: Key) -> tuple[Tensor, Place]:
        return x + drawn(key, self._layer, x.shape[-1]).to(x.device) * (self._weight @ x[0]), place


def drawn(key: Key, layer: int, count: int) -> Tensor:
    """(1, 1, count) of normal noise that depends on its key, its layer and nothing else."""
    import torch

    digest = hashlib.blake2b(f"{key.seed}/{layer}/{key.frame}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    return torch.randn((1, 1, count), generator=generator)


class Residual:
    """Two convolutions beside a skip that waits for them."""

    def __init__(self, module: nn.Module) -> None:
        first, wide, second, narrow = cast("nn.Sequential", module.block)
        self._snakes = Snake(first), Snake(second)
        self._wide, self._narrow = Conv(cast("nn.Conv1d", wide)), Conv(cast("nn.Conv1d", narrow))

    def fresh(self) -> Memory:
        wide = self._wide
        return [*wide.fresh(), wide.fresh()[0].new_zeros(1, wide.channels, wide.pad)]

    def step(self, x: Tensor, memory: Memory, place: Place, key: Key) -> tuple[Tensor, Place]:
        import torch

        y, _ = self._snakes[0].step(x, [], place, key)
        y, late = self._wide.step(y, memory, place, key)
        y, _ = self._snakes[1].step(y, [], late, key)
        y, late = self._narrow.step(y, [], late, key)
        waiting = torch.cat([memory[1], x], -1)
        memory[1] = waiting[..., -self._wide.pad :].clone()
        return y.add_(waiting[..., : x.shape[-1]]), late


def layers_of(decoder: nn.Module) -> Iterator[Layer]:
    """The streaming twins of a `snac` decoder's modules, in order. Raises TypeError for a module of another codec."""
    from snac import layers as known
    from torch import nn

    flat = (
        inner
        for module in cast("nn.Sequential", decoder.model)
        for inner in (module.block if isinstance(module, known.DecoderBlock) else [module])
    )
    noises = 0
    for module in flat:
        match module:
            case known.Snake1d():
                yield Snake(module)
            case nn.Tanh():
                yield Tanh()
            case nn.ConvTranspose1d():
                yield Up(module)
            case nn.Conv1d():
                yield Conv(module)
            case known.NoiseBlock():
                yield Noise(module, noises)
                noises += 1
            case known.ResidualUnit():
                yield Residual(module)
            case _:
                raise TypeError(type(module).__name__)


def _folded(module: nn.Conv1d | nn.ConvTranspose1d) -> tuple[Tensor, Tensor | None]:
    """Weight and bias with the weight norm multiplied out. A copy: folding in place breaks the original module."""
    bias = None if module.bias is None else module.bias.detach().clone()
    return module.weight.detach().clone(), bias
