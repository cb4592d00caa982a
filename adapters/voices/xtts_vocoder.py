"""The HiFi-GAN of XTTS, block by block: what it says of a growing row of frames equals what it says of the whole.

Knows no text, no code and no grid. Every convolution keeps the columns it still needs: nothing is computed twice, what
is held does not grow, and no context has to be guessed. What lies before or behind the prompt is not computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

SLOPE = 0.1
"""Of the leaky rectifier before every convolution but the last, as the library has it."""

LAST_SLOPE = 0.01
"""The last one is the library's call without a slope: torch's default."""


def prepare(generator: Any) -> None:
    """Fold the weight normalisation of the library's generator into its weights, which every call would compute anew,
    and have each upsampling as one matrix. Raises ValueError for a generator of another build.
    """
    from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

    for module in list(generator.modules()):
        if is_parametrized(module, "weight"):
            remove_parametrizations(module, "weight")
    for up in generator.ups:
        if up.kernel_size[0] != 2 * up.stride[0] or 2 * up.padding[0] != up.stride[0]:
            raise ValueError("a vocoder of another build")
        up.register_buffer("both", _both(up.weight.detach(), up.stride[0]), persistent=False)


def _both(weight: Tensor, rate: int) -> Tensor:
    """(inputs, outputs, 2 * rate) → (outputs * rate, 2 * inputs): what an input and the one before it bring."""
    import torch

    inputs, outputs, _ = weight.shape
    return torch.cat([weight[..., :rate], weight[..., rate:]]).permute(1, 2, 0).reshape(outputs * rate, 2 * inputs)


class Columns(NamedTuple):
    """`x` (1, c, n): columns [start, start + n) of a prompt that has `total` of them, -1 while that is unknown.

    None is before the prompt; those behind it are zero, which is what a convolution pads with.
    """

    x: Tensor
    start: int
    total: int

    def rectified(self) -> Columns:
        from torch.nn.functional import leaky_relu

        return self._replace(x=leaky_relu(self.x, SLOPE))


class Row:
    """The last `columns` of what went through, in front of what comes: (1, c, n) → (1, c, columns + n)."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._held: Tensor | None = None

    def join(self, x: Tensor) -> Tensor:
        import torch

        if not self.columns:
            return x
        if self._held is None:
            self._held = x.new_zeros((*x.shape[:-1], self.columns))
        joined = torch.cat([self._held, x], dim=-1)
        # A copy: a view would keep the whole block.
        self._held = joined[..., -self.columns :].clone()
        return joined

    def late(self, given: Columns) -> Columns:
        """As many columns, delayed."""
        n, start = given.x.shape[-1], given.start - self.columns
        low = min(n, max(0, -start))
        return Columns(self.join(given.x)[..., low:n], start + low, given.total)


class Convolution:
    """A convolution of stride 1 whose output lags `lag` columns; `voice` (1, c, 1) is added to its bias."""

    def __init__(self, module: Any, voice: Tensor | None = None) -> None:
        self._weight, self._bias = module.weight, _biased(module.bias, voice)
        self._dilation = module.dilation[0]
        self.lag = module.padding[0]
        self._row = Row(2 * self.lag)

    def __call__(self, given: Columns) -> Columns:
        from torch.nn.functional import conv1d, pad

        joined, start, n = self._row.join(given.x), given.start - self.lag, given.x.shape[-1]
        low = min(n, max(0, -start))
        high = n if given.total < 0 else max(low, min(n, given.total - start))
        if high > low:
            y = conv1d(joined[..., low : high + 2 * self.lag], self._weight, self._bias, dilation=self._dilation)
        else:
            y = joined.new_zeros((1, self._weight.shape[0], 0))
        return Columns(pad(y, (0, n - high)) if high < n else y, start + low, given.total)


