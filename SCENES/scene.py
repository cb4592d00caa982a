"""A scene: a story, the stage it is played on, and what came of it.

Knows no story of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import ModuleType

from adapters import registry
from adapters.voices.tone import Tone
from peer.core.errors import AdapterError

from .bridge import Company
from .engines import Cost, ModelEngine
from .harness import Theatre
from .props import MAKERS
from .shapes import Finding
from .take import Take

COST = Cost(overhead_ms=12.0, ratio=0.25, jitter=0.1)
"""A middling engine: four times faster than it plays, with a start that is felt."""

STAND_IN = Cost(overhead_ms=5.0, ratio=0.01)
"""The embedded voice."""
GRAIN_MS = 90.0
"""One step of a token engine: what a modelled engine brings at once."""


class Outcome(StrEnum):
    GREEN = "green"
    RED = "red"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Performance:
    """One playing of a scene: the take that is kept, and what the shapes found."""

    take: Take
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A cell of the table; `reason` and `remedy` say why it could not be played."""

    scene: str
    engine: str
    verdict: Outcome
    findings: tuple[Finding, ...] = ()
    take: Take | None = None
    live: bool = False
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a story is played: with which engine, in how many acts. `repeats` is for stories told at random."""

    engine: str
    company: Company
    seed: int = 1
    repeats: int = 2000
    own_models: bool = False

    @property
    def speech(self) -> bool:
        """What it says is speech: no tiny model with random weights."""
        return self.own_models or self.engine not in MAKERS

    def model(self, cost: Cost = COST, seed: int | None = None, engine: str = "") -> ModelEngine:
        """The engine's own samples at a modelled cost."""
        adapter = self.company.engine(engine or self.engine)
        made = ModelEngine(adapter, cost, self.seed if seed is None else seed, grain_ms=GRAIN_MS)
        made.envelope = self.company.envelope(engine or self.engine)
        return made

    def others(self) -> list[str]:
        """The other engines that can speak here."""
        return [name for name in registry.names() if name != self.engine and registry.availability(name).available]

    def later(self) -> list[str]:
        """Those of the others that come after this one: so every pair plays once, there and back."""
        order = registry.names()
        return [name for name in self.others() if order.index(name) > order.index(self.engine)]

    def stand_in(self) -> tuple[str, ModelEngine]:
        """Who goes on when the engine fails: the embedded voice, or for that one the reference."""
        name = registry.DEFAULT if self.engine != registry.DEFAULT else Tone.name
        made = self.model(STAND_IN, engine=name)
        made.stands_in = made.warmed = True
        return name, made

    def theatre(self, cost: Cost = COST, **more: object) -> Theatre:
        return Theatre(engines={self.engine: self.model(cost)}, adapter=self.engine, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Scene:
    """`play` tells it in virtual time, `live` against a running server; `engines` None means all there are."""

    name: str
    proves: str
    play: Callable[[Stage], Performance] | None = None
    live: Callable[[Stage], Performance] | None = None
    engines: Sequence[str] | None = field(default=None)


def scene_of(module: ModuleType) -> Scene:
    """The scene a module tells: its functions `play` and `live`, its docstring."""
    return Scene(
        name=module.__name__.rpartition(".")[2],
        proves=(inspect.getdoc(module) or "").partition("\n")[0],
        play=getattr(module, "play", None),
        live=getattr(module, "live", None),
        engines=getattr(module, "ENGINES", None),
    )


def perform(scene: Scene, stage: Stage, live: bool = False) -> Result:
    """Play it once; what an engine cannot do is unavailable, what a scene does not find is red."""
    story = scene.live if live else scene.play
    assert story is not None
    try:
        performance = story(stage)
    except AdapterError as fault:
        return Result(scene.name, stage.engine, Outcome.UNAVAILABLE, live=live, reason=str(fault))
    except (TimeoutError, AssertionError) as fault:
        broken = Finding("performance", False, f"{type(fault).__name__}: {fault}")
        return Result(scene.name, stage.engine, Outcome.RED, (broken,), live=live)
    good = all(finding.good for finding in performance.findings)
    return Result(
        scene.name,
        stage.engine,
        Outcome.GREEN if good else Outcome.RED,
        performance.findings,
        performance.take,
        live,
    )


def judged(take: Take, *shapes: Callable[[Take], Finding]) -> Performance:
    return Performance(take, tuple(shape(take) for shape in shapes))


def together(performances: Iterable[Performance]) -> Performance:
    """Many acts as one: a shape is good if it was in every act; kept is the first act that is red, else the last."""
    acts = list(performances)
    kept = next((act for act in acts if not all(f.good for f in act.findings)), acts[-1])
    merged: dict[str, Finding] = {}
    for number, act in enumerate(acts):
        for finding in act.findings:
            merged[finding.shape] = _joined(merged.get(finding.shape), finding, number)
    return Performance(kept.take, tuple(merged.values()))


def _joined(old: Finding | None, new: Finding, act: int) -> Finding:
    why = f"act {act}: {new.why}" if new.why else ""
    if old is None:
        return replace(new, why=why, figures={**new.figures, "acts": 1})
    figures = dict(old.figures)
    for name, value in new.figures.items():
        mine = figures.get(name)
        if isinstance(mine, int) and isinstance(value, int) and not name.startswith(("last", "most")):
            figures[name] = mine + value
        elif isinstance(mine, int | float) and isinstance(value, int | float):
            figures[name] = max(mine, value)
    figures["acts"] = act + 1
    return Finding(old.shape, old.good and new.good, old.why or why, figures)
