"""What every stream bridge promises, whoever wrote it; the bridge kit of `terzetto.testing` holds it to that."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

import trio

from terzetto_protocol.bridge import JSONValue, StreamEvent
from terzetto_protocol.limits import HEARTBEAT, SHUTDOWN_DEADLINE
from terzetto_protocol.statuses import StreamStatus

BRIDGE: Final = "the stream bridge"
"""What errors call it."""


class StreamBridge(ABC):
    """Carries what runs tell from whoever tells it to whoever reads it, and never lets the one wait for the other.

    Each run has one stream. Its terminal event (`end`, `cancel` or `error`) is a real event, which can be read again;
    there is exactly one, it is always kept, and it is last. `close` ends the bridge, and is no end of a run.

    `async with bridge:` is `start` and `close`. Methods notice a cancel, and let others run. Everything raises
    `ActorStopped` once the bridge is closed.
    """

    async def __aenter__(self) -> Self:
        """Start. A checkpoint."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close, within `SHUTDOWN_DEADLINE` seconds, also when cancelled."""
        with trio.move_on_after(SHUTDOWN_DEADLINE, shield=True):
            await self.close()

    @abstractmethod
    async def publish(self, run_id: str, event: str, data: JSONValue) -> str:
        """Append an event to the run's stream, which begins with it if there is none, and return its id.

        No reader is waited for. Cancelled, it may have been published.

        Args:
            run_id: whose stream.
            event: what it is about; names like `__this__` are refused.
            data: what JSON has; readers get what it was at this moment.

        Raises:
            IllegalTransition: the stream has ended.
            InvalidRequest: this is no name of an event.
            NotStorable: the data is not what JSON has.
        """

    @abstractmethod
    async def publish_end(self, run_id: str) -> str:
        """End the stream, as `publish_terminal` with ENDED."""

    @abstractmethod
    async def publish_terminal(self, run_id: str, kind: StreamStatus, data: JSONValue = None) -> str:
        """End the stream by its terminal event and return the id of that; one that has ended keeps its first.

        Raises:
            InvalidRequest: a stream does not end so.
        """

    @abstractmethod
    def subscribe(
        self, run_id: str, *, last_event_id: str | None = None, heartbeat_interval: float = HEARTBEAT
    ) -> AsyncIterator[StreamEvent]:
        """Read a stream: every event after `last_event_id`, those that are there and then those that come.

        The first item says how the cursor was resolved (`resume_of` reads it), the last one is the terminal event.
        Whoever has seen that one gets `END_SENTINEL`; whoever reads a stream that is cleaned up before its end,
        `CANCELLED_SENTINEL`. What is missing is counted: by the first item, or by a `__gap__`. Not a checkpoint.

        Args:
            run_id: whose stream.
            last_event_id: id of the last event that was seen; None, or an empty text, for all that are there.
            heartbeat_interval: seconds without an event after which `HEARTBEAT_SENTINEL` comes.

        Iterating raises:
            UnknownRun: there is no such stream, and none was made.
            ActorStopped: the bridge is closed, and all that was there was given.
        """

    @abstractmethod
    async def cleanup(self, run_id: str, *, delay: float = 0) -> None:
        """Forget a stream after so many seconds; its readers get what is there. Cancelled meanwhile, it stays."""

    async def cancel(self, run_id: str) -> None:
        """End the stream as cancelled, and tell its readers."""
        await self.publish_terminal(run_id, StreamStatus.CANCELLED)

    async def mark_awaiting_input(self, run_id: str) -> None:  # noqa: B027 - a bridge may have nothing to mark
        """Say that the run waits for people, until it publishes something; by default nothing is said."""

    async def start(self) -> None:  # noqa: B027 - a bridge may have nothing to start
        """Begin what the bridge needs."""

    async def close(self) -> None:  # noqa: B027 - a bridge may have nothing to release
        """Release what the bridge has, once: readers get what is there, and then `ActorStopped`."""
