"""An XTTS checkpoint from its folder into the library's own model; nothing in it is executed, nothing is written.

Knows nothing of requests. Imports the library when asked, never before; every fault is one sentence with a remedy.
"""

from __future__ import annotations

import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from peer.core.errors import Unavailable

from . import xtts_vocoder
from .xtts_folder import CONFIG, SAMPLING, SPEAKERS, VOCABULARY, WEIGHTS, configuration

REMEDY = "get the model again: python -m peer voices add xtts xtts_v2 --accept-licence"
LIBRARY = "TTS.tts.models.xtts"
CONFIGURATION = "TTS.tts.configs.xtts_config"

KEPT = (*SAMPLING, "audio", "languages", "gpt_cond_len", "gpt_cond_chunk_len", "max_ref_len", "sound_norm_refs")
KEPT_SIZES = ("input_sample_rate", "output_sample_rate", "output_hop_length", "decoder_input_dim", "d_vector_dim",
              "cond_d_vector_in_each_upsampling_layer", "kv_cache")  # fmt: skip
"""What is taken of a configuration, beside sizes whose name begins with `GPT`: the rest names files and addresses
that the library would open."""

LAYER = 12
"""Weights of a layer of width 1: it has twelve square matrices."""

SPARE = 2
"""Times more weights than there are: beyond it no memory is given to a configuration."""

GPT = "gpt_"
NOT_A_SIZE = "gpt_checkpoint"
EXTENSION = "torchaudio._extension"


