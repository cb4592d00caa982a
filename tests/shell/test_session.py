"""A session, asked everything in every state, on the reference engine and on a real one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from peer.core.errors import Refusal
from peer.core.frame import Kind
from peer.core.machines import Speech
from peer.core.messages import parse
from peer.host import EngineHost, InlineHost, ProcessHost
from tests.shell.far import until
from tests.shell.house import WORDS, Down, Talk, inline, talk, voice_frames

pytestmark = pytest.mark.timeout(30)


async def brought(found: Talk, state: Speech) -> None:
    """Bring a session into one of its states."""
    if state is Speech.IDLE:
        return
    found.one("say", text=WORDS * 3, utterance="u")
    if state is Speech.PRIMING:
        return
    await found.pull(20)
    if state is Speech.YIELDED:
        found.one("barge_in")
    elif state is Speech.PAUSED:
        found.one("pause")
    elif state is Speech.DRAINING:
        async with asyncio.timeout(10):
            while found.session.peer.speech.state is not Speech.DRAINING:
                await found.pull(1)


EXPECTED = {
    ("barge_in", Speech.IDLE): "noop", ("barge_in", Speech.PRIMING): "done", ("barge_in", Speech.SPEAKING): "done",
    ("barge_in", Speech.DRAINING): "done", ("barge_in", Speech.YIELDED): "noop", ("barge_in", Speech.PAUSED): "done",
    ("pause", Speech.IDLE): "noop", ("pause", Speech.PRIMING): "done", ("pause", Speech.SPEAKING): "done",
    ("pause", Speech.DRAINING): "done", ("pause", Speech.YIELDED): "noop", ("pause", Speech.PAUSED): "noop",
    ("resume", Speech.IDLE): "noop", ("resume", Speech.PRIMING): "noop", ("resume", Speech.SPEAKING): "noop",
    ("resume", Speech.DRAINING): "noop", ("resume", Speech.YIELDED): "done", ("resume", Speech.PAUSED): "done",
    ("abandon", Speech.IDLE): "noop", ("abandon", Speech.PRIMING): "refusal", ("abandon", Speech.SPEAKING): "refusal",
    ("abandon", Speech.DRAINING): "refusal", ("abandon", Speech.YIELDED): "done", ("abandon", Speech.PAUSED): "done",
    **{("say", state): "done" for state in Speech}, **{("describe", state): "done" for state in Speech},
}  # fmt: skip


@pytest.mark.parametrize(("intent", "state"), EXPECTED)
async def test_every_request_in_every_state(intent: str, state: Speech) -> None:
    """Each intent is done, a no-op or a refusal, whatever the session does just then."""
    async with talk() as found:
        await brought(found, state)
        assert found.session.peer.speech.state is state
        answer = found.one(intent, **({"text": "more."} if intent == "say" else {}))
        result = answer["result"]
        assert (result if isinstance(result, str) else "refusal") == EXPECTED[intent, state]
        if not isinstance(result, str):
            assert set(result["refusal"]) == {"code", "field", "remedy"}
            assert found.session.peer.speech.state is state


async def test_configure_in_every_state() -> None:
    """A change is acknowledged with the chunk it took effect at, in any state."""
    for state in Speech:
        async with talk() as found:
            await brought(found, state)
            answers = found.ask("configure", voice={"pace": 1.2})
            await found.tick()
            if state in (Speech.PRIMING, Speech.SPEAKING, Speech.DRAINING):
                await found.pull()
            assert [answer["result"] for answer in answers] == ["done"], state
            assert {"adapter", "voice", "mode", "chunk", "frame", "version"} <= set(answers[0]["artifacts"])


async def test_repeated_id_is_answered_from_memory() -> None:
    """The second request with an id changes nothing and gets the first one's answer."""
    async with talk() as found:
        first = found.one("say", id="same", text="one two three.")
        again = found.one("say", id="same", text="one two three.")
        assert first == again
        assert len(found.records("input")) == 1
        await found.pull()
        assert len(found.records("word")) == 3


async def test_memory_is_bounded_but_keeps_what_is_owed() -> None:
    """Many answers push out old ones, never a promise that was not kept yet."""
    held: list[Down] = []

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        if name != "espeak":
            return InlineHost(adapter())
        held.append(Down(InlineHost(adapter())))
        blocked = held[-1]
        blocked.start = lambda: asyncio.sleep(3600)  # type: ignore[method-assign]
        return blocked

    async with talk(make, limits={"answers": 4}) as found:
        pending = found.ask("configure", id="wish", adapter="espeak")
        for _ in range(10):
            found.one("pause")
        assert not pending
        overtaking = found.ask("configure", id="other", adapter="tone")
        await found.tick()
        assert [answer["result"] for answer in pending] == ["superseded"]
        assert [answer["result"] for answer in overtaking] == ["done"]


