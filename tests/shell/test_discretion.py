"""Private mode: no word of a conversation is in its log, and all that is no word still is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from peer.config import load
from peer.core.errors import Refusal
from peer.discretion import discreet
from peer.journal import Journal
from peer.logbook import read
from SCENES.engines import ModelEngine
from SCENES.harness import Theatre
from tests.shell.house import lines, served, talk

SECRETS = "Zanzibar quokkas juggle seventeen marzipan xylophones. Nobody whispers flamboyant jabberwocky tonight! "


def hidden(text: str) -> dict[str, object]:
    return {"chars": len(text), "b2": hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}


async def logged(folder: Path, private: bool) -> Path:
    journal = Journal(folder, private=private)
    journal.start()
    async with talk(journal=journal) as found:
        found.one("say", text=SECRETS, utterance="u")
        await found.pull(30)
        found.one("barge_in")
        await found.pull()
        found.one("resume")
        await found.pull()
    journal.close()
    return folder / f"{'s' * 16}.jsonl"


async def test_no_word_is_in_the_log(tmp_path: Path) -> None:
    """Not one of the words, whole or in base64, is found in the file's bytes; without private mode all are."""
    words = [word.strip(".!").lower().encode() for word in SECRETS.split()]
    private = (await logged(tmp_path / "a", True)).read_bytes().lower()
    plain = (await logged(tmp_path / "b", False)).read_bytes().lower()
    assert [word for word in words if word in private] == []
    assert [word for word in words if word not in plain] == []


async def test_what_is_no_word_is_kept(tmp_path: Path) -> None:
    """Of every record of a session all is as it was, but texts: these are lengths and digests."""
    for record in lines(await logged(tmp_path, False)):
        found = discreet(record)
        assert found.pop("private", None) == (True if record["kind"] == "header" else None)
        texts = {"text": hidden(str(record["text"]))} if "text" in record else {}
        assert found == {**record, **texts}, record["kind"]


def test_texts_that_are_hidden() -> None:
    """Text that was said, an engine's state, labels of words and sounds, and what an engine complains of."""
    said = "say it"
    assert discreet({"kind": "input", "frame": 1, "text": said, "end": True})["text"] == hidden(said)
    assert discreet({"kind": "input", "frame": 1, "text": ""})["text"] == ""
    chunk = {"kind": "chunk", "frame": 1, "state": "c2F5", "state_add": "aXQ=", "pcm_b2": "00ff", "samples": 9}
    assert discreet(chunk) == {**chunk, "state": hidden("c2F5"), "state_add": hidden("aXQ=")}
    stitch = {"kind": "stitch", "frame": 1, "markers": [["word", 0, 0, 3, "say"], ["phoneme", 9, 0, 1, "s"]]}
    assert discreet(stitch)["markers"] == [["word", 0, 0, 3, ""], ["phoneme", 9, 0, 1, ""]]
    fault = {"kind": "fault", "frame": 1, "why": "cannot say 'it'", "chunk": 4}
    assert discreet(fault) == {**fault, "why": hidden("cannot say 'it'")}
    for kind in ("swap", "config", "health", "call", "mic"):
        assert discreet({"kind": kind, "frame": 1, "why": said})["why"] == hidden(said)
    for kind in ("fill", "drift", "log_gap"):
        assert discreet({"kind": kind, "frame": 1, "why": "due"})["why"] == "due"


def test_no_record_of_a_story_loses_more_than_its_words() -> None:
    """A swap, a fault, a barge-in: what replay and panel need of their records is in a private log too."""
    engines = {"tone": ModelEngine(faults={3: "raise"}), "other": ModelEngine(warmed=True)}
    theatre = Theatre(engines=engines, keep_raw=False)
    theatre.say(SECRETS * 3)
    theatre.run(3000)
    theatre.configure(adapter="other")
    theatre.run(3000)
    theatre.barge_in()
    theatre.resume()
    rows = theatre.until_quiet().take().rows
    changed = {(row["kind"], name) for row in rows for name, value in row.items() if discreet(row)[name] != value}
    assert changed == {("input", "text"), ("request", "text"), ("fault", "why")}
    assert {"swap", "config", "barge", "frames", "pace"} <= {row["kind"] for row in rows}


def test_what_is_not_known_is_taken_for_words() -> None:
    """A field that nobody has named yet, however deep, is private; numbers are not."""
    tool = {"kind": "tool", "frame": 1, "result": "ok", "path": "a/b", "arguments": {"of": ["x", 2, None]}}
    assert discreet(tool) == {**tool, "path": hidden("a/b"), "arguments": {"of": [hidden("x"), 2, None]}}


async def test_it_is_asked_for_as_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option, environment or file; and the server's logs are private then."""
    path = tmp_path / "peer.toml"
    path.write_text("private = true\nkeep_days = 2\nkeep_mb = 3.5\n")
    assert load([]).private is False
    assert load(["--private"]).private and load([], {"SYNCHRONY_PRIVATE": "1"}).private
    found = load(["--config", str(path)])
    assert (found.private, found.keep_days, found.keep_mb) == (True, 2.0, 3.5)
    for wrong in (["--keep-days", "-1"], ["--keep-mb", "nan"]):
        with pytest.raises(Refusal):
            load(wrong)
    async with (
        served(journal=str(tmp_path / "logs"), private=True) as house,
        house.http.post(house.url + "/say", json={"text": SECRETS}) as response,
    ):
        await response.read()
    (log,) = (tmp_path / "logs").glob("*.jsonl")
    assert b"quokkas" not in log.read_bytes()
    reading = read(log)
    assert next(iter(reading)).record["private"] is True
