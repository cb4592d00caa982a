"""What lies in the folder of an OuteTTS model: the language model, the decoder, the speakers.

Knows no model library: file names, and of speakers their JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from adapters.settings import EngineSettings
from peer.core.errors import Refusal, Unavailable
from peer.core.voice import MAX_NAME

from .outetts_speaker import Speaker, load

DECODER = "dac.pth"
SPEAKERS = "speakers"
MAX_SPEAKERS = 64
"""Speakers are held in memory, 60 kB each; more are no choice any more."""

REFERENCE_S = 15.0
"""Seconds of a speaker that stand in each prompt: beyond that the package itself warns. Each costs 160 tokens before
the first sound, so a slow machine wants less."""

CONTEXT = 8192
"""Tokens that the models were trained on: a speaker of 15 s, a text, and 30 s of speech."""

NUMBERS: Mapping[str, tuple[float, float, float]] = {
    "temperature": (0.4, 0.0, 2.0),
    "reference_s": (REFERENCE_S, 1.0, 30.0),
    "context": (CONTEXT, 1024, 65_536),
}
"""Options of the engine: default, lowest, highest."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One engine's row and what is there of it. Cold: nothing is loaded but speakers' JSON."""

    row: EngineSettings

    @property
    def path(self) -> Path:
        return Path(self.row.models)

    def model(self) -> Path | None:
        """The GGUF file: the one named by the option `model`, or the first."""
        return self._named("model") or self._first("*.gguf")

    def decoder(self) -> Path | None:
        """The DAC checkpoint: the one named by the option `dac`, or dac.pth, or the first."""
        usual = self.path / DECODER
        return self._named("dac") or (usual if usual.is_file() else self._first("*.pth"))

    def speakers(self) -> dict[str, Speaker]:
        """Every speaker whose file is whole, by name; the option `speaker` first, so that it is the default."""
        found = {}
        for path in self._speaker_files():
            try:
                found[path.stem] = _speaker(path)
            except Refusal:
                continue
        first = self.row.option("speaker")
        return {first: found.pop(first), **found} if first in found else found

    def fault(self, name: str) -> str:
        """What is wrong with the speaker of that name; "" where it is well or not there."""
        for path in self._speaker_files():
            if path.stem == name:
                try:
                    _speaker(path)
                except Refusal as refusal:
                    return f"{SPEAKERS}/{path.name}: {refusal.field}: {refusal.remedy}"
        return ""

    def faults(self) -> tuple[str, ...]:
        """What is wrong with speakers, a sentence each."""
        return tuple(why for path in self._speaker_files() if (why := self.fault(path.stem)))

    def number(self, option: str) -> float:
        """An option within its range. Raises Unavailable that names it."""
        default, low, high = NUMBERS[option]
        given = self.row.options.get(option, default)
        try:
            value = float(given)
        except ValueError:
            value = low - 1.0
        if isinstance(given, bool) or not low <= value <= high:
            raise Unavailable(f"the option {option} is {given}: give a number from {low:g} to {high:g}")
        return value

    def _named(self, option: str) -> Path | None:
        name = self.row.option(option)
        return self.path / name if name else None

    def _first(self, pattern: str) -> Path | None:
        return next((path for path in sorted(self.path.glob(pattern)) if path.is_file()), None)

    def _speaker_files(self) -> list[Path]:
        files = sorted(path for path in (self.path / SPEAKERS).glob("*.json") if path.is_file())
        return [path for path in files if len(path.stem) <= MAX_NAME and path.stem.isprintable()][:MAX_SPEAKERS]


def _speaker(path: Path) -> Speaker:
    """The speaker of a file, read once while it does not change. Raises Refusal."""
    stat = path.stat()
    found = _read(path, stat.st_mtime_ns, stat.st_size)
    if isinstance(found, Refusal):
        raise found
    return found


@lru_cache(maxsize=2 * MAX_SPEAKERS)
def _read(path: Path, _mtime_ns: int, _size: int) -> Speaker | Refusal:
    try:
        return load(path)
    except Refusal as refusal:
        return refusal
