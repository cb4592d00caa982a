"""The library's own way to the same sentence: `python -m bench.library ENGINE FOLDER TEXT` prints one JSON line.

`{load_ms, first_ms, total_ms, audio_ms, rss_mb}`; one thread, as ours has. Knows no adapter.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Piece = tuple[int, int]
"""Samples of a piece, and their rate."""


def piper(folder: Path) -> Callable[[str], Iterator[Piece]]:
    """`PiperVoice.synthesize`: one run per sentence."""
    import onnxruntime
    from piper import PiperConfig, PiperVoice

    model = next(folder.glob("*.onnx"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    config = PiperConfig.from_dict(json.loads(Path(f"{model}.json").read_text()))
    voice = PiperVoice(config=config, session=session)

    def speak(text: str) -> Iterator[Piece]:
        for chunk in voice.synthesize(text):
            yield len(chunk.audio_float_array), chunk.sample_rate

    return speak


def snac_llamacpp(folder: Path) -> Callable[[str], Iterator[Piece]]:
    """What the published servers do: tokens from the library's own generator, a window of four code frames decoded
    for every new one, of which one frame is used.
    """
    import llama_cpp
    import torch
    from snac import SNAC

    torch.set_num_threads(1)
    llm: Any = llama_cpp.Llama(
        str(next(folder.glob("*.gguf"))), n_ctx=2048, n_threads=1, n_threads_batch=1, verbose=False
    )
    codec: Any = SNAC.from_pretrained(str(folder / "snac")).eval()
    first = llm.tokenize(b"<custom_token_0>", add_bos=False, special=True)[0]

    def speak(text: str) -> Iterator[Piece]:
        prompt = (
            f"<custom_token_3><|begin_of_text|>tara: {text}<|eot_id|><custom_token_4><custom_token_5><custom_token_1>"
        )
        ids = llm.tokenize(prompt.encode(), add_bos=False, special=True)
        codes: list[int] = []
        for token in llm.generate(ids, temp=0.6, top_p=0.9, repeat_penalty=1.3):
            # Random weights leave their slot: the cost is the same, so the code is put back into it.
            codes.append((token - first - 10) % 4096)
            if len(codes) >= 28 and len(codes) % 7 == 0:
                with torch.inference_mode():
                    codec.decode(_levels(codes[-28:], torch))
                yield 2048, 24_000
            if len(codes) >= 7 * 64:
                return

    return speak


def _levels(codes: Sequence[int], torch: Any) -> list[Any]:
    """Four frames of seven codes as the codec's three levels."""
    frames = [codes[i : i + 7] for i in range(0, len(codes), 7)]
    slots = ((0,), (1, 4), (2, 3, 5, 6))
    return [torch.tensor([[frame[i] for frame in frames for i in level]]) for level in slots]


def xtts(folder: Path) -> Callable[[str], Iterator[Piece]]:
    """`Xtts.inference_stream`: every chunk decodes all that came before it."""
    import torch

    from adapters.voices import xtts_load

    torch.set_num_threads(1)
    model: Any = xtts_load.load(folder)
    speaker = next(iter(model.speaker_manager.speakers.values()))

    def speak(text: str) -> Iterator[Piece]:
        latents, embedding = speaker["gpt_cond_latent"], speaker["speaker_embedding"]
        for chunk in model.inference_stream(text, "en", latents, embedding, max_new_tokens=110):
            yield len(chunk), 24_000

    return speak


ENGINES: Mapping[str, Callable[[Path], Callable[[str], Iterator[Piece]]]] = {
    build.__name__: build for build in (piper, snac_llamacpp, xtts)
}


def main(argv: Sequence[str]) -> int:
    name, folder, text = argv
    began = time.monotonic()
    speak = ENGINES[name](Path(folder))
    loaded = time.monotonic()
    for _ in speak("Yes."):
        pass
    started, first, audio_ms = time.monotonic(), 0.0, 0.0
    for samples, rate in speak(text):
        first = first or time.monotonic()
        audio_ms += 1000.0 * samples / rate
    ended = time.monotonic()
    found = {
        "load_ms": 1000.0 * (loaded - began), "first_ms": 1000.0 * (first - started),
        "total_ms": 1000.0 * (ended - started), "audio_ms": audio_ms,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
