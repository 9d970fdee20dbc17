"""The app: routes of Starlette in front of a runtime."""

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path

from terzetto_protocol.http_requests import ROUTES, Route
from terzetto_protocol.origins import checked_hosts, checked_origins
from terzetto_protocol.problems import problem_of
from terzetto_protocol.tokens import Token, Tokens
from terzetto_protocol.wire_errors import WireError

from ._desk import Desk
from ._gate import CALLER, Caller, Gate
from ._limits import HttpLimits
from ._problem import refusal, response_of
from ._reading import Reading

if TYPE_CHECKING:
    from .._runtime import Runtime

_LOG: Final = logging.getLogger("terzetto")
_LOST: Final = {404: ("unknown_path", "there is nothing here"), 405: ("wrong_method", "this is asked for otherwise")}
Handler = Callable[[Request, Caller], Awaitable[Response]]


def app(
    runtime: "Runtime",
    *,
    tokens: Collection[Token] = (),
    hosts: Collection[str] = (),
    origins: Collection[str] = (),
    limits: HttpLimits | None = None,
) -> Starlette:
    """An ASGI app that answers for a runtime, in the same Trio loop. Not a checkpoint.

    Requests that come over another address than loopback are answered only with TLS and tokens, whoever serves it.
    `terzetto.http.serve` also limits connections and time, which an app cannot: prefer it.

    Args:
        runtime: it has to be open for as long as requests come.
        tokens: who may do what; without any, whoever is on this machine may do everything.
        hosts: names that clients call the server by, as `runs.example.com` or with a port, besides its own addresses.
        origins: pages that may ask, as `https://runs.example.com`, besides those of its own addresses.
        limits: how often and how much.

    Raises:
        InvalidRequest: a host or an origin is none, or two tokens have the same text.
    """
    limits = limits or HttpLimits()
    reading, desk = Reading(runtime, limits), Desk(runtime, limits)
    handlers: dict[str, Handler] = {
        "execute": desk.execute,
        "stop": desk.stop,
        "decide": desk.decide,
        "list": reading.list,
        "get": reading.get,
        "events": reading.events,
        "graphs": reading.graphs,
        "openapi": reading.openapi,
    }
    gate = Middleware(Gate, Tokens(tokens), checked_hosts(hosts), checked_origins(origins), limits)
    paths = [Path(each.path, _endpoint(each, handlers[each.operation]), methods=[each.method]) for each in ROUTES]
    made = Starlette(routes=paths, middleware=[gate], exception_handlers={HTTPException: _lost})
    made.router.redirect_slashes = False  # where to is what the client says that we are called
    return made


def _endpoint(route: Route, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        caller: Caller = request.scope[CALLER]
        try:
            return await handler(request, caller)
        except Exception as error:  # noqa: BLE001 - a client hears of it what it may
            problem = problem_of(error)
            if problem.status == 500:
                _LOG.error("HTTP %s %s went wrong", route.method, route.path, exc_info=error)
            return response_of(problem)

    return endpoint


async def _lost(request: Request, error: Exception) -> Response:
    """What Starlette has no route for."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    code, text = _LOST.get(status, _LOST[404])
    response = refusal(WireError(code, text))
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)  # which methods there are
    return response