class Upsampling:
    """A transposed convolution with a kernel of two strides: each output comes of two neighbouring inputs.

    As one matrix product over both: the library's call packs its weight anew every time, for twelve columns.
    """

    def __init__(self, module: Any, voice: Tensor | None = None) -> None:
        self.rate, self.lag = module.stride[0], module.padding[0]
        self._weight, self._channels = module.both, module.out_channels
        bias = _biased(module.bias, voice)
        self._bias = None if bias is None else bias.repeat_interleave(self.rate)[:, None]
        self._row = Row(1)

    def __call__(self, given: Columns) -> Columns:
        import torch

        joined = self._row.join(given.x)[0]
        pairs = torch.cat([joined[:, 1:], joined[:, :-1]])
        y = self._weight @ pairs if self._bias is None else torch.addmm(self._bias, self._weight, pairs)
        y = y.reshape(1, self._channels, self.rate, -1).transpose(2, 3).reshape(1, self._channels, -1)
        start = given.start * self.rate - self.lag
        low, total = max(0, -start), given.total * self.rate if given.total >= 0 else -1
        if total >= 0:
            y[..., max(0, total - start) :] = 0.0
        return Columns(y[..., low:], start + low, total)


def _biased(bias: Tensor | None, voice: Tensor | None) -> Tensor | None:
    if voice is None:
        return bias
    return voice.reshape(-1) if bias is None else bias + voice.reshape(-1)


class Residual:
    """One residual block: pairs of convolutions, each pair added to its own input."""

    def __init__(self, module: Any) -> None:
        self._pairs = [
            (Convolution(first), Convolution(second))
            for first, second in zip(module.convs1, module.convs2, strict=True)
        ]
        self._rows = [Row(first.lag + second.lag) for first, second in self._pairs]
        self._wait = Row(0)
        self.lag = sum(row.columns for row in self._rows)

    def level(self, lag: int) -> None:
        """Lag as much as the slowest of the blocks beside this one."""
        self._wait = Row(lag - self.lag)

    def __call__(self, given: Columns) -> Columns:
        for (first, second), row in zip(self._pairs, self._rows, strict=True):
            added = second(first(given.rectified()).rectified())
            given = added._replace(x=added.x + row.late(given).x)
        return self._wait.late(given)


class Stage:
    """One upsampling and the residual blocks behind it, whose mean goes on."""

    def __init__(self, up: Upsampling, blocks: list[Residual]) -> None:
        self._up = up
        self._blocks = blocks
        slowest = max(block.lag for block in blocks)
        for block in blocks:
            block.level(slowest)
        self.rate = up.rate
        self.lag = up.lag + slowest

    def __call__(self, given: Columns) -> Columns:
        x = self._up(given.rectified())
        made = [block(x) for block in self._blocks]
        return made[0]._replace(x=sum(one.x for one in made) / len(made))


class Vocoder:
    """The generator over blocks of frames (1, d, n): sound as Columns (1, 1, ≤ n * hop), `lag` samples behind."""

    def __init__(self, generator: Any, speaker: Tensor) -> None:
        """`generator` is the library's, prepared; `speaker` (1, e, 1) the voice's embedding."""
        first = generator.cond_layer(speaker) if hasattr(generator, "cond_layer") else None
        self._first = Convolution(generator.conv_pre, first)
        self._stages = []
        kernels = generator.num_kernels
        for index, up in enumerate(generator.ups):
            voice = generator.conds[index](speaker) if generator.cond_in_each_up_layer else None
            blocks = generator.resblocks[index * kernels : (index + 1) * kernels]
            self._stages.append(Stage(Upsampling(up, voice), [Residual(block) for block in blocks]))
        self._last = Convolution(generator.conv_post)
        self.hop, self.lag = 1, self._first.lag
        for stage in self._stages:
            self.hop, self.lag = self.hop * stage.rate, self.lag * stage.rate + stage.lag
        self.lag += self._last.lag

    def __call__(self, frames: Columns) -> Columns:
        from torch.nn.functional import leaky_relu

        given = self._first(frames)
        for stage in self._stages:
            given = stage(given)
        given = self._last(given._replace(x=leaky_relu(given.x, LAST_SLOPE)))
        return given._replace(x=given.x.tanh())