def ready_torchaudio() -> None:
    """Have torchaudio imported, its compiled extension left out where it does not load.

    The wheel of torchaudio is built for CUDA and misses its libraries beside a CPU build of torch. What is used
    of it here (resampling, mel spectra) is plain torch.
    """
    try:
        import_module("torchaudio")
    except (ImportError, OSError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules[EXTENSION] = _without_extension()
        import_module("torchaudio")


def _without_extension() -> ModuleType:
    def refuse_alignment(_: Callable[..., object]) -> Callable[..., object]:
        def refuse(*_: object, **__: object) -> object:
            raise RuntimeError("torchaudio's extension does not load here")

        return refuse

    stub: Any = ModuleType(EXTENSION)
    stub.__path__ = []
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
    stub._check_cuda_version = lambda: None
    stub.fail_if_no_align = refuse_alignment
    found: ModuleType = stub
    return found


def device_of(name: str) -> Any:
    """The torch device an operator asked for. Raises Unavailable where there is none."""
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise Unavailable(f"xtts: {name!r} is no device; set it to cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Unavailable("xtts: its device is set to cuda, but no GPU is found here; set it to cpu")
    return device


def loaded(folder: Path, rate: int, device: str = "cpu") -> Any:
    """The library's model, ready to speak at `rate`, on `device`. Raises Unavailable naming the file at fault."""
    model = load(folder, device)
    try:
        if model.args.output_sample_rate != rate:
            raise ValueError(f"output_sample_rate is not {rate}")
        xtts_vocoder.prepare(model.hifigan_decoder.waveform_decoder)
    except ValueError as error:
        raise Unavailable(f"{folder / CONFIG} describes another vocoder ({_brief(error)}); {REMEDY}") from error
    return model


def load(folder: Path, device: str = "cpu") -> Any:
    """The library's model as the library has it, on `device`. Raises Unavailable naming the file at fault."""
    wanted = configuration(folder)
    place = device_of(device)
    ready_torchaudio()
    import_module("transformers").logging.set_verbosity_error()
    import_module(LIBRARY)
    _check_vocabulary(folder / VOCABULARY)
    speakers(folder)
    tensors = _tensors(folder / WEIGHTS)
    try:
        config = _config(wanted)
        _check_sizes(config.model_args, tensors)
        model = _reader(tensors)(config)
    except Exception as error:  # a configuration of any content, read by a library
        raise Unavailable(f"{folder / CONFIG} describes no XTTS model ({_brief(error)}); {REMEDY}") from error
    try:
        model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    except Exception as error:  # whatever does not fit raises something else
        raise Unavailable(f"{folder / WEIGHTS} does not fit {CONFIG} ({_brief(error)}); {REMEDY}") from error
    # The model has its own copy; these hold the file.
    tensors.clear()
    return model.to(place)


def _config(wanted: Mapping[str, Any]) -> Any:
    """The library's configuration with the sizes and defaults of `wanted`, and nothing else of it."""
    config = import_module(CONFIGURATION).XttsConfig()
    sizes = {
        name: value
        for name, value in wanted["model_args"].items()
        if (name.startswith(GPT) and name != NOT_A_SIZE) or name in KEPT_SIZES
    }
    taken = {name: wanted[name] for name in KEPT if name in wanted}
    with warnings.catch_warnings():
        # A value of another type is a warning there, and all sizes fall back to the published ones.
        warnings.simplefilter("error")
        config.from_dict({**config.to_dict(), **taken, "model_args": {**config.model_args.to_dict(), **sizes}})
        config.check_values()
    # Without it the library builds the model twice, the second time with what the vocabulary says.
    config.model_args.gpt_number_text_tokens = None
    return config


def _check_sizes(sizes: Any, tensors: Mapping[str, Any]) -> None:
    """Raises ValueError where the layers alone need far more weights than there are."""
    needed = LAYER * sizes.gpt_layers * sizes.gpt_n_model_channels**2
    held = sum(tensor.numel() for tensor in tensors.values())
    if needed > SPARE * held:
        raise ValueError(f"its sizes need {needed} weights, {WEIGHTS} has {held}")


def _let_through() -> list[Any]:
    """The classes that published checkpoints carry, under the names of the library's releases then and now."""
    library: Any = import_module(LIBRARY)
    shared = import_module("TTS.config.shared_configs").BaseDatasetConfig
    own = [library.XttsConfig, library.XttsArgs, library.XttsAudioConfig]
    return [*own, shared, *((cls, f"{LIBRARY}.{cls.__name__}") for cls in own)]


def weights(path: Path) -> Any:
    """What `torch.save` wrote, tensors and plain values only. Raises Unavailable.

    Published checkpoints carry the library's own configuration: its classes and no others are let through.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_let_through()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None)
    except pickle.UnpicklingError as error:
        raise Unavailable(f"{path} holds more than weights and could run code: it was not loaded; {REMEDY}") from error
    except Exception as error:  # a damaged archive fails in any of its layers
        raise Unavailable(f"{path} is damaged or cut short ({_brief(error)}); {REMEDY}") from error


def speakers(folder: Path) -> Mapping[str, tuple[Any, Any]]:
    """Studio voices: name → conditioning latents (1, n, d) and speaker embedding (1, e, 1). Raises Unavailable."""
    path = folder / SPEAKERS
    if not path.is_file():
        return {}
    found = weights(path)
    try:
        return {str(name): (row["gpt_cond_latent"], row["speaker_embedding"]) for name, row in found.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise Unavailable(f"{path} holds no studio voices of XTTS; {REMEDY}") from error


def _tensors(path: Path) -> dict[str, Any]:
    """The model's weights by name, not yet read from disk where the file allows it. Raises Unavailable."""
    found = weights(path)
    tensors = found.get("model") if isinstance(found, dict) else None
    if not isinstance(tensors, dict) or not all(hasattr(tensor, "numel") for tensor in tensors.values()):
        raise Unavailable(f"{path} holds no weights of XTTS; {REMEDY}")
    return tensors


def _reader(tensors: Mapping[str, Any]) -> Any:
    """The library's model, given its weights: its own reading would write what it converts back to the file."""
    library: Any = import_module(LIBRARY)

    class Reader(library.Xtts):  # type: ignore[misc]
        def _load_checkpoint(self, _: Path) -> Any:
            return dict(tensors)

    return Reader


def _check_vocabulary(path: Path) -> None:
    try:
        import_module("tokenizers").Tokenizer.from_file(str(path))
    except Exception as error:  # the library's one exception is Exception itself
        raise Unavailable(f"{path} is no vocabulary ({_brief(error)}); {REMEDY}") from error


def _brief(error: Exception) -> str:
    """The first line of an exception, short."""
    line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {line}"[:200]
