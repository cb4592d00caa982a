"""The HTTP surface as a client meets it: every route, every refusal, and no call touched by another."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import struct

import aiohttp
import pytest

from peer.config import Config, Limits
from peer.gate import HEADERS, Rate
from tests.shell.far import FarPeer, until, within
from tests.shell.house import WORDS, Served, served

pytestmark = pytest.mark.timeout(40)
SLOW = b"POST /say HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
JSON = {"Content-Type": "application/json"}
SDP = {"Content-Type": "application/sdp"}
AUDIO = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"


def request(intent: str, id: str, **inputs: object) -> dict[str, object]:
    return {"id": id, "intent": intent, "inputs": inputs}


def heard(far: FarPeer) -> int:
    return len(far.packets)


# calls ------------------------------------------------------------------------------------------


async def test_call_speaks_and_hangs_up() -> None:
    """201, Location, an answer; words as sound and events; DELETE ends it, and again, and an unknown one."""
    async with served() as house:
        far = FarPeer()
        where = await house.call(far)
        hello = far.events("hello")[0]
        assert {"protocol", "session", "token", "call", "adapter", "voice", "mode", "speech", "rtp"} <= set(hello)
        far.say("synchrony", request("say", "1", text="one two three."))
        await until(lambda: any(e["state"] == "IDLE" for e in far.events("speech")))
        assert heard(far) > 20
        for path in (where, where, "/calls/unknown"):
            status, _ = await house.json("DELETE", path)
            assert status == 204
        await until(lambda: far.events("bye"))
        assert house.board.calls == house.board.sessions == 0
        await far.close()


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (SDP, "nonsense", 400, None),
        (SDP, b"\xff\xfe\x00", 400, None),
        (SDP, "", 400, None),
        (SDP, AUDIO, 406, None),
        (SDP, AUDIO + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n", 406, "no_opus"),
        (JSON, "{}", 415, "unsupported_type"),
        (SDP, "x" * 70_000, 413, "too_large"),
    ],
)
async def test_bad_offers(headers: dict[str, str], body: str | bytes, status: int, code: str | None) -> None:
    """Each broken offer has its status, its field and its remedy, and leaves nothing behind."""
    async with served() as house:
        found, answer = await house.json("POST", "/calls", headers=headers, data=body)
        refusal = answer["result"]["refusal"]  # type: ignore[index]
        assert found in ({status, 400} if body == AUDIO else {status})
        assert code is None or refusal["code"] == code
        assert refusal["remedy"]
        assert house.board.sessions == house.board.half_open == 0


async def test_no_opus_is_named() -> None:
    """An offer of other codecs is refused with 406, and the remedy says Opus."""
    async with served() as house:
        far = FarPeer()
        offer = (await far.offer()).replace("opus/48000/2", "L16/48000/2")
        status, answer = await house.json("POST", "/calls", headers=SDP, data=offer)
        assert status == 406
        assert "Opus" in json.dumps(answer)
        await far.close()


async def test_offer_without_candidates() -> None:
    """A page may post before it has gathered anything: the answer has ours."""
    async with served() as house:
        far = FarPeer()
        offer = "".join(line for line in (await far.offer()).splitlines(True) if "candidate" not in line)
        async with house.http.post(house.url + "/calls", data=offer, headers=SDP) as response:
            assert response.status == 201
            await far.accept(await response.text())
        await far.connected()
        await far.close()


async def test_full_and_too_fast() -> None:
    """A full board answers 503 with Retry-After; who offers too often gets 429; a refusal costs no allowance."""
    async with served(limits={"sessions": 1}) as house:
        far = FarPeer()
        where = await house.call(far)
        late = FarPeer()
        async with house.http.post(house.url + "/calls", data=await late.offer(), headers=SDP) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
        await late.close()
        statuses = [(await house.json("POST", "/calls", headers=SDP, data="x"))[0] for _ in range(12)]
        assert 429 in statuses
        await house.json("DELETE", where)
        await far.close()
    rate = Rate(5.0, 1)
    assert rate.take("a", 0.0)
    assert sum(rate.take("a", 0.1 * k) for k in range(1, 21)) >= 8


async def test_half_open_calls_are_limited() -> None:
    """Calls that were answered and never connect count until their deadline."""
    async with served(limits={"half_open": 2}) as house:
        peers = [FarPeer() for _ in range(3)]
        statuses = [
            (await house.http.post(house.url + "/calls", data=await p.offer(), headers=SDP)).status for p in peers
        ]
        assert statuses == [201, 201, 503]
        for far in peers:
            await far.close()


async def test_held_call_goes_on_from_the_last_heard_word() -> None:
    """After bye or a lost peer a call with the token speaks on; events and other calls are not disturbed."""
    async with served() as house:
        first, second, other = FarPeer(), FarPeer(), FarPeer()
        where = await house.call(first)
        await house.call(other)
        other.say("synchrony", request("say", "o", text=WORDS * 4))
        first.say("synchrony", request("say", "1", text=WORDS * 2, utterance="u"))
        await until(lambda: len(first.events("spoken")) > 3)
        status, _ = await house.json("POST", where + "/bye")
        assert status == 204
        assert house.board.sessions == 2
        count = heard(other)
        token = str(first.events("hello")[0]["token"])
        await house.call(second, token)
        await until(lambda: second.events("spoken"))
        said = max(int(str(e["to"])) for e in first.events("spoken"))
        again = int(str(second.events("spoken")[0]["from"]))
        assert 0 < again <= said + 12
        assert second.events("hello")[0]["session"] == first.events("hello")[0]["session"]
        await until(lambda: heard(other) > count + 20)
        for far in (first, second, other):
            await far.close()


async def test_hold_ends() -> None:
    """A conversation that nobody finds again ends after hold_s, and its token opens a new one."""
    async with served(limits={"hold_s": 0.2}) as house:
        far, again = FarPeer(), FarPeer()
        where = await house.call(far)
        await house.json("DELETE", where + "?hold=1")
        assert house.board.sessions == 1
        await until(lambda: house.board.sessions == 0, 3)
        await house.call(again, str(far.events("hello")[0]["token"]))
        assert again.events("hello")[0]["session"] != far.events("hello")[0]["session"]
        await far.close()
        await again.close()


async def test_closed_far_end_is_held() -> None:
    """A page that closes its connection without a word is held like one that said bye."""
    async with served(limits={"hold_s": 5.0}) as house:
        far = FarPeer()
        await house.call(far)
        await far.close()
        await until(lambda: house.board.calls == 0)
        assert house.board.sessions == 1


async def test_refused_reattachment_changes_nothing() -> None:
    """A broken offer with a live call's token leaves that call as it was."""
    async with served() as house:
        far = FarPeer()
        await house.call(far)
        token = str(far.events("hello")[0]["token"])
        far.say("synchrony", request("say", "1", text=WORDS * 3))
        await until(lambda: far.events("spoken"))
        for given in (token, "\udcff", "x" * 300):
            status, _ = await house.json("POST", "/calls", headers=SDP | {"Synchrony-Session": given}, data="v=0")
            assert status in (400, 406)
        assert house.board.calls == 1
        count = heard(far)
        await until(lambda: heard(far) > count + 20)
        await far.close()


