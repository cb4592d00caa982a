"""Which Piper voices lie in the model folder, read from their JSON files alone.

Knows neither network nor phonemes, and imports nothing heavy: a listing costs one `stat` per file after the first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from adapters.base import Honour

SUFFIX = ".onnx"
JSON = ".json"

MOST_JSON = 1 << 20
"""Bytes of a voice's JSON: one of 904 speakers has 25 kB."""

MOST_SPEAKERS = 4096
KEPT = 512
"""Parsed files remembered: all voices that were ever published are fewer."""

RATES = (8_000, 96_000)
LENGTHS = (0.1, 10.0)
"""What a voice may call its own pace; published ones say 0.6 to 1.8."""

NOISES = (0.0, 2.0)


@dataclass(frozen=True, slots=True)
class VoiceFile:
    """One `.onnx` with its JSON. `language` is a BCP 47 tag, `speakers` name → id (empty: one speaker).

    The rest is what the file declares as its own: delivery, sample rate and kind of phonemes ("": the usual one).
    """

    stem: str
    path: Path
    language: str
    speakers: Mapping[str, int]
    default_speaker: int
    length_scale: float
    noise_scale: float
    noise_w: float
    rate: int
    phoneme_type: str

    @property
    def timbres(self) -> tuple[str, ...]:
        """What a persona may ask for: the file, or each of its speakers."""
        return tuple(f"{self.stem}#{name}" for name in self.speakers) or (self.stem,)


@dataclass(frozen=True, slots=True)
class Pick:
    """One speaker of one file, and how well it keeps the accent that was asked for."""

    file: VoiceFile
    speaker: int
    accent: Honour


class NoSuchAccentError(LookupError):
    """No file speaks it."""


class NoSuchTimbreError(LookupError):
    """No file or speaker has that name."""


def installed(folder: str) -> dict[str, VoiceFile]:
    """Stem → voice for every readable pair of files, ordered by name; empty where the folder is not there."""
    found: dict[str, VoiceFile] = {}
    for path in sorted(Path(folder).glob(f"*{SUFFIX}")):
        voice = _file(path)
        if voice is not None:
            found[voice.stem] = voice
    return found


def incomplete(folder: str) -> list[str]:
    """Why the other files of the folder are no voices, one sentence each."""
    networks = sorted(path for path in Path(folder).glob(f"*{SUFFIX}") if _file(path) is None)
    rows = sorted(path for path in Path(folder).glob(f"*{SUFFIX}{JSON}") if not path.with_suffix("").is_file())
    return [f"{path.name} has no usable {path.name}{JSON}" for path in networks] + [
        f"{path.name} has no {path.stem}" for path in rows
    ]


def languages(files: Mapping[str, VoiceFile]) -> tuple[str, ...]:
    """Every language once, in order."""
    return tuple(sorted({file.language for file in files.values()}))


def by_timbre(files: Mapping[str, VoiceFile], timbre: str, accent: str) -> Pick:
    """The file "stem" or its speaker "stem#name"; what it speaks is its own. Raises NoSuchTimbreError."""
    stem, _, speaker = timbre.partition("#")
    file = files.get(stem) or next((f for f in files.values() if f.stem.lower() == stem.lower()), None)
    if file is None:
        raise NoSuchTimbreError(timbre)
    if not speaker:
        return Pick(file, file.default_speaker, closeness(file.language, accent))
    if speaker not in file.speakers:
        raise NoSuchTimbreError(timbre)
    return Pick(file, file.speakers[speaker], closeness(file.language, accent))


def by_accent(files: Mapping[str, VoiceFile], accent: str) -> Pick:
    """The first file that speaks the tag itself, else the first of its language. Raises NoSuchAccentError."""
    for wanted in (Honour.EXACT, Honour.APPROXIMATE):
        for file in files.values():
            if closeness(file.language, accent) is wanted:
                return Pick(file, file.default_speaker, wanted)
    raise NoSuchAccentError(accent)


def closeness(language: str, accent: str) -> Honour:
    """How near a file's language is to the accent asked for: the same tag, the same language, another."""
    has, wants = tag_of(language), tag_of(accent)
    if has.lower() == wants.lower():
        return Honour.EXACT
    return Honour.APPROXIMATE if has.partition("-")[0].lower() == wants.partition("-")[0].lower() else Honour.NONE


def tag_of(name: str) -> str:
    """The BCP 47 tag of "en_GB", "en-gb-x-rp" or "cmn": language and region, in their usual case."""
    language, _, rest = name.replace("_", "-").partition("-")
    region = rest.partition("-")[0]
    language = {"cmn": "zh", "nb": "no"}.get(language.lower(), language.lower())
    known = (len(region) == 2 and region.isalpha()) or (len(region) == 3 and region.isdigit())
    return f"{language}-{region.upper()}" if known else language


def _file(path: Path) -> VoiceFile | None:
    """The voice of a network, None where its JSON is missing or says nothing usable."""
    beside = path.with_name(path.name + JSON)
    try:
        stat = beside.stat()
    except OSError:
        return None
    return _parsed(path, stat.st_mtime_ns, stat.st_size) if stat.st_size <= MOST_JSON else None


@lru_cache(maxsize=KEPT)
def _parsed(path: Path, mtime_ns: int, size: int) -> VoiceFile | None:
    """The JSON beside `path` as it was at `mtime_ns` with `size` bytes."""
    try:
        row = json.loads(path.with_name(path.name + JSON).read_text(encoding="utf-8"))
        code = _at(row, "language.code") or _at(row, "espeak.voice")
        if not row["phoneme_id_map"]:
            return None
        return VoiceFile(
            stem=path.name.removesuffix(SUFFIX),
            path=path,
            language=tag_of(str(code)),
            speakers=_speakers(row),
            default_speaker=int(row.get("default_speaker_id") or 0),
            length_scale=_within(_at(row, "inference.length_scale", 1.0), LENGTHS),
            noise_scale=_within(_at(row, "inference.noise_scale", 0.667), NOISES),
            noise_w=_within(_at(row, "inference.noise_w", 0.8), NOISES),
            rate=int(_within(_at(row, "audio.sample_rate"), RATES)),
            phoneme_type=str(row.get("phoneme_type") or ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _at(row: object, path: str, default: object = None) -> object:
    """The value at a dotted path of objects; `default` where a step is missing."""
    for step in path.split("."):
        if not isinstance(row, Mapping) or step not in row:
            return default
        row = row[step]
    return row


def _speakers(row: Mapping[str, object]) -> dict[str, int]:
    """Speaker → id in the order of the ids; empty for one. Raises ValueError, TypeError."""
    count = int(str(row.get("num_speakers") or 1))
    if not 1 <= count <= MOST_SPEAKERS:
        raise ValueError(f"{count} speakers")
    named = row.get("speaker_id_map") or {str(number): number for number in range(count)}
    if count == 1:
        return {}
    if not isinstance(named, Mapping):
        raise TypeError("speaker_id_map is not an object")
    ids = {str(name): int(number) for name, number in named.items() if 0 <= int(number) < count}
    return dict(sorted(ids.items(), key=lambda item: item[1]))


def _within(value: object, bounds: tuple[float, float]) -> float:
    number = float(str(value))
    low, high = bounds
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{number} is not within {low} and {high}")
    return number
