"""What each engine keeps on disk and where that is to be had, as data: reads `shelf.toml`.

Knows no engine by name and touches no model. An adapter of a third party says the same through an optional
classmethod `shelf()` that returns a table like those in the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from peer.core.errors import Unavailable

from . import registry

NAMED = "{name}"
FILE = Path(__file__).with_name("shelf.toml")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a bundle. `path` is relative to the engine's folder and may hold `{name}`.

    Parts with one `need` stand in for each other; one without may be missing. `holds` and `allows` are for the
    check of its `kind` (see `shelf_check`).
    """

    path: str
    kind: str
    need: str = ""
    holds: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        return NAMED in self.path

    @property
    def file(self) -> str:
        """The last component of the path: what such a file is called elsewhere too."""
        return PurePosixPath(self.path).name

    def at(self, name: str) -> str:
        """Its path for a model of that name."""
        return self.path.replace(NAMED, name)

    def name_of(self, file: str) -> str | None:
        """The `{name}` in a file's name, None where it does not fit."""
        found = re.fullmatch("(.+)".join(map(re.escape, self.file.split(NAMED))), file)
        return None if found is None else found[1] if self.named else ""

    def shown(self, name: str = "") -> str:
        return self.file.replace(NAMED, name or "*")


@dataclass(frozen=True, slots=True)
class Bundle:
    """What belongs together; the first part is its weights. `name` is fixed where there can be one only."""

    word: str
    parts: tuple[Part, ...]
    name: str = ""

    @property
    def weights(self) -> tuple[Part, ...]:
        """The parts of which one holds the weights."""
        return tuple(part for part in self.parts if part.need == self.parts[0].need)

    def lacking(self, there: Sequence[Part], name: str = "") -> list[str]:
        """What is missing for it to be complete, as names of files (of a model of that name)."""
        needs = dict.fromkeys(part.need for part in self.parts if part.need)
        missing = [need for need in needs if all(part.need != need for part in there)]
        return [" or ".join(part.shown(name) for part in self.parts if part.need == need) for need in missing]


@dataclass(frozen=True, slots=True)
class Origin:
    """Files of one repository of the model hub, and the folder they go into."""

    repo: str
    files: tuple[str, ...]
    into: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be fetched by name. `accept`: only for who says that he accepts the licence."""

    name: str
    size_mb: int
    licence: str
    accept: bool = False
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """An engine's shelf. `downloader` is a module and its arguments with `{folder}` and `{name}`.

    `names` is what names it takes besides the offers, `example` one of them; `environment` maps options to the
    variables that set them; `advice` is for an engine that keeps no files.
    """

    bundles: tuple[Bundle, ...] = ()
    offers: tuple[Offer, ...] = ()
    downloader: tuple[str, ...] = ()
    names: str = ""
    example: str = ""
    advice: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def offer(self, name: str) -> Offer | None:
        """What is offered by that name; of a downloader of its own every name that it would take."""
        for offer in self.offers:
            if offer.name == name:
                return offer
        if self.names and re.fullmatch(self.names, name):
            return Offer(name, 0, "see where it comes from")
        return None


@cache
def rows() -> Mapping[str, Row]:
    """The shelf of every engine that has one, by name."""
    found = {name: _row(table) for name, table in tomllib.loads(FILE.read_text()).items()}
    for name in registry.names():
        if name not in found and (table := _own(name)) is not None:
            found[name] = _row(table)
    return found


def of(name: str) -> Row:
    """The shelf of an engine; an empty one where it keeps nothing."""
    return rows().get(name, Row())


def suffixes() -> frozenset[str]:
    """How the files of every shelf end."""
    return frozenset(Path(part.path).suffix for row in rows().values() for b in row.bundles for part in b.parts)


def _own(name: str) -> Mapping[str, Any] | None:
    try:
        shelf = getattr(registry.load(name), "shelf", None)
    except Unavailable:
        return None
    return None if shelf is None else shelf()


def _row(table: Mapping[str, Any]) -> Row:
    bundles = tuple(
        Bundle(bundle["word"], tuple(_part(part) for part in bundle["files"]), bundle.get("name", ""))
        for bundle in table.get("bundles", ())
    )
    offers = tuple(
        Offer(o["name"], o["size_mb"], o["licence"], o.get("accept", False), tuple(map(_origin, o.get("from", ()))))
        for o in table.get("offers", ())
    )
    texts = {key: table.get(key, "") for key in ("names", "example", "advice")}
    return Row(bundles, offers, tuple(table.get("downloader", ())), **texts, environment=table.get("environment", {}))


def _part(table: Mapping[str, Any]) -> Part:
    words = {key: tuple(table.get(key, ())) for key in ("holds", "allows")}
    return Part(table["path"], table["kind"], table.get("need", ""), **words)


def _origin(table: Mapping[str, Any]) -> Origin:
    return Origin(table["repo"], tuple(table["files"]), table.get("into", ""))
