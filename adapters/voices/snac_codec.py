"""A SNAC folder opened safely: config.json and weights, no pickled code, no network.

Knows neither the language model nor sentences. The library's class is built from the folder's configuration; its
encoder is dropped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peer.core.errors import Unavailable

from .snac_stream import Decoder

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""What the weights are called, the safer format first."""

FIXED = {
    "sampling_rate": 24_000,
    "decoder_rates": [8, 8, 4, 2],
    "vq_strides": [4, 2, 1],
    "codebook_size": 4096,
    "attn_window_size": None,
}
"""What makes it the 24 kHz codec of Orpheus; the widths are free."""

LONGEST_CONFIG = 65_536
"""Bytes read of a configuration: a hundred times a real one."""

REMEDY = "put the folder of the 24 kHz SNAC there"


def weights_of(folder: Path) -> Path | None:
    """The file of weights in a folder, or None."""
    return next((path for name in WEIGHTS if (path := folder / name).is_file()), None)


def load(folder: Path, device: str) -> Decoder:
    """The decoder on "cpu" or "cuda". Raises Unavailable for what is not the 24 kHz SNAC."""
    import torch
    from snac import SNAC

    config, file = _config(folder / CONFIG), weights_of(folder)
    if file is None:
        raise Unavailable(f"{folder.name} holds none of {', '.join(WEIGHTS)}: {REMEDY}")
    try:
        model = SNAC(**config).eval()
        found = model.load_state_dict(_state(file), strict=False)
        lost = [name for name in found.missing_keys if not name.startswith("encoder.")]
        if lost:
            raise ValueError(f"it lacks {lost[0]}")
        decoder = Decoder(model, torch.device(device))
        trial = decoder.stream(0)
        sound = [trial.push([0] * 7) for _ in range(3)][-1]
    except Exception as fault:  # whatever a strange file makes torch or the library raise
        raise Unavailable(f"{file.name} is not the weights of a 24 kHz SNAC ({_short(fault)}): {REMEDY}") from fault
    if not abs(sound).max() <= 1.0:
        raise Unavailable(f"{file.name} decodes to no sound, its weights are damaged: {REMEDY}")
    return decoder


def _config(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes()[:LONGEST_CONFIG])
    except (OSError, ValueError) as fault:
        raise Unavailable(f"{file.name} of {file.parent.name} is not readable ({_short(fault)}): {REMEDY}") from fault
    for name, value in FIXED.items():
        if not isinstance(found, dict) or found.get(name, ...) != value:
            raise Unavailable(f"{file.name} of {file.parent.name} is not of the 24 kHz SNAC ({name}): {REMEDY}")
    return dict(found)


def _state(file: Path) -> dict[str, Any]:
    """The tensors by name; pickled code is refused by the loader."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(file))
    import torch

    found = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise TypeError(f"it holds a {type(found).__name__}")
    return dict(found)


def _short(fault: Exception) -> str:
    """The first sentence of a foreign error."""
    lines = str(fault).strip().splitlines()
    return f"{type(fault).__name__}: {lines[0][:160]}" if lines else type(fault).__name__
