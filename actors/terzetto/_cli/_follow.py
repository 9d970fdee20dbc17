"""Carrying one run from the terminal: its events, its questions, its end."""

from collections.abc import Callable, Sequence
from typing import Any

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
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.views import BarrierView, barrier_view, event_view, plain

from .._runtime import Run, Runtime
from ._desk import Desk
from ._output import Output
from ._words import clock, event_line


@define
class Follower:
    """Follows one run that this process owns, and has its barriers seen to."""

    runtime: Runtime
    run: Run[Any]
    desk: Desk
    saw: Callable[[Sequence[StreamItem]], None]
    """Shows items; must not wait."""
    _asked: dict[str, trio.CancelScope] = field(factory=dict[str, trio.CancelScope])
    _unattended: dict[str, BarrierView] = field(factory=dict[str, BarrierView])

    async def to_rest(self, *, after: int | None) -> RunStatus:
        """Wait until the run ends, pauses, or waits for a decision that nobody here will make. A checkpoint.

        Args:
            after: the last event that was shown already; None for all.
        """
        async with trio.open_nursery() as nursery:
            async with self.run.events(last_event_id=after) as events:
                # Asked for after the subscription began: what is resolved from here on is told by an event.
                for row in await self.run.barriers():
                    await self._open(nursery, barrier_view(row))
                rest = RunStatus.PAUSED if await self.run.status() is RunStatus.PAUSED else await self._parked()
                while rest is None:
                    batch = await events.take()
                    if not batch:  # its last event was seen before
                        rest = await self.run.status()
                        break
                    self.saw(batch)
                    rest = await self._take(nursery, batch) or await self._parked()
            nursery.cancel_scope.cancel(reason="the run is at rest")
        return rest

    async def _take(self, nursery: trio.Nursery, batch: Sequence[StreamItem]) -> RunStatus | None:
        for item in batch:
            match item:
                case BarrierOpened():
                    payload = plain(payload_of(item))
                    view = BarrierView(item.barrier, item.name, item.at, item.deadline, payload, item.reconcile)
                    await self._open(nursery, view)
                case BarrierResolved(barrier=barrier):
                    self._close(barrier)
                case RunPaused():
                    return RunStatus.PAUSED
                case RunEnded(status=status):
                    return status
                case _:
                    pass
        return None

    async def _open(self, nursery: trio.Nursery, barrier: BarrierView) -> None:
        if barrier.barrier in self._asked:
            return
        self._asked[barrier.barrier] = await nursery.start(self.desk.serve, self.run, barrier)
        if not self.desk.attends(barrier):
            self._unattended[barrier.barrier] = barrier

    def _close(self, barrier: str) -> None:
        self._unattended.pop(barrier, None)
        scope = self._asked.pop(barrier, None)
        if scope is not None:
            scope.cancel(reason="the barrier was resolved")

    async def _parked(self) -> RunStatus | None:
        """AWAITING_INPUT when nothing goes on and nobody has decided or will do it here, else None. A checkpoint."""
        if not self._unattended:
            return None
        # A decision that was recorded before this process owned the store is carried out, or denied, first.
        while self.runtime.store.shared and await self.runtime.store.posted(limit=1):  # noqa: ASYNC110 - nobody tells
            await trio.sleep(INBOX_POLL)
        return RunStatus.AWAITING_INPUT if await self.run.status() is RunStatus.AWAITING_INPUT else None


@define
class EventPrinter:
    """Shows events as they come: a line each for people, an object each for machines."""

    output: Output

    def __call__(self, items: Sequence[StreamItem]) -> None:
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
