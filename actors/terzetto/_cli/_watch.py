"""`terzetto watch`: follow what a run commits, beside its owner."""

from argparse import Namespace
from collections.abc import Sequence

import trio

from terzetto_protocol.events import DurableEvent, RunEnded, told_by
from terzetto_protocol.fold import read_record
from terzetto_protocol.views import event_view

from ..stores import Store
from ._exits import Exit, exit_of
from ._follow import stamped
from ._output import Output
from ._stores import find_run, guest, store_url
from ._words import typed

POLL = 0.2
"""How often the store is looked at, seconds."""
PAGE = 500
"""Commits that are read at once."""


async def watch(args: Namespace, output: Output) -> int:
    """Show a run's durable events until it ends. A checkpoint.

    Token chunks and other passing events live in the owner's memory only, and are not seen from here.
    """
    last = args.from_event
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        last = min(last, row.event_id)
        try:
            while True:
                events = await _after(store, row.run_id, last)
                for event in events:
                    _show(output, event)
                    last = event.id
                    if isinstance(event, RunEnded):
                        return exit_of(event.status)
                if not events:
                    await trio.sleep(POLL)
        except KeyboardInterrupt:
            output.note(f"stopped watching; from here on: {typed('watch', row.run_id, '--from', str(last))}")
            return Exit.INTERRUPTED


async def _after(store: Store, run_id: str, last: int) -> Sequence[DurableEvent]:
    bodies = await store.records_by_event(run_id, after_event=last, limit=PAGE)
    events = [event for body in bodies for event in told_by(run_id, read_record(body))]
    return [event for event in events if event.id > last]


def _show(output: Output, event: DurableEvent) -> None:
    view = event_view(event)
    output.document(view)
    output.line(stamped(view))
