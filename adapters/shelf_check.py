"""Whether a model file is what its place says, found without running anything of it.

`python -m adapters.shelf_check` reads one question as JSON and answers with one line, locked in as engines are: the
libraries that parse a stranger's file do so without network, and a crash of theirs is an answer too. Knows no engine.
"""

from __future__ import annotations

import json
import pickletools
import re
import resource
import struct
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

from . import sandbox, shelf_gguf

LIMIT_S = 120.0
"""The longest check is the parsing of an ONNX file: 1 s for 100 MB; a cold disk may take a minute more."""

MEMORY = 6 << 30
"""Bytes of private memory of a check: an ONNX file is parsed whole, no other is."""

MAX_JSON = 64 << 20
"""The largest tokenizer published has 17 MB."""

MAX_HEADER = 100 << 20
"""Of a safetensors file: the limit of its own library."""

MAX_PICKLE = 64 << 20
"""The pickle of a checkpoint names its tensors and holds none: some hundred kB."""

ROOT = Path(__file__).resolve().parents[1]


class Unfit(Exception):
    """The file is not what it should be; the text goes on after its name."""


@dataclass(frozen=True, slots=True)
class Question:
    """`holds`, `allows`: see `shelf_rows.Part`."""

    path: str
    kind: str
    holds: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()


def asked(question: Question, interpreter: str = "") -> dict[str, str]:
    """What the file says of itself (its licence, its architecture). Raises Unfit."""
    try:
        done = subprocess.run(
            [interpreter or sys.executable, "-m", __name__],
            input=json.dumps(asdict(question)), capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=ROOT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unfit(f"could not be checked within {LIMIT_S:.0f} s") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise Unfit(f"could not be checked: {why[:200]}")
    answer = json.loads(lines[-1])
    if answer["why"]:
        raise Unfit(answer["why"])
    facts: dict[str, str] = answer["facts"]
    return facts


def main() -> int:
    """Answer the question on standard input."""
    sandbox.enter()
    sandbox.lower(resource.RLIMIT_DATA, MEMORY)
    given = json.load(sys.stdin)
    why, facts = "", {}
    try:
        facts = check(Path(given["path"]), given["kind"], given["holds"], given["allows"])
    except Unfit as unfit:
        why = str(unfit)
    sys.stdout.write(json.dumps({"why": why, "facts": facts}) + "\n")
    return 0


def check(path: Path, kind: str, holds: Sequence[str], allows: Sequence[str]) -> dict[str, str]:
    """The same in this process. Raises Unfit."""
    if path.stat().st_size == 0:
        raise Unfit("is empty")
    try:
        return CHECKS[kind](path, holds, allows)
    except (OSError, MemoryError) as error:
        raise Unfit(f"cannot be read: {error}") from None


def _gguf(path: Path, holds: Sequence[str], _: Sequence[str]) -> dict[str, str]:
    try:
        header = shelf_gguf.read(path, holds)
    except shelf_gguf.NotGgufError as error:
        raise Unfit(str(error)) from None
    _all_there(holds, header.tokens, "the token")
    named = {"licence": "general.license", "architecture": "general.architecture"}
    return {key: str(header.facts[fact]) for key, fact in named.items() if fact in header.facts}


def _onnx(path: Path, holds: Sequence[str], _: Sequence[str]) -> dict[str, str]:
    try:
        onnx = import_module("onnx")
    except ImportError:
        raise Unfit("cannot be checked without the package onnx: make engines") from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # the parser's own errors have no common root
        raise Unfit("is no ONNX file, or cut off") from None
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise Unfit("keeps its weights in another file; only single files are taken")
        size = _item_size(onnx, tensor.data_type)
        if tensor.raw_data and size and len(tensor.raw_data) != prod(tensor.dims) * size:
            raise Unfit(f"is damaged: the tensor {tensor.name[:60]!r} is not as long as its shape says")
    _all_there(holds, {value.name for value in model.graph.input}, "the input")
    if not model.graph.output:
        raise Unfit("has no output")
    return {"architecture": str(model.producer_name)} if model.producer_name else {}


def _item_size(onnx: Any, kind: int) -> int:
    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize) if kind not in _PACKED else 0
    except (KeyError, ValueError):
        raise Unfit(f"holds tensors of an unknown type {kind}") from None


_PACKED = (8, 21, 22, 23, 25, 26)
"""ONNX types without whole bytes per item: texts and four-bit numbers."""


