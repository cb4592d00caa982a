"""The switchboard: conversations are counted, held, found again and ended, and one fault is one line's."""

from __future__ import annotations

import pytest

from peer.call import Ending
from peer.core.errors import Refusal
from peer.core.machines import Conversation as State
from tests.shell.far import FarPeer, until
from tests.shell.house import WORDS, served

pytestmark = pytest.mark.timeout(40)


async def test_full_board_refuses_and_frees() -> None:
    """The limit counts conversations of every kind; ending one makes room."""
    async with served(limits={"sessions": 2}) as house:
        lines = [house.board.open(clocked=False) for _ in range(2)]
        with pytest.raises(Refusal, match="taken"):
            house.board.open(clocked=True)
        house.board.end(lines[0], "test")
        house.board.end(lines[0], "twice is once")
        house.board.open(clocked=True)


async def test_lost_call_is_held_and_silent() -> None:
    """A lost peer: nothing is rendered or sent for it, the conversation waits, its log says so."""
    async with served() as house:
        far = FarPeer()
        where = await house.call(far)
        line = house.board.find(where.rpartition("/")[2])
        far.say("synchrony", {"id": "1", "intent": "say", "inputs": {"text": WORDS * 3}})
        await until(lambda: far.events("spoken"))
        assert line.call is not None
        line.call._end(Ending.LOST)
        await until(lambda: line.machine.state is State.HELD)
        assert line.session.peer.speech.state.value == "YIELDED"
        assert "peer_lost" in [r["kind"] for _, r in line.session.telemetry._records]
        assert house.board.calls == 0
        await far.close()


async def test_two_reattachments() -> None:
    """The last call with the token has the conversation; the one before is hung up."""
    async with served() as house:
        peers = [FarPeer() for _ in range(3)]
        await house.call(peers[0])
        token = str(peers[0].events("hello")[0]["token"])
        for far in peers[1:]:
            await house.call(far, token)
        await until(lambda: peers[0].events("bye") and peers[1].events("bye"))
        await until(lambda: house.board.calls == 1)
        assert house.board.sessions == 1
        line = next(iter(house.board._lines.values()))
        await until(lambda: line.machine.state is State.LIVE)
        for far in peers:
            await far.close()


async def test_token_of_a_stream_finds_nothing() -> None:
    """A session of POST /say cannot be taken over by a call."""
    async with served() as house:
        line = house.board.open(clocked=False)
        far = FarPeer()
        await house.call(far, line.session.token)
        assert far.events("hello")[0]["session"] != line.session.identity.ident
        await far.close()


async def test_bug_ends_one_call() -> None:
    """A fault of ours in one conversation ends its call with a word; the other one speaks on."""
    async with served() as house:
        broken, whole = FarPeer(), FarPeer()
        where = await house.call(broken)
        await house.call(whole)
        whole.say("synchrony", {"id": "1", "intent": "say", "inputs": {"text": WORDS * 3}})
        session = house.board.find(where.rpartition("/")[2]).session
        session.peer.read_frame = lambda n: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        broken.say("synchrony", {"id": "1", "intent": "say", "inputs": {"text": WORDS}})
        await until(lambda: broken.events("bye"))
        assert broken.events("bye")[0]["reason"] == "fault"
        count = len(whole.packets)
        await until(lambda: len(whole.packets) > count + 20)
        assert house.board.sessions == 1
        for far in (broken, whole):
            await far.close()


async def test_longest() -> None:
    """A conversation ends when it has lasted longest_s, whatever it does."""
    async with served(limits={"longest_s": 0.0}) as house:
        far = FarPeer()
        await house.call(far)
        house.board.reap()
        assert house.board.sessions == 0
        await until(lambda: far.events("bye"))
        await far.close()