async def test_barge_in_over_the_channel() -> None:
    """Three copies on both channels: one flush, an epoch, no word after it."""
    async with served() as house:
        far = FarPeer()
        await house.call(far)
        far.say("synchrony", request("say", "1", text=WORDS * 3))
        await until(lambda: len(far.events("spoken")) > 2)
        for label in ("synchrony.now", "synchrony.now", "synchrony"):
            far.say(label, request("barge_in", "b"))
        await until(lambda: far.events("flush"))
        await asyncio.sleep(0.2)
        count = heard(far)
        await asyncio.sleep(0.3)
        assert heard(far) == count
        assert len(far.events("flush")) == 1
        await far.close()


async def test_no_executor_and_no_threads_for_a_call() -> None:
    """Nothing of ours runs on the default executor, and a call starts no thread."""
    import threading

    async with served() as house:
        loop = asyncio.get_running_loop()
        before = None
        for k in range(2):
            far = FarPeer()
            where = await house.call(far)
            far.say("synchrony", request("say", f"{k}", text="one two."))
            await until(lambda: any(e["state"] == "IDLE" for e in far.events("speech")))  # noqa: B023
            await house.json("DELETE", where)
            await far.close()
            before = before or threading.active_count()
        assert threading.active_count() == before
        assert loop._default_executor is None  # type: ignore[attr-defined]


