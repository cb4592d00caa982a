"""Which bundles of an engine a file or folder holds, told by names alone.

Knows no engine by name and reads no file's content: whether a pick is fit is asked later, of its copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from peer.core.errors import Refusal

from .shelf_rows import Bundle, Part, Row

NAME = re.compile(r"\w[\w.+ -]{0,63}")
"""What a model may be called: it becomes a file's name and a timbre."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A bundle found in a source: which file is which part."""

    bundle: Bundle
    name: str
    files: Mapping[Part, Path]

    @property
    def weights(self) -> Part:
        """The part that a digest is given for."""
        return next(part for part in self.files if part in self.bundle.weights)


def picked(engine: str, row: Row, source: Path, name: str) -> list[Pick]:
    """The bundles that `source` holds. Raises Refusal where it holds none, or half of one."""
    if not row.bundles:
        raise Refusal("unsupported", "engine", f"{engine}: {row.advice or 'it keeps no files of its own'}")
    if not source.exists():
        raise Refusal("missing", "source", f"{source}: there is no such file or folder")
    found = _from_folder(row, source, name) if source.is_dir() else _from_file(row.bundles, source, name)
    if not found:
        takes = ", ".join(dict.fromkeys(part.shown() for bundle in row.bundles for part in bundle.weights))
        raise Refusal("unsupported", "source", f"{source}: nothing here is for {engine}; it takes {takes}")
    if name and len(found) > 1:
        raise Refusal("ambiguous", "name", f"{source} holds {len(found)} models; give one file to name it")
    for pick in found:
        _whole(source, pick)
    return found


def _whole(source: Path, pick: Pick) -> None:
    lacking = pick.bundle.lacking(list(pick.files))
    if lacking:
        raise Refusal("missing", "source", f"{source}: a {pick.bundle.word} needs {' and '.join(lacking)} beside it")
    if not NAME.fullmatch(pick.name):
        remedy = f"{pick.name!r} cannot be its name; choose one of letters, digits and . _ + - with --name"
        raise Refusal("invalid", "name", remedy)


def fits(part: Part, path: Path) -> str | None:
    """The model's name if that file can be this part, else None; hidden files never are."""
    name = part.name_of(path.name)
    return name if name is not None and not path.name.startswith(".") and path.is_file() else None


def _from_file(bundles: tuple[Bundle, ...], source: Path, name: str) -> list[Pick]:
    """One bundle, by its weights; the rest of it lies beside them. Where a name is fixed, the suffix is enough."""
    fixed = {part.file for bundle in bundles for part in bundle.parts if not part.named}
    for bundle in bundles:
        for part in bundle.weights:
            stem = part.name_of(source.name)
            if stem is None and source.name not in fixed and source.suffix == Path(part.file).suffix:
                stem = ""
            if stem is not None and source.is_file():
                return [_gathered(bundle, source.parent, stem, name, {part: source})]
    return []


def _from_folder(row: Row, source: Path, name: str) -> list[Pick]:
    """Every bundle that begins in the folder, or below it where its parts belong."""
    found = [pick for bundle in row.bundles for pick in _from_bases(bundle, source, name)]
    if found:
        return found
    return [pick for bundle in row.bundles for pick in _from_base(bundle, source, name)]


def _from_bases(bundle: Bundle, source: Path, name: str) -> list[Pick]:
    below = (source / bundle.parts[0].path).parent
    if found := _from_base(bundle, below, name):
        return found
    if bundle.name and below != source and (found := _from_base(bundle, source, name)):
        return found
    alone = [path for path in _listed(source) if path.suffix == Path(bundle.parts[0].file).suffix and path.is_file()]
    return _from_file((bundle,), alone[0], name) if bundle.name and len(alone) == 1 else []


def _from_base(bundle: Bundle, base: Path, name: str) -> list[Pick]:
    listed = _listed(base)
    stems = {stem for part in bundle.weights for path in listed if (stem := fits(part, path)) is not None}
    return [_gathered(bundle, base, stem, name, {}) for stem in sorted(stems)]


def _listed(base: Path) -> list[Path]:
    return sorted(base.iterdir()) if base.is_dir() else []


def _gathered(bundle: Bundle, base: Path, stem: str, name: str, files: dict[Part, Path]) -> Pick:
    """What lies in `base` of the bundle; of parts that stand in for each other the first."""
    for part in bundle.parts:
        path = base / Path(part.at(stem)).name
        if path.is_file() and not (part.need and any(other.need == part.need for other in files)):
            files[part] = path
    return Pick(bundle, _called(bundle, stem, name), files)


def _called(bundle: Bundle, stem: str, name: str) -> str:
    if bundle.name and name and name != bundle.name:
        raise Refusal("invalid", "name", f"there can be one {bundle.word} only; it has no name to choose")
    return bundle.name or name or stem