async def test_pending_configure_asked_twice_answers_both() -> None:
    """Two askers with one id wait for one change and both hear of it."""
    loaded = asyncio.Event()

    class Loading(Down):
        async def start(self) -> None:
            await loaded.wait()
            self.up = True
            await self.inside.start()

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        return inline(name, adapter, tasks) if name == "tone" else Loading(inline("tone", adapter, tasks))

    async with talk(make) as found:
        first = found.ask("configure", id="c", adapter="espeak")
        second = found.ask("configure", id="c", adapter="espeak")
        await found.tick()
        assert first == second == []
        loaded.set()
        await until(lambda: first and second)
        assert first == second
        assert first[0]["result"] == "done"
        assert len([r for r in found.records("config") if r["stage"] == "requested"]) == 1


async def test_frames_of_a_cut_chunk_resolve() -> None:
    """What sounded of a chunk that never landed is in the log too: its engine and what it had cost."""

    class Half(Down):
        async def render(self, request, deadline):  # type: ignore[no-untyped-def, override]
            async for chunk in self.inside.render(request, deadline):
                yield replace(chunk, last=False, eos=False)
                await asyncio.sleep(0.05 if chunk.cursor < 4000 else 3600)

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        made = Half(inline(name, adapter, tasks))
        made.up = True
        return made

    for closing in (False, True):
        async with talk(make) as found:
            found.one("say", text=WORDS)
            first = await found.pull(3)
            assert [span.origin.chunk_id for pull in first for span in pull.spans]
            if not closing:
                found.one("barge_in")
                found.one("say", text=WORDS)
                await found.pull(3)
                assert [r["chunk"] for r in found.records("chunk") if r["result"] == "cut"] == [0]
            found.session.close("test")
            cut = {r["chunk"] for r in found.records("chunk") if r["result"] == "cut" and r["adapter"] == "tone"}
            assert {span.origin.chunk_id for pull in found.pulls for span in pull.spans} <= cut


async def test_failed_engine_leaves_the_old_voice_going_on() -> None:
    """A change to an engine that cannot start is answered `failed`, and speech goes on as it was."""

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        return inline(name, adapter, tasks) if name == "tone" else Down(InlineHost(adapter()))

    async with talk(make) as found:
        found.one("say", text=WORDS * 2)
        await found.pull(30)
        answers = found.ask("configure", adapter="espeak")
        await found.pull()
        assert [answer["result"] for answer in answers] == ["failed"]
        assert answers[0]["artifacts"]["adapter"] == "tone"
        assert "make voices" in answers[0]["artifacts"]["why"]
        assert len(found.records("word")) == 24
        assert [event["code"] for event in found.events("notice")] == ["config_failed"]


async def test_stale_pieces_are_never_spoken() -> None:
    """What arrives late for a cut utterance is answered `stale`, and not a sample of it sounds."""
    async with talk() as found:
        found.one("say", text=WORDS, utterance="u", end=False)
        await found.pull(20)
        assert found.one("barge_in")["result"] == "done"
        epoch = found.session.peer.epoch
        assert found.one("say", text="late words.", utterance="u")["result"] == "stale"
        await found.pull()
        assert found.state == "YIELDED"
        assert not [s for p in found.pulls for s in p.spans if s.origin.epoch == epoch]


async def test_control_never_waits_behind_data() -> None:
    """A barge-in after a flood of text takes effect with the next frame: at most a fade is left."""
    async with talk() as found:
        found.one("say", text=WORDS)
        await found.pull(20)
        answers = [found.one("say", text=WORDS) for _ in range(500)]
        refused = [a["result"] for a in answers if a["result"] != "done"]
        assert refused and all(r["refusal"]["code"] == "too_many" for r in refused)
        assert found.one("barge_in")["result"] == "done"
        after = await found.pull()
        assert voice_frames(after) == 0
        assert [pull.kind for pull in after][:1] == [Kind.CUT]


async def test_controls_answer_while_everything_is_full() -> None:
    """Pause, resume and abandon are performed with every queue full."""
    async with talk() as found:
        found.one("say", text=WORDS)
        await found.pull(20)
        for _ in range(200):
            found.one("say", text=WORDS)
        assert [found.one(i)["result"] for i in ("pause", "resume", "barge_in", "abandon")] == ["done"] * 4


