"""`peer voices` and `peer doctor`: what can speak here, its models, what is missing, and the command that helps.

Know no engine by name: the registry lists them, the shelf knows what they keep.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters import machine, registry, settings, shelf, shelf_rows
from adapters.shelf_folder import shown_size

from . import config as configuration
from . import guard
from .core.cast import Renders
from .core.errors import AdapterError, Refusal
from .engines import Engines, renders

WARM_S = 90.0
"""For one engine to become ready in `doctor`: the largest model loads in a minute from a cold disk."""

VOICES_SHOWN = 12
OPEN = re.compile(r"<path.or.name>")
ADD = "python -m peer voices add"
GOOD, BAD, MISSING = "ok  ", "BAD ", "--  "
"""How a line of `doctor` begins; what is only missing is no fault."""

Line = tuple[str, str]


def voices(argv: Sequence[str]) -> int:
    """List engines and models, add one, remove one, or hash them again."""
    given = _voices_parser().parse_args(list(argv))
    configuration.use_engines(configuration.read({"config": given.config, "models": given.models}))
    match given.action:
        case "add":
            return _add(given)
        case "remove":
            return _remove(given)
        case "verify":
            return _verify(given)
        case _:
            return _list(given.json)


def _voices_parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    configuration.model_options(common)
    found = argparse.ArgumentParser("peer voices", description="What can speak here, and its models.", parents=[common])
    found.set_defaults(action="", config=None, models=None)
    found.add_argument("--json", action="store_true", help="for programs")
    actions = found.add_subparsers(title="actions")
    add = actions.add_parser(
        "add", parents=[common], help="copy a model into its engine's folder, or fetch one by name"
    )
    add.set_defaults(action="add")
    add.add_argument("engine")
    add.add_argument("source", help="a file or folder, or a name that `voices` lists")
    add.add_argument("--name", default="", help="what to call it here")
    add.add_argument("--sha256", default="", help="refuse it unless its weights have this digest")
    add.add_argument("--replace", action="store_true", help="write over what is there")
    add.add_argument("--accept-licence", action="store_true", help="where a licence must be accepted")
    verify = actions.add_parser("verify", parents=[common], help="read every model again and compare its digest")
    verify.set_defaults(action="verify")
    verify.add_argument("engine", nargs="?", default="")
    remove = actions.add_parser("remove", parents=[common], help="take a model away")
    remove.set_defaults(action="remove")
    remove.add_argument("engine")
    remove.add_argument("name")
    return found


# --- models ---


def _add(given: argparse.Namespace) -> int:
    engine = registry.resolve(given.engine)
    source = Path(given.source).expanduser()
    wish = shelf.Wish(given.name, given.sha256, given.replace)
    if source.exists() or _looks_like_a_path(given.source):
        added = shelf.add(engine, source, wish)
    else:
        added = shelf.fetch(engine, given.source, wish, given.accept_licence)
    for model in added:
        print(f"{engine}: {model.word} {model.name} is in {shelf.folder(engine)} ({shown_size(model.size)})")
        for path, entry in model.record["files"].items():
            print(f"    {entry['sha256']}  {path}")
    state = registry.availability(engine)
    if not state.available:
        print(f"{engine} still cannot speak: {state.reason}; {_exact(engine, state.remedy)}")
    return 0


def _looks_like_a_path(source: str) -> bool:
    return os.sep in source or source.startswith((".", "~")) or Path(source).suffix in shelf_rows.suffixes()


def _remove(given: argparse.Namespace) -> int:
    engine = registry.resolve(given.engine)
    gone = shelf.remove(engine, given.name)
    print(f"{engine}: {gone.word} {gone.name} is removed ({shown_size(gone.size)})")
    return 0


def _verify(given: argparse.Namespace) -> int:
    engines = (registry.resolve(given.engine),) if given.engine else registry.names()
    wrong = 0
    for engine in engines:
        for model in shelf.models(engine):
            faults = shelf.faults(engine, model)
            wrong += len(faults)
            known = (
                "as it was added" if model.record else "whole, but no digest was recorded: it was not added by command"
            )
            for text in faults or [known]:
                print(f"{BAD if faults else GOOD}{engine} {model.name}: {text}")
    return 1 if wrong else 0


# --- the list ---


def _list(as_json: bool) -> int:
    rows = [_entry(name) for name in registry.names()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print("\n".join(_lines(row)))
    print("Sizes and licences of what could be had are their publishers'; none of it is fetched without this command.")
    return 0


def _entry(name: str) -> dict[str, Any]:
    found = registry.availability(name)
    entry: dict[str, object] = {"name": name, "licence": registry.rows()[name].licence, "voices": [], "languages": []}
    try:
        entry = registry.describe(name).to_wire()
    except AdapterError as fault:
        entry |= {"reason": str(fault)}
    row = shelf_rows.of(name)
    offers = [
        {"name": o.name, "size_mb": o.size_mb, "licence": o.licence, "command": _command(name, o)} for o in row.offers
    ]
    return {
        **entry, "available": found.available, "reason": found.reason, "remedy": _exact(name, found.remedy),
        "folder": str(shelf.folder(name)) if row.bundles else "",
        "models": [model.to_wire() for model in shelf.models(name)], "offers": offers, "advice": row.advice,
        "takes": [part.shown() for bundle in row.bundles for part in bundle.weights],
    }  # fmt: skip


def _exact(engine: str, remedy: str) -> str:
    """`remedy` with a name that is offered where an engine's own words leave it open."""
    offers = shelf_rows.of(engine).offers
    return OPEN.sub(f"{offers[0].name}{' --accept-licence' if offers[0].accept else ''}", remedy) if offers else remedy


