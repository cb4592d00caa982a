"""The personas of this process: those shipped, then those of the operator's folders, read once at the start.

Knows no session and no engine by name: an engine may recognise a speaker file of its own. A file that is broken is
said and passed over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from adapters import registry

from .core.errors import AdapterError, Refusal
from .core.voice import Persona, Voice, parse_persona, parse_voice

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "voices"
MAX_FILES = 256
"""Of one folder: more than anyone scrolls through in a list."""
MAX_BYTES = 1 << 20
"""Of one file: forty times a speaker file, which is forty times a persona."""


class Personas:
    """By name; of two with one name the operator's, and among the operator's the first one, counts."""

    def __init__(self, folders: Sequence[Path | str] = ()) -> None:
        self.warnings: tuple[str, ...] = ()
        """What was passed over and why, one sentence each."""
        self._known = {persona.name: persona for persona in self._read(SHIPPED)}
        own: dict[str, Persona] = {}
        for folder in map(Path, folders):
            for persona in self._read(folder):
                if persona.name in own:
                    self._warn(f"{folder}: a second persona is called {persona.name}; rename one")
                else:
                    own[persona.name] = persona
        self._known |= own

    # asking ---------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._known))

    def find(self, name: str) -> Persona | None:
        return self._known.get(name)

    def listing(self) -> list[dict[str, object]]:
        """Every persona on the wire, by name."""
        return [self._known[name].to_wire() for name in self.names()]

    def resolved(self, patch: Mapping[str, object] | None) -> Mapping[str, object] | None:
        """A voice patch as the core takes it: what `persona` stands for, and over it what else is named.

        `persona: ""` is the neutral voice. Raises Refusal for an unknown name, naming those there are.
        """
        if patch is None or "persona" not in patch:
            return patch
        name = parse_voice({"persona": patch["persona"]}).persona
        found = self._known.get(name)
        if name and found is None:
            raise Refusal("unknown_persona", "voice.persona", f"choose one of {', '.join(self.names())}")
        return parse_voice(patch, found.voice if found else Voice()).to_wire()

    # reading --------------------------------------------------------------------------------

    def _warn(self, text: str) -> None:
        log.warning("%s", text)
        self.warnings += (text,)

    def _read(self, folder: Path) -> Iterator[Persona]:
        """The personas of a folder, by file name."""
        if not folder.is_dir():
            self._warn(f"{folder}: no such folder of personas")
            return
        files = sorted(folder.glob("*.json"))
        if len(files) > MAX_FILES:
            self._warn(f"{folder}: only the first {MAX_FILES} of {len(files)} personas are read")
        for path in files[:MAX_FILES]:
            try:
                yield persona_of(path)
            except Refusal as refusal:
                self._warn(f"{path}: {refusal.field}: {refusal.remedy}; it is left out")


def persona_of(path: Path) -> Persona:
    """The persona of a file. Raises Refusal, whatever is wrong with it."""
    value = _json(path)
    if isinstance(value, dict) and "schema" not in value:
        value = _recognised(path.stem, value) or value
    return parse_persona(value)


def _json(path: Path) -> object:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refusal("unreadable", "file", f"it cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise Refusal("too_large", "file", f"give at most {MAX_BYTES} bytes")
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal("malformed", "file", "write one JSON object in UTF-8") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _recognised(stem: str, value: Mapping[str, object]) -> Mapping[str, object] | None:
    """A speaker file as the engine that knows it would write the persona. Raises Refusal where it is broken."""
    for name in registry.names():
        try:
            read = getattr(registry.load(name), "persona", None)
        except AdapterError:
            continue
        found: Mapping[str, object] | None = read(stem, value) if read is not None else None
        if found is not None:
            return found
    return None