async def test_pause_keeps_every_sample() -> None:
    """The words after a pause are those that would have come without it."""
    async with talk() as plain:
        plain.one("say", text=WORDS)
        await plain.pull()
    async with talk() as found:
        found.one("say", text=WORDS)
        await found.pull(40)
        found.one("pause")
        await found.pull()
        assert found.one("resume")["result"] == "done"
        assert found.one("resume")["result"] == "noop"
        await found.pull()
        assert [(r["from"], r["to"]) for r in found.records("word")] == [
            (r["from"], r["to"]) for r in plain.records("word")
        ]


@pytest.mark.parametrize(
    "text", ["مرحبا بالعالم.", "你好，世界。", "🙂🙂", "\x00\x07\x1b[31m", "\u202e\u200b", "!!!", "🙂 hello.", "a"]
)
async def test_odd_text_is_spoken_or_ends(text: str) -> None:
    """Right-to-left, Chinese, emoji and control characters never hang a session."""
    async with talk() as found:
        assert found.one("say", text=text)["result"] == "done"
        await found.pull()
        assert found.state == "IDLE"


@pytest.mark.parametrize(
    ("intent", "inputs", "code", "field"),
    [
        ("say", {"text": ""}, "empty", "inputs.text"),
        ("say", {"text": 1}, "invalid", "inputs.text"),
        ("say", {"text": "a", "voice": {"pace": 99}}, "out_of_range", "voice.pace"),
        ("configure", {"voice": {"timbre": "nobody"}}, "unsupported", "voice.timbre"),
        ("configure", {"adapter": "nobody"}, "unknown_adapter", "inputs.adapter"),
        ("say", {"text": "x" * 200_001}, "too_long", "inputs.text"),
        ("say", {"text": "x", "tune": 1}, "unknown_field", "inputs.tune"),
    ],
)
async def test_bad_input_names_field_and_remedy(intent: str, inputs: dict[str, object], code: str, field: str) -> None:
    """A refusal says which field is wrong and what to do instead."""
    async with talk() as found:
        try:
            refusal = found.one(intent, **inputs)["result"]["refusal"]
        except Refusal as raised:
            refusal = raised.to_wire()
        assert refusal["code"] == code
        assert refusal["field"].endswith(field)
        assert refusal["remedy"]
        assert found.state == "IDLE"


async def test_describe_fits_one_message() -> None:
    """The answer to describe goes over the data channel, so it is at most 16 KiB."""
    import orjson

    async with talk() as found:
        answer = found.one("describe")
        assert {"versions", "limits", "session"} <= set(answer["artifacts"])
        assert len(orjson.dumps(answer)) < 16 * 1024


async def test_held_text_is_spoken_when_the_engine_returns() -> None:
    """Without its engine a session keeps the text and says so once; with it, every word is spoken."""
    hosts: list[Down] = []

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        hosts.append(Down(InlineHost(adapter())))
        return hosts[0]

    async with talk(make) as found:
        found.one("say", text="one two three.")
        await until(lambda: found.events("notice"))
        await asyncio.sleep(1.2)
        assert [event["code"] for event in found.events("notice")] == ["engine_failed"]
        hosts[0].up = True
        await until(lambda: found.session.peer.ready, 5)
        await found.pull()
        assert len(found.records("word")) == 3
        assert [event["code"] for event in found.events("notice")] == ["engine_failed", "engine_back"]


async def test_busy_engine_is_no_failed_engine() -> None:
    """An engine whose queue is full is asked again; it does not count as broken."""

    class Busy(Down):
        refusals = 0

        def render(self, request, deadline):  # type: ignore[no-untyped-def]
            if Busy.refusals < 5:
                Busy.refusals += 1
                raise Refusal("busy", "adapter", "wait")
            return self.inside.render(request, deadline)

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        made = Busy(InlineHost(adapter()))
        made.up = True
        return made

    async with talk(make) as found:
        found.one("say", text="one two three.")
        await found.pull()
        assert Busy.refusals == 5
        assert not found.records("fault")
        assert len(found.records("word")) == 3


async def test_poison_text_does_not_spin() -> None:
    """An engine that breaks on every render is asked a few times a second, not thousands of times."""
    asked = 0

    class Broken(Down):
        def render(self, request, deadline):  # type: ignore[no-untyped-def]
            nonlocal asked
            asked += 1
            from peer.core.errors import Broken as Fault

            raise Fault("no")

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        made = Broken(InlineHost(adapter()))
        made.up = True
        return made

    async with talk(make) as found:
        found.one("say", text="one two three.")
        await asyncio.sleep(1.5)
        assert 3 <= asked <= 9
        assert [event["code"] for event in found.events("notice")][:1] == ["engine_failed"]
        assert found.one("barge_in")["result"] == "done"


