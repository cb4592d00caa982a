"""A SNAC folder with random weights, as the library's own `SNAC.from_pretrained(folder)` loads it.

Knows no engine. Seeded: every run writes the same folder; nothing is downloaded.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

import torch
from snac import SNAC

SEED = 1234
LOUDNESS = 0.4
"""Spread of the samples before the last tanh: fresh weights are nearly silent."""

TRIAL = (8, 16, 32)
"""Codes per level that the loudness is measured on."""


def make_snac(folder: str | PathLike[str], full: bool = False) -> None:
    """The 24 kHz codec: `full` has the published 19.8 M parameters, else 167 thousand."""
    config = {
        "sampling_rate": 24_000,
        "encoder_dim": 48 if full else 4,
        "encoder_rates": [2, 4, 8, 8],
        "decoder_dim": 1024 if full else 32,
        "decoder_rates": [8, 8, 4, 2],
        "attn_window_size": None,
        "codebook_size": 4096,
        "codebook_dim": 8,
        "vq_strides": [4, 2, 1],
        "noise": True,
        "depthwise": True,
    }
    torch.manual_seed(SEED)
    model = SNAC(**config).eval()
    _make_audible(model)
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config))
    torch.save(model.state_dict(), out / "pytorch_model.bin")


def _make_audible(model: SNAC) -> None:
    with torch.no_grad():
        codes = [torch.randint(0, 4096, (1, count)) for count in TRIAL]
        last = model.decoder.model[-2]
        spread = model.decoder.model[:-1](model.quantizer.from_codes(codes)).std()
        last.parametrizations.weight.original0.mul_(LOUDNESS / spread)
        last.bias.zero_()
