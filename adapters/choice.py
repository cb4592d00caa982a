"""One of several ids, drawn repeatably: the same seed and position give the same id, whatever was drawn before.

Knows no model: logits in, an index out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peer.core.errors import Broken
from peer.core.pcm import Float

UNLIKELY = 1e-2
"""Of the likeliest id's chance. What lies below is sorted only where the rest does not reach `top_p`: the same
choice, three times as fast."""

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Choice:
    """How one of several ids is chosen. `temperature` 0 takes the best; `repetition` 1 penalises nothing."""

    temperature: float = 0.6
    top_p: float = 0.8
    repetition: float = 1.0


def draw(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on its key alone: raw Philox bits, which NumPy keeps for ever."""
    key = np.array([seed & _MASK, position & _MASK], np.uint64)
    bits = np.random.Philox(key=key).random_raw()
    return float(int(bits) >> 11) * 2.0**-53


def choose(logits: Float, seed: int, position: int, choice: Choice, seen: Sequence[int] = ()) -> int:
    """An index into `logits` (n,): softmax at the temperature, the likeliest ids up to `top_p`, one of them drawn.

    `seen` are indices said before; `repetition` divides the logit of each once, or multiplies it below 0, as the
    published decoders do before the temperature. Raises Broken where the logits are no numbers.
    """
    scores = logits.astype(np.float64)
    if len(seen) and choice.repetition != 1.0:
        at = np.asarray(seen)
        scores[at] = np.where(scores[at] > 0, scores[at] / choice.repetition, scores[at] * choice.repetition)
    best = float(scores.max())
    if not np.isfinite(best):
        raise Broken("the language model's answer is no number: its weights are damaged")
    if choice.temperature <= 0.0:
        return int(np.argmax(scores))
    chances = np.exp((scores - best) / choice.temperature)
    wanted = choice.top_p * float(chances.sum())
    likely = np.flatnonzero(chances >= UNLIKELY)
    if float(chances[likely].sum()) < wanted:
        likely = np.arange(len(chances))
    order = likely[np.argsort(-chances[likely], kind="stable")]
    mass = np.cumsum(chances[order])
    mass = mass[: int(np.searchsorted(mass, wanted)) + 1]
    return int(order[min(len(mass) - 1, int(np.searchsorted(mass, draw(seed, position) * mass[-1], side="right")))])
