"""`terzetto run` and the owning half of `terzetto resume`: carry a run in this process."""

import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import trio
from msgspec import Struct

from terzetto_protocol.codec import readable
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.graph import unbind
from terzetto_protocol.ids import check_run_id
from terzetto_protocol.limits import INBOX_POLL
from terzetto_protocol.records import Failure, ObservedError, RunRow
from terzetto_protocol.sayings import count, short
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.views import plain

from .._handles import Run
from .._results import Result
from .._runtime import Runtime
from ..stores import Store
from ._arguments import RECEIPT_WAIT
from ._desk import Desk, present_payload
from ._exits import Exit, exit_of
from ._follow import EventPrinter, Follower
from ._graphs import Found, find_graph
from ._mutations import mutations_of
from ._output import Output
from ._owner import owning
from ._stores import absolute, store_url
from ._words import STYLES, typed

Begin: TypeAlias = Callable[[Runtime], Awaitable[tuple[Run[Any], int | None]]]
"""Gives the run to follow, and the event to go on after (None: show all)."""


class Ended(Struct, frozen=True, tag="Result"):
    """The last JSON line of a run that ended."""

    run_id: str
    status: RunStatus
    code: str
    message: str
    failure: Failure | None
    unknown: tuple[str, ...]
    observed: tuple[ObservedError, ...]
    unlisted: int
    state: Any


async def run(args: Namespace, output: Output) -> int:
    """Submit a run and carry it until it rests; the same id and input again goes on. A checkpoint."""
    found = find_graph(args.graph)
    graph = unbind(found).graph
    if args.run_id is not None:
        check_run_id(args.run_id)
    given = "{}" if args.input is None and args.thread is None else args.input
    state = None if given is None else graph.from_json(read_input(given))
    record = [graph.build().vocabulary.revive(each) for each in mutations_of(args.record, "--record")]
    run_id = args.run_id or (None if args.key else f"{graph.name}-{uuid4().hex[:8]}")

    async def begin(runtime: Runtime) -> tuple[Run[Any], int | None]:
        if args.thread is not None:
            await _after_what_was_recorded(runtime.store)
        run: Run[Any] = await runtime.submit(
            graph,
            state,
            run_id=run_id,
            key=args.key,
            auto_approve=args.auto_approve,
            thread=args.thread,
            busy=args.busy,
            record=record,
        )
        row = await runtime.row(run.run_id)
        if run.reused:
            return run, again(output, row)
        on = f" on thread {args.thread}{', where it waits for its turn' if row.header.line else ''}"
        output.line(f"run {run.run_id} of graph {graph.name}{on if args.thread else ''}")
        return run, None

    return await carry(args, output, args.graph, found, begin)


async def _after_what_was_recorded(store: Store) -> None:
    """Wait until the owner has answered what was left for it, a rollback of the thread say. A checkpoint."""
    with trio.move_on_after(RECEIPT_WAIT):
        while await store.posted(limit=1):  # noqa: ASYNC110 - the store is the only one that knows
            await trio.sleep(INBOX_POLL)


def again(output: Output, row: RunRow) -> int:
    """Say that the run was there before; the last event that it had told by then."""
    goes_on = f"and has ended {row.status}" if row.status in TERMINAL else "and goes on"
    output.line(f"run {row.run_id} was there before ({count(row.seq, 'commit')}) {goes_on}")
    return row.event_id


async def carry(args: Namespace, output: Output, spec: str, found: Found, begin: Begin) -> int:
    """Own the store, begin, follow the run to its rest, and say what it came to. A checkpoint.

    Args:
        args: its `stay` and `store` are asked.
        output: where to say it.
        spec: MODULE:GRAPH, for the commands that are shown.
        found: the graph that it names.
        begin: begins, or finds, the run.
    """
    graph, store = unbind(found).graph, absolute(store_url(args))
    desk = Desk(output, store, exits_of(graph), present_payload(output), stay=args.stay)
    run_id = ""

    async def body(runtime: Runtime) -> RunStatus:
        nonlocal run_id
        run, after = await begin(runtime)
        run_id = run.run_id
        desk.auto = (await runtime.row(run_id)).header.auto_approve
        rest = await Follower(runtime, run, desk, EventPrinter(output)).to_rest(after=after)
        if rest in TERMINAL:
            _tell_end(output, graph, await run.result())
        return rest

    rest = await owning(store, [found], output, body)
    again = typed("resume", run_id, spec, "--store", store)
    if rest is None:
        output.note(f"run {run_id} is interrupted, nothing is lost; go on: {again}" if run_id else "interrupted")
        return Exit.INTERRUPTED
    if rest not in TERMINAL:
        waits = "is paused; go on" if rest is RunStatus.PAUSED else "waits; once it is decided, go on"
        output.line(f"run {run_id} {waits}: {again}", STYLES[rest], copied=True)
    return exit_of(rest)


def exits_of(graph: Declaration[Any, Any]) -> Callable[[str], Sequence[str]]:
    """The exits of a graph's barriers by name; those of most barriers for a name that it does not have."""

    def exits(name: str) -> Sequence[str]:
        barrier = graph.build().barrier(name)
        return ("approved", "rejected") if barrier is None else tuple(barrier.exits)

    return exits


def _tell_end(output: Output, graph: Declaration[Any, Any], result: Result[Any]) -> None:
    state = plain(readable(graph.build().state.pack(result.state)))
    if output.json_mode:
        said = (result.run_id, result.status, result.code, result.message, result.failure, result.unknown)
        output.document(Ended(*said, result.observed, result.unlisted, state))
        return
    why = ": ".join(filter(None, (result.code, result.message)))
    output.line(f"run {result.run_id} {result.status}{': ' if why else ''}{why}", STYLES[result.status])
    for frame in result.failure.trace if result.failure is not None else ():
        output.line(f"  {frame}", "dim")
    for visit in result.unknown:
        output.line(f"  nobody knows whether the effect of {visit} happened", "yellow")
    if result.observed:
        number = len(result.observed) + result.unlisted
        output.line(
            f"  {count(number, 'error')} on the way ended nothing: {typed('show', result.run_id)}",
            "yellow",
            copied=True,
        )
    output.line(f"state {short(state)}")


def read_input(given: str) -> bytes:
    """The JSON that `--input` names: itself, `@FILE`, or `@-` for standard input. Raises `OSError`."""
    if given == "@-":
        return sys.stdin.buffer.read()
    return Path(given[1:]).read_bytes() if given.startswith("@") else given.encode("utf-8", "surrogateescape")
