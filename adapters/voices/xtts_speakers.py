"""Who XTTS speaks as: latents of a studio voice from the checkpoint, or computed once from a reference clip.

Knows no text. Clips are read when the engine warms up and never again: between a request and its sound is no disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from peer.core.errors import Unspeakable
from peer.core.pcm import Float

if TYPE_CHECKING:
    from torch import Tensor

LEAST_S = 1.0
"""Shorter than this nobody's voice is in a clip; the library itself takes a third of a second, and advises three."""

QUIET = 1e-4
"""A clip whose peak is below -80 dBFS is silence."""


class Speaker(NamedTuple):
    """`latents` (1, n, d) condition the GPT, `embedding` (1, e, 1) the vocoder."""

    latents: Tensor
    embedding: Tensor


class Clip(NamedTuple):
    """A reference recording: `pcm` (n,) float32 mono in [-1, 1] at `rate`, or why it is none."""

    pcm: Float
    rate: int
    fault: str = ""


def read_clip(path: Path, most_s: float) -> Clip:
    """The first `most_s` seconds of a recording."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            pcm = file.read(int(most_s * rate), dtype="float32", always_2d=True).mean(axis=1)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        return Clip(np.zeros(0, np.float32), 0, f"{path.name} is no recording ({error})")
    return Clip(np.clip(pcm, -1.0, 1.0), rate, _fault(path.name, pcm, rate))


def _fault(name: str, pcm: Float, rate: int) -> str:
    if len(pcm) < LEAST_S * rate:
        return f"{name} lasts {len(pcm) / max(rate, 1):.2f} s: a reference clip needs at least {LEAST_S:g} s of speech"
    if not np.isfinite(pcm).all():
        return f"{name} holds samples that are no numbers"
    if float(np.abs(pcm).max()) < QUIET:
        return f"{name} is silent"
    return ""


class Speakers:
    """Every timbre of the folder. Latents of clips are computed on first use and kept: there are at most as many as
    files were listed."""

    def __init__(self, model: Any, studio: Mapping[str, tuple[Any, Any]], clips: Mapping[str, Path]) -> None:
        self._model = model
        self._known = {
            name: Speaker(latents.to(model.device), embedding.to(model.device))
            for name, (latents, embedding) in studio.items()
        }
        self._clips = {name: read_clip(path, model.config.max_ref_len) for name, path in clips.items()}
        for name in self._clips:
            self._known.pop(name, None)

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked for, clips first."""
        return (*self._clips, *(name for name in self._known if name not in self._clips))

    def speaker(self, name: str) -> Speaker:
        """The voice of that name, the first for "". Raises Unspeakable with the reason where there is none."""
        name = name or next(iter(self.names), "")
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._cloned(name)
        return found

    def _cloned(self, name: str) -> Speaker:
        clip = self._clips.get(name)
        if clip is None:
            raise Unspeakable(f"there is no voice {name!r} here: {', '.join(self.names)}")
        if clip.fault:
            raise Unspeakable(clip.fault)
        found = cloned(self._model, clip)
        self._clips[name] = clip._replace(pcm=np.zeros(0, np.float32))
        return found


def cloned(model: Any, clip: Clip) -> Speaker:
    """The latents of a clip, as the library's `get_conditioning_latents` computes them from its file."""
    import torch
    from torchaudio.functional import resample

    rate = model.args.input_sample_rate
    with torch.inference_mode():
        audio = torch.from_numpy(clip.pcm)[None]
        if clip.rate != rate:
            audio = resample(audio, clip.rate, rate).clip_(-1.0, 1.0)
        if model.config.sound_norm_refs:
            audio = audio / audio.abs().max() * 0.75
        audio = audio.to(model.device)
        embedding = model.get_speaker_embedding(audio, rate)
        latents = model.get_gpt_cond_latents(
            audio, rate, length=model.config.gpt_cond_len, chunk_length=model.config.gpt_cond_chunk_len
        )
    return Speaker(latents, embedding)