def _command(engine: str, offer: shelf_rows.Offer) -> str:
    return f"{ADD} {engine} {offer.name}{' --accept-licence' if offer.accept else ''}"


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    """One engine for people: whether it speaks, then what it has, takes and could have."""
    yield f"{row['name']}: {'ready' if row['available'] else row['reason'] + '; ' + row['remedy']}"
    yield f"    licence    {row['licence']}"
    if row["voices"]:
        shown = ", ".join(row["voices"][:VOICES_SHOWN])
        rest = ", …" if len(row["voices"]) > VOICES_SHOWN else ""
        yield f"    voices     {len(row['voices'])}: {shown}{rest}; {len(row['languages'])} languages"
    for model in row["models"]:
        licence = f", licence {model['licence']}" if model["licence"] else ""
        yield f"    has        {model['kind']} {model['name']}: {shown_size(model['size'])}, {model['state']}{licence}"
    for offer in row["offers"]:
        yield f"    could have {offer['name']}, {offer['size_mb']} MB, licence: {offer['licence']}"
        yield f"               {offer['command']}"
    if row["takes"]:
        yield f"    from disk  {ADD} {row['name']} PATH   ({', '.join(row['takes'])}; into {row['folder']})"
    if row["advice"] and not row["available"]:
        yield f"    advice     {row['advice']}"


# --- doctor ---


def doctor(argv: Sequence[str]) -> int:
    """Check this machine; 1 if something that should work does not, or the default voice cannot speak."""
    options = argparse.ArgumentParser("peer doctor", description="What is missing here, and what helps.")
    options.add_argument("engine", nargs="*", help="look at these only; without, at everything")
    configuration.model_options(options)
    given = vars(options.parse_args(list(argv)))
    wanted = [registry.resolve(name) for name in given.pop("engine")]
    configuration.use_engines(configuration.read(given))
    if wanted:
        checks = asyncio.run(_engines(wanted))
    else:
        around = [_python(), _guard(), *_libraries(), _memory()]
        checks = [*around, *asyncio.run(_engines(registry.names())), _ears()]
    for state, text in checks:
        print(f"{state}{text}")
    return 1 if any(state is BAD for state, _ in checks) else 0


def _python() -> Line:
    good = sys.version_info >= (3, 11)
    return GOOD if good else BAD, f"Python {sys.version.split()[0]}{'' if good else ': install Python 3.11 or newer'}"


def _guard() -> Line:
    guard.install()
    skipped = {k: v for k, v in dict(guard.status()["patches"]).items() if v != "on"}  # type: ignore[call-overload]
    versions = f"aiortc {importlib.metadata.version('aiortc')}"
    return (BAD, f"{versions}: {skipped}; run make setup") if skipped else (GOOD, f"{versions}: guard on")