async def test_bad_input_touches_no_other_call() -> None:
    """While everything wrong is sent by others, a speaking call misses no frame."""
    async with served() as house:
        good, bad = FarPeer(), FarPeer()
        await house.call(good)
        await house.call(bad)
        good.say("synchrony", request("say", "1", text=WORDS * 2))
        await until(lambda: heard(good) > 5)
        for text in ("", "x" * 10_000, "\x00\x07", "🙂", "مرحبا بالعالم", "你好，世界。", "\u202e"):
            bad.say("synchrony", request("say", f"t{len(text)}{text[:2]!r}", text=text))
        for message in ("{", "[]", '{"id":1}', "[" * 500, "x" * 20_000, json.dumps(request("sing", "s"))):
            bad.say("synchrony", message)
        for adapter, voice in (("nobody", {}), ("tone", {"pace": 1e9}), ("tone", {"timbre": "nobody"})):
            bad.say("synchrony", request("configure", f"c{adapter}{voice}"[:60], adapter=adapter, voice=voice))
        bad.say("synchrony", request("resume", "a"))
        bad.say("synchrony", request("resume", "b"))
        for body in ("nonsense", "v=0", "x" * 70_000):
            await house.json("POST", "/calls", headers=SDP, data=body)

        def refused() -> list[dict[str, str]]:
            results = [m.get("result") for m in bad.heard["synchrony"]]
            return [result["refusal"] for result in results if isinstance(result, dict)]

        await until(lambda: len(refused()) >= 10)
        assert not bad.events("notice")
        refusals = refused()
        assert all(r["code"] and r["remedy"] for r in refusals)
        await until(lambda: any(e["state"] == "IDLE" for e in good.events("speech")))
        for (stamp, number), (later, next_number) in itertools.pairwise(good.packets):
            assert (next_number - number) % 2**16 == 1
            assert (later - stamp) % 960 == 0
        for far in (good, bad):
            await far.close()


# the control plane ------------------------------------------------------------------------------


async def test_configure_a_call() -> None:
    """PATCH answers when the change took effect; a bad one has its status; an unknown call is 404."""
    async with served() as house:
        far = FarPeer()
        where = await house.call(far)
        status, answer = await house.json("PATCH", where + "/config", json={"voice": {"pace": 1.5}})
        assert (status, answer["result"]) == (200, "done")
        assert {"adapter", "voice", "mode", "chunk", "frame", "version"} <= set(answer["artifacts"])  # type: ignore[call-overload]
        assert far.events("config") or await until(lambda: far.events("config")) is None
        for body, wanted in (({"voice": {"pace": 99}}, 400), ({"adapter": "x"}, 400), ({}, 400), ({"tune": 1}, 400)):
            status, answer = await house.json("PATCH", where + "/config", json=body)
            assert status == wanted
            assert answer["result"]["refusal"]["field"]  # type: ignore[index]
        status, _ = await house.json("PATCH", "/calls/x/config", json={"mode": "steady"})
        assert status == 404
        await far.close()


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_configure_defaults(method: str) -> None:
    """The defaults of new calls change; those of what is on do not; a refusal changes nothing."""
    async with served() as house:
        far, later = FarPeer(), FarPeer()
        await house.call(far)
        status, _ = await house.json(method, "/config", json={"mode": "steady", "voice": {"pace": 1.5}})
        assert status == 200
        assert (await house.json(method, "/config", json={"voice": {"pace": 50}}))[0] == 400
        await house.call(later)
        assert far.events("hello")[0]["mode"] == "low_latency"
        assert later.events("hello")[0]["mode"] == "steady"
        assert (await house.json("GET", "/adapters"))[1]["mode"] == "steady"
        await far.close()
        await later.close()


async def test_introspection() -> None:
    """Adapters with descriptors, capabilities with versions and reasons, health in one word."""
    async with served(limits={"sessions": 7}) as house:
        _, listed = await house.json("GET", "/adapters")
        assert {row["name"] for row in listed["adapters"]} >= {"espeak", "tone"}  # type: ignore[attr-defined]
        assert listed["default"] == "tone"
        _, able = await house.json("GET", "/capabilities")
        assert able["limits"]["sessions"]["value"] == 7  # type: ignore[index]
        assert all(limit["why"] for limit in able["limits"].values())  # type: ignore[attr-defined]
        assert set(able["versions"]) == {"protocol", "journal", "adapter_contract", "voice_schema"}  # type: ignore[call-overload]
        _, health = await house.json("GET", "/healthz")
        assert health["result"] in ("ok", "degraded")
        assert set(health) == {"result", "calls", "adapters"}


