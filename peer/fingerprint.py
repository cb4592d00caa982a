"""What an engine's samples depend on besides the request: its version, its threads, the digests of its models.

Knows no session. Files are read in a thread, once for as long as they stay the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from adapters import settings, shelf

BLOCK = 1 << 20
"""Read at a time: the digest of a gigabyte takes a second and no memory."""


def files(name: str) -> list[Path]:
    """The engine's model files, cold."""
    folder = Path(settings.of(name).models)
    return [folder / file for model in shelf.models(name) for file in model.files]


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """File name → BLAKE2b digest. Blocks. A file that cannot be read is left out."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            facts = path.stat()
            found[path.name] = _digest(path, facts.st_size, facts.st_mtime_ns)
        except OSError:
            continue
    return found


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def facts(name: str, status: Mapping[str, object], determinism: str) -> dict[str, object]:
    """The record of an engine that is ready, but for its models."""
    limits = status.get("limits")
    return {
        "adapter": name, "version": status.get("version"), "determinism": determinism,
        "prior": status.get("prior"), "sandbox": status.get("sandbox"),
        "threads": limits.get("threads") if isinstance(limits, Mapping) else None,
    }  # fmt: skip
