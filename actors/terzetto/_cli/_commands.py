"""`terzetto cancel`, `pause` and `resume`: what is said to a run that another process may own."""

from argparse import Namespace
from contextlib import suppress
from typing import Any, Literal

from terzetto_protocol.commands import Cancel, Pause, Resume
from terzetto_protocol.errors import IllegalTransition
from terzetto_protocol.receipts import PauseReceipt
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .._handles import Run
from .._runtime import Runtime
from ..stores import Store
from ._exits import Exit, Stop
from ._graphs import graph_of
from ._output import Output
from ._remote import say_there
from ._run import again, carry
from ._saying import Answered, say, told
from ._stores import absolute, carrier_of, find_run, guest, new_command_id, store_url
from ._words import typed


async def cancel(args: Namespace, output: Output) -> int:
    """End a run, through its owner. A checkpoint."""
    mode: Literal["stop", "rollback"] = "rollback" if args.rollback else "stop"
    if args.url:
        command = Cancel(new_command_id(), args.run, args.reason, mode, args.repeat_effects)
        return await say_there(args, output, command)
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        if row.status in TERMINAL and row.status is not RunStatus.CANCELLED and not args.rollback:
            raise Stop(f"run {row.run_id!r} has ended {row.status} already")
        command = Cancel(new_command_id(), row.run_id, args.reason, mode, args.repeat_effects)
        return await say(args, output, store, row, command)


async def pause(args: Namespace, output: Output) -> int:
    """Stop a run at its next commit, through its owner. A checkpoint."""
    if args.url:
        return await say_there(args, output, Pause(new_command_id(), args.run))
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        if row.status in TERMINAL:
            raise Stop(f"run {row.run_id!r} has ended {row.status} already")
        command = Pause(new_command_id(), row.run_id)
        if row.status is RunStatus.PAUSED:
            receipt = PauseReceipt(row.run_id, "paused", store.durable)
            output.document(Answered(row.run_id, "", recorded=False, receipt=receipt))
            return told(output, command, receipt)
        return await say(args, output, store, row, command)


async def resume(args: Namespace, output: Output) -> int:
    """Let a paused run go on; with a graph, and without an owner, carry it here. A checkpoint."""
    if args.url and args.graph:
        raise Stop("with --url the server carries the run: leave MODULE:GRAPH out")
    if args.url:
        return await say_there(args, output, Resume(new_command_id(), args.run))
    url = store_url(args)
    async with guest(url) as store:
        row = await find_run(store, args.run)
        if not args.graph or await carrier_of(store, url, row.run_id):
            return await _resume_there(args, output, store, row)
    return await _resume_here(args, output, row)


async def _resume_there(args: Namespace, output: Output, store: Store, row: RunRow) -> int:
    url = store_url(args)
    if row.status is RunStatus.PAUSED:
        return await say(args, output, store, row, Resume(new_command_id(), row.run_id))
    if row.status in TERMINAL:
        raise Stop(f"run {row.run_id!r} has ended {row.status}: nothing of it can go on")
    if carrier := await carrier_of(store, url, row.run_id):
        what = "owns the store" if store.lease is None else "carries it"
        output.line(f"run {row.run_id} is {row.status}: {carrier} {what} (`terzetto watch {row.run_id}`)")
        output.document(Answered(row.run_id, "", recorded=False, receipt=None))
        return Exit.FINE
    command = typed("resume", row.run_id, "MODULE:GRAPH", "--store", absolute(url))
    raise Stop(f"run {row.run_id!r} is {row.status} and no process owns the store: say its graph, {command}")


async def _resume_here(args: Namespace, output: Output, row: RunRow) -> int:
    found = graph_of(args.graph, row)

    async def begin(runtime: Runtime) -> tuple[Run[Any], int | None]:
        run, after = runtime.get(row.run_id), again(output, row)
        if await run.status() is RunStatus.PAUSED:
            with suppress(IllegalTransition):  # a resume that was recorded before is carried out in this very moment
                await run.resume()
        return run, after

    return await carry(args, output, args.graph, found, begin)
