"""What every request passes before anybody looks at what it asks: rate, host, origin and token."""

import logging
from collections.abc import Collection
from typing import Final

import trio
from attrs import frozen
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope as Asgi, Send

from terzetto_protocol.audits import AUDIT_LOGGER, AuditLine
from terzetto_protocol.limits import HTTP_ASKERS
from terzetto_protocol.origins import host_allowed, is_loopback, origin_allowed, own_hosts
from terzetto_protocol.problems import problem_of
from terzetto_protocol.rate import TokenBuckets
from terzetto_protocol.tokens import ALL_SCOPES, Token, Tokens
from terzetto_protocol.wire_asks import Scope
from terzetto_protocol.wire_errors import WireError

from ._exchange import Exchange, Header
from ._limits import HttpLimits
from ._problem import response_of

CALLER: Final = "terzetto.caller"
"""Where the scope of a request says who it is from."""
AUDIT: Final = logging.getLogger(AUDIT_LOGGER)
_ALLOWED: Final = "authorization, content-type, last-event-id"
_EVERYTHING: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"vary", b"origin"),
)


@frozen
class Caller:
    """Who asks."""

    address: str
    who: str
    scopes: frozenset[Scope]


class Gate:
    """Lets requests through to an app, or refuses them with a problem.

    Args:
        app: who answers what comes through.
        tokens: who may do what; without any, everybody on this machine may do everything.
        hosts: what the server is called, besides by its own addresses.
        origins: pages that may ask, besides those of its own addresses.
        limits: how often.
    """

    def __init__(
        self, app: ASGIApp, tokens: Tokens, hosts: Collection[str], origins: Collection[str], limits: HttpLimits
    ) -> None:
        self._app: Final = app
        self._tokens: Final = tokens
        self._hosts: Final = frozenset(hosts)
        self._origins: Final = frozenset(origins)
        self._buckets: Final = TokenBuckets(limits.rate, limits.burst, HTTP_ASKERS)

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        """Handle one request. A checkpoint; a client that leaves before it has read the answer cancels the rest."""
        if scope["type"] == "http":
            await self._guarded(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _guarded(self, scope: Asgi, receive: Receive, send: Send) -> None:
        headers = [*_EVERYTHING]
        answering = self._admit(scope, headers)
        async with trio.open_nursery() as nursery:
            exchange = Exchange(receive, send, headers, nursery)
            await answering(scope, exchange.receive, exchange.send)
            nursery.cancel_scope.cancel(reason="it is answered")

    def _admit(self, scope: Asgi, headers: list[Header]) -> ASGIApp:
        """Who answers; what a browser has to be told goes to the headers."""
        client = scope.get("client")
        address = client[0] if client else ""
        try:
            self._check_place(scope)
            headers += _shared(scope)
            self._check_rate(address)
            if scope["method"] == "OPTIONS" and _all(scope, "access-control-request-method"):
                return _preflight()
            token = self._identify(scope)
        except WireError as error:
            problem = problem_of(error)
            if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                command = f"{scope['method']} {scope['path']}"
                AUDIT.info("%s", AuditLine("", address, None, command, "", "", f"refused: {problem.code}").text())
            return Response(status_code=505) if problem.status == 505 else response_of(problem)
        who, scopes = ("", ALL_SCOPES) if token is None else (token.who, token.scopes)
        scope[CALLER] = Caller(address, who, scopes)
        return self._app

    def _check_place(self, scope: Asgi) -> None:
        """Raise for a request that is not meant for this server, or is made by a page that may not."""
        if scope["http_version"] not in ("1.0", "1.1"):
            raise WireError("other_version", "this server speaks HTTP/1.1")
        server, scheme = scope.get("server") or ("", 0), scope["scheme"]
        if not is_loopback(server[0]) and not (scheme == "https" and len(self._tokens)):
            raise WireError("insecure", "beyond its own machine this server answers with TLS and tokens only")
        own = own_hosts(server[0], server[1] or 0, scheme)
        if not host_allowed(_all(scope, "host"), own | self._hosts, scheme):
            raise WireError("wrong_host", "this server is not called so: its operator may allow the host")
        pages = self._origins.union(f"{scheme}://{host}" for host in own)
        if not origin_allowed(_all(scope, "origin"), pages):
            raise WireError("wrong_origin", "a page of this origin may not ask: the server's operator may allow it")

    def _check_rate(self, address: str) -> None:
        if wait := self._buckets.take(address, trio.current_time()):
            text = f"too many requests: try again in {wait:.3g} s"
            raise WireError("rate_limited", text, data={"retry_after": wait})

    def _identify(self, scope: Asgi) -> Token | None:
        token = self._tokens.holder(_all(scope, "authorization"))
        if token is None and len(self._tokens):
            raise WireError("unauthenticated", "say who you are: Authorization: Bearer, and a token of this server")
        return token


def _shared(scope: Asgi) -> list[Header]:
    """What lets a page of an allowed origin read the answer."""
    pages = _all(scope, "origin")
    exposed = (b"access-control-expose-headers", b"location, retry-after")
    return [(b"access-control-allow-origin", pages[0].encode()), exposed] if pages else []


def _preflight() -> Response:
    """What a browser is told that asks whether a page of another origin may ask."""
    allowed = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": _ALLOWED}
    return Response(status_code=204, headers=allowed)


def _all(scope: Asgi, name: str) -> list[str]:
    """Every header of this name."""
    return Headers(scope=scope).getlist(name)
