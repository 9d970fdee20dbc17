"""What a server answers to requests before any websocket: the page, the numbers, and why a handshake is refused."""

import base64
from collections.abc import Callable, Mapping
from typing import Final

from attrs import evolve

from terzetto_protocol.errors import StoreError
from terzetto_protocol.wire import SUBPROTOCOL

from .._runtime import Runtime
from ._access import Access, Grant
from ._http import Answer, Asked, text
from ._metrics import MEDIA_TYPE, metrics
from ._numbers import numbers_of
from ._origins import Origins
from ._page import load_page

SOCKET: Final = "/ws"
"""The path of the websocket."""
_KEY: Final = 16
"""Bytes of a `Sec-WebSocket-Key`."""


class Site:
    """The paths of one server, and who may ask for them.

    Args:
        runtime: whose numbers are shown.
        access: who may do what.
        origins: under which names, and from which pages.
        tls: whether the server speaks TLS.
        counts: the numbers of the server itself.
    """

    def __init__(
        self,
        runtime: Runtime,
        access: Access,
        origins: Origins,
        *,
        tls: bool,
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._runtime: Final = runtime
        self._access: Final = access
        self._origins: Final = origins
        self._scheme: Final = "wss" if tls else "ws"
        self._counts: Final = counts
        self._page: Final = load_page()

    # -- plain requests --------------------------------------------------------------------------------------

    async def answer(self, asked: Asked) -> Answer | Grant:
        """What a request is answered with, or what the websocket may do that it asks for. A checkpoint."""
        if not self._origins.has_host(asked.all("host")):
            return text(421, "this is not the server of that name")
        if asked.wants_websocket:
            return self._admit(asked)
        if asked.method not in ("GET", "HEAD"):
            return text(405, "GET and HEAD are all that is answered here", ("allow", "GET, HEAD"))
        if asked.path == "/healthz":
            return await self._healthz()
        if asked.path == "/metrics":
            return self._metrics(asked)
        if asked.path == SOCKET:
            return text(426, "this is a websocket", ("upgrade", "websocket"))
        file = self._page.get(asked.path)
        if file is None:
            return text(404, "there is nothing of that name")
        return self._saying_who(file.answer(asked.words("if-none-match"), self._socket_of(asked)))

    def _saying_who(self, answer: Answer) -> Answer:
        """The page is for everybody; its answer says whether the websocket takes a token, for which it asks then."""
        if self._access.of(()) is not None:
            return answer  # who shows nothing is let in
        return evolve(answer, headers=(*answer.headers, ("www-authenticate", "Bearer")))

    def _socket_of(self, asked: Asked) -> str:
        return f"{self._scheme}://{asked.one('host')}"

    async def _healthz(self) -> Answer:
        try:
            health = await self._runtime.store.health()
        except StoreError:
            return text(503, "the store is gone for now")
        if health.problems or self._runtime.stopping.is_set():
            return text(503, "something is wrong: ask for `health`, or run `terzetto doctor`")
        return text(200, "fine")

    def _metrics(self, asked: Asked) -> Answer:
        grant = self._access.of(asked.all("authorization"))
        if grant is None or "read" not in grant.scopes:
            return _unauthorized()
        numbers = {**numbers_of(self._runtime.statistics()), "console": self._counts()}
        return Answer(200, metrics(numbers), MEDIA_TYPE)

    def _admit(self, asked: Asked) -> Answer | Grant:
        """What a websocket may do, or why there will be none. Not a checkpoint."""
        if not self._origins.has_origin(asked.all("origin")):
            return text(403, "pages of that origin may not do this")
        if asked.path != SOCKET or asked.method != "GET":
            return text(404, f"the websocket is at {SOCKET}")
        if asked.words("upgrade") != ["websocket"] or "upgrade" not in asked.words("connection") or asked.rest:
            return text(400, "that is no handshake of a websocket")
        if asked.one("sec-websocket-version") != "13":
            return text(426, "version 13 of websockets is spoken here", ("sec-websocket-version", "13"))
        if not _is_key(asked.one("sec-websocket-key")):
            return text(400, f"a handshake needs a Sec-WebSocket-Key of {_KEY} bytes")
        if SUBPROTOCOL not in asked.protocols:
            return text(400, f"offer the subprotocol {SUBPROTOCOL}")
        return self._access.of(asked.all("authorization"), asked.protocols) or _unauthorized()


def _unauthorized() -> Answer:
    return text(401, "a token is needed", ("www-authenticate", "Bearer"))


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY
    except ValueError:
        return False
