"""`terzetto decide`, `cancel` and `resume`: what is said to a run that another process may own."""

from argparse import Namespace
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, Struct

from terzetto_protocol.codec import check_json, pack
from terzetto_protocol.commands import Cancel, Command, Decide, Resume
from terzetto_protocol.decisions import Approve, Choose, Confirm, Decision, Fail, Recorded, Reject, Retry, name_of
from terzetto_protocol.errors import IllegalTransition
from terzetto_protocol.graph import unbind
from terzetto_protocol.receipts import AlreadyResolved, CancelReceipt, DecisionTaken, Denied, Receipt, Resumed
from terzetto_protocol.records import BarrierRow, RunRow
from terzetto_protocol.statuses import TERMINAL, BarrierStatus, RunStatus

from .._handles import Run
from .._runtime import Runtime
from ..stores import Store
from ._desk import person
from ._exits import Exit, Stop
from ._graphs import find_graph
from ._output import Output
from ._run import again, carry
from ._stores import absolute, find_run, guest, new_command_id, owner_of, post, store_url
from ._words import typed


class Answered(Struct, frozen=True):
    """The JSON document of `decide`, `cancel` and `resume`."""

    run_id: str
    command_id: str
    recorded: bool
    """True when nobody has answered yet: an owner will carry it out."""
    receipt: Receipt | None


async def decide(args: Namespace, output: Output) -> int:
    """Resolve a barrier, through the run's owner. A checkpoint."""
    decision = decision_of(args)
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        barriers = await store.barriers(row.run_id, only_open=False)
        barrier = _meant(row, barriers, args.barrier)
        command = Decide(new_command_id(), row.run_id, barrier, decision, args.by or person())
        winner = _winner(barriers, barrier)
        if winner is not None:
            output.document(Answered(row.run_id, "", recorded=False, receipt=winner))
            return _told(output, command, winner)
        return await _say(args, output, store, row, command)


def decision_of(args: Namespace) -> Decision:
    """The decision that the flags make; raises `Stop`."""
    made: list[Decision] = [
        *([Approve()] if args.approve else []),
        *([Reject(args.reject)] if args.reject is not None else []),
        *([Choose(args.choose)] if args.choose is not None else []),
        *([_confirm(args.confirm)] if args.confirm is not None else []),
        *([Retry()] if args.retry else []),
        *([Fail(args.fail)] if args.fail is not None else []),
    ]
    if len(made) != 1:
        raise Stop("decide takes one of --approve, --reject, --choose EXIT, --confirm, --retry, --fail")
    return made[0]


class _Mutation(Struct, forbid_unknown_fields=True):
    name: str
    data: Any


def _confirm(given: str) -> Confirm:
    """`[{"name": "Published", "data": {}}]`, as `show --json` has them; empty for none."""
    text = (given or "[]").encode("utf-8", "surrogateescape")
    check_json(text, "--confirm")
    try:
        mutations = msgspec.json.decode(text, type=list[_Mutation])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Stop(f'--confirm takes a list like [{{"name": "Published", "data": {{}}}}]: {error}') from error
    return Confirm(tuple(Recorded(each.name, Raw(pack(each.data, each.name))) for each in mutations))


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
    return AlreadyResolved(last.run_id, last.barrier, last.decision or "none", last.source or "the end of the run")


async def cancel(args: Namespace, output: Output) -> int:
    """End a run, through its owner. A checkpoint."""
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        if row.status in TERMINAL and row.status is not RunStatus.CANCELLED:
            raise Stop(f"run {row.run_id!r} has ended {row.status} already")
        command = Cancel(new_command_id(), row.run_id, args.reason)
        return await _say(args, output, store, row, command)


async def resume(args: Namespace, output: Output) -> int:
    """Let a paused run go on; with a graph, and without an owner, carry it here. A checkpoint."""
    url = store_url(args)
    async with guest(url) as store:
        row = await find_run(store, args.run)
        if not args.graph or owner_of(url) is not None:
            return await _resume_there(args, output, store, row)
    return await _resume_here(args, output, row)


