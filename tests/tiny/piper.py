"""Piper voices with random weights: the VITS inside the piper-tts wheel, exported with Piper's own names.

Needs piper-tts, torch and onnx. "tiny" makes tests fast; "medium" and "high" have the architecture and the file size
of the published voices, so what they cost is what those cost. They say nothing about sound.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

LARGE: dict[str, Any] = {
    "inter_channels": 192, "hidden_channels": 192, "filter_channels": 768, "n_heads": 2, "n_layers": 6,
}  # fmt: skip

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "inter_channels": 16, "hidden_channels": 16, "filter_channels": 32, "n_heads": 2, "n_layers": 1,
        "resblock": "2", "resblock_kernel_sizes": (3,), "resblock_dilation_sizes": ((1, 2),),
        "upsample_rates": (8, 8, 4), "upsample_initial_channel": 16, "upsample_kernel_sizes": (16, 16, 8),
    },
    "medium": LARGE | {
        "resblock": "2", "resblock_kernel_sizes": (3, 5, 7),
        "resblock_dilation_sizes": ((1, 2), (2, 6), (3, 12)),
        "upsample_rates": (8, 8, 4), "upsample_initial_channel": 256, "upsample_kernel_sizes": (16, 16, 8),
    },
    "high": LARGE | {
        "resblock": "1", "resblock_kernel_sizes": (3, 7, 11),
        "resblock_dilation_sizes": ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        "upsample_rates": (8, 8, 2, 2), "upsample_initial_channel": 512, "upsample_kernel_sizes": (16, 16, 4, 4),
    },
}  # fmt: skip
"""The arguments of the model class, as the library's trainer sets them per quality; "low" is "medium" at 16 kHz."""

AUDIBLE = 0.3
"""Peak of the sound: default initialisation is nearly silent, so the last layer is scaled until this comes out."""

SEED = 11
DRAWN = 50
"""Phoneme ids of the example input that the export is traced with."""


def make_piper(
    out: Path | str,
    size: str = "tiny",
    speakers: int = 1,
    language: str = "en_GB",
    espeak: str = "en-gb-x-rp",
    rate: int = 22_050,
    seed: int = SEED,
) -> Path:
    """Writes `out` (ends in .onnx) and its JSON, the same bytes for the same arguments; returns the path."""
    import torch

    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    model, example = _model(size, speakers, seed)
    many = speakers > 1
    axes = {
        "input": {0: "batch_size", 1: "phonemes"},
        "input_lengths": {0: "batch_size"},
        "output": {0: "batch_size", 2: "time"},
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of branches that do not depend on the input
        torch.onnx.export(
            model, example, str(out), opset_version=15, dynamo=False, output_names=["output"], dynamic_axes=axes,
            input_names=["input", "input_lengths", "scales"] + ["sid"] * many,
        )  # fmt: skip
    write_json(out, size, speakers, language, espeak, rate)
    return out


def write_json(out: Path, quality: str, speakers: int, language: str, espeak: str, rate: int) -> None:
    """The voice's JSON beside `out`, with the keys that the published voices have."""
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    many = speakers > 1
    family, _, region = language.partition("_")
    row = {
        "dataset": "random",
        "audio": {"sample_rate": rate, "quality": quality},
        "espeak": {"voice": espeak},
        "language": {"code": language, "family": family, "region": region},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "num_symbols": 256,
        "num_speakers": speakers,
        "speaker_id_map": {f"s{i}": i for i in range(speakers)} if many else {},
        "hop_length": 256,
        "piper_version": "1.0.0",
    }
    Path(f"{out}.json").write_text(json.dumps(row), encoding="utf-8")


def _model(size: str, speakers: int, seed: int) -> tuple[Any, tuple[Any, ...]]:
    """The network, its `forward` as Piper exports it, and an example input."""
    import torch
    from piper.train.vits.models import SynthesizerTrn

    many = speakers > 1
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # so that the weights are the same bytes on every machine, and a busy one is not held up
    model = SynthesizerTrn(
        n_vocab=256, spec_channels=513, segment_size=32, kernel_size=3, p_dropout=0.1, use_sdp=True,
        n_speakers=speakers, gin_channels=(8 if size == "tiny" else 512) * many, **SHAPES[size],
    ).eval()  # fmt: skip
    model.dec.remove_weight_norm()

    def forward(text: Any, lengths: Any, scales: Any, sid: Any = None) -> Any:
        noise, length, width = scales[0], scales[1], scales[2]
        said = model.infer(text, lengths, noise_scale=noise, length_scale=length, noise_scale_w=width, sid=sid)
        return said[0].unsqueeze(1)

    model.forward = forward
    ids, scales = torch.randint(0, 157, (1, DRAWN)), torch.FloatTensor([0.667, 1.0, 0.8])
    example = (ids, torch.LongTensor([DRAWN]), scales, torch.LongTensor([0]) if many else None)
    with torch.no_grad():
        peak = forward(*example).abs().max().atanh()
        model.dec.conv_post.weight.mul_(math.atanh(AUDIBLE) / peak)
    torch.random.set_rng_state(state)
    torch.set_num_threads(threads)
    return model, example
