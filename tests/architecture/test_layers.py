"""The layers, read from the imports: arrows never point up, engines do not know each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import registry

ROOT = Path(__file__).resolve().parents[2]
PURE = {"numpy", "soxr", "sentencex", "num2words", "markdown_it"}
"""Libraries that the core may use: arithmetic and text, no clock and no socket."""
IMPURE = {"asyncio", "time", "random", "os", "threading", "logging", "socket", "subprocess", "datetime", "secrets"}
HEAVY = {"torch", "llama_cpp", "piper", "TTS", "outetts", "onnxruntime", "transformers", "espeakng_loader"}
"""What an engine may import when it warms up, never before."""
SHARED = {
    "base", "framing", "sandbox", "registry", "worker", "ears", "ears.base", "voices", "minds", "minds.base",
    "settings", "spool", "estimate", "stretch", "llama", "choice", "machine",
}  # fmt: skip
"""Modules of `adapters` that are no engine."""
FROM_SHELL = {
    "registry", "base", "framing", "sandbox", "settings", "machine", "ears", "ears.base", "minds", "minds.base",
}  # fmt: skip
"""And `shelf`, the models on disk."""


def sources(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
    )


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules(path: Path, top_only: bool = False) -> Iterator[str]:
    """Absolute names of everything that `path` imports; `top_only`: what importing it runs."""
    tree = ast.parse(path.read_text())
    package = (module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]).split(".")
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if is_module(f"{base}.{alias.name}"))
        elif top_only and is_deferred(node):
            continue
        todo += ast.iter_child_nodes(node)


def is_deferred(node: ast.AST) -> bool:
    """True for what importing the module does not run."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def engine_of(module: str) -> str | None:
    """The engine that a module of `adapters` belongs to (the first word of its name), or None where it is shared."""
    name = module.removeprefix("adapters.")
    if not module.startswith("adapters.") or name in SHARED or name.partition("_")[0] == "shelf":
        return None
    return name.rpartition(".")[2].partition("_")[0]


@pytest.mark.parametrize("path", sources("peer/core"), ids=lambda p: p.name)
def test_the_core_is_pure(path: Path) -> None:
    """Arithmetic and text libraries, the standard library without clock and I/O, itself."""
    for name in modules(path):
        root = name.partition(".")[0]
        if root == "peer":
            assert name.startswith("peer.core"), f"the core imports {name}"
        else:
            assert root not in IMPURE and (root in PURE or root in sys.stdlib_module_names), name


@pytest.mark.parametrize("path", sources("adapters"), ids=lambda p: p.stem)
def test_adapters_know_the_core_and_themselves(path: Path) -> None:
    """No shell, and no engine knows another."""
    mine = engine_of(module_of(path))
    for name in modules(path):
        if name.startswith("peer"):
            assert name == "peer" or name.startswith("peer.core"), f"an adapter imports {name}"
        if name.startswith("adapters"):
            assert name == "adapters" or engine_of(name) in (None, mine), f"{module_of(path)} imports {name}"


@pytest.mark.parametrize("path", [p for p in sources("peer") if "core" not in p.parts], ids=lambda p: p.stem)
def test_the_shell_meets_engines_through_the_registry(path: Path) -> None:
    """No module of the peer imports an engine; which there are is data."""
    for name in modules(path):
        if name.startswith("adapters."):
            shared = name.removeprefix("adapters.")
            assert shared in FROM_SHELL or shared.partition("_")[0] == "shelf", f"{module_of(path)} imports {name}"


@pytest.mark.parametrize("path", sources("peer", "adapters"), ids=module_of)
def test_nothing_heavy_is_imported_at_module_level(path: Path) -> None:
    """Models and runtimes are loaded when an engine warms up."""
    assert not HEAVY & {name.partition(".")[0] for name in modules(path, top_only=True)}


def test_importing_the_peer_loads_no_engine() -> None:
    """Everything that serves, in a fresh interpreter: no engine and nothing heavy is there."""
    names = [module_of(p) for p in sources("peer") if p.name != "__main__.py"]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not HEAVY & {name.partition(".")[0] for name in loaded}
    assert {name for name in loaded if name.startswith("adapters.") and engine_of(name)} == set()


def test_describing_every_engine_loads_nothing_heavy() -> None:
    """`/adapters` is cold."""
    code = "import sys\nfrom adapters import registry as r\nfor n in r.names(): r.describe(n)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("path", sources("peer", "adapters"), ids=module_of)
def test_engines_are_named_in_the_registry_and_at_home_only(path: Path) -> None:
    """No call site knows an engine: a name as a string elsewhere is a special case."""
    if module_of(path) == "adapters.registry":
        return
    mine = engine_of(module_of(path))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in registry.names():
            assert node.value.partition("_")[0] == mine, f"{path.name}:{node.lineno} names {node.value}"


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    """Relative, aliased and nested imports are all read."""
    path = ROOT / "peer" / "core" / "imagined.py"
    source = (
        "from .. import host\nimport os.path as p\ndef f():\n    from adapters.voices import tone\n    import torch\n"
    )
    found = set(_modules_of(source, path, tmp_path))
    assert {"peer.host", "os.path", "adapters.voices.tone", "torch"} <= found


def _modules_of(source: str, path: Path, folder: Path) -> Iterator[str]:
    class Fake(type(path)):  # type: ignore[misc]
        def read_text(self, *_: object, **__: object) -> str:
            return source

    yield from modules(Fake(path))
