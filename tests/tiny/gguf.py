"""Llama-architecture GGUF files with random weights and any vocabulary: what llama.cpp loads as a real model.

Knows no engine but Orpheus's vocabulary. Seeded: every run writes the same file; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from types import MappingProxyType
from typing import NamedTuple

import gguf
import numpy as np

NORMAL, CONTROL, USER, UNUSED = (gguf.TokenType[name] for name in ("NORMAL", "CONTROL", "USER_DEFINED", "UNUSED"))

SEED = 7
TINY = (2, 64, 4, 2, 128)
"""Layers, width, heads, key-value heads, feed-forward width: 0.2 s to write, thousands of tokens a second."""

ORPHEUS_150M = (12, 768, 12, 4, 2048)
ORPHEUS_3B = (28, 3072, 24, 8, 8192)
"""The published size; the other is what two virtual cores speak in real time."""

TEXT_ROWS = 128_256
"""Rows of the published table below the codes: they cost time in the output layer, spoken or not."""

CODES = 10 + 7 * 4096
LLAMA_MARKS = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|pad|>"]
MERGES = ["h e", "l l"]
Q4_BLOCK = 32
Q4_BYTES = 18
"""Q4_0: an f16 scale and 32 nibbles. Random nibbles need no quantiser."""

Q4_SPREAD = 4.6
"""Standard deviation of a uniform nibble around its middle."""

PATTERN = 1 << 22
"""Values drawn once and repeated: a model of gigabytes is written in seconds, and costs the same to run."""


class Shape(NamedTuple):
    """A llama model's size."""

    layers: int
    width: int
    heads: int
    kv: int
    ff: int

    @property
    def head(self) -> int:
        return self.width // self.heads


def byte_tokens() -> list[str]:
    """The 256 symbols of byte-level BPE."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(byte if byte in keep else next(rest)) for byte in range(256)]


def write_llama(
    path: str | PathLike[str],
    tokens: Sequence[str],
    types: Sequence[gguf.TokenType],
    bos: int,
    eos: int,
    shape: tuple[int, int, int, int, int] = TINY,
    q4: bool = False,
    head: float | None = None,
    mute: Iterable[int] = (),
    architecture: str = "llama",
    louder: Mapping[int, float] | None = None,
) -> None:
    """One model file. Without `head` the output layer is tied, as in Llama 3.2; with it, it is drawn at that scale
    and the ids in `mute` get a zero row, so that they are never among the best. `louder` scales rows of a tied
    table, without `q4`."""
    size, rng = Shape(*shape), np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(fspath(path), architecture)
    _describe(writer, size, tokens, types, bos, eos, q4)
    _matrix(writer, rng, "token_embd.weight", (len(tokens), size.width), 1.0, q4, louder or {})
    if head is not None:
        rows = (rng.standard_normal((len(tokens), size.width)) * head).astype(np.float16)
        rows[list(mute)] = 0
        writer.add_tensor("output.weight", rows)
    loud = 1.0 if head is not None else 3 / np.sqrt(size.width)
    writer.add_tensor("output_norm.weight", np.full(size.width, loud, np.float32))
    for layer in range(size.layers):
        _layer(writer, rng, layer, size, q4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(
    writer: gguf.GGUFWriter,
    size: Shape,
    tokens: Sequence[str],
    types: Sequence[gguf.TokenType],
    bos: int,
    eos: int,
    q4: bool,
) -> None:
    """Everything but the tensors."""
    writer.add_context_length(8192)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.ff)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(size.head)
    writer.add_rope_freq_base(500_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_key_length(size.head)
    writer.add_value_length(size.head)
    writer.add_file_type(2 if q4 else 1)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_add_bos_token(False)


def _layer(writer: gguf.GGUFWriter, rng: np.random.Generator, layer: int, size: Shape, q4: bool) -> None:
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(size.width, np.float32))
    narrow = size.kv * size.head
    rows = {
        "attn_q": size.width, "attn_k": narrow, "attn_v": narrow, "attn_output": size.width,
        "ffn_gate": size.ff, "ffn_up": size.ff,
    }  # fmt: skip
    for name, count in rows.items():
        _matrix(writer, rng, f"blk.{layer}.{name}.weight", (count, size.width), 1 / np.sqrt(size.width), q4)
    _matrix(writer, rng, f"blk.{layer}.ffn_down.weight", (size.width, size.ff), 1 / np.sqrt(size.ff), q4)


def _matrix(
    writer: gguf.GGUFWriter,
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, int],
    scale: float,
    q4: bool,
    louder: Mapping[int, float] = MappingProxyType({}),
) -> None:
    rows, columns = shape
    if not q4:
        values = rng.standard_normal((rows, columns), dtype=np.float32) * scale
        for row, factor in louder.items():
            values[row] *= factor
        writer.add_tensor(name, values.astype(np.float16))
        return
    block = np.empty((rows * columns // Q4_BLOCK, Q4_BYTES), np.uint8)
    nibbles = rng.integers(0, 256, (min(len(block), PATTERN), Q4_BYTES - 2), dtype=np.uint8)
    block[:, 2:] = np.resize(nibbles, (len(block), Q4_BYTES - 2))
    block[:, :2] = np.frombuffer(np.float16(scale / Q4_SPREAD).tobytes(), np.uint8)
    packed = block.reshape(rows, columns // Q4_BLOCK * Q4_BYTES)
    writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)


def make_orpheus(
    path: str | PathLike[str],
    shape: tuple[int, int, int, int, int] = TINY,
    q4: bool = False,
    full_table: bool = False,
    plain: bool = False,
    stop: float = 1.0,
) -> None:
    """A model with Orpheus's vocabulary. `full_table` pads the text rows to the published number.

    `plain` has another family's marks, as the smaller models do. Random models never stop by themselves: `stop` is a
    factor on the row of the token that ends speech; with 2 about one frame in twenty is the last (not with `q4`).
    """
    tokens, types = [*byte_tokens(), "he", "ll"], [NORMAL] * 258
    marks = ["<|endoftext|>", "<|pad|>"] if plain else LLAMA_MARKS
    padding = TEXT_ROWS - len(tokens) - len(marks) if full_table else 0
    tokens += [f"~pad{index}" for index in range(padding)] + marks
    types += [UNUSED] * padding + [CONTROL] * len(marks)
    first = len(tokens)
    # USER, because CONTROL would be blank in text streams.
    tokens += [f"<custom_token_{number}>" for number in range(CODES)]
    types += [USER] * CODES
    write_llama(
        path, tokens, types, bos=first - len(marks), eos=first + 2, shape=shape, q4=q4, louder={first + 2: stop}
    )
