"""An OuteTTS model folder with random weights: GGUF, DAC checkpoint and speakers, for the real loading code.

Knows no adapter. Seeded: every run writes the same files; nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from tests.tiny.gguf import CONTROL, NORMAL, TEXT_ROWS, UNUSED, byte_tokens, write_llama

MARKS = (
    "im_start", "im_end", "text_start", "text_end", "audio_start", "audio_end", "word_start", "word_end", "features",
    "code", "global_features_start", "global_features_end", "voice_characteristic_start", "voice_characteristic_end",
    "emotion_start", "emotion_end",
)  # fmt: skip
SMALL = (1, 64, 4, 2, 128)
"""One layer: half the time of a token, and the tests evaluate a hundred thousand."""

OUTE_1B = (16, 2048, 32, 8, 8192)
"""Llama-OuteTTS-1.0-1B. The 0.6B is a Qwen3 (28 layers of 1024) and costs about half of it."""

BRISK = 20
"""Centiseconds of the longest duration that the random model likes: the tests' words are short."""

HEAD = 0.25
"""Scale of the output layer: sharp enough that what is muted is rarely chosen."""

RATES = (8, 5, 4, 2)
LIVELY = 0.06
"""Of the last layer: peaks around a half."""


def special() -> list[str]:
    """Every token of the protocol: marks, durations, features, and 1025 names per book of 1024 codes."""
    return [
        *(f"<|{mark}|>" for mark in MARKS),
        *(f"<|t_{value / 100:.2f}|>" for value in range(1001)),
        *(f"<|{name}_{value}|>" for name in ("energy", "spectral_centroid", "pitch") for value in range(101)),
        *(f"<|c{book}_{value}|>" for book in (1, 2) for value in range(1025)),
    ]


def make_model(
    path: str | PathLike[str],
    shape: tuple[int, int, int, int, int] = SMALL,
    q4: bool = False,
    full_table: bool = False,
) -> None:
    """A language model with the protocol's vocabulary over bytes; in 4 bits with tied tables, as published.

    The names 1024 of codes, which no codebook has, are as likely as others.
    """
    text, marks = byte_tokens(), special()
    padding = TEXT_ROWS - len(text) if full_table else 0
    tokens = [*text, *(f"~pad{index}" for index in range(padding)), *marks]
    types = [NORMAL] * len(text) + [UNUSED] * padding + [CONTROL] * len(marks)
    first = len(text) + padding
    long = [first + marks.index(f"<|t_{value / 100:.2f}|>") for value in range(BRISK + 1, 1001)]
    head = None if q4 else HEAD
    write_llama(path, tokens, types, bos=first, eos=first + 1, shape=shape, q4=q4, head=head, mute=long)


def make_decoder(path: str | PathLike[str], full: bool = False) -> None:
    """A checkpoint as the DAC library saves it, decoder and codebooks only: what it also holds is never read."""
    torch.manual_seed(7)
    latent, width = (1024, 1536) if full else (64, 64)
    said = {
        "encoder_dim": latent // 16, "encoder_rates": list(reversed(RATES)), "latent_dim": latent,
        "decoder_dim": width, "decoder_rates": list(RATES), "n_codebooks": 2, "codebook_size": 1024,
        "codebook_dim": 8, "quantizer_dropout": False, "sample_rate": 24_000,
    }  # fmt: skip
    tensors = dict(_decoder(latent, width))
    torch.save({"state_dict": tensors, "metadata": {"kwargs": said}}, path)


def _decoder(latent: int, width: int) -> Iterator[tuple[str, torch.Tensor]]:
    for book in range(2):
        at = f"quantizer.quantizers.{book}"
        yield f"{at}.codebook.weight", torch.randn(1024, 8)
        yield from _conv(f"{at}.in_proj", (8, latent, 1))
        yield from _conv(f"{at}.out_proj", (latent, 8, 1))
    yield from _conv("decoder.model.0", (width, latent, 7))
    for stage, rate in enumerate(RATES, start=1):
        at, out = f"decoder.model.{stage}.block", width // 2
        yield f"{at}.0.alpha", torch.rand(1, width, 1) + 0.5
        yield from _conv(f"{at}.1", (width, out, 2 * rate), gain=(rate / 2) ** 0.5, channels=out)
        for unit in (2, 3, 4):
            yield f"{at}.{unit}.block.0.alpha", torch.rand(1, out, 1) + 0.5
            yield from _conv(f"{at}.{unit}.block.1", (out, out, 7))
            yield f"{at}.{unit}.block.2.alpha", torch.rand(1, out, 1) + 0.5
            yield from _conv(f"{at}.{unit}.block.3", (out, out, 1), gain=0.3)
        width = out
    yield "decoder.model.5.alpha", torch.rand(1, width, 1) + 0.5
    yield from _conv("decoder.model.6", (1, width, 7), gain=LIVELY)


def _conv(
    at: str, shape: tuple[int, int, int], gain: float = 1.0, channels: int = 0
) -> Iterator[tuple[str, torch.Tensor]]:
    """A weight-normed convolution: direction, length, bias. Default initialisation would be nearly silent."""
    yield f"{at}.weight_g", torch.full((shape[0], 1, 1), gain)
    yield f"{at}.weight_v", torch.randn(shape)
    yield f"{at}.bias", 0.1 * torch.randn(channels or shape[0])


def speaker(text: str = "Once upon a time.", frames: int = 12, seed: int = 7) -> dict[str, object]:
    """A speaker of interface version 3 with `frames` random code frames per word."""
    random = np.random.default_rng(seed)

    def features() -> dict[str, int]:
        energy, centroid, pitch = (int(value) for value in random.integers(5, 50, 3))
        return {"energy": energy, "spectral_centroid": centroid, "pitch": pitch}

    def word(said: str) -> dict[str, object]:
        c1, c2 = random.integers(0, 1024, (2, frames)).tolist()
        return {"word": said, "duration": round(frames / 75, 2), "c1": c1, "c2": c2, "features": features()}

    words = [word(said) for said in text.split()]
    return {"text": text, "words": words, "global_features": features(), "interface_version": 3}


def make_folder(folder: str | PathLike[str], names: Sequence[str] = ("ada", "bert"), full: bool = False) -> Path:
    """A whole model folder; each speaker is another one. `full` has the published sizes (4 bits, 1B)."""
    folder = Path(folder)
    (folder / "speakers").mkdir(parents=True, exist_ok=True)
    make_model(folder / "oute.gguf", OUTE_1B if full else SMALL, q4=full, full_table=full)
    make_decoder(folder / "dac.pth", full)
    for seed, name in enumerate(names):
        said = speaker(seed=seed) if not full else speaker("The cat watched from the windowsill. " * 4, 30, seed)
        (folder / "speakers" / f"{name}.json").write_text(json.dumps(said))
    return folder
