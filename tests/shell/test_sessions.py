"""Sessions over HTTP: the list, timelines that are whole, live and resumable, sound made again, every bad request."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import threading
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from peer.core.pcm import FRAME
from peer.feed import PIECE_BYTES, Feed
from peer.journal import SCHEMA, Journal
from peer.logbook import rows
from peer.scribe import booked
from tests.shell.far import until
from tests.shell.house import WORDS, Served, served

pytestmark = pytest.mark.timeout(60)
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
EVENTS = {"Accept": "text/event-stream"}
HEADER = {"kind": "header", "frame": 0, "schema": SCHEMA, "session": "made", "adapter": "tone"}


@asynccontextmanager
async def archive(folder: Path, **changes: object) -> AsyncIterator[Served]:
    async with served(journal=str(folder), **changes) as house:
        yield house


async def said(house: Served, text: str = WORDS) -> tuple[str, bytes]:
    """A text was spoken and its log is over: the session's id and the WAV that was sent."""
    folder = Path(house.config.journal)
    before = {path.stem for path in folder.glob("*.jsonl")}
    async with house.http.post(house.url + "/say", json={"text": text}) as response:
        sound = await response.read()
    await until(lambda: len(list(folder.glob("*.jsonl"))) > len(before))
    (ident,) = {path.stem for path in folder.glob("*.jsonl")} - before
    await until(
        lambda: (folder / f"{ident}.jsonl").stat().st_size and rows(folder / f"{ident}.jsonl")[-1]["kind"] == "end"
    )
    return ident, sound


