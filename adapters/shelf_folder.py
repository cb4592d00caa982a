"""The folder of an engine's models: its manifest, its lock, and what is on its way in.

Knows no engine and no kind of file.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peer.core.errors import Refusal

MANIFEST = "manifest.json"
SCHEMA = 1
INCOMING = ".incoming-"
"""Folders that begin so hold what is being copied; those left by a kill are swept by the next `add`."""

RESERVE = 64 << 20
"""Bytes that a copy leaves free: a full disk stops the journal too."""


def room(where: Path, size: int) -> None:
    """Raises Refusal where the disk has no room for so many bytes."""
    if size + RESERVE > shutil.disk_usage(where).free:
        raise Refusal("full", "models", f"{where}: the disk has no room for {shown_size(size)}")


def records(where: Path) -> Mapping[str, Any]:
    """The manifest's models; nothing where there is none or none that can be read."""
    try:
        return readable(where)
    except Refusal:
        return {}


def readable(where: Path) -> Mapping[str, Any]:
    """The same. Raises Refusal where there is a manifest that cannot be read: it is not written over."""
    path = where / MANIFEST
    try:
        table = json.loads(path.read_text())
        if table["schema"] != SCHEMA:
            raise Refusal("unsupported", "models", f"{path}: its schema is {table['schema']}, known is {SCHEMA}")
        found: Mapping[str, Any] = table["models"]
        for record in found.values():
            for entry in record["files"].values():
                _ = entry["size"], entry["sha256"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise Refusal(
            "invalid", "models", f"{path}: it cannot be read; move it away and add the models again"
        ) from None
    return found


def write(where: Path, records: Mapping[str, Any]) -> None:
    """The manifest anew, at once."""
    text = json.dumps({"schema": SCHEMA, "models": dict(sorted(records.items()))}, indent=2) + "\n"
    fresh = where / f"{INCOMING}{MANIFEST}"
    fresh.write_text(text)
    fresh.replace(where / MANIFEST)


@contextmanager
def locked(where: Path) -> Iterator[None]:
    """Alone in the folder, made where it is missing. Raises Refusal."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        lock = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Refusal("unwritable", "models", f"{where}: {error.strerror}; name another folder with --models") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal("busy", "models", f"{where}: another command works there; wait until it has ended") from None
        yield
    finally:
        os.close(lock)


@contextmanager
def incoming(where: Path) -> Iterator[Path]:
    """A hidden folder on the same disk, gone at the end whatever happens; those of the dead are swept."""
    for left in where.glob(f"{INCOMING}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        fresh = Path(tempfile.mkdtemp(prefix=INCOMING, dir=where))
    except OSError as error:
        raise Refusal("unwritable", "models", f"{where}: {error.strerror}; name another folder with --models") from None
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def shown_size(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
