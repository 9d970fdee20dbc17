"""One request and its answer, so that neither a body that nobody reads nor a client that leaves holds anything up."""

from typing import Final

import trio
from starlette.types import Message, Receive, Send

LINGER: Final = 1.0
"""Seconds for which the rest of a body is taken after the answer: closed before, the client might not read it."""
Header = tuple[bytes, bytes]


class Exchange:
    """Hands on what comes and what is sent.

    Hypercorn puts what comes into a queue, and the task that reads the connection waits for room in it: who answers
    without having read the body would wait for it, too. So from the beginning of the answer on the rest is taken here,
    and a client that leaves cancels what is left of its answer.

    Args:
        receive: what comes.
        send: where the answer goes.
        headers: what every answer has.
        nursery: that of this request alone.
    """

    def __init__(self, receive: Receive, send: Send, headers: list[Header], nursery: trio.Nursery) -> None:
        self._receive: Final = receive
        self._send: Final = send
        self._headers: Final = headers
        self._nursery: Final = nursery
        self._all_came: Final = trio.Event()
        self._is_answered = False

    async def receive(self) -> Message:
        """What comes next. A checkpoint."""
        message = await self._receive()
        if not message.get("more_body", False):
            self._all_came.set()
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer. A checkpoint."""
        if message["type"] == "http.response.start":
            self._nursery.start_soon(self._drain)
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        elif not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            with trio.move_on_after(LINGER):
                await self._all_came.wait()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
            self._is_answered = True
        await self._send(message)

    async def _drain(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        if not self._is_answered:  # else this is said while hypercorn closes the connection, which it has to end
            self._nursery.cancel_scope.cancel(reason="the client has left")
