"""What every request passes before anybody looks at what it asks: rate, host, origin and token."""

import logging
from collections.abc import Collection
from typing import Final

import trio
from attrs import frozen
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope as Asgi, Send

from terzetto_protocol.audits import AUDIT_LOGGER, AuditLine
from terzetto_protocol.limits import HTTP_ASKERS
from terzetto_protocol.origins import host_allowed, is_loopback, origin_allowed, own_hosts
from terzetto_protocol.problems import problem_of
from terzetto_protocol.rate import TokenBuckets
from terzetto_protocol.tokens import ALL_SCOPES, Token, Tokens
from terzetto_protocol.wire_asks import Scope
from terzetto_protocol.wire_errors import WireError

from ._limits import HttpLimits
from ._problem import response_of

CALLER: Final = "terzetto.caller"
"""Where the scope of a request says who it is from."""
AUDIT: Final = logging.getLogger(AUDIT_LOGGER)
_HEADERS: Final = "authorization, content-type, last-event-id"
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
        page = _all(scope, "origin")

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                # What of the body is not read yet would fill a queue, and its reader would wait for room in it.
                nursery.start_soon(_drain, receive, nursery.cancel_scope)
                message = message | {"headers": [*message.get("headers", ()), *_EVERYTHING, *extra]}
            await send(message)

        extra: list[tuple[bytes, bytes]] = []
        async with trio.open_nursery() as nursery:
            app = self._admit(scope)
            if page and not isinstance(app, _Refusal):
                extra += [
                    (b"access-control-allow-origin", page[0].encode("latin-1")),
                    (b"access-control-expose-headers", b"location, retry-after"),
                ]
            await app(scope, receive, told)
            nursery.cancel_scope.cancel(reason="it is answered")

    def _admit(self, scope: Asgi) -> ASGIApp:
        """Who answers."""
        client = scope.get("client")
        address = client[0] if client else ""
        try:
            self._check(scope, address)
            if scope["method"] == "OPTIONS" and _all(scope, "access-control-request-method"):
                return _preflight()
            token = self._identify(scope)
        except WireError as error:
            problem = problem_of(error)
            if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                command = f"{scope['method']} {scope['path']}"
                AUDIT.info("%s", AuditLine("", address, None, command, "", "", f"refused: {problem.code}").text())
            return _Refusal(Response() if problem.status == 505 else response_of(problem), problem.status)
        who, scopes = ("", ALL_SCOPES) if token is None else (token.who, token.scopes)
        scope[CALLER] = Caller(address, who, scopes)
        return self._app

    def _check(self, scope: Asgi, address: str) -> None:
        if scope["http_version"] not in ("1.0", "1.1"):
            raise WireError("other_version", "this server speaks HTTP/1.1")
        wait = self._buckets.take(address, trio.current_time())
        if wait:
            text = f"too many requests: try again in {wait:.3g} s"
            raise WireError("rate_limited", text, data={"retry_after": wait})
        server, scheme = scope.get("server") or ("", 0), scope["scheme"]
        if not is_loopback(server[0]) and not (scheme == "https" and len(self._tokens)):
            raise WireError("insecure", "beyond its own machine this server answers with TLS and tokens only")
        own = own_hosts(server[0], server[1] or 0, scheme)
        if not host_allowed(_all(scope, "host"), own | self._hosts, scheme):
            raise WireError("wrong_host", "this server is not called so: its operator may allow the host")
        pages = self._origins.union(f"{scheme}://{host}" for host in own)
        if not origin_allowed(_all(scope, "origin"), pages):
            raise WireError(
                "wrong_origin", "a page of this origin may not ask: the operator of the server may allow it"
            )

    def _identify(self, scope: Asgi) -> Token | None:
        token = self._tokens.holder(_all(scope, "authorization"))
        if token is None and len(self._tokens):
            raise WireError("unauthenticated", "say who you are: Authorization: Bearer, and a token of this server")
        return token


class _Refusal:
    """A response to a request that did not come through."""

    def __init__(self, response: Response, status: int) -> None:
        self._response = response
        response.status_code = status

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)


def _preflight() -> Response:
    """What a browser is told that asks whether a page of another origin may ask."""
    allowed = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": _HEADERS}
    return Response(status_code=204, headers=allowed)


def _all(scope: Asgi, name: str) -> list[str]:
    """Every header of this name."""
    return Headers(scope=scope).getlist(name)


async def _drain(receive: Receive, answering: trio.CancelScope) -> None:
    """Take what still comes, until the client has left: then nobody is there to be answered."""
    while (await receive())["type"] != "http.disconnect":
        pass
    answering.cancel(reason="the client has left")
