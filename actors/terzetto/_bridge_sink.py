"""What runs tell, handed on to a stream bridge that somebody else keeps."""

from itertools import count
from typing import Final, final

import trio

from terzetto_protocol.backoff import backoff
from terzetto_protocol.bridged import data_of, kind_of, name_of
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.events import BarrierOpened, Event, RunEnded, RunPaused

from ._stream_bridge import StreamBridge

TRIES: Final = 5
"""How often an end is published before it is given up."""


def check_bridge(bridge: object) -> StreamBridge:
    """Return the bridge; raises `InvalidRequest` for what is none."""
    if not isinstance(bridge, StreamBridge):
        raise InvalidRequest(f"stream_bridge={bridge!r:.80}: give an object whose class is a terzetto.StreamBridge")
    return bridge


@final
class BridgeSink:
    """A `StreamSink` that publishes each event, marks what awaits input, and publishes the end as what it is.

    A run waits for it as little as for any sink. The end is tried `TRIES` times, for a second one changes
    nothing; any other event that the bridge does not take is counted, and gone.
    """

    def __init__(self, bridge: StreamBridge) -> None:
        self._bridge: Final = bridge

    async def emit(self, event: Event, /) -> None:
        """Publish an event. A checkpoint."""
        run_id = event.run_id
        if isinstance(event, RunEnded):
            await self._end(event)
            return
        await self._bridge.publish(run_id, name_of(event), data_of(event))
        if isinstance(event, BarrierOpened | RunPaused):
            await self._bridge.mark_awaiting_input(run_id)

    async def _end(self, event: RunEnded) -> None:
        for failures in count(1):
            try:
                await self._bridge.publish_terminal(event.run_id, kind_of(event), data_of(event))
            except Exception:
                if failures == TRIES:
                    raise
                await trio.sleep(backoff(failures))
            else:
                return
