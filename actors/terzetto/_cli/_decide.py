"""`terzetto decide` and `withdraw`: what is said to the barriers of a run."""

from argparse import Namespace

from terzetto_protocol.commands import Decide, Withdraw
from terzetto_protocol.decisions import Approve, Choose, Confirm, Decision, Fail, Reject, Retry
from terzetto_protocol.receipts import AlreadyResolved
from terzetto_protocol.records import BarrierRow, RunRow
from terzetto_protocol.statuses import TERMINAL, BarrierStatus

from ._desk import person
from ._exits import Stop
from ._mutations import mutations_of
from ._output import Output
from ._remote import say_there
from ._saying import Answered, say, told
from ._stores import find_run, guest, new_command_id, store_url


async def decide(args: Namespace, output: Output) -> int:
    """Resolve a barrier, through the run's owner. A checkpoint."""
    decision = decision_of(args)
    if args.url:
        command = Decide(new_command_id(), args.run, args.barrier, decision, args.by or person())
        return await say_there(args, output, command)
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        barriers = await store.barriers(row.run_id, only_open=False)
        barrier = _meant(row, barriers, args.barrier)
        command = Decide(new_command_id(), row.run_id, barrier, decision, args.by or person())
        winner = _winner(barriers, barrier)
        if winner is not None:
            output.document(Answered(row.run_id, "", recorded=False, receipt=winner))
            return told(output, command, winner)
        return await say(args, output, store, row, command)


async def withdraw(args: Namespace, output: Output) -> int:
    """Forget decisions that are kept for a barrier, through the run's owner. A checkpoint."""
    if args.url:
        return await say_there(args, output, Withdraw(new_command_id(), args.run, args.barrier))
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        if row.status in TERMINAL:
            raise Stop(f"run {row.run_id!r} keeps no decision: it has ended {row.status}")
        return await say(args, output, store, row, Withdraw(new_command_id(), row.run_id, args.barrier))


def decision_of(args: Namespace) -> Decision:
    """The decision that the flags make; raises `Stop`."""
    made: list[Decision] = [
        *([Approve()] if args.approve else []),
        *([Reject(args.reject)] if args.reject is not None else []),
        *([Choose(args.choose)] if args.choose is not None else []),
        *([Confirm(mutations_of(args.confirm, "--confirm"))] if args.confirm is not None else []),
        *([Retry()] if args.retry else []),
        *([Fail(args.fail)] if args.fail is not None else []),
    ]
    if len(made) != 1:
        raise Stop("decide takes one of --approve, --reject, --choose EXIT, --confirm, --retry, --fail")
    return made[0]


def _meant(row: RunRow, barriers: list[BarrierRow], asked: str) -> str:
    """The barrier that is meant; raises `Stop` for what nobody could mean."""
    waiting = [each for each in barriers if each.status is BarrierStatus.OPEN]
    if asked:
        if any(asked in (each.barrier, each.name) for each in barriers):
            return asked
        known = ", ".join(each.barrier for each in waiting) or "none"
        raise Stop(f"run {row.run_id!r} has no barrier {asked!r}; open: {known} (the run is {row.status})")
    if len(waiting) > 1:
        raise Stop(f"run {row.run_id!r} has several open barriers, say which: {', '.join(b.barrier for b in waiting)}")
    if not waiting and row.status in TERMINAL:
        raise Stop(f"run {row.run_id!r} waits for no decision: it has ended {row.status}")
    return waiting[0].barrier if waiting else ""


def _winner(barriers: list[BarrierRow], asked: str) -> AlreadyResolved | None:
    """How the barrier that is meant was resolved, if none of its name is open any more."""
    meant = [each for each in barriers if asked in (each.barrier, each.name)]
    if not meant or any(each.status is BarrierStatus.OPEN for each in meant):
        return None
    last = meant[-1]
    if not last.decision:
        return AlreadyResolved(last.run_id, last.barrier, "none", "the end of the run")
    return AlreadyResolved(last.run_id, last.barrier, last.decision, last.source)