async def _resume_there(args: Namespace, output: Output, store: Store, row: RunRow) -> int:
    url = store_url(args)
    if row.status is RunStatus.PAUSED:
        return await _say(args, output, store, row, Resume(new_command_id(), row.run_id))
    if row.status in TERMINAL:
        raise Stop(f"run {row.run_id!r} has ended {row.status}: nothing of it can go on")
    if (owner := owner_of(url)) is not None:
        output.line(f"run {row.run_id} is {row.status}: process {owner} owns the store (`terzetto watch {row.run_id}`)")
        output.document(Answered(row.run_id, "", recorded=False, receipt=None))
        return Exit.FINE
    command = typed("resume", row.run_id, "MODULE:GRAPH", "--store", absolute(url))
    raise Stop(f"run {row.run_id!r} is {row.status} and no process owns the store: say its graph, {command}")


async def _resume_here(args: Namespace, output: Output, row: RunRow) -> int:
    found = find_graph(args.graph)
    name = unbind(found).graph.name
    if name != row.header.graph:
        raise Stop(f"run {row.run_id!r} is of graph {row.header.graph!r}, and {args.graph} is graph {name!r}")

    async def begin(runtime: Runtime) -> tuple[Run[Any], int | None]:
        run, after = runtime.get(row.run_id), again(output, row)
        if await run.status() is RunStatus.PAUSED:
            with suppress(IllegalTransition):  # a resume that was recorded before is carried out in this very moment
                await run.resume()
        return run, after

    return await carry(args, output, found, begin)


async def _say(args: Namespace, output: Output, store: Store, row: RunRow, command: Command) -> int:
    owner = owner_of(store_url(args))
    receipt = await post(store, command, row.run_id, args.wait if owner is not None else 0)
    output.document(Answered(row.run_id, command.command_id, receipt is None, receipt))
    if receipt is not None:
        return _told(output, command, receipt)
    if owner is None:
        output.line(f"recorded: no process owns the store now, and the next one carries it out{_next(args, row)}")
    else:
        output.line(
            f"recorded: process {owner} owns the store and did not answer in {args.wait:g} s; it will carry it out"
        )
    return Exit.FINE


def _next(args: Namespace, row: RunRow) -> str:
    """What to type to be the next owner."""
    if row.header.graph == "audit" and row.run_id.startswith("audit-"):
        return " (the same `terzetto demo`)"
    return f" ({typed('resume', row.run_id, 'MODULE:GRAPH', '--store', absolute(store_url(args)))})"


def _told(output: Output, command: Command, receipt: Receipt) -> int:
    """Say what the owner answered, and give the exit code."""
    run_id = receipt.run_id
    match receipt:
        case Denied(reason=reason):
            raise Stop(reason)
        case DecisionTaken(barrier=barrier):
            output.line(f"{barrier} of run {run_id} is decided", "green")
        case AlreadyResolved(barrier=barrier, decision=decision, source=source):
            said = f"{barrier} of run {run_id} was decided already: {decision} by {source or 'somebody'}"
            if isinstance(command, Decide) and name_of(command.decision) != decision:
                raise Stop(said)
            output.line(said)
        case CancelReceipt(outcome="already_terminal", status=status) if status is not RunStatus.CANCELLED:
            raise Stop(f"run {run_id!r} has ended {status} already")
        case CancelReceipt(outcome="unknown"):
            raise Stop(f"no run {run_id!r} in this store")
        case CancelReceipt(outcome="requested"):
            output.line(f"the cancel of run {run_id} is durable; its running steps are being stopped")
        case CancelReceipt():
            output.line(f"run {run_id} is cancelled")
        case Resumed():
            output.line(f"run {run_id} goes on", "green")
        case _:
            output.line(f"run {run_id}: done")
    return Exit.FINE