async def lines_of(house: Served, path: str, **headers: str) -> list[dict[str, Any]]:
    async with house.http.get(house.url + path, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "application/x-ndjson"
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def code_of(house: Served, path: str, **headers: str) -> tuple[int, str]:
    status, answer = await house.json("GET", path, headers=headers)
    return status, answer["result"]["refusal"]["code"]  # type: ignore[index]


# the list ---------------------------------------------------------------------------------------


async def test_the_list(tmp_path: Path) -> None:
    """Every log with its length, its engine and how it ended; the newest first; what is no log is not in it."""
    async with archive(tmp_path) as house:
        first, _ = await said(house)
        second, _ = await said(house, "one.")
        (tmp_path / "foreign.jsonl").write_text("hello\n")
        (tmp_path / "notes.txt").write_text("hello\n")
        (tmp_path / "link.jsonl").symlink_to(tmp_path / f"{first}.jsonl")
        (tmp_path / "empty.jsonl").touch()
        status, answer = await house.json("GET", "/sessions")
        assert status == 200
        listed: Any = answer["sessions"]
        assert [entry["id"] for entry in listed] == [second, first]
        assert set(listed[0]) == {"id", "started", "frames", "live", "bytes", "adapter", "schema", "ended"}
        size = (tmp_path / f"{first}.jsonl").stat().st_size
        found = listed[1]
        assert (found["live"], found["bytes"], found["adapter"], found["schema"]) == (False, size, "tone", SCHEMA)
        assert found["ended"] == "said"
        assert found["frames"] == rows(tmp_path / f"{first}.jsonl")[-1]["frame"] > 50
        assert found["started"].endswith("Z")


async def test_a_live_session_is_listed_as_such(tmp_path: Path) -> None:
    """A session that goes on is live and has not ended."""
    async with archive(tmp_path) as house, house.http.ws_connect(house.url + "/say/ws") as socket:
        session = (await socket.receive_json())["session"]
        await until(lambda: (tmp_path / f"{session}.jsonl").exists() and (tmp_path / f"{session}.jsonl").stat().st_size)
        _, answer = await house.json("GET", "/sessions")
        (found,) = answer["sessions"]  # type: ignore[misc]
        assert (found["id"], found["live"], found["ended"]) == (session, True, None)


# timelines --------------------------------------------------------------------------------------


async def test_a_timeline_is_the_log(tmp_path: Path) -> None:
    """Without a range all records come, numbered."""
    async with archive(tmp_path) as house:
        ident, _ = await said(house)
        found = await lines_of(house, f"/sessions/{ident}/timeline")
        assert found == [{**record, "seq": n} for n, record in enumerate(rows(tmp_path / f"{ident}.jsonl"))]


async def test_a_range_of_frames(tmp_path: Path) -> None:
    """Records of frames in [from, to), records of frames that overlap it, and only those."""
    async with archive(tmp_path) as house:
        ident, _ = await said(house, WORDS * 4)
        whole = await lines_of(house, f"/sessions/{ident}/timeline")
        found = await lines_of(house, f"/sessions/{ident}/timeline?from=60&to=120")
        seconds = [r for r in found if r["kind"] == "frames"]
        assert [(r["from"], r["to"]) for r in seconds] == [(50, 100), (100, 150)]
        others = [r for r in found if r["kind"] != "frames"]
        assert others == [r for r in whole if r["kind"] != "frames" and 60 <= r["frame"] < 120]
        assert others
        after = found[len(found) // 2]["seq"]
        assert await lines_of(house, f"/sessions/{ident}/timeline?from=60&to=120&after={after}") == [
            r for r in found if r["seq"] > after
        ]
        assert await lines_of(house, f"/sessions/{ident}/timeline?after=100000") == []


async def test_a_broken_log_says_where(tmp_path: Path) -> None:
    """What is verified comes, then where it stopped and why; what follows never does."""
    async with archive(tmp_path) as house:
        ident, _ = await said(house)
        log = tmp_path / f"{ident}.jsonl"
        content = log.read_bytes().splitlines(True)
        content[9] = content[9].replace(b"kind", b"kinD")
        log.write_bytes(b"".join(content))
        found = await lines_of(house, f"/sessions/{ident}/timeline")
        offset = sum(map(len, content[:9]))
        why = "the chain is broken: it was changed, moved or left out"
        assert [r.get("seq") for r in found] == [*range(9), None]
        assert found[-1] == {"broken": {"offset": offset, "seq": 9, "why": why}}
        async with house.http.get(house.url + f"/sessions/{ident}/timeline", headers=EVENTS) as response:
            tail = (await response.text()).split("\n\n")[-3:]
        assert tail[0].startswith("event: broken\ndata: {") and tail[1:] == ["event: end\ndata: {}", ""]


async def test_a_torn_end_of_a_dead_session(tmp_path: Path) -> None:
    """A log that appears behind our back with half a line at its end is read up to there, and says so."""
    async with archive(tmp_path) as house:
        content = booked([HEADER, {"kind": "word", "frame": 3}])
        (tmp_path / "made.jsonl").write_bytes(content + b'{"kind":"wo')
        found = await lines_of(house, "/sessions/made/timeline")
        assert [r.get("kind") for r in found] == ["header", "word", None]
        assert found[-1]["broken"]["offset"] == len(content)


async def free_again(house: Served, path: str) -> None:
    """Returns when the route answers."""
    async with asyncio.timeout(10):
        while True:
            async with house.http.get(house.url + path) as response:
                if response.status == 200:
                    response.close()
                    return
            await asyncio.sleep(0.05)


class Stream:
    """Server-sent events as a client reads them."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, str, str]:
        """(event, id, data) of the next one."""
        found = {"event": "", "id": "", "data": ""}
        async with asyncio.timeout(10):
            while line := (await self._response.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                found[name] = value
        return found["event"], found["id"], found["data"]


async def test_a_live_session_is_followed_to_its_end(tmp_path: Path) -> None:
    """Events come while they happen, numbered; a listener that was cut off resumes; the end is told."""
    async with archive(tmp_path) as house, house.http.ws_connect(house.url + "/say/ws") as socket:
        session = (await socket.receive_json())["session"]
        url = f"{house.url}/sessions/{session}/timeline"
        await until(lambda: (tmp_path / f"{session}.jsonl").exists() and (tmp_path / f"{session}.jsonl").stat().st_size)
        async with house.http.get(url, headers=EVENTS) as response:
            stream = Stream(response)
            event, number, data = await stream.next()
            assert (event, number, json.loads(data)["kind"]) == ("", "0", "header")
            await socket.send_json({"id": "1", "intent": "say", "inputs": {"text": "one two three."}})
            while json.loads(data)["kind"] != "input":
                _, number, data = await stream.next()
        async with house.http.get(url, headers={**EVENTS, "Last-Event-ID": number}) as response:
            stream = Stream(response)
            seen = [int(number)]
            closing = False
            while True:
                event, number, data = await stream.next()
                if event:
                    break
                seen.append(int(number))
                if not closing and json.loads(data)["kind"] == "frames":
                    closing = True
                    await socket.close()
        assert (event, data) == ("end", "{}")
        kept = rows(tmp_path / f"{session}.jsonl")
        assert seen == list(range(seen[0], len(kept)))
        assert kept[-1]["kind"] == "end"


async def test_lines_of_a_live_session_end_where_it_is(tmp_path: Path) -> None:
    """Without following, what is there comes and the answer is over, even if the last line is half written."""
    async with archive(tmp_path) as house:
        journal = Journal(tmp_path)
        journal.start()
        journal.put("made", HEADER)
        journal.put("made", {"kind": "word", "frame": 3})
        await until(lambda: (tmp_path / "made.jsonl").exists() and len(rows(tmp_path / "made.jsonl")) == 2)
        with (tmp_path / "made.jsonl").open("ab") as file:
            file.write(b'{"kind":"wo')
        found = await lines_of(house, "/sessions/made/timeline")
        assert [r["kind"] for r in found] == ["header", "word"]
        await asyncio.to_thread(journal.close)


async def test_a_large_log_is_read_in_pieces_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place far inside: piece by piece on the archive's threads, while the loop goes on; memory stays bounded."""
    words = [{"kind": "word", "frame": n, "utterance": "u", "from": n, "to": n + 1} for n in range(60_000)]
    frames = [{"kind": "frames", "frame": n, "from": n, "to": n + 50, "runs": []} for n in range(0, 60_000, 50)]
    merged = sorted([*words, *frames], key=lambda r: (r["frame"], str(r["kind"])))
    (tmp_path / "made.jsonl").write_bytes(booked([HEADER, *merged]))
    readers: list[str] = []
    held: list[int] = []
    more = Feed.more

    def watched(feed: Feed) -> bytes:
        readers.append(threading.current_thread().name)
        found = more(feed)
        held.append(len(found) + len(feed._rest))
        return found

    monkeypatch.setattr(Feed, "more", watched)
    async with archive(tmp_path) as house:
        asked = asyncio.create_task(lines_of(house, "/sessions/made/timeline?from=40000&to=40010"))
        turns = 0
        while not asked.done():
            await asyncio.sleep(0)
            turns += 1
        assert [r["frame"] for r in asked.result()] == [40_000, *range(40_000, 40_010)]
    assert len(readers) > 20 and turns > len(readers)
    assert {name.partition("_")[0] for name in readers} == {"archive"}
    assert max(held) < 2 * PIECE_BYTES
    assert sum(held) < 100_000, "what was asked for, and ends of pieces"


async def test_timelines_at_once_are_limited(tmp_path: Path) -> None:
    """More readers than there are places for are asked to wait; a place is free again when one leaves."""
    async with archive(tmp_path, limits={"timelines": 1}) as house, house.http.ws_connect(house.url + "/say/ws") as one:
        session = (await one.receive_json())["session"]
        await until(lambda: (tmp_path / f"{session}.jsonl").exists() and (tmp_path / f"{session}.jsonl").stat().st_size)
        path = f"/sessions/{session}/timeline"
        async with house.http.get(house.url + path, headers=EVENTS) as response:
            await Stream(response).next()
            assert await code_of(house, path) == (503, "busy")
        await free_again(house, path)


# sound ------------------------------------------------------------------------------------------


def pcm_of(sound: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.frombuffer(sound[44:], "<i2")


async def test_sound_is_made_again(tmp_path: Path) -> None:
    """The WAV is what was sent, byte for byte, with its true length, and a range of it is that range."""
    async with archive(tmp_path) as house:
        ident, sent = await said(house)
        frames = len(pcm_of(sent)) // FRAME
        async with house.http.get(f"{house.url}/sessions/{ident}/audio?from=0&to={frames}") as response:
            assert (response.status, response.headers["Content-Type"]) == (200, "audio/wav")
            again = await response.read()
        assert pcm_of(again).tobytes() == pcm_of(sent).tobytes()
        with wave.open(io.BytesIO(again)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 48_000)
            assert file.getnframes() == frames * FRAME
        async with house.http.get(f"{house.url}/sessions/{ident}/audio?from=20&to=33") as response:
            part = pcm_of(await response.read())
        assert part.tobytes() == pcm_of(sent)[20 * FRAME : 33 * FRAME].tobytes()


async def test_sound_ends_with_the_session(tmp_path: Path) -> None:
    """A range beyond the end is cut; one that begins there is refused with how far it goes."""
    async with archive(tmp_path) as house:
        ident, _ = await said(house, "one.")
        last = rows(tmp_path / f"{ident}.jsonl")[-1]["frame"]
        async with house.http.get(f"{house.url}/sessions/{ident}/audio?from=2&to=9000") as response:
            assert len(pcm_of(await response.read())) == (last - 2) * FRAME
        assert await code_of(house, f"/sessions/{ident}/audio?from={last}") == (400, "out_of_range")


async def test_sound_of_a_changed_log_is_not_played(tmp_path: Path) -> None:
    """One word changed in a log that was chained again: nothing of it is heard."""
    async with archive(tmp_path) as house:
        ident, _ = await said(house)
        log = tmp_path / f"{ident}.jsonl"
        records = rows(log)
        for record in records:
            if record["kind"] == "request":
                record["text"] = record["text"].replace("one", "ten")
        log.write_bytes(booked(records))
        status, _ = await code_of(house, f"/sessions/{ident}/audio")
        assert status >= 400


async def test_auditions_are_limited_and_end_with_their_listener(tmp_path: Path) -> None:
    """One place: the second is refused, and when the first listener leaves, its work is over."""
    async with archive(tmp_path, limits={"auditions": 1}) as house:
        ident, _ = await said(house, WORDS * 60)
        url = f"{house.url}/sessions/{ident}/audio"
        response = await house.http.get(url)
        await response.content.readexactly(1000)
        assert await code_of(house, f"/sessions/{ident}/audio") == (503, "busy")
        response.close()
        await free_again(house, f"/sessions/{ident}/audio")


# who asks wrongly -------------------------------------------------------------------------------


NOWHERE = ("unknown", "secret.jsonl", "x" * 65, "link", "folder", "..", "%2e%2e", "..%2Fsecret", "a%2Fb", "a%00b")


@pytest.mark.parametrize("ident", [*NOWHERE, "%2Fetc%2Fpasswd", "é", "%C3%A9"])
@pytest.mark.parametrize("what", ["timeline", "audio"])
async def test_no_path_leads_out(tmp_path: Path, ident: str, what: str) -> None:
    """A name that is none, leads elsewhere or names a link is not found, whatever lies there."""
    folder = tmp_path / "journal"
    folder.mkdir()
    (tmp_path / "secret.jsonl").write_bytes(booked([HEADER]))
    (folder / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (folder / "folder.jsonl").mkdir()
    async with archive(folder) as house:
        host, port = house.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        path = f"/sessions/{ident}/{what}".encode()
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.split()[1] in (b"404", b"400"), answer
        assert b"made" not in answer


@pytest.mark.parametrize(
    "query", ["from=-1", "from=x", "to=1e3", "after=-2", "from=9&to=3", "from=99999999999999999999", "to=", "to=%C2%B2"]
)
async def test_bad_ranges(tmp_path: Path, query: str) -> None:
    """A number that is none is refused with its name."""
    async with archive(tmp_path) as house:
        (tmp_path / "made.jsonl").write_bytes(booked([HEADER]))
        status, code = await code_of(house, f"/sessions/made/timeline?{query}")
        assert (status, code) in ((400, "invalid"), (400, "out_of_range"))


async def test_logs_that_are_none(tmp_path: Path) -> None:
    """Empty, foreign and newer files answer 400 with what is wrong, for lines and for sound."""
    async with archive(tmp_path) as house:
        for name, content in (("empty", b""), ("foreign", b"hello\n"), ("newer", b'{"kind":"header","schema":99}\n')):
            (tmp_path / f"{name}.jsonl").write_bytes(content)
            for what in ("timeline", "audio"):
                assert (await code_of(house, f"/sessions/{name}/{what}"))[0] == 400, (name, what)


async def test_without_a_folder(tmp_path: Path) -> None:
    """Where no logs are kept, every route says how they would be."""
    async with served() as house:
        for path in ("/sessions", "/sessions/made/timeline", "/sessions/made/audio"):
            status, answer = await house.json("GET", path)
            refusal: Any = answer["result"]["refusal"]  # type: ignore[index]
            assert (status, refusal["code"], refusal["field"]) == (400, "missing", "journal")
            assert "--journal" in refusal["remedy"]


async def test_a_folder_that_went_away(tmp_path: Path) -> None:
    """Logs that were removed under a running server are no fault of ours: the list is empty, the session unknown."""
    async with archive(tmp_path / "journal") as house:
        ident, _ = await said(house)
        shutil.rmtree(tmp_path / "journal")
        assert await house.json("GET", "/sessions") == (200, {"sessions": []})
        assert await code_of(house, f"/sessions/{ident}/timeline") == (404, "not_found")


async def test_the_gate_stands_in_front(tmp_path: Path) -> None:
    """No token, another origin, another site, another method: refused as everywhere."""
    async with archive(tmp_path, token="secret") as house:
        for path in ("/sessions", "/sessions/made/timeline", "/sessions/made/audio"):
            assert await code_of(house, path) == (401, "unauthorised")
            bearer = {"Authorization": "Bearer secret"}
            assert await code_of(house, path, **bearer, Origin="http://elsewhere") == (403, "foreign_origin")
            assert await code_of(house, path, **bearer, **{"Sec-Fetch-Site": "cross-site"}) == (403, "foreign_origin")
            status, _ = await house.json("POST", path, headers=bearer)
            assert status == 405
        assert (await house.json("GET", "/sessions?access_token=secret"))[0] == 200


# logs of another kind ---------------------------------------------------------------------------


async def test_a_log_of_the_first_schema(tmp_path: Path) -> None:
    """Its timeline comes in the newest one's words; its sound cannot be made again, and that is said."""
    shutil.copy(GOLDEN / "v1.jsonl", tmp_path)
    async with archive(tmp_path) as house:
        _, answer = await house.json("GET", "/sessions")
        (listed,) = answer["sessions"]  # type: ignore[misc]
        assert (listed["id"], listed["schema"], listed["started"], listed["ended"]) == ("v1", 1, None, "test")
        found = await lines_of(house, "/sessions/v1/timeline")
        assert found == [{**record, "seq": n} for n, record in enumerate(rows(GOLDEN / "v1.jsonl"))]
        assert await code_of(house, "/sessions/v1/audio") == (400, "unproven")


async def test_sound_of_a_private_log(tmp_path: Path) -> None:
    """Its words were not kept: it cannot be spoken again, and that is said."""
    async with archive(tmp_path, private=True) as house:
        ident, _ = await said(house)
        assert (await lines_of(house, f"/sessions/{ident}/timeline"))[0]["private"] is True
        assert await code_of(house, f"/sessions/{ident}/audio") == (400, "private")


async def test_events_of_a_range_end_with_it(tmp_path: Path) -> None:
    """What was asked for is told, and then that it is over."""
    async with archive(tmp_path) as house:
        ident, _ = await said(house, WORDS * 4)
        lines = await lines_of(house, f"/sessions/{ident}/timeline?from=60&to=120")
        async with house.http.get(f"{house.url}/sessions/{ident}/timeline?from=60&to=120", headers=EVENTS) as response:
            *events, end, rest = (await response.text()).split("\n\n")
        assert [event.partition("\ndata: ")[0] for event in events] == [f"id: {r['seq']}" for r in lines]
        assert [json.loads(event.partition("\ndata: ")[2]) for event in events] == lines
        assert (end, rest) == ("event: end\ndata: {}", "")