def _safetensors(path: Path, holds: Sequence[str], _: Sequence[str]) -> dict[str, str]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(size - 8, MAX_HEADER):
            raise Unfit("is no safetensors file, or cut off")
        try:
            header = json.loads(file.read(length))
            spans = sorted(tuple(entry["data_offsets"]) for name, entry in header.items() if name != "__metadata__")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Unfit("is no safetensors file: its header cannot be read") from None
    at = 0
    for begin, end in spans:
        if begin != at or end < begin:
            raise Unfit("is damaged: its tensors do not follow each other")
        at = end
    if 8 + length + at != size:
        raise Unfit(f"is cut off: {8 + length + at} bytes are due, {size} are there")
    _all_there(holds, set(header), "the tensor")
    return {}


PLAIN = re.compile(
    r"(torch|torch\.cuda)\.\w*(Storage|Tensor)|torch\.(Size|device|[a-z]+\d+\w*|bool)"
    r"|torch\._utils\._rebuild_(tensor(_v[23])?|parameter(_with_state)?)"
    r"|torch\.storage\.(TypedStorage|UntypedStorage)|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout"
    r"|collections\.(OrderedDict|Counter)|_codecs\.encode|(builtins|__builtin__)\.(set|bytearray|complex)"
)
"""What the pickle of a file of tensors may name: what torch itself reads with `weights_only`."""

HIDING = ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "INST", "OBJ")
"""Opcodes by which a class is named through the stack or a registry; torch writes none of them."""


def _torch(path: Path, holds: Sequence[str], allows: Sequence[str]) -> dict[str, str]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            pickled = file.read(2)[:1] == b"\x80"
        raise Unfit(
            "is a bare pickle, which may run code when it is read; only torch's zip format is taken"
            if pickled else "is no file of torch's zip format, or cut off"
        )  # fmt: skip
    words: set[str] = set()
    with zipfile.ZipFile(path) as archive:
        pickles = [entry for entry in archive.infolist() if entry.filename.endswith(".pkl")]
        if not any(entry.filename.endswith("data.pkl") for entry in pickles):
            raise Unfit("holds no tensors of torch")
        for entry in pickles:
            if entry.file_size > MAX_PICKLE:
                raise Unfit(f"holds a pickle of {entry.file_size >> 20} MB")
            words |= _scanned(archive.read(entry), frozenset(allows))
    _all_there(holds, words, "the key")
    return {}


def _scanned(pickle: bytes, allows: frozenset[str]) -> set[str]:
    """The words of a pickle, read as data. Raises Unfit where it names a class that no tensor needs."""
    words: set[str] = set()
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name in HIDING:
                raise Unfit("holds a pickle that hides what it names: it may run code, refused")
            if opcode.name == "GLOBAL":
                _named(str(argument).replace(" ", ".", 1), allows)
            elif isinstance(argument, str):
                words.add(argument)
    except (ValueError, IndexError, UnicodeError, struct.error):
        raise Unfit("holds a damaged pickle") from None
    return words


def _named(name: str, allows: frozenset[str]) -> None:
    if name not in allows and not PLAIN.fullmatch(name):
        raise Unfit(f"holds a pickle that names {name[:80]}, which tensors do not need: it may run code, refused")


def _json(path: Path, holds: Sequence[str], _: Sequence[str]) -> dict[str, str]:
    if path.stat().st_size > MAX_JSON:
        raise Unfit(f"is larger than {MAX_JSON >> 20} MB")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise Unfit("is no JSON, or cut off") from None
    if not isinstance(value, Mapping):
        raise Unfit("holds no JSON object")
    _all_there(holds, set(value), "the key")
    return {"licence": str(value["license"])} if isinstance(value.get("license"), str) else {}


def _wav(path: Path, _: Sequence[str], __: Sequence[str]) -> dict[str, str]:
    try:
        with wave.open(str(path), "rb") as clip:
            due = clip.getnframes() * clip.getsampwidth() * clip.getnchannels()
    except (wave.Error, EOFError):
        raise Unfit("is no WAV file of plain samples, or cut off") from None
    if not due or path.stat().st_size < due:
        raise Unfit("holds no sound" if not due else "is cut off")
    return {}


def _flac(path: Path, _: Sequence[str], __: Sequence[str]) -> dict[str, str]:
    with path.open("rb") as file:
        head = file.read(4 + 4 + 34)
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F != 0:
        raise Unfit("is no FLAC file, or cut off")
    if int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF == 0 or path.stat().st_size <= len(head):
        raise Unfit("holds no sound")
    return {}


def _all_there(wanted: Sequence[str], found: Sequence[str] | set[str] | frozenset[str], what: str) -> None:
    for word in wanted:
        if word not in found:
            raise Unfit(f"lacks {what} {word!r}: it is of another kind")


CHECKS: Mapping[str, Callable[[Path, Sequence[str], Sequence[str]], dict[str, str]]] = {
    "gguf": _gguf, "onnx": _onnx, "safetensors": _safetensors, "torch": _torch, "json": _json, "wav": _wav,
    "flac": _flac,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
