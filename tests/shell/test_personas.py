"""Personas from files: those shipped, those of a folder, broken ones, speaker files; and on every surface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.base import Honour, nearest
from adapters.voices.espeak import Espeak
from adapters.voices.outetts_persona import persona_of as oute_persona
from adapters.voices.tone import Tone
from peer.core.errors import Refusal
from peer.core.voice import RANGES, Prosody, Voice, parse_persona
from peer.personas import MAX_BYTES, MAX_FILES, SHIPPED, Personas
from tests.shell.far import FarPeer, until
from tests.shell.house import served, talk

FIELDS = {"timbre", "prosody.pitch", "prosody.range", "prosody.volume", "accent", "emotion_priors", "pace"}
LOW = {"schema": 1, "name": "low", "timbres": {"tone": "reed", "espeak": "m7"}, "prosody": {"pitch": -3}, "pace": 1.2}
SPEAKER = {
    "text": "One two.",
    "interface_version": 3,
    "global_features": {"energy": 20, "spectral_centroid": 15, "pitch": 22},
    "words": [
        {"word": word, "duration": 0.4, "c1": [1] * 30, "c2": [2] * 30, "features": {"energy": 20, "pitch": 22}}
        for word in ("One", "two")
    ],
}


def written(folder: Path, **files: object) -> Path:
    for name, value in files.items():
        (folder / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


# files ------------------------------------------------------------------------------------------


def test_five_are_shipped_and_all_are_well() -> None:
    """No warning; a description each; espeak speaks every one with its own timbre and accent."""
    personas = Personas()
    assert len(personas.names()) == 5 == len(list(SHIPPED.glob("*.json"))) and not personas.warnings
    voices = set()
    for row in personas.listing():
        persona = personas.find(str(row["name"]))
        assert persona is not None and persona.description and persona.voice.persona == persona.name
        made = Espeak.project(persona.voice)
        assert made.report["timbre"] is made.report["accent"] is Honour.EXACT
        voices.add(tuple(sorted(made.knobs.items())))
    assert len(voices) == 5


def test_a_folder_adds_and_replaces(tmp_path: Path) -> None:
    """The operator's file wins over the shipped one of its name; of two of their own the first."""
    name = Personas().names()[0]
    written(tmp_path, a=LOW, b={**LOW, "pace": 0.7}, c={"schema": 1, "name": name, "pace": 0.5})
    personas = Personas([tmp_path])
    assert len(personas.names()) == 6
    low, own = personas.find("low"), personas.find(name)
    assert low is not None and low.voice.pace == 1.2 and own is not None and own.voice.pace == 0.5
    (warning,) = personas.warnings
    assert "low" in warning and str(tmp_path) in warning


