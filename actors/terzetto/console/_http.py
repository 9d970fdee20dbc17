"""One HTTP request of a connection, read within its limits, and one answer to it."""

from collections.abc import Mapping
from typing import Final

import h11
import trio
from attrs import frozen

from terzetto_protocol.limits import SERVER_HEAD

_PIECE: Final = 4096
_ALWAYS: Final = (
    ("cache-control", "no-store"),
    ("connection", "close"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)
_REASONS: Final[Mapping[int, str]] = {
    200: "OK",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    421: "Misdirected Request",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@frozen
class Asked:
    """The head of a request."""

    method: str
    path: str
    """Without its query."""
    headers: Mapping[str, list[str]]
    """By names in small letters."""
    raw: bytes
    """The head as it came."""
    rest: bytes
    """What came behind it."""

    def all(self, name: str) -> list[str]:
        """Every header of this name, in order."""
        return self.headers.get(name, [])

    def one(self, name: str) -> str:
        """The header of this name; empty for none, or for several."""
        found = self.all(name)
        return found[0] if len(found) == 1 else ""

    def words(self, name: str) -> list[str]:
        """What all headers of this name list, in small letters."""
        return [word.strip().lower() for value in self.all(name) for word in value.split(",")]

    @property
    def protocols(self) -> list[str]:
        """The subprotocols that it offers."""
        return [word.strip() for value in self.all("sec-websocket-protocol") for word in value.split(",")]

    @property
    def wants_websocket(self) -> bool:
        """Whether it asks for another protocol than HTTP."""
        return "upgrade" in self.words("connection") or bool(self.all("upgrade"))


@frozen
class Answer:
    """What a request is answered with."""

    status: int
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    def encoded(self, *, bodiless: bool = False) -> bytes:
        """The whole answer as bytes; it is the last of its connection."""
        length = [] if self.status == 304 else [("content-length", str(len(self.body)))]
        given = {name for name, _ in self.headers}
        usual = [each for each in _ALWAYS if each[0] not in given]
        headers = [("content-type", self.media_type), *length, *usual, *self.headers]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        data = f"HTTP/1.1 {self.status} {_REASONS[self.status]}\r\n{head}\r\n".encode("ascii")
        return data if bodiless else data + self.body


class Unreadable(Exception):
    """What has come is no request that is read here; it is to be answered with `answer`."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.status)


def text(status: int, sentence: str, *headers: tuple[str, str]) -> Answer:
    """An answer for people."""
    return Answer(status, f"{sentence}\n".encode(), headers=headers)


async def read_request(stream: trio.abc.ReceiveStream) -> Asked | None:
    """The head of the one request of a connection; None when the client went away. A checkpoint.

    Raises `Unreadable` for what is no request, is too large, or has a body.
    """
    reading, raw = h11.Connection(h11.SERVER, max_incomplete_event_size=SERVER_HEAD), b""
    while True:
        try:
            event = reading.next_event()
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            raise Unreadable(text(status if status in _REASONS else 400, "that is no request")) from error
        if isinstance(event, h11.Request):
            rest = reading.trailing_data[0]
            return _asked(event, raw[: len(raw) - len(rest)], rest)
        if event is not h11.NEED_DATA:
            return None
        data = bytes(await stream.receive_some(_PIECE))
        raw += data
        reading.receive_data(data)


def _asked(request: h11.Request, raw: bytes, rest: bytes) -> Asked:
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
    if "transfer-encoding" in headers or headers.get("content-length", ["0"]) != ["0"]:
        raise Unreadable(text(413, "a request has no body here"))
    path = request.target.decode("ascii", "replace").partition("?")[0]
    return Asked(request.method.decode("ascii"), path, headers, raw, rest)
