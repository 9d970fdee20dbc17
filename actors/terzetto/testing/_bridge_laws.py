"""What laws about stream bridges are written with: a book to enter them in, and readers."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeAlias, runtime_checkable

import trio

from terzetto_protocol.bridge import GAP_EVENT, HEARTBEAT_SENTINEL, RESUME_EVENT, ResumeResult, StreamEvent, resume_of
from terzetto_protocol.errors import UnknownRun

from .._stream_bridge import StreamBridge
from ._store_laws import name_of

BridgeOpener: TypeAlias = Callable[[], StreamBridge]
"""Makes a bridge that is not started yet, and has no streams."""
BridgeLaw: TypeAlias = Callable[[BridgeOpener], Awaitable[None]]
"""Checks one promise on a new bridge; raises `AssertionError` when it is broken."""

SILENCE: Final = 0.2
"""Seconds without an event after which the laws ask for a heartbeat."""
FLOOD: Final = 2000
"""Events that a bridge need not keep."""


class BridgeBook:
    """Laws in the order in which they were entered, by a decorator."""

    def __init__(self) -> None:
        self.laws: list[BridgeLaw] = []

    def law(self, check: Callable[[StreamBridge], Awaitable[None]]) -> BridgeLaw:
        """Enter a law that needs one bridge, which is started."""

        async def with_bridge(opener: BridgeOpener) -> None:
            async with opener() as bridge:
                await check(bridge)

        with_bridge.__name__, with_bridge.__doc__ = name_of(check), check.__doc__
        self.laws.append(with_bridge)
        return with_bridge


async def everything(bridge: StreamBridge, run_id: str = "r", last_event_id: str | None = None) -> list[StreamEvent]:
    """Every item of a stream that has ended, or ends. A checkpoint."""
    return [item async for item in bridge.subscribe(run_id, last_event_id=last_event_id)]


async def told(bridge: StreamBridge, run_id: str = "r", last_event_id: str | None = None) -> list[str]:
    """The names of all events of a stream that has ended, heartbeats, gaps and the first word left out."""
    return names(await everything(bridge, run_id, last_event_id))


def names(items: Sequence[StreamEvent]) -> list[str]:
    """What the events among these items are about, and the sentinels."""
    passed = {RESUME_EVENT, GAP_EVENT, HEARTBEAT_SENTINEL.event}
    return [item.event for item in items if item.event not in passed]


def resumed_as(items: Sequence[StreamEvent]) -> ResumeResult:
    """What the first item says; raises `AssertionError` where it says nothing."""
    found = resume_of(items[0]) if items else None
    if found is None:
        raise AssertionError(f"the first item says how the cursor was resolved\n  found {items[:1]!r}")
    return found


def gone(items: Sequence[StreamEvent]) -> int:
    """How many events the gaps among these items say are gone; raises `AssertionError` where one does not say it."""
    count = 0
    for item in items:
        if item.event == GAP_EVENT:
            missed = item.data.get("missed") if isinstance(item.data, dict) else None
            if not isinstance(missed, int):
                raise AssertionError(f"inside a stream every gap says how much is gone\n  found {item!r}")
            count += missed
    return count


@asynccontextmanager
async def reading(events: AsyncIterator[StreamEvent]) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
    """A subscription that is closed afterwards, if it can be: one that was written as a generator has to be."""
    try:
        yield events
    finally:
        if isinstance(events, _Closable):
            with trio.move_on_after(SILENCE, shield=True):
                await events.aclose()


@runtime_checkable
class _Closable(Protocol):
    async def aclose(self) -> None: ...


async def is_unknown(bridge: StreamBridge, run_id: str) -> bool:
    """Whether a bridge says that it knows of no such run. A checkpoint."""
    async with reading(bridge.subscribe(run_id)) as events:
        try:
            await anext(events)
        except UnknownRun as error:
            return error.run_id == run_id
    return False


async def some(events: AsyncIterator[StreamEvent], count: int) -> list[StreamEvent]:
    """The next so many items. A checkpoint."""
    return [await anext(events) for _ in range(count)]


async def settled() -> None:
    """Let whoever waits go on. A checkpoint."""
    await trio.sleep(SILENCE / 10)
