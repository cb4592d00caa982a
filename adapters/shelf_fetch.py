"""Gets a model by name with the engine's own downloader, or from the model hub with the hub's own library.

Knows no engine by name. It runs when a person asks for it and at no other time; what it says is passed on, a
traceback is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from peer.core.errors import Refusal

from .shelf_rows import Offer, Row

ROOT = Path(__file__).resolve().parents[1]
READ = 4096
LONGEST = 300
"""Characters of a downloader's last words that a refusal repeats."""

TRACEBACK = b"Traceback (most recent call last)"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Set for workers; a download that was asked for is the exception."""

HUB = "adapters.shelf_hub"


def offered(engine: str, row: Row, name: str, accepted: bool) -> Offer:
    """The offer of that name, its licence accepted where that is asked. Raises Refusal."""
    offer = row.offer(name)
    if offer is None:
        names = [*(offer.name for offer in row.offers), *(["other names of its downloader"] if row.names else [])]
        known = f"{engine} knows {', '.join(names)}" if names else row.advice or f"{engine} fetches nothing by name"
        raise Refusal("missing", "source", f"{name} is neither a file here nor a known name; {known}")
    if offer.accept and not accepted:
        remedy = f"{name} is under: {offer.licence}. Read it, and if you accept it say --accept-licence"
        raise Refusal("licence", "accept-licence", remedy)
    return offer


def fetch(row: Row, offer: Offer, folder: Path, interpreter: str = "") -> None:
    """The offer's files into `folder`. Raises Refusal with what the downloader said last."""
    for command in commands(row, offer, folder):
        said = _run([interpreter or sys.executable, "-m", *command])
        if said is not None:
            remedy = (
                f"{offer.name} could not be fetched ({said}); without network, copy its files here and give their path"
            )
            raise Refusal("unreachable", "source", remedy)


def commands(row: Row, offer: Offer, folder: Path) -> Iterator[list[str]]:
    """The modules that fetch the offer, each with its arguments."""
    for origin in offer.origins:
        yield [HUB, str(folder / origin.into), origin.repo, *origin.files]
    if not offer.origins:
        yield [word.format(folder=folder, name=offer.name) for word in row.downloader]


def _run(command: list[str]) -> str | None:
    """None if it went well, else its last words. Its progress goes to standard error as it comes."""
    environment = {name: value for name, value in os.environ.items() if name not in OFFLINE}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=environment
    )
    try:
        assert process.stderr is not None
        last = _passed_on(process.stderr)
        if process.wait() == 0:
            sys.stderr.write(f"{last}\n" if last else "")
            return None
        return last or f"status {process.returncode}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _passed_on(stream: IO[bytes]) -> str:
    """All but the last line and a traceback goes on to standard error; the last line is returned."""
    held = b""
    hidden = False
    while data := os.read(stream.fileno(), READ):
        held += data
        whole = held.rstrip(b"\r\n")
        cut = max(whole.rfind(b"\r"), whole.rfind(b"\n")) + 1
        hidden = hidden or TRACEBACK in held
        if not hidden:
            sys.stderr.write(held[:cut].decode(errors="replace"))
            sys.stderr.flush()
        held = held[cut:][-READ:]
    return held.decode(errors="replace").strip()[:LONGEST]
