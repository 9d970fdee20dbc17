"""A way to a server that a test can cut: a proxy that forwards bytes, and stops when it is told to."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import trio

_READY = b"Z\0\0\0\5I"
"""How Postgres ends an answer when nothing is under way any more: what was asked is committed."""
_PREPARED = b"1\0\0\0\4" + _READY
"""What it answers to a statement that was prepared, and not executed yet."""


class Way:
    """Connections through it live until they are cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self.cut_answers = False
        """Whether the next answer to something that was done is lost, and with it every connection."""
        self.lost = 0
        """How many answers were lost."""
        self._open = list[trio.SocketStream]()
        self._silent = set[trio.SocketStream]()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self._target)
        self._open += [near, far]
        async with near, far:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._forward, near, far)
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._answer(far, near)
                nursery.cancel_scope.cancel()

    async def _forward(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in near:
                await far.send_all(data)

    async def _answer(self, far: trio.SocketStream, near: trio.SocketStream) -> None:
        async for data in far:
            if near in self._silent:
                continue
            if self.cut_answers and data.endswith(_READY) and data != _PREPARED:
                self.cut_answers, self.lost = False, self.lost + 1
                self.cut()
                return
            await near.send_all(data)

    def silence(self) -> None:
        """Lose every answer on the connections that there are, and end none of them; new ones are made as usual."""
        self._silent.update(self._open)

    def cut(self) -> None:
        """End every connection, and let new ones be made."""
        for stream in self._open:
            stream.socket.close()
        self._open.clear()


@asynccontextmanager
async def way_to(port: int) -> AsyncGenerator[Way]:
    """A way to a port of this machine."""
    way = Way(port)
    async with trio.open_nursery() as nursery:
        await nursery.start(way.serve)
        yield way
        nursery.cancel_scope.cancel()