# speech without a call --------------------------------------------------------------------------


async def test_say_is_one_wav() -> None:
    """One header of 44 bytes with unknown sizes, whole samples, no second RIFF, no length."""
    async with served() as house:
        async with house.http.post(house.url + "/say", json={"text": WORDS}) as response:
            assert response.headers["Content-Type"] == "audio/wav"
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert "Content-Security-Policy" in response.headers
            data = await response.read()
        assert data[:4] == b"RIFF" and data.count(b"RIFF") == 1 and data[36:40] == b"data"
        assert struct.unpack("<I", data[4:8]) == struct.unpack("<I", data[40:44]) == (0xFFFFFFFF,)
        assert (len(data) - 44) % 1920 == 0
        assert len(data) > 96_000
        assert house.board.sessions == 0


@pytest.mark.parametrize("text", ["🙂", "مرحبا.", "你好。", "\x07", "\u202e"])
async def test_say_odd_text(text: str) -> None:
    """Odd text ends in a WAV, perhaps an empty one."""
    async with served() as house:
        async with house.http.post(house.url + "/say", json={"text": text}) as response:
            assert response.status == 200
            assert len(await within(response.read())) >= 44  # type: ignore[arg-type]
        assert house.board.sessions == 0


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"text": ""}, 400, "inputs.text"),
        ({"text": "x" * 1_000_000}, 413, "inputs.text"),
        ({"text": "x" * 2_000_000}, 413, "body"),
        ({"text": "x", "end": False}, 400, "inputs.end"),
        ({"text": "x", "voice": {"pace": 99}}, 400, "voice.pace"),
        ({"text": "x", "mode": ""}, 400, "mode"),
        ({"text": "x", "adapter": "y"}, 400, "inputs.adapter"),
    ],
)
async def test_say_refuses(body: dict[str, object], status: int, field: str) -> None:
    """Bad input names the field; a call that speaks meanwhile misses nothing."""
    async with served() as house:
        data = io.BytesIO(json.dumps(body).encode())
        found, answer = await house.json("POST", "/say", data=data, headers=JSON)
        assert found == status
        assert answer["result"]["refusal"]["field"].endswith(field)  # type: ignore[index]
        assert house.board.sessions == 0


async def test_say_counts_as_a_session_and_stops_with_its_listener() -> None:
    """A listener that reads nothing holds the synthesis back, counts as a session, and ends it by leaving."""
    async with served(limits={"sessions": 1}) as house:
        response = await house.http.post(house.url + "/say", json={"text": WORDS * 400})
        await response.content.readexactly(44)
        assert house.board.sessions == 1
        session = next(iter(house.board._lines.values())).session
        assert (await house.json("POST", "/say", json={"text": "x"}))[0] == 503
        pulled = -1
        async with asyncio.timeout(15):
            while session.now != pulled:
                pulled = session.now
                await asyncio.sleep(0.3)
        assert session.peer.ready
        response.close()
        await until(lambda: house.board.sessions == 0)
        assert session.closed


async def test_listener_that_takes_nothing_is_dropped() -> None:
    """Who keeps a stream open and reads nothing loses it after stall_s."""
    async with served(limits={"stall_s": 0.3}) as house:
        response = await house.http.post(house.url + "/say", json={"text": WORDS * 400})
        await response.content.readexactly(44)
        await until(lambda: house.board.sessions == 0)
        response.close()


