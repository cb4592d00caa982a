"""The table of ears: by name, best first, loaded only when asked for.

Knows where an ear lives, nothing of what it needs; why one cannot start, it says itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from adapters.ears.base import Ear, EarDescriptor
from peer.core.errors import Unavailable

EARS: Mapping[str, str] = {
    "silero": "adapters.ears.silero:SileroEar",
    "energy": "adapters.ears.energy:EnergyEar",
}
"""Name → "module:Class", best first; the order is the order of fallback."""


@dataclass(frozen=True, slots=True)
class Started:
    """A warm ear and why the better ones, (name, reason), are not it. `ear` is None when none started."""

    ear: Ear | None
    refused: tuple[tuple[str, str], ...] = ()


def names() -> tuple[str, ...]:
    return tuple(EARS)


def _load(name: str) -> type[Ear]:
    """The class of an ear. Raises Unavailable for a name that is not in the table, or a module that is broken."""
    try:
        module, attribute = EARS[name].split(":")
        return cast("type[Ear]", getattr(import_module(module), attribute))
    except (KeyError, ImportError, AttributeError) as missing:
        raise Unavailable(f"no ear is called {name!r}; known are {', '.join(EARS)} ({missing})") from missing


def describe(name: str) -> EarDescriptor:
    """What the ear says of itself, cold. Raises Unavailable."""
    return _load(name).describe()


def open_ear(name: str) -> Ear:
    """A new, warm ear. Raises Unavailable."""
    ear = _load(name)()
    ear.warm_up()
    return ear


def start_ear(*preferred: str, without: frozenset[str] = frozenset()) -> Started:
    """The first ear that starts: the preferred ones in order, then the table, each at most once.

    The first start loads a model (0.1 s); every further one shares it.
    """
    refused: list[tuple[str, str]] = []
    for name in dict.fromkeys((*preferred, *EARS)):
        if name in without:
            continue
        try:
            return Started(open_ear(name), tuple(refused))
        except Unavailable as reason:
            refused.append((name, str(reason)))
    return Started(None, tuple(refused))
