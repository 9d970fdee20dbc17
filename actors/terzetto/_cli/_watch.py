"""`terzetto watch`: follow what a run commits, beside its owner."""

import signal
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence

import trio

from terzetto_protocol.events import DurableEvent, RunEnded, told_by
from terzetto_protocol.image import read_record
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL
from terzetto_protocol.views import event_view

from ..stores import Store
from ._exits import Exit, Stop, exit_of
from ._follow import stamped
from ._output import Output
from ._remote import RemoteWatcher, reached
from ._stores import find_run, guest, store_url
from ._words import typed

POLL = 0.2
"""How often the store is looked at, seconds."""
PAGE = 500
"""Commits that are read at once."""


async def watch(args: Namespace, output: Output) -> int:
    """Show a run's durable events until it ends, or a signal does. A checkpoint.

    Token chunks and other passing events live in the owner's memory only, and are not seen from here.
    """
    if args.url:
        async with reached(args) as console:
            there = RemoteWatcher(console, args.run, args.from_event, output)
            await _until_left(there)
        return _left(args.run, there, output, "--url", args.url)
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        if row.first > 1 and args.from_event < await _first_left(store, row):
            output.note(f"commits before {row.first} were pruned, and what they told with them")
        watcher = _Watcher(store, row.run_id, min(args.from_event, row.event_id), output)
        await _until_left(watcher)
    return _left(row.run_id, watcher, output)


async def _until_left(watcher: "_Watcher | RemoteWatcher") -> None:
    """Show events until the run ends, or a signal comes. A checkpoint."""
    # A KeyboardInterrupt may come anywhere, also in the middle of a call of the store; a signal that is
    # received comes to a task, which cancels the others where that is safe.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_leave, signals, nursery.cancel_scope)
            await watcher.follow()
            nursery.cancel_scope.cancel(reason="the run has ended")


def _left(run_id: str, watcher: "_Watcher | RemoteWatcher", output: Output, *where: str) -> int:
    if watcher.code is not None:
        return watcher.code
    again = typed("watch", run_id, "--from", str(watcher.last), *where)
    output.note(f"stopped watching; from here on: {again}")
    return Exit.INTERRUPTED


async def _first_left(store: Store, row: RunRow) -> int:
    """The first event that is left, but for commits that stand alone. A checkpoint."""
    left = [read_record(body) for body in await store.records(row.run_id, after=row.first - 1, limit=1)]
    return left[0].event_id if left else 0


async def _leave(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel(reason="a signal")


class _Watcher:
    """Reads what was committed after the last event that was shown."""

    def __init__(self, store: Store, run_id: str, last: int, output: Output) -> None:
        self._store, self._run_id, self._output = store, run_id, output
        self.last = last
        self.code: int | None = None
        """Exit code, once the run has ended."""

    async def follow(self) -> None:
        """Show events until the run's last one. A checkpoint; cancelled, `last` is the last one that was shown."""
        while self.code is None:
            events = await _after(self._store, self._run_id, self.last)
            for event in events:
                show_event(self._output, event)
                self.last = event.id
                if isinstance(event, RunEnded):
                    self.code = exit_of(event.status)
            if not events:
                await self._look()
                if self.code is None:
                    await trio.sleep(POLL)

    async def _look(self) -> None:
        """Find out whether no event will come; raises `Stop` when the run was deleted. A checkpoint."""
        row = await self._store.run(self._run_id)
        if row is None:
            raise Stop(f"run {self._run_id!r} was deleted meanwhile")
        if row.status in TERMINAL and row.event_id <= self.last:  # its end was seen before
            self.code = exit_of(row.status)


async def _after(store: Store, run_id: str, last: int) -> Sequence[DurableEvent]:
    bodies = await store.records_by_event(run_id, after_event=last, limit=PAGE)
    events = [event for body in bodies for event in told_by(run_id, read_record(body))]
    return [event for event in events if event.id > last]


def show_event(output: Output, event: DurableEvent) -> None:
    """One event as a line, or as a JSON document."""
    view = event_view(event)
    output.document(view)
    output.line(stamped(view))
