"""A real session whose engine stalls, dies or has no voice for a text: another one goes on, and it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise

import pytest

from adapters import registry
from adapters.voices.tone import Tone
from peer.core.chunk import AudioChunk, Request
from peer.core.errors import Broken, Unspeakable
from peer.host import InlineHost
from peer.track import Pacer
from SCENES.clock import run
from SCENES.rehearsal import Notes
from tests.shell.house import WORDS, Talk, talk

MOODS = ("mute", "ill")
TONE = "adapters.voices.tone:Tone"


@pytest.fixture(autouse=True)
def understudy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference engine has a twin that may stand in for it."""
    rows = {"tone": registry.Row(TONE, "none"), "twin": registry.Row(TONE, "none", fallback=True)}
    monkeypatch.setattr(registry, "rows", lambda: rows)


class Moody(InlineHost):
    """The reference engine in a mood: "well", "mute", "ill" (raises) or "shy" (no voice for what has "Zwei")."""

    def __init__(self) -> None:
        super().__init__(Tone())
        self.mood = "well"

    def status(self) -> dict[str, object]:
        return {**super().status(), "prior": [400.0, 1.0]}

    async def render(self, request: Request, deadline: float) -> AsyncIterator[AudioChunk]:
        if self.mood == "mute":
            await asyncio.sleep(3600)
        if self.mood == "ill":
            raise Broken("tone: it fell over")
        if self.mood == "shy" and "Zwei" in request.text:
            raise Unspeakable("tone: it has no German")
        async for chunk in super().render(request, deadline):
            yield chunk


class Listening:
    """A session whose frames are pulled in time, with its log."""

    def __init__(self, found: Talk, notes: Notes) -> None:
        self.found = found
        self.notes = notes

    async def until(self, true: object) -> None:
        async with asyncio.timeout(600):
            while not true():  # type: ignore[operator]
                await asyncio.sleep(0.02)

    async def quiet(self) -> None:
        await self.until(lambda: self.found.session.peer.finished)

    def rows(self, kind: str, stage: str = "") -> list[Mapping[str, object]]:
        return [row for row in self.notes.rows if row["kind"] == kind and stage in ("", row["stage"])]


def told(moody: Moody, story: object) -> None:
    """`story` in virtual time, with a listener; the moody engine is in force, its stand-ins are well."""

    async def tell() -> None:
        notes = Notes()
        make = lambda name, _adapter, _tasks: moody if name == "tone" else InlineHost(Tone())  # noqa: E731
        async with talk(make, notes, clocked=True) as found:
            await asyncio.sleep(0.1)

            async def listen() -> None:
                pacer = Pacer(found.session, asyncio.get_running_loop().time, asyncio.sleep)
                while True:
                    await pacer.next()

            ear = asyncio.create_task(listen())
            try:
                await story(Listening(found, notes))  # type: ignore[operator]
            finally:
                ear.cancel()

    run(tell())


def repeats(starts: Sequence[object]) -> int:
    return sum(a == b for a, b in pairwise(starts))


@pytest.mark.parametrize("mood", MOODS)
def test_another_goes_on_and_it_comes_back(mood: str) -> None:
    """Every word is said, the page is told, and after a probe that is well the chosen engine speaks again."""
    moody = Moody()

    async def story(scene: Listening) -> None:
        session = scene.found.session
        scene.found.one("say", text=WORDS * 20, utterance="u")
        await asyncio.sleep(3)
        moody.mood = mood
        await scene.until(lambda: session.peer.absent is not None)
        assert session.peer.setting.adapter != "tone"
        await asyncio.sleep(4)
        moody.mood = "well"
        await scene.until(lambda: session.peer.setting.adapter == "tone")
        await scene.quiet()
        assert scene.rows("swap", "swap")[-1]["reason"] == "recovered"
        starts = [row["from"] for row in scene.rows("word")]
        assert len(set(starts)) == len((WORDS * 20).split()) and repeats(starts) <= 1
        codes = [event.get("code") for event in scene.found.told if event.get("event") == "notice"]
        assert codes.count("stand_in") == codes.count("engine_back") == 1
        probes = [row["result"] for row in scene.rows("health", "probe")]
        assert probes[-1] == "ok" and ("retry" in probes or mood == "mute")
        assert not scene.rows("fill", "fill")

    told(moody, story)


def test_an_engine_that_falls_again_and_again_is_asked_less_and_less() -> None:
    """The pause before a probe doubles, until it was well for some chunks."""
    moody = Moody()

    async def story(scene: Listening) -> None:
        session = scene.found.session
        scene.found.one("say", text=WORDS * 60, utterance="u")
        await asyncio.sleep(2)
        moody.mood = "ill"
        await asyncio.sleep(40)
        frames = [int(str(row["frame"])) for row in scene.rows("health", "probe")]
        pauses = [b - a for a, b in pairwise(frames)]
        assert pauses == sorted(pauses) and pauses[-1] > 3 * pauses[0]
        assert session.peer.setting.adapter != "tone"

    told(moody, story)


def test_a_sentence_for_another_voice() -> None:
    """Only the sentence that the engine cannot say goes to another one; nobody calls the engine ill."""
    moody = Moody()
    moody.mood = "shy"

    async def story(scene: Listening) -> None:
        scene.found.one("say", text="One is here. Zwei ist hier. Three is here.", utterance="u")
        await scene.quiet()
        by = {str(row["text"]).split()[0]: row["adapter"] for row in scene.rows("request")}
        assert by["One"] == by["Three"] == "tone" and by["Zwei"] != "tone"
        assert not [row for row in scene.rows("health") if row.get("state") == "FAILED"]
        assert [row["reason"] for row in scene.rows("swap", "swap")] == ["text", "recovered"]

    told(moody, story)
