"""Carrying one run from the terminal: its events, its questions, its end."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import trio
from attrs import define, field

from terzetto_protocol.events import (
    BarrierOpened,
    BarrierResolved,
    Cursor,
    Heartbeat,
    RunEnded,
    RunPaused,
    StreamItem,
    TextChunk,
    payload_of,
)
from terzetto_protocol.limits import INBOX_POLL
from terzetto_protocol.sayings import event_line
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.views import BarrierView, barrier_view, event_view, plain

from .._handles import Run
from .._hub import Subscription
from .._runtime import Runtime
from ._desk import Desk
from ._output import Output
from ._words import clock

_INBOX_WAIT: Final = 5.0
"""Seconds that recorded commands get before their run counts as waiting."""


@define
class Follower:
    """Follows one run that this process owns, and has its barriers seen to."""

    runtime: Runtime
    run: Run[Any]
    desk: Desk
    saw: Callable[[Sequence[StreamItem]], Awaitable[None]]
    """Shows items; what it waits for delays this command's view of the run, and not the run."""
    _seen: int = 0
    _may_rest: bool = True
    _asked: dict[str, trio.CancelScope] = field(factory=dict[str, trio.CancelScope])
    _unattended: dict[str, BarrierView] = field(factory=dict[str, BarrierView])

    async def to_rest(self, *, after: int | None) -> RunStatus:
        """Wait until the run ends, pauses, or waits for a decision that nobody here will make. A checkpoint.

        Args:
            after: the last event that was shown already; None for all.
        """
        self._seen = after or 0
        async with trio.open_nursery() as nursery:
            async with self.run.events(last_event_id=after) as events:
                await self._hear_inbox()
                # Read after the subscription began: whatever is resolved from here on is told by an event.
                goal, waiting = await self._told(), await self.run.barriers()
                await self._catch_up(nursery, events, goal)
                for row in waiting:
                    if row.barrier not in self._asked:
                        self._open(nursery, barrier_view(row))
                while (rest := await self._at_rest()) is None and (batch := await events.take()):
                    await self._take(nursery, batch)
                await self._catch_up(nursery, events, await self._told())
            nursery.cancel_scope.cancel(reason="the run is at rest")
        return rest or await self.run.status()

    async def _told(self) -> int:
        return (await self.runtime.row(self.run.run_id)).event_id

    async def _catch_up(self, nursery: trio.Nursery, events: Subscription, goal: int) -> None:
        """Take everything up to the event `goal`, which was told already."""
        while self._seen < goal and (batch := await events.take()):
            await self._take(nursery, batch)

    async def _hear_inbox(self) -> None:
        """Let what was recorded before this process owned the store be carried out, or denied. A checkpoint."""
        store = self.runtime.store
        with trio.move_on_after(_INBOX_WAIT):
            while await store.posted(limit=1):  # noqa: ASYNC110 - nobody tells; a store without guests has none
                await trio.sleep(INBOX_POLL)

    async def _take(self, nursery: trio.Nursery, batch: Sequence[StreamItem]) -> None:
        await self.saw(batch)
        for item in batch:
            match item:
                case BarrierOpened():
                    payload = plain(payload_of(item))
                    view = BarrierView(item.barrier, item.name, item.at, item.deadline, payload, item.reconcile)
                    self._open(nursery, view)
                case BarrierResolved(barrier=barrier):
                    self._close(barrier)
                case RunPaused() | RunEnded():
                    self._may_rest = True
                case _:
                    pass
        self._seen = max([self._seen, *(getattr(item, "id", 0) for item in batch)])

    def _open(self, nursery: trio.Nursery, barrier: BarrierView) -> None:
        scope = self._asked.get(barrier.barrier)
        if scope is not None and not scope.cancel_called:
            return
        scope = self._asked[barrier.barrier] = trio.CancelScope()
        nursery.start_soon(self.desk.serve, self.run, barrier, scope)
        if not self.desk.attends(barrier):
            self._unattended[barrier.barrier] = barrier

    def _close(self, barrier: str) -> None:
        self._unattended.pop(barrier, None)
        self._asked.setdefault(barrier, trio.CancelScope()).cancel(reason="the barrier was resolved")

    async def _at_rest(self) -> RunStatus | None:
        """The status in which nothing goes on and nobody here will change that, or None. A checkpoint."""
        if not self._may_rest and not self._unattended:
            return None
        self._may_rest, status = False, await self.run.status()
        if status is not RunStatus.AWAITING_INPUT or not self._unattended:
            return status if status in TERMINAL or status is RunStatus.PAUSED else None
        await self._hear_inbox()
        return status if await self.run.status() is status else None


@define
class EventPrinter:
    """Shows events as they come: a line each for people, an object each for machines."""

    output: Output

    async def __call__(self, items: Sequence[StreamItem]) -> None:
        """Show them; no checkpoint."""
        self.show(items)

    def show(self, items: Sequence[StreamItem]) -> None:
        """Show them; not a checkpoint."""
        for item in items:
            # What a barrier asks is shown when it is asked, and how a run ended with its state.
            if not isinstance(item, Cursor | Heartbeat) and (
                self.output.json_mode or not isinstance(item, BarrierOpened | RunEnded)
            ):
                self._show(item)

    def _show(self, item: StreamItem) -> None:
        if self.output.json_mode:
            self.output.document(event_view(item))
        elif isinstance(item, TextChunk):
            self.output.piece(item.text)
        else:
            self.output.line(stamped(event_view(item)), "dim" if not getattr(item, "durable", True) else "")


def stamped(event: dict[str, Any]) -> str:
    """An event in words, with the time where it has one."""
    return f"{clock(event['at'])}  {event_line(event)}" if "at" in event else event_line(event)
