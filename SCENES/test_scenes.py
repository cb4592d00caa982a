"""The scenes as tests: every story in virtual time on both embedded voices, the live ones against a real server.

And their proofs: a server that writes a file, and a worker that does, are caught.
"""

from __future__ import annotations

import asyncio
import json
import os
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import registry
from SCENES import __main__ as command
from SCENES.artifacts import SCHEMA, Unwritable, store
from SCENES.audited import watched
from SCENES.bridge import Company
from SCENES.caller import Caller
from SCENES.clock import Deadlock, run
from SCENES.playbill import SCENES
from SCENES.props import Props
from SCENES.scene import Outcome, Result, Stage, perform
from SCENES.server import Server, no_file
from SCENES.texts import SHORT, STORY

BARGE_INS = 2000
ENGINES = ("tone", "espeak")
TOLD = [name for name, scene in SCENES.items() if scene.live is not None]


NEURAL = tuple(name for name in registry.names() if name not in ENGINES)
STORIES = ("swap", "failure_injection", "persona_script")
"""What depends on the engine's own samples and markers; the other scenes are the core's and the embedded voice's."""


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """Every engine that is installed, on tiny models with random weights."""
    with Props(), Company() as company:
        yield company


def green(result: Result) -> None:
    faults = [f"{finding.shape}: {finding.why}" for finding in result.findings if not finding.good]
    assert result.verdict is Outcome.GREEN, "\n".join([*faults, result.reason, result.remedy])


def needs(engine: str) -> None:
    found = registry.availability(engine)
    if not found.available:
        pytest.skip(f"{engine} is not installed: {found.reason}; {found.remedy}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", NEURAL)
@pytest.mark.parametrize("name", STORIES)
def test_a_scene_with_every_engine(name: str, engine: str, company: Company) -> None:
    """Swaps between every pair, faults and personas, on the libraries' own code."""
    needs(engine)
    if os.environ.get("REQUIRE_ALL") != "1":
        pytest.skip("minutes of rendering: REQUIRE_ALL=1 make test, or make scenes")
    green(perform(SCENES[name], Stage(engine, company, seed=NEURAL.index(engine), repeats=3)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SCENES)
def test_a_scene_in_virtual_time(name: str, engine: str, company: Company) -> None:
    needs(engine)
    repeats = BARGE_INS if engine == "tone" else BARGE_INS // 10
    green(perform(SCENES[name], Stage(engine, company, repeats=repeats)))


@pytest.mark.parametrize("name", TOLD)
def test_a_scene_live(name: str, company: Company) -> None:
    needs("espeak")
    green(perform(SCENES[name], Stage("espeak", company), live=True))


@pytest.mark.parametrize("spill", ["server", "worker"])
def test_who_writes_a_file_is_caught(spill: str, tmp_path: Path) -> None:
    async def story() -> Server:
        async with Server("tone", tmp_path / "journal", spill=spill) as server, Caller(server.url) as caller:
            await caller.answer(caller.ask("say", text=SHORT[1]))
            await caller.until(lambda: caller.state() == "IDLE" and len(caller.packets) > 0)
        return server

    found = no_file(asyncio.run(story()), [])
    assert not found.good
    assert "tmp" in found.why


def test_a_server_that_nobody_watches_proves_nothing(tmp_path: Path) -> None:
    found = no_file(Server("tone", tmp_path), [])
    assert not found.good
    assert "nobody watches" in found.why


def test_the_prelude_stands_between_the_interpreter_and_the_program() -> None:
    assert watched(["python", "-m", "adapters.worker", "tone"], "x")[2:] == ["x", "-m", "adapters.worker", "tone"]
    flags = watched(["python", "-I", "-S", "zygote.py", "lib"], "x")
    assert flags[:3] == ["python", "-I", "-S"]
    assert flags[4:] == ["x", "zygote.py", "lib"]


def test_every_sentence_of_the_scenes_is_one_marker_a_word(company: Company) -> None:
    needs("espeak")
    theatre = Stage("espeak", company).theatre()
    for text in (*STORY, *SHORT):
        theatre.say(text)
    words = len(theatre.until_quiet().of("word"))
    assert words == sum(len(text.split()) for text in (*STORY, *SHORT))


# what a scene leaves ------------------------------------------------------------------------


def test_artifacts_are_a_timeline_a_sound_and_a_verdict(tmp_path: Path, company: Company) -> None:
    result = perform(SCENES["breathing_room"], Stage("tone", company))
    folder = store(result, tmp_path)
    assert folder == tmp_path / "breathing_room" / "tone"
    told = json.loads((folder / "timeline.json").read_text())
    verdict = json.loads((folder / "verdict.json").read_text())
    assert told["schema"] == verdict["schema"] == SCHEMA
    assert verdict["verdict"] == "green"
    assert {"text_oracle", "no_file", "first_audio_before_silence"} <= {f["shape"] for f in verdict["findings"]}
    assert result.take is not None
    assert len(told["frames"]) == len(result.take.sent)
    with wave.open(str(folder / "audio.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (48_000, 1, 2)
        assert sound.getnframes() == len(result.take.pcm())


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, company: Company) -> None:
    (tmp_path / "file").write_text("")
    result = perform(SCENES["swap"], Stage("tone", company))
    with pytest.raises(Unwritable, match="choose another with --out"):
        store(result, tmp_path / "file")


def test_the_same_story_twice_is_the_same_take(company: Company) -> None:
    one, two = (perform(SCENES["swap"], Stage("tone", company)).take for _ in range(2))
    assert one is not None and two is not None
    assert (one.pcm() == two.pcm()).all()


# the command --------------------------------------------------------------------------------


def test_unknown_names_are_answered_with_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["no_such_scene"]) == 2
    assert "breathing_room" in capsys.readouterr().err
    assert command.main(["--engine", "no_such_engine"]) == 2
    assert "espeak" in capsys.readouterr().err


def test_a_scene_without_a_live_telling_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["swap", "--live"]) == 2
    assert "barge_in" in capsys.readouterr().err


def test_the_table_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["swap", "--engine", "tone", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "green" in printed
    assert (tmp_path / "swap" / "tone" / "verdict.json").is_file()


def test_a_red_scene_is_a_red_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red = perform(SCENES["swap"], Stage("tone", Company()))
    doctored = Result(red.scene, red.engine, Outcome.RED, red.findings, red.take)
    monkeypatch.setattr(command, "perform", lambda *_: doctored)
    assert command.main(["swap", "--engine", "tone", "--out", str(tmp_path)]) == 1


def test_an_engine_that_is_missing_is_unavailable_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = registry.Availability(False, "missing: a wheel", "pip install it")
    monkeypatch.setattr(registry, "availability", lambda _name: missing)
    assert command.main(["swap", "--engine", "tone", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "unavailable" in printed and "pip install it" in printed and "green" not in printed


# the clock ----------------------------------------------------------------------------------


def test_an_hour_passes_at_once() -> None:
    async def hour() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - began

    assert run(hour()) == pytest.approx(3600, abs=1e-3)


def test_timers_of_one_instant_fire_in_the_order_they_were_set() -> None:
    async def story() -> list[int]:
        loop = asyncio.get_running_loop()
        fired: list[int] = []
        for i in range(20):
            loop.call_later(1.0, fired.append, i)
        await asyncio.sleep(2.0)
        return fired

    assert run(story()) == list(range(20))


def test_waiting_for_nobody_is_an_error() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(forever())