async def test_bug_ends_this_session_only() -> None:
    """An exception of ours ends the session loudly: a refusal, a notice, the callback; nothing is raised."""
    async with talk() as found, talk() as other:
        ended: list[bool] = []
        found.session.on_broken = lambda: ended.append(True)
        found.session.peer.say = lambda n, say: 1 / 0  # type: ignore[method-assign, assignment]
        assert found.one("say", text="x")["result"]["refusal"]["code"] == "fault"
        assert ended == [True]
        assert [event["code"] for event in found.events("notice")] == ["fault"]
        other.one("say", text="one two three.")
        assert voice_frames(await other.pull()) > 10


async def test_closed_session_does_nothing() -> None:
    """After its end a session refuses, pulls are idle, no render begins, no record is written."""
    async with talk() as found:
        found.one("say", text=WORDS)
        await found.pull(10)
        pending = found.ask("configure", adapter="espeak")
        found.session.close("test")
        assert [a["result"] if isinstance(a["result"], str) else "refusal" for a in pending] in (["refusal"], ["done"])
        last = found.session.telemetry.last
        assert found.one("say", text="more.")["result"]["refusal"]["code"] == "gone"
        assert found.session.read_frame(found.session.now).kind is Kind.IDLE
        found.session.note("call", "closed")
        assert found.session.telemetry.last == last
        assert found.records("end")[0]["frames"] == len(found.pulls)


# a spoken barge-in ------------------------------------------------------------------------------


async def spoken_barge(found: Talk) -> None:
    found.one("say", text=WORDS, utterance="u")
    await found.pull(20)
    assert found.one("barge_in", surface="microphone", cause="voice")["result"] == "done"


async def test_resumes_by_itself_after_quiet() -> None:
    """After a spoken barge-in speech goes on once the microphone was quiet for long enough, not before."""
    async with talk(resume_after_s=0.15) as found:
        await spoken_barge(found)
        found.session.note("mic", "onset", speaking=True, level_db=-20.0)
        await asyncio.sleep(0.35)
        assert found.state == "YIELDED"
        found.session.note("mic", "end", speaking=False, level_db=-60.0)
        assert found.state == "YIELDED"
        await until(lambda: found.state != "YIELDED", 2)
        await found.pull()
        assert found.records("resume")[0]["id"] == "quiet"
        assert found.records("word")[-1]["to"] == len(WORDS.rstrip())


async def test_speech_before_the_barge_in_counts() -> None:
    """The caller who was already noted as speaking is waited for."""
    async with talk(resume_after_s=0.1) as found:
        found.session.note("mic", "onset", speaking=True, level_db=-20.0)
        await spoken_barge(found)
        await asyncio.sleep(0.3)
        assert found.state == "YIELDED"


@pytest.mark.parametrize("how", ["say", "abandon", "resume", "barge_in"])
async def test_saying_what_to_do_cancels_the_wait(how: str) -> None:
    """Typed text, abandon, resume or the button decide; the quiet decides no more."""
    async with talk(resume_after_s=0.1) as found:
        await spoken_barge(found)
        found.one(how, **({"text": "instead."} if how == "say" else {}))
        await found.pull()
        await asyncio.sleep(0.3)
        assert [r["id"] for r in found.records("resume")] in ([], [f"r{found.count}"])


async def test_stale_piece_does_not_cancel_the_wait() -> None:
    """A language model that still streams the cut utterance does not keep it from going on."""
    async with talk(resume_after_s=0.1) as found:
        found.one("say", text=WORDS, utterance="u", end=False)
        await found.pull(20)
        found.one("barge_in", cause="voice")
        assert found.one("say", text="more", utterance="u", end=False)["result"] == "stale"
        await until(lambda: found.state != "YIELDED", 2)


async def test_zero_waits_for_the_caller() -> None:
    """With resume_after_s 0 nothing goes on by itself."""
    async with talk(resume_after_s=0.0) as found:
        await spoken_barge(found)
        await asyncio.sleep(0.3)
        assert found.state == "YIELDED"


async def test_microphone_and_caller_may_use_one_id() -> None:
    """A barge-in of our own microphone is not mistaken for a caller's request with the same id."""
    async with talk() as found:
        found.one("say", id="mic-1", text=WORDS)
        await found.pull(10)
        assert found.one("barge_in", surface="microphone", id="mic-1", cause="voice")["artifacts"]["epoch"] == 1


# real processes ---------------------------------------------------------------------------------


