"""XTTS checkpoint folders with random weights: what the library loads as a real model.

Knows no adapter but its work-around for torchaudio. Seeded: every run makes the same files; nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from adapters.voices.xtts_folder import LANGUAGES
from adapters.voices.xtts_load import ready_torchaudio

ready_torchaudio()

from TTS.tts.configs.xtts_config import XttsConfig  # noqa: E402
from TTS.tts.models.xtts import Xtts  # noqa: E402

SPECIAL = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{language}]" for language in LANGUAGES)]
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßàçéèêñóабвгдеёжзийклмнопрстуфхцчшщъыьэюя0123456789.,!?'-:;\"()"
"""Latin and Cyrillic: Arabic and Devanagari are scripts that the tiny voice has no letter of."""

TABLE = 6681
"""Rows of the published text table."""

STUDIO = ("Random A", "Random B")
SEED = 3
NEVER = -20.0
"""Bias of the stop code with which random weights do not stop before the bound."""

LOUDER = 20.0
"""Factor on the vocoder's last layer: its default is nearly silent."""


def make_xtts(folder: Path, full: bool = False, stop: float = NEVER) -> Path:
    """`folder` with config.json, vocab.json, model.pth and speakers_xtts.pth.

    `full` has the published sizes (1.9 GB); else a GPT of 0.64 M parameters with the vocoder and the speaker
    encoder at their fixed sizes (92 MB). `stop` is the bias of the code that ends a sentence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = XttsConfig()
    _shape(config.model_args, _vocabulary(folder / "vocab.json", full), full)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(SEED)
        model = Xtts(config)
        model.hifigan_decoder.waveform_decoder.conv_post.weight.mul_(LOUDER)
        model.gpt.mel_head.bias[config.model_args.gpt_stop_audio_token] = stop
        torch.save({"model": model.state_dict()}, folder / "model.pth")
        torch.save({name: _speaker(config.model_args.gpt_n_model_channels) for name in STUDIO},
                   folder / "speakers_xtts.pth")  # fmt: skip
    config.save_json(str(folder / "config.json"))
    return folder


def _vocabulary(path: Path, full: bool) -> dict[str, int]:
    words = [*SPECIAL, *LETTERS]
    if full:
        words += [f"~{index}" for index in range(len(words), TABLE)]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))
    return vocabulary


def _shape(shape: object, vocabulary: dict[str, int], full: bool) -> None:
    """Sizes into the library's model arguments."""
    codes = 1024 if full else 256
    sizes = {
        "gpt_use_perceiver_resampler": True,
        "gpt_number_text_tokens": len(vocabulary),
        "gpt_start_text_token": vocabulary["[START]"],
        "gpt_stop_text_token": vocabulary["[STOP]"],
        "gpt_num_audio_tokens": codes + 2,
        "gpt_start_audio_token": codes,
        "gpt_stop_audio_token": codes + 1,
    }
    if not full:
        sizes |= {"gpt_layers": 2, "gpt_n_model_channels": 64, "gpt_n_heads": 2, "decoder_input_dim": 64}
    for name, value in sizes.items():
        setattr(shape, name, value)


def _speaker(width: int) -> dict[str, torch.Tensor]:
    return {
        "gpt_cond_latent": torch.randn(1, 32, width) * 0.1,
        "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
    }
