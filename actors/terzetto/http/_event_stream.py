"""A run's events as a response that goes on for as long as the run does."""

from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from terzetto_protocol.errors import TerzettoError
from terzetto_protocol.sse import MEDIA_TYPE, sse_bodies

from .._subscription import Subscription
from ._problem import refusal


class EventStream(Response):
    """Sends what a subscription gives, as it comes; a client that is slow delays nobody else.

    What the client does not take in time is counted by a Gap. When the runtime closes, the store is gone or the run is
    deleted, the response ends as it is: the client comes again with its `Last-Event-ID`, and hears then what is wrong.
    """

    media_type = MEDIA_TYPE

    def __init__(self, events: Subscription) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events: Final = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it. A checkpoint; cancelled, it lets go of the subscription."""
        begun = False
        try:
            async with self._events as events:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                begun = True
                async for batch in events.batches():
                    for piece in sse_bodies(batch):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TerzettoError as error:
            if not begun:
                await refusal(error)(scope, receive, send)
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