async def test_espeak_speaks_every_intent() -> None:
    """The default engine in its own process: say, barge in, resume, configure, pause, abandon."""
    async with talk(None, adapter="espeak") as found:
        found.one("say", text=WORDS * 2, utterance="u")
        assert voice_frames(await found.pull(40)) > 20
        barge = found.one("barge_in")
        assert barge["artifacts"]["utterance"] == "u"
        await found.pull()
        assert found.one("resume")["artifacts"]["from"] == barge["artifacts"]["heard"]
        await found.pull(20)
        change = found.ask("configure", voice={"pace": 1.3})
        await found.pull(300)
        assert [answer["result"] for answer in change] == ["done"]
        found.one("say", text=WORDS)
        await found.pull(10)
        assert [found.one(i)["result"] for i in ("pause", "abandon")] == ["done", "done"]


async def test_killed_worker_repeats_no_word_and_loses_none() -> None:
    """SIGKILL in mid-speech: the same words go on, each once, with at most one render repeated."""
    import os
    import signal

    hosts: list[ProcessHost] = []

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        hosts.append(ProcessHost(name, adapter, tasks))
        return hosts[-1]

    text = WORDS * 4
    async with talk(make, adapter="espeak") as whole:
        whole.one("say", text=text)
        await whole.pull()
        expected = [(r["from"], r["to"]) for r in whole.records("word")]
    async with talk(make, adapter="espeak") as found, talk() as other:
        other.one("say", text=WORDS)
        found.one("say", text=text)
        await found.pull(60)
        os.kill(int(str(hosts[-1].status()["pid"])), signal.SIGKILL)
        await found.pull()
        assert [(r["from"], r["to"]) for r in found.records("word")] == expected
        assert hosts[-1].status()["restarts"] == 1
        assert len(found.records("fault")) <= 1
        await other.pull()
        assert len(other.records("word")) == 12


async def test_worker_killed_while_idle() -> None:
    """A worker that dies while nobody speaks is back before, or with, the next words."""
    import os
    import signal

    hosts: list[ProcessHost] = []

    def make(name: str, adapter: type, tasks: asyncio.TaskGroup) -> EngineHost:
        hosts.append(ProcessHost(name, adapter, tasks))
        return hosts[-1]

    async with talk(make, adapter="espeak") as found:
        await until(lambda: hosts and hosts[-1].status()["state"] == "READY")
        os.kill(int(str(hosts[-1].status()["pid"])), signal.SIGKILL)
        found.one("say", text="one two three.")
        await found.pull()
        assert len(found.records("word")) == 3


async def test_waiting_text_is_spoken_after_a_pause_for_thought() -> None:
    """Two words without a full stop and nothing more: they are spoken as they are, not kept for ever."""
    async with talk(clocked=True) as found:
        found.one("say", text="Hello there ", utterance="u", end=False)
        assert found.session.peer.outstanding is None
        await until(lambda: found.session.peer.outstanding is not None or found.session.peer.ready)


async def test_caller_chooses_who_goes_on() -> None:
    """`after_voice: wait` is done at once and keeps the floor with the caller; `resume` gives it back."""
    async with talk(clocked=True, resume_after_s=0.05) as found:
        assert found.one("configure", after_voice="wait")["result"] == "done"
        found.one("say", text=WORDS, utterance="u")
        await until(lambda: found.session.peer.speech.state is not Speech.IDLE)
        found.one("barge_in", cause="voice")
        await asyncio.sleep(0.2)
        assert found.session.peer.speech.state is Speech.YIELDED
        assert found.one("configure", after_voice="resume")["result"] == "done"
        found.one("resume")
        found.one("barge_in", cause="voice")
        await until(lambda: found.session.peer.speech.state is not Speech.YIELDED)
    with pytest.raises(Refusal, match="after_voice: choose one of resume, wait"):
        parse({"id": "1", "intent": "configure", "inputs": {"after_voice": "sing"}})


async def test_late_frames_are_declared() -> None:
    """A frame number that is left out while frames flow is in the log as late; one left out while idle is not."""
    async with talk(clocked=True) as found:
        session = found.session
        session.read_frame(3)
        session.read_frame(9)
        found.one("say", text=WORDS, utterance="u")
        await session.wake()
        start = session.now + 10
        session.read_frame(start)
        session.read_frame(start + 1)
        session.read_frame(start + 5)
        late = [r for _, r in session.telemetry._records if r["stage"] == "late"]
        assert [(r["from"], r["to"], r["late_ms"]) for r in late] == [(start + 2, start + 5, 60)]
