"""The HTTP surface: routes and nothing else.

Knows no media: calls are the switchboard's, sound is the outlets', safety is the gate's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson
from aiohttp import web

from .config import Config
from .core.errors import Refusal, SessionLost
from .core.messages import MAX_MESSAGE, Configure, Say, decode, parse, voice_of
from .core.voice import Voice
from .core.wish import Setting
from .gate import Gate, Rate, address_of, require_type, status_of
from .history import History
from .outlets import say_socket, say_wav, tap_wav
from .session import Session
from .switchboard import Switchboard

WEB = Path(__file__).resolve().parent.parent / "web"
SDP = "application/sdp"
JSON = "application/json"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
EVENT_PAUSE_S = 0.1
"""Between two telemetry events of one listener."""
KEEP_ALIVE_S = 15.0
"""A quiet event stream says something this often, so that proxies keep it open."""
CONFIG_WAIT_S = 30.0
"""For a change to take effect: an engine may have to be loaded first."""


class Routes:
    """Handlers of one application."""

    def __init__(self, config: Config, board: Switchboard, capabilities: Callable[[], Mapping[str, object]]) -> None:
        self._config = config
        self._board = board
        self._capabilities = capabilities
        self._offers = Rate(config.limits.offers_per_s, config.limits.offers_burst)
        self._says = Rate(config.limits.says_per_s, config.limits.says_burst)
        self._files = {path.name: path for path in WEB.iterdir() if path.suffix in TYPES}
        self._watchers: dict[str, int] = {}
        self.history = History(config, board.engines, lambda: board.sessions > 0)

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.page),
            web.get("/healthz", self.healthz),
            web.get("/adapters", self.adapters),
            web.get("/capabilities", self.capabilities),
            web.get("/personas", self.personas),
            web.post("/calls", self.call),
            web.delete("/calls/{call}", self.hang_up),
            web.post("/calls/{call}/bye", self.bye),
            web.patch("/calls/{call}/config", self.configure_call),
            web.get("/calls/{call}/events", self.events),
            web.get("/calls/{call}/audio", self.audio),
            web.patch("/config", self.configure),
            web.post("/config", self.configure),
            web.post("/say", self.say),
            web.get("/say/ws", self.say_ws),
            web.get("/sessions", self.sessions),
            web.get("/sessions/{id}/timeline", self.timeline, allow_head=False),
            web.get("/sessions/{id}/audio", self.session_audio, allow_head=False),
            web.get("/{name}", self.file),
        ]

    # the page -------------------------------------------------------------------------------

    async def page(self, request: web.Request) -> web.StreamResponse:
        return self._serve("index.html")

    async def file(self, request: web.Request) -> web.StreamResponse:
        return self._serve(request.match_info["name"])

    def _serve(self, name: str) -> web.StreamResponse:
        path = self._files.get(name)
        if path is None:
            raise Refusal("not_found", "path", "no such file")
        content = {"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8", "Cache-Control": "no-cache"}
        return web.Response(body=path.read_bytes(), headers=content)

    # introspection --------------------------------------------------------------------------

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        health = self._board.engines.health()
        states = {name: found.get("state") for name, found in health.items() if isinstance(found, dict)}
        well = states.get(self._board.defaults.adapter) == "READY"
        return web.json_response(
            {"result": "ok" if well else "degraded", "calls": self._board.calls, "adapters": states}
        )

    async def adapters(self, request: web.Request) -> web.StreamResponse:
        return _json({"adapters": self._board.engines.listing(), "default": self._board.defaults.adapter,
                      "fallback": list(self._board.engines.fallback()), **self._board.defaults.to_wire()})  # fmt: skip

    async def capabilities(self, request: web.Request) -> web.StreamResponse:
        return _json(
            {**self._capabilities(), "ice_servers": self._ice_servers(), "health": self._board.engines.health()}
        )

    async def personas(self, request: web.Request) -> web.StreamResponse:
        return _json({"personas": self._board.engines.personas.listing()})

    def _ice_servers(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for url in self._config.ice_servers:
            secret = url.startswith("turn")
            name, word = self._config.turn_username, self._config.turn_credential
            found.append({"urls": [url], **({"username": name, "credential": word} if secret else {})})
        return found

    # calls ----------------------------------------------------------------------------------

    async def call(self, request: web.Request) -> web.StreamResponse:
        require_type(request, SDP)
        self._take(self._offers, request, f"at most {self._config.limits.offers_per_s:g} calls a second")
        offer = await self._body(request, self._config.limits.sdp_bytes)
        aec = {"true": True, "false": False}.get(request.headers.get("Synchrony-AEC", ""))
        ident, answer = await self._board.answer(offer, request.headers.get("Synchrony-Session"), aec)
        return web.Response(status=201, text=answer, content_type=SDP, headers={"Location": f"/calls/{ident}"})

    def _take(self, rate: Rate, request: web.Request, remedy: str) -> None:
        address = address_of(request, self._config.behind_proxy)
        if not rate.take(address, asyncio.get_running_loop().time()):
            raise Refusal("too_fast", "request", remedy)

    async def _body(self, request: web.Request, limit: int) -> bytes:
        """The body, never more than `limit` bytes of it, and not for ever. Raises Refusal."""
        found = bytearray()
        try:
            async with asyncio.timeout(self._config.limits.body_s):
                async for data in request.content.iter_any():
                    found += data
                    if len(found) > limit:
                        raise Refusal("too_large", "body", f"send at most {limit} bytes")
        except TimeoutError:
            raise Refusal("too_slow", "body", f"send it within {self._config.limits.body_s:g} s") from None
        return bytes(found)

    async def _object(self, request: web.Request, limit: int) -> dict[str, object]:
        require_type(request, JSON)
        return decode(await self._body(request, limit), limit)

    async def hang_up(self, request: web.Request) -> web.StreamResponse:
        await self._board.hang_up(request.match_info["call"], hold=request.query.get("hold") == "1")
        return web.Response(status=204)

    async def bye(self, request: web.Request) -> web.StreamResponse:
        await self._board.hang_up(request.match_info["call"], hold=True)
        return web.Response(status=204)

    def _session(self, request: web.Request) -> Session:
        try:
            return self._board.find(request.match_info["call"]).session
        except SessionLost as lost:
            raise Refusal("not_found", "call", str(lost)) from None

    async def audio(self, request: web.Request) -> web.StreamResponse:
        return await tap_wav(request, self._session(request))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the state of the buffer and the records since the last one."""
        session = self._session(request)
        call = request.match_info["call"]
        if self._watchers.get(call, 0) >= self._config.limits.streams:
            raise Refusal("busy", "call", f"at most {self._config.limits.streams} panels follow one call")
        self._watchers[call] = self._watchers.get(call, 0) + 1
        try:
            return await self._follow(request, session, _number(request.headers.get("Last-Event-ID")))
        finally:
            self._watchers[call] -= 1
            if not self._watchers[call]:
                del self._watchers[call]

    async def _follow(self, request: web.Request, session: Session, seen: int) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        going = True
        while going:
            going = not session.closed
            moves = session.telemetry.moves
            seen, dropped, records = session.telemetry.since(seen)
            data = orjson.dumps({**session.snapshot(), "events": records, "dropped": dropped}, default=str)
            if not await self._told(request, response, b"event: telemetry\nid: %d\ndata: %s\n\n" % (seen, data)):
                break
            if going:
                await asyncio.sleep(EVENT_PAUSE_S)
                going = await self._moved(request, response, session, moves)
        return response

    async def _moved(self, request: web.Request, response: web.StreamResponse, session: Session, moves: int) -> bool:
        """Until there is something to tell; False: nobody listens any more."""
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    await session.telemetry.changed(moves)
            except TimeoutError:
                if not await self._told(request, response, b": still here\n\n"):
                    return False
            else:
                return True

    async def _told(self, request: web.Request, response: web.StreamResponse, data: bytes) -> bool:
        """False: the listener takes nothing any more."""
        try:
            async with asyncio.timeout(self._config.limits.stall_s):
                await response.write(data)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return False
        return True

    # sessions that were ---------------------------------------------------------------------

    async def sessions(self, request: web.Request) -> web.StreamResponse:
        return _json({"sessions": await self.history.sessions()})

    async def timeline(self, request: web.Request) -> web.StreamResponse:
        return await self.history.timeline(request, request.match_info["id"])

    async def session_audio(self, request: web.Request) -> web.StreamResponse:
        return await self.history.audio(request, request.match_info["id"])

    # the control plane ----------------------------------------------------------------------

    async def configure_call(self, request: web.Request) -> web.StreamResponse:
        session = self._session(request)
        wish = await self._configure(request)
        answered: asyncio.Future[Mapping[str, object]] = asyncio.get_running_loop().create_future()
        session.submit(wish, "http", lambda answer: None if answered.done() else answered.set_result(answer))
        try:
            async with asyncio.timeout(CONFIG_WAIT_S):
                answer = await answered
        except TimeoutError:
            return _json({"id": wish.id, "result": "pending", "warnings": ["it takes effect later"]}, 202)
        return _json(answer, status_of(answer))

    async def configure(self, request: web.Request) -> web.StreamResponse:
        """The defaults of new calls."""
        wish = await self._configure(request)
        board = self._board
        made = self.merged(board.defaults, wish)
        board.defaults = made
        honoured = board.engines.honours(made.adapter, made.voice)
        return _json({"id": wish.id, "result": "done", "artifacts": {**made.to_wire(), "honoured": honoured}})

    def merged(self, base: Setting, wish: Configure) -> Setting:
        """`base` with the wish applied, if an engine can speak it. Raises Refusal."""
        engines = self._board.engines
        adapter = wish.adapter or base.adapter
        if not engines.knows(adapter):
            raise Refusal("unknown_adapter", "inputs.adapter", f"choose one of {', '.join(engines.names())}")
        found = engines.availability(adapter)
        if not found.available:
            raise Refusal("unavailable", "inputs.adapter", f"{adapter}: {found.reason}; {found.remedy}")
        patch = engines.personas.resolved(wish.voice)
        voice = voice_of(patch, base.voice)
        if patch is not None:
            engines.check(adapter, voice_of(patch, Voice()))
        return Setting(adapter, voice, wish.mode or base.mode)

    async def _configure(self, request: web.Request) -> Configure:
        message = parse(
            {"id": _ident(request), "intent": "configure", "inputs": await self._object(request, MAX_MESSAGE)}
        )
        assert isinstance(message, Configure)
        return message

    # speech without a call ------------------------------------------------------------------

    async def say(self, request: web.Request) -> web.StreamResponse:
        self._take(self._says, request, f"at most {self._config.limits.says_per_s:g} of these a second")
        inputs = await self._object(request, self._config.limits.body_bytes)
        mode = {"mode": inputs.pop("mode")} if "mode" in inputs else {}
        message = parse({"id": _ident(request), "intent": "say", "inputs": inputs, **mode})
        assert isinstance(message, Say)
        if not message.end:
            raise Refusal("invalid", "inputs.end", "nothing can follow here; leave it out, or use GET /say/ws")
        return await say_wav(request, self._board, message)

    async def say_ws(self, request: web.Request) -> web.StreamResponse:
        self._take(self._says, request, f"at most {self._config.limits.says_per_s:g} of these a second")
        return await say_socket(request, self._board)


def _ident(request: web.Request) -> str:
    return request.headers.get("Idempotency-Key", "")[:64] or secrets.token_hex(8)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else 0


def _json(value: Mapping[str, object], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value, default=str), status=status, content_type=JSON)


def application(
    config: Config, board: Switchboard, capabilities: Callable[[], Mapping[str, object]]
) -> web.Application:
    """The whole surface behind its gate."""
    gate = Gate(config)
    app = web.Application(middlewares=[gate.middleware()], client_max_size=config.limits.body_bytes)
    app.on_response_prepare.append(gate.dress)
    routes = Routes(config, board, capabilities)
    app.add_routes(routes.table())

    async def close(app: web.Application) -> None:
        routes.history.close()

    app.on_cleanup.append(close)
    return app