def _libraries() -> Iterator[Line]:
    """torch and llama.cpp: built for what, and whether that is here."""
    facts = machine.asked()
    if not facts["torch"]:
        yield MISSING, "torch is not installed; make engines"
    elif facts["torch_fault"]:
        yield BAD, f"torch {facts['torch']}: {facts['torch_fault']}; make engines"
    else:
        yield _built("torch", facts["torch"], f"CUDA {facts['cuda']}" if facts["cuda"] else "", facts["gpu"], facts)
    if not facts["llama"]:
        yield MISSING, "llama.cpp is not installed; make engines"
    elif facts["llama_fault"]:
        yield BAD, f"llama.cpp {facts['llama']}: {facts['llama_fault']}; make engines LLAMA=again"
    else:
        yield _built("llama.cpp", facts["llama"], "a GPU" if facts["offload"] else "", facts["offload"], facts)


def _built(library: str, version: str, target: str, usable: str, facts: dict[str, str]) -> Line:
    text = f"{library} {version}: built for {target or 'the CPU'}"
    if facts["present"] and not usable:
        return MISSING, f"{text}, but this machine has a GPU; make engines GPU=1 builds for it"
    return GOOD, f"{text}; {'it can use ' + facts['gpu'] if facts['gpu'] else 'no GPU is here'}"


def _memory() -> Line:
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    free, total = (kilobytes[key] // 1024 for key in ("MemAvailable", "MemTotal"))
    large = [name for name in registry.names() if _limit_mb(name) > total]
    text = f"memory: {free} of {total} MB are free"
    return (
        (MISSING, f"{text}; {', '.join(large)} may take more than there is: memory_mb lowers it")
        if large
        else (GOOD, text)
    )


def _limit_mb(name: str) -> int:
    return settings.of(name).memory_mb or registry.rows()[name].memory_mb


async def _engines(names: Iterable[str]) -> list[Line]:
    found: list[Line] = []
    async with asyncio.TaskGroup() as tasks:
        engines = Engines(tasks)
        for name in names:
            found += [await _engine(engines, name), *_shelf(name)]
        await engines.close()
    return found


async def _engine(engines: Engines, name: str) -> Line:
    state = registry.availability(name)
    if not state.available:
        return BAD if name == registry.DEFAULT else MISSING, f"{name}: {state.reason}; {_exact(name, state.remedy)}"
    try:
        async with asyncio.timeout(WARM_S):
            await engines.warm(name)
        status = engines.host(name).status()
    except TimeoutError:
        return BAD, f"{name}: it was not ready within {WARM_S:.0f} s; a smaller model may be"
    except (AdapterError, Refusal) as fault:
        return BAD, f"{name}: {fault}"
    finally:
        await engines.host(name).close()
    limit = f", memory up to {_limit_mb(name)} MB" if _limit_mb(name) else ""
    return GOOD, f"{name}: ready, network {status.get('sandbox')}{limit}{_speed(renders(status.get('prior')))}"


def _speed(prior: Renders) -> str:
    """What the shortest render says; a first one is slower than those that follow."""
    return f", its first {prior[0][0]:.0f} ms took {prior[0][1]:.0f} ms" if prior and prior[0][0] else ""


def _shelf(name: str) -> Iterator[Line]:
    for model in shelf.models(name):
        if model.state is shelf.State.CHANGED:
            yield BAD, f"{name}: {model.name} is not what was added; python -m peer voices verify {name}"
        elif model.state is shelf.State.INCOMPLETE:
            yield MISSING, f"{name}: {model.name} lacks {', '.join(model.lacking)}; {ADD} {name} PATH"


def _ears() -> Line:
    from adapters.ears import start_ear

    started = start_ear()
    refused = "; ".join(f"{name}: {why}" for name, why in started.refused)
    if started.ear is None:
        return BAD, f"no ear: {refused}"
    name = started.ear.name
    started.ear.close()
    return BAD if started.refused else GOOD, f"ear {name}{': ' + refused if refused else ''}"
