"""A server in front of a runtime, and a client that says exactly what a test wants, over a real socket."""

import json
import ssl
from collections.abc import Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

import h11
import trio
from attrs import Factory, define, field

import terzetto.http

LIMIT = 20.0
"""Seconds of real time that a test may take."""


@define
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@define
class Item:
    """One server-sent event, or a comment."""

    event: str = ""
    id: str = ""
    data: Any = None
    comment: str = ""


@define
class Client:
    """One connection."""

    stream: Any
    host: str
    headers: Mapping[str, str] = Factory(dict)
    state: h11.Connection = field(factory=lambda: h11.Connection(h11.CLIENT))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Say one request; a body that is not bytes is sent as JSON, and a header of None not at all."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        said = {"host": self.host, "content-length": str(len(data)), **self.headers}
        if body is not None:
            said["content-type"] = "application/json"
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [(name, value) for name, value in said.items() if value is not None]
        out = self.state.send(h11.Request(method=method, target=path, headers=lines))
        out += self.state.send(h11.Data(data=data)) + self.state.send(h11.EndOfMessage())
        await self.stream.send_all(out)

    async def _next(self) -> Any:
        while (event := self.state.next_event()) is h11.NEED_DATA:
            self.state.receive_data(await self.stream.receive_some(65536))
        return event

    async def begin(self) -> Answer:
        """The head of the answer."""
        event = await self._next()
        assert isinstance(event, h11.Response), event
        return Answer(event.status_code, {n.decode(): v.decode() for n, v in event.headers}, b"")

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Say one request and hear the whole answer."""
        await self.send(method, path, body, **headers)
        answer = await self.begin()
        while isinstance(event := await self._next(), h11.Data):
            answer.body += bytes(event.data)
        if self.state.our_state is self.state.their_state is h11.DONE:
            self.state.start_next_cycle()
        return answer

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.ask("POST", path, {} if body is None else body, **headers)

    def items(self) -> "Items":
        """What a stream of events says, until it ends."""
        return Items(self)

    async def more(self) -> bytes | None:
        """The next bytes of the answer; None after the last ones."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else None


@define
class Items:
    """No generator: whoever stops in the middle leaves nothing to be closed."""

    client: Client
    rest: bytes = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while b"\n\n" not in self.rest:
            more = await self.client.more()
            if more is None:
                raise StopAsyncIteration
            self.rest += more
        block, _, self.rest = self.rest.partition(b"\n\n")
        return parsed(block.decode())


def parsed(block: str) -> Item:
    item = Item()
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        if name == "":
            item.comment = value
        else:
            setattr(item, name, json.loads(value) if name == "data" else value)
    return item


@define
class Served:
    """A server that listens."""

    runtime: terzetto.Runtime
    tls: ssl.SSLContext | None = None
    urls: list[str] = Factory(list)
    scope: trio.CancelScope = Factory(trio.CancelScope)
    left: trio.Event = Factory(trio.Event)

    async def run(self, options: Mapping[str, Any], *, task_status: trio.TaskStatus[None]) -> None:
        """Listen until the scope is cancelled."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                self.urls = await nursery.start(partial(terzetto.http.serve, self.runtime, **{"port": 0, **options}))
                task_status.started()
        self.left.set()

    @property
    def port(self) -> int:
        return int(self.urls[0].rpartition(":")[2])

    async def connect(self, address: str = "127.0.0.1", *, buffer: int = 0, **headers: str) -> Client:
        """A new connection; `buffer` is how many bytes wait in it for a reader."""
        sock = trio.socket.socket(trio.socket.AF_INET6 if ":" in address else trio.socket.AF_INET)
        if buffer:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffer)
        await sock.connect((address, self.port))
        stream: Any = trio.SocketStream(sock)
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_hostname="localhost", https_compatible=True)
        literal = f"[{address}]" if ":" in address else address
        return Client(stream, f"{literal}:{self.port}", headers)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        async with await self.connect() as client:
            return await client.ask(method, path, body, **headers)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.ask("POST", path, {} if body is None else body, **headers)

    async def events(self, path: str, until: str = "", **headers: str) -> list[Item]:
        """What a stream says, up to the first event of a name or to its end."""
        said = []
        async with await self.connect() as client:
            await client.send("GET", path, **headers)
            assert (await client.begin()).status == 200
            async for item in client.items():
                said.append(item)
                if item.event == until:
                    break
        return said


@asynccontextmanager
async def serving(
    *graphs: Any,
    store: Any = "memory:",
    tls_client: ssl.SSLContext | None = None,
    opened: Mapping[str, Any] | None = None,
    **options: Any,
):
    """A runtime, a server in front of it, and at most `LIMIT` seconds for both."""
    with trio.fail_after(LIMIT):
        async with terzetto.open_runtime(store, graphs=[*graphs], **(opened or {})) as runtime:
            async with trio.open_nursery() as nursery:
                served = Served(runtime, tls_client)
                await nursery.start(served.run, options)
                yield served
                served.scope.cancel()
