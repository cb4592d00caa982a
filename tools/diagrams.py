"""Writes the state diagrams of the README from the tables; `--check` only compares.

Knows nothing but peer.core.machines and the two marker lines.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from peer.core.machines import MACHINES, diagram

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- machines: begin -->", "<!-- machines: end -->"


def drawn() -> str:
    """The part between the markers."""
    parts = [f"**{name}**\n\n```mermaid\n{diagram(name)}\n```" for name in MACHINES]
    return f"{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}"


def current(text: str) -> str:
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def main() -> int:
    text = README.read_text()
    if "--check" in sys.argv:
        return 0 if current(text) == drawn() else 1
    README.write_text(text.replace(current(text), drawn()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
