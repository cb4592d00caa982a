"""An OuteTTS speaker file as a persona: the timbre is the file, all else stays as the speaker said it.

Knows no engine and no session. Pace and pitch stay neutral on purpose: the speaker's own are in its codes already, and
another engine takes them over at the change of engines, from what was heard.
"""

from __future__ import annotations

from collections.abc import Mapping

from peer.core.voice import SCHEMA

from .outetts_speaker import parse, traits


def persona_of(engine: str, stem: str, value: Mapping[str, object]) -> Mapping[str, object] | None:
    """The persona's JSON for a speaker file named `stem`, None where it is none. Raises Refusal for a broken one."""
    words = value.get("words")
    if not isinstance(words, list) or not words:
        return None
    first = words[0]
    if not isinstance(first, Mapping) or not {"c1", "c2"} <= set(first):
        return None
    found = traits(parse(value, stem))
    described = f"A speaker of {found.seconds:.0f} s, {60.0 * found.words_per_s:.0f} words a minute."
    return {"schema": SCHEMA, "name": stem, "description": described, "timbres": {engine: stem}}
