"""Models for an engine's bench: `python -m bench.models ENGINE FOLDER [--tiny]`, published sizes, random weights.

Knows no measurement. What they compute is what published ones compute; what they say is noise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ORPHEUS_150M = (12, 768, 12, 4, 2048)
"""Layers, width, heads, key heads, feed-forward: the size that one core can speak with."""


def piper(folder: Path, tiny: bool) -> None:
    from tests.tiny.piper import make_piper

    folder.mkdir(parents=True, exist_ok=True)
    make_piper(folder / "en_GB-bench-medium.onnx", **({} if tiny else {"size": "medium"}))  # type: ignore[arg-type]


def snac_llamacpp(folder: Path, tiny: bool) -> None:
    from tests.tiny.gguf import TINY, make_orpheus
    from tests.tiny.snac import make_snac

    folder.mkdir(parents=True, exist_ok=True)
    make_orpheus(folder / "bench.gguf", TINY if tiny else ORPHEUS_150M, q4=not tiny, full_table=not tiny)
    make_snac(folder / "snac", full=not tiny)


def xtts(folder: Path, tiny: bool) -> None:
    from tests.tiny.xtts import make_xtts

    make_xtts(folder, full=not tiny)


def outetts(folder: Path, tiny: bool) -> None:
    from tests.tiny.oute import make_folder

    make_folder(folder, full=not tiny)


MAKERS: Mapping[str, Callable[[Path, bool], None]] = {
    maker.__name__: maker for maker in (piper, snac_llamacpp, xtts, outetts)
}


def main(argv: Sequence[str]) -> None:
    MAKERS[argv[0]](Path(argv[1]), "--tiny" in argv)


if __name__ == "__main__":
    main(sys.argv[1:])