BROKEN: dict[str, tuple[object, str]] = {
    "text": ("{", "file"),
    "list": ([1], "persona"),
    "bytes": ("\udcff", "file"),
    "nan": ('{"schema": 1, "name": "x", "pace": NaN}', "file"),
    "deep": ("[" * 200_000, "file"),
    "large": (" " * (MAX_BYTES + 1), "file"),
    "schema": ({"name": "x"}, "persona.schema"),
    "newer": ({**LOW, "schema": 2}, "persona.schema"),
    "true": ({**LOW, "schema": True}, "persona.schema"),
    "nameless": ({"schema": 1}, "persona.name"),
    "spaces": ({**LOW, "name": " low"}, "persona.name"),
    "described": ({**LOW, "description": "a\nb"}, "persona.description"),
    "more": ({**LOW, "gender": "?"}, "persona.gender"),
    "itself": ({**LOW, "persona": "low"}, "persona.persona"),
    "range": ({**LOW, "pace": 7}, "voice.pace"),
    "timbres": ({**LOW, "timbres": ["m7"]}, "voice.timbres"),
    "inside": ({**LOW, "timbres": {"espeak": 7}}, "voice.timbres.espeak"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_said_and_passed_over(tmp_path: Path, name: str) -> None:
    """One sentence with file, field and remedy; the others of the folder are read."""
    value, field = BROKEN[name]
    path = tmp_path / f"{name}.json"
    path.write_bytes(
        str(value).encode("utf-8", "surrogateescape") if isinstance(value, str) else json.dumps(value).encode()
    )
    personas = Personas([written(tmp_path, zz=LOW)])
    (warning,) = personas.warnings
    assert str(path) in warning and f" {field}: " in warning and warning.endswith("; it is left out")
    assert personas.find("low") is not None and len(personas.names()) == 6


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """No folder, a folder as a file, more files than a list has: start-up goes on."""
    (tmp_path / "folder.json").mkdir()
    for index in range(MAX_FILES + 2):
        written(tmp_path, **{f"p{index:04}": {**LOW, "name": f"p{index:04}"}})
    personas = Personas([tmp_path / "missing", tmp_path])
    missing, many, unreadable = personas.warnings
    assert "missing" in missing and str(MAX_FILES) in many and "cannot be read" in unreadable
    assert len(personas.names()) == 5 + MAX_FILES - 1


def test_the_unnamed_is_neutral_and_the_wire_is_the_voice() -> None:
    """A persona's file names what it wants; a file written from the wire is the same persona."""
    persona = parse_persona(LOW)
    assert persona.voice == Voice("", Prosody(-3.0), pace=1.2, timbres=LOW["timbres"], persona="low")  # type: ignore[arg-type]
    wire = persona.to_wire()
    voice = {key: value for key, value in wire["voice"].items() if key != "persona"}  # type: ignore[attr-defined]
    assert parse_persona({"schema": 1, "name": wire["name"], **voice}) == persona
    assert set(RANGES) <= FIELDS


# speaker files ----------------------------------------------------------------------------------


def test_a_speaker_file_is_a_persona(tmp_path: Path) -> None:
    """Recognised by the engine whose file it is; its timbre there is the file's name, all else is the speaker's own."""
    broken = {**SPEAKER, "interface_version": 1}
    personas = Personas([written(tmp_path, somebody=SPEAKER, older=broken)])
    found = personas.find("somebody")
    assert found is not None and found.voice == Voice(timbres={"outetts": "somebody"}, persona="somebody")
    assert found.voice.timbre_for("outetts") == "somebody" and found.voice.timbre_for("tone") == ""
    assert "words a minute" in found.description
    (warning,) = personas.warnings
    assert "older.json" in warning and "interface_version" in warning


@pytest.mark.parametrize("value", [{}, {"words": []}, {"words": 3}, {"words": ["c1"]}, {"words": [{"c1": []}]}])
def test_other_files_are_no_speakers(value: Mapping[str, object]) -> None:
    """Only words with two lists of codes are."""
    assert oute_persona("codes", "x", value) is None


# resolving --------------------------------------------------------------------------------------


def test_a_patch_names_a_persona_and_what_differs(tmp_path: Path) -> None:
    """The persona is all of the voice, and what else is named lies over it; a patch without one is left alone."""
    personas = Personas([written(tmp_path, low=LOW)])
    assert personas.resolved(None) is None
    assert personas.resolved({"pace": 2}) == {"pace": 2}
    found = personas.resolved({"persona": "low", "prosody": {"volume": 0.5}})
    low = personas.find("low")
    assert found is not None and low is not None
    assert found == {**low.voice.to_wire(), "prosody": {"pitch": -3.0, "range": 1.0, "volume": 0.5}}
    assert personas.resolved(found) == found
    own = personas.resolved({"persona": "low", "timbre": "sine"})
    assert own is not None and (own["timbre"], own["timbres"]) == ("sine", {})
    assert personas.resolved({"persona": ""}) == Voice().to_wire()


@pytest.mark.parametrize(("name", "code"), [("nobody", "unknown_persona"), (7, "invalid"), ("x" * 65, "invalid")])
def test_an_unknown_persona_is_refused_by_name(name: object, code: str) -> None:
    """The refusal lists those there are."""
    with pytest.raises(Refusal) as found:
        Personas().resolved({"persona": name})
    assert (found.value.code, found.value.field) == (code, "voice.persona")
    assert code == "invalid" or all(known in found.value.remedy for known in Personas().names())


def test_what_is_left_out_is_reported_as_not_kept() -> None:
    """A timbre, an accent, or both: only what the engine lacks is dropped, and the report says so."""
    plain = nearest(Tone, Voice())
    assert nearest(Tone, Voice(timbre="reed")).knobs["timbre"] == "reed"
    found = nearest(Tone, Voice(timbre="f3", pace=1.5))
    assert found.knobs == {**plain.knobs, "pace": 1.5} and found.report["timbre"] is Honour.NONE
    found = nearest(Tone, Voice(timbre="sine", timbres={"tone": "f3"}))
    assert found.knobs == plain.knobs and found.report["timbre"] is Honour.NONE
    found = nearest(Espeak, Voice(timbre="f3", accent="tlh-x-none"))
    assert str(found.knobs["voice"]).endswith("+f3")
    assert (found.report["timbre"], found.report["accent"]) == (Honour.EXACT, Honour.NONE)
    found = nearest(Espeak, Voice(timbre="nobody", accent="tlh-x-none"))
    assert found.report["timbre"] is found.report["accent"] is Honour.NONE


# the surfaces -----------------------------------------------------------------------------------


async def test_a_persona_is_taken_wherever_a_voice_is() -> None:
    """configure and say; the answer, the event and hello say what the engine keeps of it."""
    async with talk() as found:
        name = found.session._engines.personas.names()[0]
        persona = found.session._engines.personas.find(name)
        assert persona is not None
        (answer,) = found.ask("configure", voice={"persona": name, "pace": 1.5})
        artifacts = answer["artifacts"]
        assert isinstance(artifacts, dict)
        assert artifacts["voice"] == {**persona.voice.to_wire(), "pace": 1.5}
        assert set(artifacts["honoured"]) == FIELDS
        assert artifacts["honoured"]["pace"] == "exact" and artifacts["honoured"]["timbre"] == "none"
        (event,) = found.events("config")
        assert event["honoured"] == artifacts["honoured"] == found.session.hello()["honoured"]
        (described,) = found.ask("describe")
        assert described["artifacts"]["session"]["honoured"] == artifacts["honoured"]  # type: ignore[index]
        found.ask("say", text="one two three.", voice={"persona": name})
        await found.pull()
        assert found.records("request")[0]["knobs"]["pace"] == persona.voice.pace  # type: ignore[index]


async def test_a_persona_survives_engines_and_single_fields(tmp_path: Path) -> None:
    """Its timbre has a name in each; a field named later changes that field; `persona: ""` is the neutral voice."""
    async with talk() as found:
        found.session._engines.personas = Personas([written(tmp_path, low=LOW)])
        found.ask("configure", voice={"persona": "low"})
        engines, voice = found.session._engines, found.session.peer.setting.voice
        assert engines.knobs("tone", voice)["timbre"] == "reed"
        assert str(engines.knobs("espeak", voice)["voice"]).endswith("+m7")
        assert engines.honours("tone", voice)["timbre"] == "exact"
        found.ask("configure", voice={"pace": 0.8})
        voice = found.session.peer.setting.voice
        assert (voice.persona, voice.pace, voice.prosody.pitch) == ("low", 0.8, -3.0)
        found.ask("configure", voice={"persona": ""})
        assert found.session.peer.setting.voice == Voice()


@pytest.mark.parametrize(
    ("intent", "inputs", "code", "field"),
    [
        ("configure", {"voice": {"persona": "nobody"}}, "unknown_persona", "voice.persona"),
        ("say", {"text": "x", "voice": {"persona": "nobody"}}, "unknown_persona", "voice.persona"),
        ("configure", {"voice": {"persona": "low newsreader", "timbre": "nobody"}}, "unsupported", "voice.timbre"),
    ],
)
async def test_what_is_demanded_is_refused_and_changes_nothing(
    intent: str, inputs: dict[str, object], code: str, field: str
) -> None:
    """What a persona brings is no demand on the engine; what is named beside it is."""
    async with talk() as found:
        before = found.session.peer.setting
        refusal = found.one(intent, **inputs)["result"]["refusal"]  # type: ignore[index]
        assert (refusal["code"], refusal["field"]) == (code, field) and refusal["remedy"]
        assert found.session.peer.setting == before


async def test_the_personas_are_listed_and_taken_over_http() -> None:
    """GET /personas, POST /config, PATCH of a call, POST /say; and what each engine keeps, in GET /adapters."""
    async with served() as house:
        _, listed = await house.json("GET", "/personas")
        rows = listed["personas"]
        assert isinstance(rows, list) and len(rows) == 5
        assert all(set(row) == {"name", "description", "voice"} for row in rows)
        name, voice = rows[0]["name"], rows[0]["voice"]
        status, answer = await house.json("POST", "/config", json={"voice": {"persona": name}})
        assert status == 200 and answer["artifacts"]["voice"] == voice  # type: ignore[index]
        assert set(answer["artifacts"]["honoured"]) == FIELDS  # type: ignore[index]
        status, answer = await house.json("POST", "/config", json={"voice": {"persona": "nobody"}})
        assert status == 400 and answer["result"]["refusal"]["field"] == "voice.persona"  # type: ignore[index]
        _, adapters = await house.json("GET", "/adapters")
        assert adapters["voice"] == voice
        kept = {row["name"]: row["honours"] for row in adapters["adapters"] if row["available"]}  # type: ignore[attr-defined]
        assert set(kept["tone"]) == FIELDS and kept["tone"]["accent"] == "none"
        far = FarPeer()
        where = await house.call(far)
        assert far.events("hello")[0]["voice"] == voice
        other = rows[1]
        status, answer = await house.json("PATCH", where + "/config", json={"voice": {"persona": other["name"]}})
        assert status == 200 and answer["artifacts"]["voice"] == other["voice"]  # type: ignore[index]
        await until(lambda: far.events("config"))
        assert set(far.events("config")[0]["honoured"]) == FIELDS  # type: ignore[call-overload]
        body = {"text": "one two.", "voice": {"persona": name}}
        async with house.http.post(house.url + "/say", json=body) as response:
            assert response.status == 200 and len(await response.read()) > 10_000
        await far.close()
