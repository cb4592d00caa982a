"""Models on disk: what lies in an engine's folder, put there checked and whole, taken away, and hashed again.

Knows no engine by name: `shelf_rows` says what each keeps. Nothing here loads a model, and nothing of a file that
was not found fit ever lies where an engine would look.
"""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from peer.core.errors import Refusal

from . import settings, shelf_check, shelf_fetch, shelf_folder, shelf_rows
from .shelf_pick import Pick, fits, picked
from .shelf_rows import Bundle, Part

FETCHED = "fetched"
BLOCK = 1 << 20
"""Bytes copied and hashed at once."""


class State(StrEnum):
    """What is known of a model's bytes without reading them."""

    RECORDED = "recorded"
    UNRECORDED = "not recorded"
    CHANGED = "changed"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle that lies there. `record` is what the manifest says of it."""

    name: str
    word: str
    files: Mapping[str, int]
    lacking: tuple[str, ...] = ()
    state: State = State.UNRECORDED
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(self.files.values())

    def to_wire(self) -> dict[str, object]:
        known = {key: self.record.get(key, "") for key in ("source", "licence", "architecture", "added")}
        return {
            "name": self.name, "kind": self.word, "state": self.state.value, "size": self.size,
            "files": dict(self.files), "lacking": list(self.lacking), **known,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """How something is to be added: under which name, over what is there, of which digest, from where."""

    name: str = ""
    sha256: str = ""
    replace: bool = False
    source: str = ""
    licence: str = ""


def folder(engine: str) -> Path:
    """Where the models of an engine lie; it need not exist."""
    return Path(settings.of(engine).models)


def models(engine: str) -> list[Model]:
    """What lies in the engine's folder, by name; what is no part of a bundle is not seen."""
    row, where = shelf_rows.of(engine), folder(engine)
    records = shelf_folder.records(where)
    return [
        _model(where, bundle, name, records.get(name, {})) for bundle in row.bundles for name in _names(where, bundle)
    ]


def _names(where: Path, bundle: Bundle) -> list[str]:
    found: set[str] = set()
    for part in bundle.parts:
        base = (where / part.path).parent
        if part.need and base.is_dir():
            found |= {name for path in base.iterdir() if (name := fits(part, path)) is not None}
    return sorted({bundle.name or name for name in found})


def _model(where: Path, bundle: Bundle, name: str, record: Mapping[str, Any]) -> Model:
    there = {part: where / part.at(name) for part in bundle.parts if (where / part.at(name)).is_file()}
    files = {part.at(name): path.stat().st_size for part, path in there.items()}
    lacking = tuple(bundle.lacking(list(there), name))
    known = {path: entry["size"] for path, entry in record.get("files", {}).items()}
    if lacking:
        state = State.INCOMPLETE
    elif not record:
        state = State.UNRECORDED
    else:
        state = State.RECORDED if known == files else State.CHANGED
    return Model(name, bundle.word, files, lacking, state, record)


# --- adding ---


def add(engine: str, source: Path, wish: Wish) -> list[Model]:
    """Copy what `source` (a file or a folder) holds for that engine, checked first. Raises Refusal.

    Each file is copied beside its place under a hidden name, hashed on the way, checked, and only then renamed.
    """
    where = folder(engine)
    picked(engine, shelf_rows.of(engine), source, wish.name)  # what is wrong with the names costs no folder
    with shelf_folder.locked(where), shelf_folder.incoming(where) as incoming:
        return _added(engine, source, wish, incoming)


def fetch(engine: str, name: str, wish: Wish, accepted: bool = False) -> list[Model]:
    """Get a model by name with the engine's own downloader and add it. Raises Refusal."""
    row, where = shelf_rows.of(engine), folder(engine)
    offer = shelf_fetch.offered(engine, row, name, accepted)
    if wish.name:
        raise Refusal("unsupported", "name", "what is fetched by name keeps it")
    if wish.sha256 and len(offer.origins) > 1:
        raise Refusal("ambiguous", "sha256", f"{name} is more than one model; fetch its files and add them one by one")
    if not wish.replace and any(record.get("source") == name for record in shelf_folder.records(where).values()):
        raise Refusal("exists", "source", f"{name}: it is there already; --replace writes over it")
    with shelf_folder.locked(where), shelf_folder.incoming(where) as incoming:
        shelf_folder.room(where, offer.size_mb * 1_000_000)
        fetched = incoming / FETCHED
        fetched.mkdir()
        shelf_fetch.fetch(row, offer, fetched, settings.of(engine).interpreter)
        return _added(engine, fetched, replace(wish, source=name, licence=offer.licence), incoming)


def _added(engine: str, source: Path, wish: Wish, incoming: Path) -> list[Model]:
    row, where = shelf_rows.of(engine), folder(engine)
    picks = picked(engine, row, source, wish.name)
    if wish.sha256 and len(picks) > 1:
        raise Refusal("ambiguous", "sha256", f"{source} holds {len(picks)} models; give one file")
    records = dict(shelf_folder.readable(where))
    for pick in picks:
        _free(where, row.bundles, pick, wish, records)
    for pick in picks:
        digests = _copied(incoming, pick)
        _same_digest(pick, digests, wish.sha256)
        records[pick.name] = _record(engine, incoming, pick, digests, wish, source)
    for pick in picks:
        _put(where, incoming, pick)
    shelf_folder.write(where, records)
    names = {pick.name for pick in picks}
    return [model for model in models(engine) if model.name in names]


