"""The gate in front of every route: who may ask, from where, how much and how often.

Knows no route; what passes is safe to parse, what does not is answered here.
"""

from __future__ import annotations

import hmac
import logging
from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .config import Config
from .core.errors import Refusal

log = logging.getLogger(__name__)

STATUS = {
    "unauthorised": 401, "foreign_origin": 403, "foreign_host": 421, "not_found": 404, "no_opus": 406,
    "too_slow": 408, "too_large": 413, "too_long": 413, "sdp_large": 413, "unsupported_type": 415, "too_fast": 429,
    "fault": 500, "full": 503, "busy": 503, "gone": 410,
}  # fmt: skip
"""Refusal codes with a status of their own; all others are 400."""
RETRY_AFTER_S = {"full": "5", "busy": "1", "too_fast": "1"}
_BEGUN = web.RequestKey("synchrony.begun", bool)
ADDRESSES = 1024
"""Addresses whose rate is remembered; the oldest are forgotten first."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; media-src 'self' blob:; style-src 'self'; "
        "img-src 'self' data:; worker-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), autoplay=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def status_of(answer: Mapping[str, object]) -> int:
    """The status that fits a response of the contract's shape."""
    result = answer.get("result")
    refusal = result.get("refusal") if isinstance(result, Mapping) else None
    return STATUS.get(str(refusal["code"]), 400) if isinstance(refusal, Mapping) else 200


def refused(refusal: Refusal, ident: str | None = None) -> web.Response:
    """A refusal as a response: the contract's shape and the fitting status."""
    headers = {"Retry-After": RETRY_AFTER_S[refusal.code]} if refusal.code in RETRY_AFTER_S else {}
    if refusal.code == "unauthorised":
        headers["WWW-Authenticate"] = "Bearer"
    body = {"id": ident, "result": {"refusal": refusal.to_wire()}}
    return web.json_response(body, status=STATUS.get(refusal.code, 400), headers=headers)


class Rate:
    """A token bucket per address, bounded in addresses. `now` is monotonic seconds."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, now: float) -> bool:
        """True if `address` may; what is refused costs nothing."""
        tokens, at = self._buckets.pop(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_s)
        good = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if good else tokens, now)
        while len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        return good


class Gate:
    """Checks Host, Origin, token and content type; adds the security headers."""

    def __init__(self, config: Config) -> None:
        self._config = config
        names = ("localhost", "127.0.0.1", "::1", config.host, *config.allow_hosts)
        self._hosts = {name.lower() for name in names}

    def middleware(self) -> Middleware:
        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                self.check(request)
                response = await handler(request)
            except Refusal as refusal:
                response = refused(refusal)
            except web.HTTPException as error:
                response = refused(_named(error))
                response.set_status(error.status)
            except OSError:
                raise  # the far end left in the middle; there is nobody to answer
            except Exception as bug:
                if _BEGUN in request:
                    raise  # half an answer is out already; the connection ends with it
                log.error("%s %s failed", request.method, request.path, exc_info=bug)
                response = refused(Refusal("fault", "request", "this is a fault of ours; ask again"))
            return response

        return check

    async def dress(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """The security headers on everything that leaves, streams and errors too."""
        request[_BEGUN] = True
        response.headers.update(HEADERS)
        response.headers["Server"] = "synchrony"

    def check(self, request: web.Request) -> None:
        """Raises Refusal."""
        host = _hostname(f"//{request.host}")
        if not self._known(host):
            raise Refusal("foreign_host", "Host", "call this server by its own name, or add it with --allow-host")
        origin = request.headers.get("Origin")
        if origin is not None and not self._own(origin, request):
            raise Refusal("foreign_origin", "Origin", "open the page from this server itself")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("same-origin", "none") and not _visit(request):
            raise Refusal("foreign_origin", "Sec-Fetch-Site", "open the page from this server itself")
        if self._config.token and not _public(request) and not self._authorised(request):
            raise Refusal("unauthorised", "Authorization", "send 'Bearer' and the token printed at start")

    def _known(self, host: str) -> bool:
        return host in self._hosts or (self._config.host in ("0.0.0.0", "::") and _is_address(host))  # noqa: S104

    def _own(self, origin: str, request: web.Request) -> bool:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not self._known(_hostname(origin)):
            return False
        return parts.netloc == request.host or self._config.behind_proxy

    def _authorised(self, request: web.Request) -> bool:
        scheme, _, word = request.headers.get("Authorization", "").partition(" ")
        given = word.strip() if scheme.lower() == "bearer" else request.query.get("access_token", "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._config.token.encode())


def _public(request: web.Request) -> bool:
    """The page's own files hold no secret; what they ask for does."""
    return request.method in ("GET", "HEAD") and (request.path == "/healthz" or _file(request))


def _visit(request: web.Request) -> bool:
    """Someone follows a link to the page: it shows itself, nothing is done for whoever linked."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate" and _file(request)


def _file(request: web.Request) -> bool:
    path = request.path
    return path == "/" or (
        path.count("/") == 1 and path.rpartition(".")[2] in ("js", "css", "svg", "html", "png", "webmanifest")
    )


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    return bool(host) and all(c in "0123456789abcdef.:" for c in host)


def _named(error: web.HTTPException) -> Refusal:
    names = {
        404: ("not_found", "no such page"),
        405: ("invalid", "use another method"),
        413: ("too_large", "send less"),
    }
    code, remedy = names.get(error.status, ("invalid", error.reason))
    return Refusal(code, "request", remedy)


def address_of(request: web.Request, behind_proxy: bool) -> str:
    """Who asks: behind a proxy, the address that the proxy saw."""
    if behind_proxy:
        seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if seen:
            return seen[:64]
    return request.remote or ""


def require_type(request: web.Request, wanted: str) -> None:
    """Raises Refusal unless the body has that content type; a form posted from elsewhere never has."""
    if request.content_type != wanted:
        raise Refusal("unsupported_type", "Content-Type", f"send {wanted}")
