"""Streaming SNAC at 24 kHz: seven codes in, 2048 samples out, equal to the library's decode of the whole.

Knows neither the language model nor sentences. A sample depends on the seed, the codes and its position alone, so
every way of cutting the stream, and a restart five frames before, give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from peer.core.errors import Unavailable
from peer.core.pcm import EMPTY, Float

from .snac_layers import Conv, Key, Place, layers_of

if TYPE_CHECKING:
    from torch import Tensor, device

RATE = 24_000
TOKENS = 7
"""Codes of one frame."""

FRAME = 2048
"""Samples of one frame: 85.3 ms."""

COLUMNS = 4
"""Latents of one frame, each 512 samples."""

REACH = 4757
"""Samples that the decoder sees on each side of one: 1536 + 2748 + 344 + 82 + 40 + 7 through its layers, less 0;
so far does the sound stay behind the codes."""

BEFORE = 5
"""Frames that have to be pushed again before one for its samples to be bit-equal: REACH on both sides."""

TAIL = 3
"""Frames of zeros that push the last REACH samples out."""

SAID = 160
"""Characters of torch's own error that an Unavailable quotes."""

LEVELS = ((0,), (1, 4), (2, 3, 5, 6))
"""Which of a frame's seven codes belong to each codebook, coarse to fine."""


class Decoder:
    """The weights, shared by all streams; built once from a loaded `snac.SNAC`."""

    def __init__(self, model: Any, device: device) -> None:
        self.device = device
        self.layers = list(layers_of(model.decoder.to(device)))
        books = model.quantizer.to(device).quantizers
        self._books = [(book.codebook.weight.detach().clone(), Conv(book.out_proj), book.stride) for book in books]
        self.latent = int(model.latent_dim)

    @property
    def on_gpu(self) -> bool:
        return str(self.device.type) != "cpu"

    def stream(self, seed: int, frame: int = 0) -> Stream:
        """A stream that begins with `frame`; the first BEFORE frames after one that is not 0 only warm it up."""
        return Stream(self, seed, frame)

    def nothing(self) -> Tensor:
        """The latents of a frame of zeros, new."""
        import torch

        return torch.zeros(1, self.latent, COLUMNS, device=self.device)

    def latents(self, codes: Sequence[int]) -> Tensor:
        """(1, latent, 4) of one frame."""
        import torch

        z = self.nothing()
        for (book, projection, stride), level in zip(self._books, LEVELS, strict=True):
            rows = book[torch.tensor([codes[slot] for slot in level], device=self.device)]
            projected, _ = projection.step(rows.T[None], [], Place(0), Key(0, 0))
            z += projected.repeat_interleave(stride, dim=-1)
        return z


class Stream:
    """One sentence's sound. `frame` is the next one to be pushed."""

    def __init__(self, decoder: Decoder, seed: int, frame: int) -> None:
        self._decoder = decoder
        self._seed = seed
        self._memory = [layer.fresh() for layer in decoder.layers]
        self.frame = frame

    @property
    def at(self) -> int:
        """The position of the next sample."""
        return max(0, FRAME * self.frame - REACH)

    def push(self, codes: Sequence[int]) -> Float:
        """The samples that become certain with these seven codes, (n,) float32: none of frames 0 and 1, 1387 of
        frame 2, 2048 of each later one."""
        return self._step(lambda: self._decoder.latents(codes), None)

    def flush(self) -> Iterator[Float]:
        """The last REACH samples, in up to TAIL pieces; the stream is over then."""
        end = COLUMNS * self.frame
        for _ in range(TAIL):
            pcm = self._step(self._decoder.nothing, end)
            if len(pcm):
                yield pcm

    def _step(self, latents: Callable[[], Tensor], end: int | None) -> Float:
        """One frame through all layers. Raises Unavailable where it ran on a GPU and that failed."""
        import torch

        try:
            with torch.inference_mode():
                pcm = self._through(latents(), Place(COLUMNS * self.frame, end))
        except RuntimeError as fault:
            if not self._decoder.on_gpu:
                raise
            said = str(fault).partition("\n")[0][:SAID]
            raise Unavailable(f"the GPU failed ({said}): see whether it is there, or set the device to cpu") from fault
        self.frame += 1
        return pcm

    def _through(self, x: Tensor, place: Place) -> Float:
        key = Key(self._seed, self.frame)
        for layer, memory in zip(self._decoder.layers, self._memory, strict=True):
            x, place = layer.step(x, memory, place, key)
        first = max(0, -place.at)
        last = x.shape[-1] if place.end is None else min(x.shape[-1], max(0, place.end - place.at))
        if last <= first:
            return EMPTY
        pcm: Float = x[0, 0, first:last].cpu().numpy().copy()
        return pcm
