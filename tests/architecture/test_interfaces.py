"""INTERFACES.md is the code: routes, intents, events, records, framing, limits and versions are held against it."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from adapters import framing
from peer import call, channel, herald, outlets, portrait, serve, session, studio, switchboard
from peer.app import Routes
from peer.config import Limits
from peer.core import chronicle, ledger, messages, timeline
from peer.core.errors import Refusal
from peer.core.messages import INTENTS, MAX_DEPTH, MAX_MESSAGE, PROTOCOL, parse
from peer.gate import STATUS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "INTERFACES.md").read_text()


def section(title: str) -> str:
    """The text under a heading that begins with `title`, without what follows it."""
    found = re.search(rf"^#+ {re.escape(title)}.*?$(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but the headings'."""
    found = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in found if not set("".join(row)) <= set("-")]


def test_routes() -> None:
    """The table's routes are the application's, no more and no less."""
    documented = set(re.findall(r"`(GET|POST|PATCH|DELETE) (/[^`?]*)`", "\n".join(r[0] for r in rows(section("3. ")))))
    given = {(route.method, re.sub(r"\{call\}", "{id}", route.path)) for route in Routes.table(_unbound())}
    assert documented == given


def _unbound() -> Routes:
    return Routes.__new__(Routes)


def test_intents_and_their_inputs() -> None:
    """Every intent is in the table, and what the table names is what is accepted."""
    table = {row[0].strip("`"): row[1] for row in rows(section("1. ")) if row[0].strip("`") in INTENTS}
    assert set(table) == set(INTENTS)
    for intent, inputs in table.items():
        with pytest.raises(Refusal) as refused:
            parse({"id": "x", "intent": intent, "inputs": {"no such": 1}})
        known = set(re.findall(r"\w+", refused.value.remedy.partition("known are")[2]))
        named = set(re.findall(r"[a-z_]+(?=\??(?: =|,|\}| \\\|| \||$|:))", re.sub(r"\{[^{}]*\}(?=\})", "", inputs[1:])))
        assert known <= named, (intent, known, named)


def test_results() -> None:
    """Every result that a request may have is explained."""
    for result in ("done", "noop", "stale", "superseded", "failed", "refusal", "pending"):
        assert result in TEXT


def test_events() -> None:
    """Every event that is told is in the table, and every one of the table is told somewhere."""
    documented = {row[0].strip("`") for row in rows(section("2. ")) if len(row) == 3}
    sources = "".join(inspect.getsource(module) for module in (herald, call, channel, session, outlets))
    assert documented - {"event"} == set(re.findall(r'"event": "(\w+)"', sources))


def test_records() -> None:
    """Every kind that is written is in the table, and the table knows no other."""
    documented = {kind for row in rows(section("6. ")) for kind in re.findall(r"`(\w+)`", row[0])}
    modules = (session, studio, portrait, switchboard, ledger, chronicle, messages)
    core = "".join(
        path.read_text() for path in (ROOT / "peer").rglob("*.py") if path.name not in ("timeline.py", "herald.py")
    )
    used = {timeline.Record[name].value for name in re.findall(r"Record\.([A-Z_]+)\b", core)} | {"log_gap"}
    assert documented == used
    assert modules


def test_framing() -> None:
    """The kinds of frames, their numbers and the size of the header."""
    documented = {(int(n), name) for n, name in re.findall(r"^\| (\d+) (\w+) \|", section("5.1"), re.M)}
    assert documented == {(kind.value, kind.name) for kind in framing.Kind}
    assert "13 bytes, `<BIII`" in " ".join(TEXT.split())


def test_limits() -> None:
    """The limits that are named are those that exist; sizes in the text are the code's."""
    documented = set(re.findall(r"`(\w+)`", section("7. ").partition(":\n")[2]))
    assert documented == {f.name for f in fields(Limits)}
    assert f"{MAX_MESSAGE // 1024} KiB and {MAX_DEPTH} levels" in TEXT
    assert f"for {Limits().hold_s:.0f} s" in TEXT
    assert f"nothing for {call.HEARTBEAT_S:.0f} s" in TEXT


def test_statuses() -> None:
    """Every status that a refusal may have is listed."""
    for status in set(STATUS.values()):
        assert f"`{status}`" in section("3. "), status


def test_versions() -> None:
    """What capabilities say is complete, and the protocol is the one described."""
    found = serve.capabilities(Limits())
    assert found["versions"]["protocol"] == PROTOCOL == 1  # type: ignore[index]
    listed = re.search(r"`GET /capabilities` \| `\{(.*)\}` \|", TEXT)
    assert listed
    names = set(re.findall(r"(\w+)", re.sub(r"\{.*?\}\}?", "", listed[1])))
    assert set(found) | {"ice_servers", "health"} == names