async def test_speaking_websocket() -> None:
    """Requests in, frames of 1,920 bytes and events out, barge-in over it; bad messages are answered."""
    async with served() as house, house.http.ws_connect(house.url + "/say/ws") as socket:
        hello = await socket.receive_json(timeout=5)
        assert hello["event"] == "hello"
        assert "token" not in hello
        await socket.send_json(request("say", "1", text=WORDS * 200, utterance="u"))
        frames, answers = 0, {}
        async with asyncio.timeout(20):
            while "b" not in answers:
                message = await socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    assert len(message.data) == 1920
                    frames += 1
                    if frames == 20:
                        await socket.send_json(request("barge_in", "b"))
                elif message.type is aiohttp.WSMsgType.TEXT:
                    found = json.loads(message.data)
                    answers[found.get("event") or found["id"]] = found
        assert answers["1"]["result"] == answers["b"]["result"] == "done"
        assert answers["flush"]["epoch"] == 1
        for bad in ("nonsense", "{}", "[1]", json.dumps(request("sing", "x"))):
            await socket.send_str(bad)
        refusals = 0
        async with asyncio.timeout(5):
            while refusals < 4:
                message = await socket.receive()
                refusals += message.type is aiohttp.WSMsgType.TEXT and "refusal" in message.data
        assert house.board.sessions == 1
    assert house.board.sessions == 0


async def test_websocket_speaks_text_without_an_end() -> None:
    """Text that has no delimiter and no end is spoken after a typist's pause."""
    async with served() as house, house.http.ws_connect(house.url + "/say/ws") as socket:
        await socket.send_json(request("say", "1", text="hello there ", utterance="u", end=False))
        async with asyncio.timeout(5):
            while (await socket.receive()).type is not aiohttp.WSMsgType.BINARY:
                pass


async def test_plain_request_to_the_websocket() -> None:
    """A request that is no upgrade is refused and leaves no session."""
    async with served() as house:
        status, _ = await house.json("GET", "/say/ws")
        assert status == 400
        assert house.board.sessions == 0


# listeners of a call ----------------------------------------------------------------------------


async def test_tap_hears_and_slow_one_is_dropped() -> None:
    """A tap gets a WAV of what the call hears; one that reads nothing is dropped and the call goes on."""
    async with served() as house:
        far = FarPeer()
        where = await house.call(far)
        tap = await house.http.get(house.url + where + "/audio")
        far.say("synchrony", request("say", "1", text=WORDS))
        data = await within(tap.content.readexactly(44 + 1920 * 30))
        assert data[:4] == b"RIFF"  # type: ignore[index]
        tap.close()
        session = house.board.find(where.rpartition("/")[2]).session
        await until(lambda: len(session.taps) == 0)
        slow = session.taps.open()
        await until(lambda: len(session.taps) == 0)
        assert slow.qsize() <= 100
        count = heard(far)
        await until(lambda: heard(far) > count + 10)
        taps = [session.taps.open() for _ in range(4)]
        assert (await house.json("GET", where + "/audio"))[0] == 503
        assert (await house.json("GET", "/calls/x/audio"))[0] == 404
        assert len(taps) == 4
        await far.close()


async def test_telemetry_stream_resumes() -> None:
    """Numbered events with the buffer's state; Last-Event-ID goes on after that one; panels are limited."""

    async def one(response: aiohttp.ClientResponse) -> tuple[int, dict[str, object]]:
        number, data = 0, {}
        async with asyncio.timeout(5):
            while True:
                line = (await response.content.readline()).decode().strip()
                if line.startswith("id:"):
                    number = int(line[3:])
                elif line.startswith("data:"):
                    data = json.loads(line[5:])
                elif not line and data:
                    return number, data

    async with served(limits={"streams": 1}) as house:
        far = FarPeer()
        where = await house.call(far)
        first = await house.http.get(house.url + where + "/events")
        assert first.headers["Content-Type"] == "text/event-stream"
        assert "Content-Security-Policy" in first.headers
        number, data = await one(first)
        assert {"frame", "speech", "adapter", "mode", "depth_ms", "band", "rung", "rungs", "events", "dropped"} <= set(
            data
        )
        assert (await house.json("GET", where + "/events"))[0] == 503
        first.close()
        await until(lambda: not _watchers(house))
        far.say("synchrony", request("say", "1", text="one two."))
        await until(lambda: any(e["state"] == "IDLE" for e in far.events("speech")))
        second = await house.http.get(house.url + where + "/events", headers={"Last-Event-ID": str(number)})
        again, more = await one(second)
        assert again > number
        assert {"input", "request", "chunk", "word"} <= {e["kind"] for e in more["events"]}  # type: ignore[attr-defined]
        second.close()
        await far.close()


def _watchers(house: Served) -> int:
    return len([t for t in asyncio.all_tasks() if "events" in repr(t.get_coro())])


