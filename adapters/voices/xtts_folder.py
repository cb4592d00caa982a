"""What lies in the folder of an XTTS model: its files, languages, sampling, studio voices and reference clips.

Knows no model library and executes nothing: names are read from JSON, from file names and from a pickle's opcodes.
"""

from __future__ import annotations

import json
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from peer.core.errors import Unavailable
from peer.core.voice import MAX_NAME

CONFIG, WEIGHTS, VOCABULARY, SPEAKERS = "config.json", "model.pth", "vocab.json", "speakers_xtts.pth"
NEEDED = (CONFIG, WEIGHTS, VOCABULARY)
CLIPS = "voices"
"""The folder of reference clips, beside the checkpoint or beside its files."""

MAGIC = {".wav": b"RIFF", ".flac": b"fLaC"}
"""What a reference clip begins with, by its suffix: other files are no voices."""

MAX_CLIPS = 32
"""Clips are held in memory until they are spoken with: 32 of at most 30 s are 85 MB."""

MAX_STUDIO = 512
MAX_JSON = 1 << 20
MAX_PICKLE = 1 << 20
"""Bytes read of a file that only names things; the published ones are some thousands."""

LANGUAGES = (
    "en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi",
)  # fmt: skip
"""The library's own, where the configuration cannot be read."""

PACKAGES: Mapping[str, str] = MappingProxyType({"zh-cn": "pypinyin", "ja": "cutlet"})
"""Languages that the library's tokenizer reads through a package of their own, not installed with it."""

SAMPLING: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "temperature": (0.75, 0.01, 5.0),
        "top_k": (50, 1, 8192),
        "top_p": (0.85, 0.01, 1.0),
        "repetition_penalty": (10.0, 1.0, 100.0),
    }
)
"""Default of the library's streaming call, lowest and highest: config.json may say otherwise, the operator has the
last word."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`folder` holds the files; `studio` are the voices in the checkpoint, `clips` those cloned from a recording."""

    folder: Path
    languages: tuple[str, ...] = LANGUAGES
    studio: tuple[str, ...] = ()
    clips: Mapping[str, Path] = field(default_factory=dict)
    sampling: Mapping[str, float] = field(default_factory=dict)

    @property
    def voices(self) -> tuple[str, ...]:
        """Every timbre; what the operator recorded comes first, so that it is the default."""
        return (*self.clips, *(name for name in self.studio if name not in self.clips))


def find(models: Path) -> Path | None:
    """The folder of the checkpoint: `models` itself or the first folder in it that holds the files."""
    folders = [models, *(path for path in _inside(models) if path.is_dir())]
    return next((folder for folder in folders if all((folder / name).is_file() for name in NEEDED)), None)


def look(models: Path) -> Checkpoint | None:
    """What is there, or None without a checkpoint. What cannot be read is left out: warming up says why."""
    folder = find(models)
    if folder is None:
        return None
    try:
        config = configuration(folder)
    except Unavailable:
        config = {}
    clips = dict(sorted({**_clips(folder / CLIPS), **_clips(models / CLIPS)}.items())[:MAX_CLIPS])
    return Checkpoint(folder, _languages(config), _studio(folder / SPEAKERS), clips, _sampling(config))


def configuration(folder: Path) -> dict[str, Any]:
    """config.json of an XTTS model. Raises Unavailable with the reason."""
    path = folder / CONFIG
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError("it is too large")
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Unavailable(f"{path} is not the configuration of a model: {error}") from error
    if not isinstance(found, dict) or found.get("model") != "xtts" or not isinstance(found.get("model_args"), dict):
        raise Unavailable(f"{path} is not the configuration of an XTTS model")
    return found


def missing_package(language: str) -> str:
    """The package that the library needs to read `language` and that is not installed, or ""."""
    package = PACKAGES.get(language, "")
    return package if package and find_spec(package) is None else ""


def _languages(config: Mapping[str, object]) -> tuple[str, ...]:
    found = config.get("languages")
    if not isinstance(found, list):
        return LANGUAGES
    return tuple(name.lower() for name in found if isinstance(name, str) and 2 <= len(name) <= MAX_NAME) or LANGUAGES


def _sampling(config: Mapping[str, object]) -> dict[str, float]:
    found = {}
    for name, (default, low, high) in SAMPLING.items():
        value = config.get(name)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        found[name] = float(value) if usable and isinstance(value, int | float) else default
    return found


def _clips(folder: Path) -> dict[str, Path]:
    paths = [path for path in _inside(folder) if path.suffix.lower() in MAGIC]
    return {path.stem: path for path in paths if _nameable(path.stem) and _is_clip(path)}


def _inside(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_clip(path: Path) -> bool:
    magic = MAGIC[path.suffix.lower()]
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def _nameable(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def _studio(path: Path) -> tuple[str, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return _studio_names(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _studio_names(path: Path, _mtime_ns: int, _size: int) -> tuple[str, ...]:
    """The keys of the dictionary in a file of `torch.save`; () where it has another form."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
            if entry.file_size > MAX_PICKLE:
                return ()
            return tuple(dict.fromkeys(_keys(archive.read(entry))))[:MAX_STUDIO]
    except (OSError, StopIteration, ValueError, RuntimeError, zipfile.BadZipFile):
        return ()


def _keys(pickle: bytes) -> Iterator[str]:
    """Strings that stand right before a dictionary opens: the names in {name: {…}, …}. Nothing is executed."""
    before = ""
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name == "EMPTY_DICT" and _nameable(before):
            yield before
        if "PUT" not in opcode.name and opcode.name != "MEMOIZE":
            before = argument if "UNICODE" in opcode.name and isinstance(argument, str) else ""
