"""The GPT of XTTS as a loop of our own: one audio code and one latent per step, each draw keyed by its position.

Knows no text and no sound. The arithmetic is the library's modules and its logits processors; what is ours is the
loop: it can be left at any code, it can be led through codes that are known, and it holds a cache of fixed size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from adapters.choice import draw

if TYPE_CHECKING:
    from torch import Tensor

PROMPT = 1 << 16
"""Positions that one prompt may have, in the key of a draw: prompts of a sentence never share one."""


class Step(NamedTuple):
    """`latent` (1, d) is what the vocoder speaks; `code` was drawn (or known) after it."""

    latent: Tensor
    code: int


def warpers(sampling: Mapping[str, float]) -> Any:
    """The library's logits processors, in the order in which it applies them."""
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    found: list[Any] = []
    if sampling["repetition_penalty"] != 1.0:
        found.append(RepetitionPenaltyLogitsProcessor(float(sampling["repetition_penalty"])))
    if sampling["temperature"] != 1.0:
        found.append(TemperatureLogitsWarper(float(sampling["temperature"])))
    found.append(TopKLogitsWarper(int(sampling["top_k"])))
    if sampling["top_p"] < 1.0:
        found.append(TopPLogitsWarper(float(sampling["top_p"])))
    return LogitsProcessorList(found)


def drawn(scores: Tensor, at: float) -> int:
    """The code where the cumulative probability of `scores` (1, codes) passes `at` in [0, 1)."""
    import torch

    rising = torch.softmax(scores.reshape(-1).double().cpu(), 0).cumsum(0)
    found = int(torch.searchsorted(rising, rising[-1] * at, right=True))
    return min(found, int(torch.searchsorted(rising, rising[-1])))


class Decoding:
    """One prompt being spoken. `most` bounds its codes; `known` are codes that need not be drawn again."""

    def __init__(
        self,
        gpt: Any,
        speaker: Tensor,
        ids: Sequence[int],
        most: int,
        sampling: Mapping[str, float],
        known: Sequence[int] = (),
    ) -> None:
        """`speaker` (1, n, d) are the conditioning latents, `ids` the text tokens."""
        import torch

        self._gpt = gpt
        self._most = most
        self._known = known
        self._warp = warpers(sampling)
        text = torch.tensor([ids], dtype=torch.int32, device=speaker.device)
        with torch.inference_mode():
            # The library keeps the prefix on the model: it is taken at once, another sentence will store its own.
            fake = gpt.compute_embeddings(speaker, text)
            self._prefix = gpt.gpt_inference.cached_prefix_emb
        # The repetition penalty looks at the prefix too, whose ids are all 1: so does the library's.
        self._seen = torch.empty((1, fake.shape[1] + most), dtype=torch.long, device=fake.device)
        self._seen[:, : fake.shape[1]] = fake
        self._length = int(fake.shape[1])
        self._cache = kept(len(gpt.gpt.h), self._length + most)

    def steps(self, seed: int, part: int) -> Iterator[Step]:
        """Latents and codes, up to the stop code or the bound."""
        code = int(self._gpt.start_audio_token)
        for position in range(self._most):
            latent, logits = self._forward(code, position)
            code = self._known[position] if position < len(self._known) else self._draw(logits, seed, part, position)
            self._seen[0, self._length] = code
            self._length += 1
            yield Step(latent, code)
            if code == self._gpt.stop_audio_token:
                return

    def _forward(self, code: int, position: int) -> tuple[Tensor, Tensor]:
        """(1, d) and (1, codes) after `code` at `position`; the first call runs through the prefix too."""
        import torch

        gpt = self._gpt
        with torch.inference_mode():
            token = torch.tensor([[code]], device=self._prefix.device)
            embedded = gpt.mel_embedding(token) + gpt.mel_pos_embedding.get_fixed_embedding(position, token.device)
            if position == 0:
                embedded = torch.cat([self._prefix, embedded], dim=1)
            hidden = gpt.gpt(inputs_embeds=embedded, past_key_values=self._cache, use_cache=True).last_hidden_state
            latent = gpt.final_norm(hidden[:, -1])
            # The head is the norm again and the projection, as the library has it.
            return latent, gpt.mel_head(latent).float()

    def _draw(self, logits: Tensor, seed: int, part: int, position: int) -> int:
        import torch

        with torch.inference_mode():
            scores = self._warp(self._seen[:, : self._length], logits)
            return drawn(scores, draw(seed, part * PROMPT + position))


@cache
def _fixed_layer() -> Any:
    """The class of one layer's cache; made when the library is there to inherit from."""
    import torch
    from transformers.cache_utils import DynamicLayer

    class FixedLayer(DynamicLayer):  # type: ignore[misc]
        """Keys and values (1, heads, most, width), allocated once; what is used of them is a view."""

        def __init__(self, most: int) -> None:
            super().__init__()
            self.most, self.length = most, 0

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            super().lazy_initialization(key_states, value_states)
            batch, heads, _, width = key_states.shape
            self.all_keys = torch.empty((batch, heads, self.most, width), dtype=self.dtype, device=self.device)
            self.all_values = torch.empty_like(self.all_keys)

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            before, self.length = self.length, self.length + key_states.shape[-2]
            self.all_keys[:, :, before : self.length] = key_states
            self.all_values[:, :, before : self.length] = value_states
            self.keys, self.values = self.all_keys[:, :, : self.length], self.all_values[:, :, : self.length]
            return self.keys, self.values

    return FixedLayer


def kept(layers: int, most: int) -> Any:
    """A cache of at most `most` positions: one that grows would be copied at every code."""
    from transformers.cache_utils import Cache

    return Cache(layers=[_fixed_layer()(most) for _ in range(layers)])
