"""A Piper network that speaks block by block: the sessions of its three graphs, noise keyed by position, the grid.

Knows neither text nor markers. Whatever is asked for, a block is decoded in the same window, so its samples are the
same bytes; a block with its context differs from the whole decode by rounding alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peer.core.errors import Broken, Unavailable
from peer.core.pcm import Float

from .piper_graphs import INPUTS, SPEAKER, split

CONTEXT = 10
"""Frames on each side of a block that make it exact to 1e-6: the vocoder's reach. With 8 it is 3e-3."""

OPENING = (8, 8, 16)
STEADY = 32
"""Frames of the first blocks of a sentence and of all that follow. A small block is heard sooner, a large one costs
less per second since the context is decoded with each: at medium quality 0.11 and 0.06 of real time."""

HEAVY_WEIGHTS = 4_000_000
"""Parameters of a vocoder from which on all blocks are large: "medium" has 1.7 million, "high" 14 million, and small
blocks of that one take as long as they last."""

MOST_FRAMES = 20_000
"""Frames of one sentence, 4 minutes: ten times what the longest window lasts at half pace."""

CPU, GPU = "CPUExecutionProvider", "CUDAExecutionProvider"
PROBE = 4
"""Frames decoded once to see how many samples one has."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a sentence is spoken: the network's own parameters."""

    speaker: int
    length_scale: float
    noise_scale: float
    noise_w: float


@dataclass(frozen=True, slots=True)
class Score:
    """A sentence planned, nothing sounded yet: `frames` (ids,) int64 are how long each id lasts.

    `shared` is what the durations graph hands on.
    """

    frames: npt.NDArray[np.int64]
    delivery: Delivery
    noise: str
    shared: dict[str, npt.NDArray[Any]] = field(repr=False)

    @property
    def total(self) -> int:
        """Frames of the sentence; the network never says less than one."""
        return max(1, int(self.frames.sum()))


class Network:
    """The sessions of one voice file. Raises StrangeGraphError, Unavailable where the device is not
    there, and what the runtime raises."""

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu") -> None:
        self._graphs = split(path)
        self._durations = _Graph(self._graphs.durations, threads, device)
        self._latent = _Graph(self._graphs.latent, threads, device)
        self._vocoder = _Graph(self._graphs.vocoder, threads, device)
        self.heavy = self._graphs.weights >= HEAVY_WEIGHTS
        silence = np.zeros((1, self._graphs.channels, PROBE), np.float32)
        self.hop = len(self._decoded(silence, 0)) // PROBE

    def score(self, ids: Sequence[int], delivery: Delivery, noise: str) -> Score:
        """How long each of `ids` lasts. `noise` names the sentence's randomness. Raises Broken for absurd lengths."""
        row = np.array([ids], np.int64)
        feeds: dict[str, npt.NDArray[Any]] = {
            **self._scales(delivery),
            INPUTS[0]: row,
            INPUTS[1]: np.array([row.shape[1]], np.int64),
            self._graphs.width_noise: drawn(f"{noise}/widths", 2, row.shape[1]),
        }
        shared = dict(zip(self._graphs.shared, self._durations.run(feeds), strict=True))
        frames = shared[self._graphs.shared[0]].reshape(-1)
        total = float(frames.sum())
        if not total <= MOST_FRAMES:
            raise Broken(f"the voice would speak {total:.0f} frames for {len(ids)} phoneme ids")
        return Score(frames.astype(np.int64), delivery, noise, shared)

    def latents(self, score: Score) -> Float:
        """(1, channels, score.total) float32: what the vocoder makes sound of."""
        noise = drawn(f"{score.noise}/latents", self._graphs.channels, score.total)
        given = {**self._scales(score.delivery), **score.shared, self._graphs.latent_noise: noise}
        latents: Float = self._latent.run(given)[0]
        return latents

    def sound(self, latents: Float, low: int, high: int, speaker: int) -> Float:
        """The frames [low, high) as (n,) float32 in [-1, 1]."""
        before = max(0, low - CONTEXT)
        window = np.ascontiguousarray(latents[..., before : high + CONTEXT])
        return self._decoded(window, speaker)[(low - before) * self.hop :][: (high - low) * self.hop]

    def _decoded(self, latents: Float, speaker: int) -> Float:
        given: dict[str, npt.NDArray[Any]] = {self._graphs.latents: latents, SPEAKER: np.array([speaker], np.int64)}
        pcm: Float = self._vocoder.run(given)[0].reshape(-1)
        return pcm

    def blocks(self, total: int, start: int = 0) -> Iterator[tuple[int, int]]:
        """The grid: frames [low, high) of every block that ends behind frame `start`; the last one at least."""
        low = 0
        sizes = iter(() if self.heavy else OPENING)
        while low < total:
            high = min(low + next(sizes, STEADY), total)
            if high > start or high == total:
                yield low, high
            low = high

    def _scales(self, delivery: Delivery) -> dict[str, npt.NDArray[Any]]:
        scales = [delivery.noise_scale, delivery.length_scale, delivery.noise_w]
        return {INPUTS[2]: np.array(scales, np.float32), SPEAKER: np.array([delivery.speaker], np.int64)}


def drawn(key: str, channels: int, frames: int) -> Float:
    """Normal noise (1, channels, frames) float32; a frame's values depend on `key` and its number alone.

    RandomState, because NumPy froze its stream for good; the one of Generator may change.
    """
    seed = np.frombuffer(hashlib.blake2b(key.encode(), digest_size=32).digest(), "<u4")
    values = np.random.RandomState(seed).standard_normal((frames, channels))
    return np.ascontiguousarray(values.T[np.newaxis], np.float32)


class _Graph:
    """One session of the runtime."""

    def __init__(self, graph: bytes, threads: int, device: str) -> None:
        import onnxruntime

        providers = _providers(device)
        if providers[0][0] not in onnxruntime.get_available_providers():
            raise Unavailable(f"the runtime has no {device}: pip install onnxruntime-gpu, or set device to cpu")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Every sentence has its own shapes: a plan kept for each would grow without end.
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(graph, options, providers=providers)
        if self._session.get_providers()[0] != providers[0][0]:
            raise Unavailable(f"{device} does not answer: set device to cpu")
        self._device = device
        self._names = [value.name for value in self._session.get_inputs()]

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """All outputs; `feeds` may hold more than the graph takes."""
        try:
            outputs: list[npt.NDArray[Any]] = self._session.run(None, {name: feeds[name] for name in self._names})
        except Exception as error:  # the runtime has a class of its own for everything
            if self._device == "cpu":
                raise
            raise Unavailable(f"{self._device} failed ({str(error)[:200]}): set device to cpu") from error
        return outputs


def _providers(device: str) -> list[tuple[str, dict[str, str]]]:
    """What runs the nodes on "cpu", "cuda" or "cuda:1", set to repeat itself; a GPU leaves some to the CPU."""
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return [(CPU, {})]
    if kind != "cuda":
        raise Unavailable(f"{device} is no device it knows: set device to cpu or cuda")
    gpu = {"device_id": number or "0", "cudnn_conv_algo_search": "DEFAULT", "use_tf32": "0"}
    return [(GPU, gpu), (CPU, {})]
