"""What an operator decides about each engine: where its models lie, its interpreter, threads, device and limits.

Knows no engine by name and reads no file: the configuration fills the table, a worker gets its row by environment.
Only the standard library, so that a worker may read it before anything that starts a thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

HOME_VARIABLE = "SYNCHRONY_MODELS"
"""Names the folder that holds one folder of models per engine."""

ROW_VARIABLE = "SYNCHRONY_ENGINE"
"""In a worker: its row as JSON."""

HOME = "models"
"""The folder where nothing else was said, beside the journal."""

Option = str | int | float | bool


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One engine's row. Empty fields take the defaults of its registry row.

    `models` is its own folder, absolute. `cpus` bind it to those cores, `nice` yields to the event loop.
    `memory_mb` bounds its private memory (0: the registry's). `options` are the engine's own names.
    """

    models: str = ""
    interpreter: str = ""
    threads: int = 1
    device: str = "cpu"
    memory_mb: int = 0
    cpus: tuple[int, ...] = ()
    nice: int = 0
    options: Mapping[str, Option] = field(default_factory=dict)

    def option(self, name: str, default: str = "") -> str:
        """An option as text."""
        return str(self.options.get(name, default))


_table: dict[str, EngineSettings] = {}


def use(table: Mapping[str, EngineSettings]) -> None:
    """Set every row at once: what the configuration said."""
    _table.clear()
    _table.update(table)


def home() -> Path:
    """The folder of all models, absolute; it need not exist."""
    return Path(os.environ.get(HOME_VARIABLE) or HOME).expanduser().absolute()


def of(name: str) -> EngineSettings:
    """The row of an engine; in a worker the one it was started with."""
    found = _table.get(name)
    if found is None:
        found = _inherited(name) or EngineSettings()
    return found if found.models else replace(found, models=str(home() / name))


def _inherited(name: str) -> EngineSettings | None:
    text = os.environ.get(ROW_VARIABLE)
    if not text:
        return None
    row = json.loads(text)
    return parsed(row["row"]) if row.get("name") == name else None


def parsed(row: Mapping[str, object]) -> EngineSettings:
    """A row from JSON values. Raises ValueError that names the field."""
    known = {f.name for f in fields(EngineSettings)}
    for key in row:
        if key not in known:
            raise ValueError(f"{key}: known are {', '.join(sorted(known))}")
    made: dict[str, object] = {}
    for key, value in row.items():
        made[key] = _field(key, value)
    return EngineSettings(**made)  # type: ignore[arg-type]


def _field(key: str, value: object) -> object:
    if key in ("threads", "memory_mb", "nice"):
        if isinstance(value, bool) or not isinstance(value, int) or value < (1 if key == "threads" else 0):
            raise ValueError(f"{key}: give a whole number")
        return value
    if key == "cpus":
        if not isinstance(value, list | tuple) or not all(isinstance(v, int) and v >= 0 for v in value):
            raise ValueError("cpus: give a list of core numbers")
        return tuple(value)
    if key == "options":
        if not isinstance(value, Mapping) or not all(isinstance(v, Option) for v in value.values()):
            raise ValueError("options: give names with text, numbers, true or false")
        return dict(value)
    if not isinstance(value, str):
        raise ValueError(f"{key}: give text")
    return value


def environment(name: str) -> dict[str, str]:
    """What tells a worker its row."""
    return {ROW_VARIABLE: json.dumps({"name": name, "row": asdict(of(name))}), HOME_VARIABLE: str(home())}


@contextmanager
def override(name: str, row: EngineSettings) -> Iterator[None]:
    """For the time of a test: another row."""
    before = _table.get(name)
    _table[name] = row
    try:
        yield
    finally:
        if before is None:
            _table.pop(name, None)
        else:
            _table[name] = before