def _free(where: Path, bundles: Iterable[Bundle], pick: Pick, wish: Wish, records: Mapping[str, Any]) -> None:
    """Whether its places are free, or may be taken. Raises Refusal."""
    fixed = {bundle.name: bundle.word for bundle in bundles if bundle.name}
    other = records.get(pick.name, {}).get("kind") or fixed.get(pick.name, pick.bundle.word)
    if other != pick.bundle.word:
        raise Refusal("taken", "name", f"{pick.name} is a {other} here; choose another name with --name")
    for part in dict.fromkeys((*pick.files, *pick.bundle.weights)):
        place, source = where / part.at(pick.name), pick.files.get(part)
        if place.exists() and not wish.replace and not (source is not None and place.samefile(source)):
            raise Refusal("exists", "name", f"{place}: it is there already; --replace writes over it")


def _copied(incoming: Path, pick: Pick) -> dict[Part, str]:
    """The digests of what now lies in `incoming`. Raises Refusal where a file cannot be read or the disk is full."""
    shelf_folder.room(
        incoming, sum(path.stat().st_size for path in pick.files.values() if incoming not in path.parents)
    )
    digests = {}
    for part, path in pick.files.items():
        target = incoming / part.at(pick.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            digests[part] = _moved(path, target) if incoming in path.parents else _copy(path, target)
        except OSError as error:
            raise Refusal("unreadable", "source", f"{path}: {error.strerror or error}") from None
    return digests


def _copy(path: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source, target.open("xb") as copy:
        while block := source.read(BLOCK):
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _moved(path: Path, target: Path) -> str:
    path.replace(target)
    return digest(target)


def _same_digest(pick: Pick, digests: Mapping[Part, str], wanted: str) -> None:
    found, file = digests[pick.weights], pick.files[pick.weights]
    if wanted and wanted.lower() != found:
        raise Refusal("digest", "sha256", f"{file}: its digest is {found}, not the one given; get it again")


def _record(
    engine: str, incoming: Path, pick: Pick, digests: Mapping[Part, str], wish: Wish, source: Path
) -> dict[str, Any]:
    """What the manifest keeps of a pick whose files were found fit. Raises Refusal."""
    facts: dict[str, str] = {}
    files = {}
    for part, digest in digests.items():
        path = incoming / part.at(pick.name)
        try:
            facts |= shelf_check.asked(_question(part, path), settings.of(engine).interpreter)
        except shelf_check.Unfit as unfit:
            shown = pick.files[part]
            raise Refusal("unfit", "source", f"{shown.name} {unfit}; nothing was added") from None
        files[part.at(pick.name)] = {"sha256": digest, "size": path.stat().st_size}
    return {
        "kind": pick.bundle.word,
        "source": wish.source or str(source.absolute()),
        "licence": wish.licence or facts.get("licence", ""),
        "architecture": facts.get("architecture", ""),
        "added": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "files": files,
    }


def _question(part: Part, path: Path) -> shelf_check.Question:
    return shelf_check.Question(str(path), part.kind, part.holds, part.allows)


def _put(where: Path, incoming: Path, pick: Pick) -> None:
    """Rename into place, the weights last: an engine looks for those. A stand-in of before goes."""
    last = [part for part in pick.files if part in pick.bundle.weights]
    for part in [part for part in pick.files if part not in last] + last:
        target = where / part.at(pick.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        (incoming / part.at(pick.name)).replace(target)
    for part in pick.bundle.weights:
        if part not in last:
            (where / part.at(pick.name)).unlink(missing_ok=True)


# --- removing and verifying ---


def remove(engine: str, name: str) -> Model:
    """Take a model away, its record too. Raises Refusal."""
    where = folder(engine)
    found = _one(engine, name)
    with shelf_folder.locked(where):
        records = dict(shelf_folder.readable(where))
        for path in found.files:
            (where / path).unlink(missing_ok=True)
        if records.pop(name, None) is not None:
            shelf_folder.write(where, records)
    return found


def _one(engine: str, name: str) -> Model:
    there = models(engine)
    for model in there:
        if model.name == name:
            return model
    has = ", ".join(model.name for model in there) or "nothing"
    raise Refusal("missing", "name", f"{engine} has no {name}; it has {has}")


def faults(engine: str, model: Model) -> list[str]:
    """What is wrong with a model, its files read again; empty where it is as it was recorded."""
    row, where = shelf_rows.of(engine), folder(engine)
    found = [f"{name}: it is missing; add the model again" for name in model.lacking]
    known: Mapping[str, Mapping[str, object]] = model.record.get("files", {})
    found += [f"{path}: it is missing; add the model again" for path in known if path not in model.files]
    for bundle in row.bundles:
        for part in bundle.parts if bundle.word == model.word else ():
            path = where / part.at(model.name)
            if part.at(model.name) in model.files:
                found += _file_faults(engine, part, path, known.get(part.at(model.name), {}))
    return found


def _file_faults(engine: str, part: Part, path: Path, known: Mapping[str, object]) -> list[str]:
    if known and digest(path) != known.get("sha256"):
        return [f"{path.name}: it is not what was added; add it again with --replace"]
    try:
        shelf_check.asked(_question(part, path), settings.of(engine).interpreter)
    except shelf_check.Unfit as unfit:
        return [f"{path.name} {unfit}"]
    return []


def digest(path: Path) -> str:
    """The sha256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
