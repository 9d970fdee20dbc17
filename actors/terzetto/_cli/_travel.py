"""`terzetto diff` and `replay`: what changed from one commit to another, and whether the log still holds."""

from argparse import Namespace

import trio
from msgspec import Struct

from terzetto_protocol.difference import Change, difference, lines
from terzetto_protocol.errors import Refused
from terzetto_protocol.records import RunRow
from terzetto_protocol.sayings import count

from .._history import Past, Replay
from ._exits import Exit, Stop
from ._output import Output
from ._progress import progress
from ._states import check_seq, past_of, state_at
from ._stores import find_run, guest, store_url


class Differs(Struct, frozen=True):
    """The JSON document of `diff`."""

    run_id: str
    before: int
    after: int
    changes: tuple[Change, ...]


class Replayed(Struct, frozen=True):
    """The JSON document of `replay`."""

    run_id: str
    holds: bool
    commits: int
    checked: int
    broken: tuple[int, ...]


async def diff(args: Namespace, output: Output) -> int:
    """Tell what changed in the state. A checkpoint."""
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        before, after = check_seq(row, args.before), check_seq(row, row.seq if args.after is None else args.after)
        one, other = [await state_at(store, row, seq, args.graph) for seq in (before, after)]
    changes = difference(one, other)
    output.document(Differs(row.run_id, before, after, changes))
    for line in lines(changes):
        output.line(line)
    if not changes:
        output.line(f"nothing changed from commit {before} to {after}")
    return Exit.FINE


async def replay(args: Namespace, output: Output) -> int:
    """Fold the whole log anew; `FAILED` where it comes to something else than what is stored. A checkpoint."""
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        found = await _replayed(past_of(store, row, args.graph), row, output)
    output.document(Replayed(found.run_id, found.holds, found.commits, found.checked, found.broken))
    checked = count(found.checked, "snapshot")
    if found.holds:
        output.line(f"the log of run {row.run_id} holds: {count(found.commits, 'commit')}, {checked} compared", "green")
        return Exit.FINE
    broken = ", ".join(map(str, found.broken))
    output.line(f"the log of run {row.run_id} does not hold: another state is stored at commit {broken}", "red")
    return Exit.FAILED


async def _replayed(past: Past, row: RunRow, output: Output) -> Replay:
    shown = progress(output, "commits")

    def tell(seq: int) -> None:
        if seq < row.seq:  # a short log is not worth a line
            shown.update(seq, row.seq, "")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown.run)
        try:
            found = await past.replay(tell)
        except Refused as error:
            reason = error.__cause__ or error  # what reading it raised, without how a run is told
            raise Stop(f"the log of run {row.run_id!r} does not hold: {reason}", Exit.FAILED) from error
        finally:
            shown.finish()
            nursery.cancel_scope.cancel(reason="the log is replayed")
    return found