# the gate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/say", {"Origin": "https://evil.example"}, 403),
        ("GET", "/adapters", {"Origin": "https://evil.example"}, 403),
        ("GET", "/say/ws", {"Origin": "null", "Upgrade": "websocket", "Connection": "Upgrade"}, 403),
        ("POST", "/config", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/config", {"Sec-Fetch-Site": "same-site"}, 403),
        ("GET", "/adapters", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", "/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ("GET", "/", {"Host": "rebound.example"}, 421),
        ("POST", "/say", {"Content-Type": "text/plain"}, 415),
        ("POST", "/config", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("GET", "/nothing.js", {}, 404),
        ("GET", "/..%2fpyproject.toml", {}, 404),
        ("GET", "/%2e%2e/pyproject.toml", {}, 404),
        ("GET", "/index.html%00", {}, 404),
        ("GET", "/__init__.py", {}, 404),
        ("PUT", "/say", {}, 405),
        ("OPTIONS", "/calls", {}, 405),
        ("GET", "/", {}, 200),
    ],
)
async def test_gate(method: str, path: str, headers: dict[str, str], status: int) -> None:
    """Foreign origins, hosts, types and paths are refused in the contract's shape, with all headers."""
    from yarl import URL

    async with served() as house:
        url = URL(house.url + path, encoded=True)
        async with house.http.request(
            method, url, headers=headers, data=b"{}" if method == "POST" else None
        ) as response:
            assert response.status == status
            for name, value in HEADERS.items():
                assert response.headers[name] == value
            if status >= 400:
                assert "remedy" in (await response.json())["result"]["refusal"]


async def test_token() -> None:
    """With a token everything but the page's files and /healthz needs it, as header or as query."""
    async with served(token="sesame-and-more") as house:

        async def status(path: str, **headers: str) -> int:
            async with house.http.get(house.url + path, headers=headers) as response:
                return response.status

        assert [await status(p) for p in ("/", "/main.js", "/healthz")] == [200, 200, 200]
        assert [await status(p) for p in ("/adapters", "/capabilities", "/calls/x/events", "/calls/x/y.js")] == [
            401
        ] * 4
        assert await status("/adapters", Authorization="Bearer sesame-and-more") == 200
        assert await status("/adapters", Authorization="Bearer wrong") == 401
        assert await status("/adapters?access_token=sesame-and-more") == 200
        assert await status("/adapters?access_token=%ff") == 401
        assert (await house.json("DELETE", "/calls/x"))[0] == 401


async def test_our_own_bug_has_headers_too() -> None:
    """An exception in a route is answered as a refusal, with the security headers, and the server lives."""
    async with served() as house:
        house.board.engines.listing = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        async with house.http.get(house.url + "/adapters") as response:
            assert response.status == 500
            assert (await response.json())["result"]["refusal"]["code"] == "fault"
            assert "Content-Security-Policy" in response.headers
        assert (await house.json("GET", "/healthz"))[0] == 200


async def test_slow_body_is_given_up() -> None:
    """A body that does not arrive is refused after body_s."""
    async with served(limits={"body_s": 0.2}) as house:
        port = int(house.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(SLOW)
        assert b"408" in await within(reader.readline())  # type: ignore[operator]
        writer.close()


async def test_idle_sessions_are_reaped() -> None:
    """Who is silent on both sides is ended, heartbeats or not; who is spoken to is not."""
    async with served(limits={"idle_s": 0.3}) as house:
        far = FarPeer()
        await house.call(far)
        far.say("synchrony", request("say", "1", text=WORDS))
        await until(lambda: far.events("spoken"))
        await asyncio.sleep(0.5)
        house.board.reap()
        assert house.board.sessions == 1
        far.say("synchrony", request("barge_in", "2"))
        for k in range(4):
            await asyncio.sleep(0.1)
            far.say("synchrony.now", {"intent": "playout", "inputs": {"rtp": k}})
        house.board.reap()
        assert house.board.sessions == 0
        await until(lambda: far.events("bye"))
        await far.close()


def test_limits_have_reasons() -> None:
    """Every limit says why it is what it is."""
    from dataclasses import fields

    assert all(len(f.metadata["why"]) > 15 for f in fields(Limits))
    assert "secret" not in repr(Config(token="secret", turn_credential="secret"))
