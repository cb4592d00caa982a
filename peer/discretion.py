"""Private mode: a record without the words of the conversation.

Knows no file. What is not known to be free of words is taken for words: a new field is private until it
is named here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

# fmt: off
OPEN = frozenset({
    # what every record has, and words out of our own tables
    "kind", "stage", "result", "surface", "state", "before", "cause", "reason", "mode", "move", "curve", "seam",
    "after_voice", "path", "ear", "error", "guard", "libs", "cpu", "clocked", "determinism", "sandbox", "version",
    "end", "code",
    # names: engines, sessions, requests, pieces of an utterance
    "adapter", "adapters", "adapter_from", "adapter_to", "instead_of", "session", "stream", "utterance", "id", "call",
    # digests and sums; the voice and what an engine made of it
    "pcm_b2", "digest", "digests", "crc", "level", "runs", "voice", "voices", "knobs", "match", "honoured", "prior",
})
# fmt: on
"""Fields that hold no words of a conversation, with all that is in them."""

SHUT = {"chunk": frozenset({"state"}), "tool": frozenset({"state", "path", "error", "end", "code", "before"})}
"""Per kind: fields that are open elsewhere, and hold words, or what was made of them, here."""

WHY_OF_OURS = frozenset({"drift", "fill", "log_gap"})
"""Kinds whose `why` is a word of our own; an engine's may quote what it could not say."""


def discreet(record: Mapping[str, object]) -> dict[str, object]:
    """The record with `{chars, b2}` for every text that may be of the conversation. The header says `private`."""
    kind = str(record.get("kind"))
    found = {name: value if _open(kind, name) else _hidden(value) for name, value in record.items()}
    if "markers" in record:
        found["markers"] = _unlabelled(record["markers"])
    return {**found, "private": True} if kind == "header" else found


def _open(kind: str, name: str) -> bool:
    if name in SHUT.get(kind, ()):
        return False
    return name in OPEN or (name == "why" and kind in WHY_OF_OURS)


def _unlabelled(markers: object) -> object:
    """Where words and phonemes begin, without which: a digest of so little could be guessed."""
    if not isinstance(markers, list | tuple):
        return _hidden(markers)
    return [[*mark[:4], ""] if isinstance(mark, list | tuple) else _hidden(mark) for mark in markers]


def _hidden(value: object) -> object:
    """Texts wherever they are; numbers and the shape of lists and objects stay, names in objects too."""
    if isinstance(value, str):
        digest = hashlib.blake2b(value.encode(errors="replace"), digest_size=16).hexdigest()
        return {"chars": len(value), "b2": digest} if value else ""
    if isinstance(value, Mapping):
        return {name: _hidden(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(each) for each in value]
    return value if isinstance(value, int | float) or value is None else _hidden(str(value))
