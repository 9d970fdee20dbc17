"""Saying a command to the owner of a store, and telling a person what came of it."""

from argparse import Namespace

from msgspec import Struct

from terzetto_protocol.commands import Branching, Command, Decide, Fork, Rerun
from terzetto_protocol.decisions import name_of
from terzetto_protocol.receipts import (
    AlreadyResolved,
    CancelReceipt,
    DecisionTaken,
    DecisionWithdrawn,
    Deleted,
    Denied,
    PauseReceipt,
    Receipt,
    Resumed,
    Submitted,
    Truncated,
    Undone,
)
from terzetto_protocol.records import RunRow
from terzetto_protocol.sayings import count
from terzetto_protocol.statuses import RunStatus

from ..stores import Store
from ._exits import Exit, Stop
from ._output import Output
from ._stores import absolute, carrier_of, post, store_url
from ._words import typed


class Answered(Struct, frozen=True, omit_defaults=True):
    """The JSON document of the commands that are said to a run."""

    run_id: str
    command_id: str
    recorded: bool
    """True when nobody has answered yet: an owner will carry it out."""
    receipt: Receipt | None
    new_run_id: str = ""
    """The run that comes of it, where one does."""


async def say(args: Namespace, output: Output, store: Store, row: RunRow, command: Command) -> int:
    """Leave a command for the owner, wait for its receipt, and tell it. A checkpoint."""
    carrier = await carrier_of(store, store_url(args), row.run_id)
    is_heard = carrier != "" or store.lease is not None  # where many may own it, any of them hears of it
    receipt = await post(store, command, row.run_id, args.wait if is_heard else 0)
    new = command.new_id if isinstance(command, Branching) else ""
    output.document(Answered(row.run_id, command.command_id, receipt is None, receipt, new))
    if receipt is not None:
        return told(output, command, receipt)
    if not carrier:
        then = f": run {new} begins then" if new else _next(args, row)
        nobody = "no owner of the store has answered" if is_heard else "no process owns the store now"
        output.line(f"recorded: {nobody}, and the next one carries it out{then}", copied=True)
    else:
        what = "carries the run" if store.lease is not None else "owns the store"
        output.line(f"recorded: {carrier} {what} and did not answer in {args.wait:g} s; it will carry it out")
    return Exit.FINE


def _next(args: Namespace, row: RunRow) -> str:
    """What to type to be the next owner."""
    if row.header.graph == "audit" and row.run_id.startswith("audit-"):
        return " (the same `terzetto demo`)"
    return f" ({typed('resume', row.run_id, 'MODULE:GRAPH', '--store', absolute(store_url(args)))})"


def told(output: Output, command: Command, receipt: Receipt) -> int:
    """Say what the owner answered, and give the exit code."""
    if isinstance(receipt, Denied):
        raise Stop(receipt.reason)
    if isinstance(receipt, AlreadyResolved):
        said = f"{receipt.barrier} of run {receipt.run_id} was decided already: {winner(receipt)}"
        if isinstance(command, Decide) and name_of(command.decision) != receipt.decision:
            raise Stop(said)
        output.line(said)
    elif isinstance(receipt, CancelReceipt):
        output.line(_cancelled(receipt))
    else:
        output.line(_done(command, receipt), "yellow" if isinstance(receipt, PauseReceipt) else "green")
    return Exit.FINE


def winner(receipt: AlreadyResolved) -> str:
    """What was decided, and by whom."""
    return f"{receipt.decision} by {receipt.source or 'somebody'}"


def _cancelled(receipt: CancelReceipt) -> str:
    run_id = receipt.run_id
    if receipt.outcome == "already_terminal" and receipt.status is not RunStatus.CANCELLED:
        raise Stop(f"run {run_id!r} has ended {receipt.status} already")
    if receipt.outcome == "rolled_back":
        back = f"the end of run {receipt.head}" if receipt.head else "its beginning"
        return f"the thread of run {run_id} goes on from {back} again"
    if receipt.outcome == "unknown":
        raise Stop(f"no run {run_id!r} in this store")
    if receipt.outcome == "requested":
        return f"the cancel of run {run_id} is durable; its running steps are being stopped"
    return f"run {run_id} is cancelled"


def _done(command: Command, receipt: Receipt) -> str:
    run_id = receipt.run_id
    match receipt:
        case DecisionTaken(barrier=barrier):
            return f"{barrier} of run {run_id} is decided"
        case DecisionWithdrawn(count=0, barrier=barrier):
            return f"no decision was kept for {barrier} of run {run_id}"
        case DecisionWithdrawn(count=number, barrier=barrier):
            return f"{count(number, 'decision')} for {barrier} of run {run_id} withdrawn"
        case PauseReceipt(outcome="paused"):
            return f"run {run_id} is paused; `terzetto resume {run_id}` lets it go on"
        case PauseReceipt():
            return f"the pause of run {run_id} is durable; its running steps end and commit first"
        case Resumed():
            return f"run {run_id} goes on"
        case Undone(to=to):
            return f"run {run_id} goes on from commit {to}"
        case Truncated(count=number):
            return f"{count(number, 'commit')} of run {run_id} {'is' if number == 1 else 'are'} gone"
        case Deleted(count=number):
            return f"run {run_id} is deleted, with {count(number, 'commit')}"
        case Submitted(reused=reused):
            return _begun(command, run_id, "was there before, and" if reused else "")
        case _:
            return f"run {run_id}: done"


def _begun(command: Command, run_id: str, before: str) -> str:
    """A run that has come of another."""
    match command:
        case Fork(run_id=parent, at=at):
            how = f"goes on from commit {at} of {parent}"
        case Rerun(run_id=parent, place=place):
            how = f"begins at {place}, from {parent}"
        case _:
            how = f"tries {command.run_id} again"
    return " ".join(filter(None, (f"run {run_id}", before, how)))
