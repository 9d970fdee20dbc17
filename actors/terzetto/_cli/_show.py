"""`terzetto show`: one run, whole, from what is stored of it."""

import time
from argparse import Namespace
from typing import Any

import msgspec
from msgspec import Struct

from terzetto_protocol.errors import CommitPruned
from terzetto_protocol.sayings import count, event_note, observed, short, span
from terzetto_protocol.statuses import TERMINAL
from terzetto_protocol.views import BarrierView, CommitView, RunView, run_view

from .._history import commits_of
from ._commit_words import names_of, what
from ._exits import Exit
from ._output import Output
from ._remote import commit_there, run_there
from ._states import state_at
from ._stores import absolute, find_run, guest, store_url
from ._words import STYLES, clock, typed

LINES: int = 20
"""Commits that a person is shown unless `--commits` says otherwise."""


class At(Struct, frozen=True):
    """The JSON document of `show --at`."""

    run_id: str
    seq: int
    commit: CommitView
    state: Any


async def show(args: Namespace, output: Output) -> int:
    """Show a run, or what it was at a commit. A checkpoint."""
    if args.at is not None:
        return await _show_at(args, output)
    last = args.commits if args.commits is not None else None if args.json else LINES
    last = last if last is None or last >= 0 else None
    view = await (run_there(args, last) if args.url else _view(args, last))
    output.document(view)
    _head(output, view)
    for barrier in view.open_barriers:
        where = ("--url", args.url) if args.url else ("--store", absolute(store_url(args)))
        _barrier(output, view, barrier, where)
    _failure(output, view)
    _commits(output, view)
    if view.state is not None:
        as_of = "" if view.state_seq == view.seq else f" (as of commit {view.state_seq})"
        output.line(f"state{as_of} {short(view.state)}")
    return Exit.FINE


async def _view(args: Namespace, last: int | None) -> RunView:
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        bodies = await store.records(row.run_id)
        barriers = await store.barriers(row.run_id)
        snapshot = await store.snapshot(row.run_id)
        found = None if row.first == 1 else await store.snapshot(row.run_id, at=row.first)
    begin = found[1] if found is not None else None
    return run_view(row, bodies, barriers, snapshot, last=last, begin=begin)


async def _show_at(args: Namespace, output: Output) -> int:
    commit, state = await (commit_there(args) if args.url else _commit_at(args))
    output.document(At(args.run, args.at, commit, state))
    output.line(f"run {args.run} as of commit {args.at}: {commit.status}", STYLES[commit.status])
    output.line(f"{clock(commit.at)}  {what(commit)}{f' ({names_of(commit)})' if commit.mutations else ''}")
    output.line(msgspec.json.format(msgspec.json.encode(state)).decode(), copied=True)
    return Exit.FINE


async def _commit_at(args: Namespace) -> tuple[CommitView, object]:
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        state = await state_at(store, row, args.at, args.graph)
        commits = await commits_of(store, row, limit=1, before=args.at + 1)
        if not commits or commits[0].seq != args.at:  # it was pruned at this very moment
            raise CommitPruned(row.run_id, args.at, (await find_run(store, row.run_id)).first)
    return commits[0], state


def _head(output: Output, view: RunView) -> None:
    output.line(f"run {view.run_id} {view.status}", STYLES[view.status])
    ended = "ended" if view.status in TERMINAL else "updated"
    times = f"submitted {clock(view.submitted)}, {ended} {clock(view.updated)}"
    now = f" (now {view.migrated})" if view.migrated else ""
    output.line(f"graph {view.graph} {view.version}{now}, {count(view.seq, 'commit')}, epoch {view.epoch}, {times}")
    if view.parent:
        output.line(f"from {view.parent}")
    if view.thread:
        began = f"from the end of run {view.base}" if view.base else "from the beginning"
        output.line(f"thread {view.thread}, {'waits for its turn' if view.base is None else began}")
    for name, value in view.metadata.items():
        output.line(f"{name} {value}")


def _barrier(output: Output, view: RunView, barrier: BarrierView, where: tuple[str, str]) -> None:
    by_itself = "" if barrier.deadline is None else f", decides by itself in {span(barrier.deadline - time.time())}"
    output.line(f"{barrier.barrier} open since {clock(barrier.opened)}{by_itself}", "yellow")
    if barrier.payload is not None:
        output.line(f"  {short(barrier.payload)}")
    flag = "--retry" if barrier.reconcile else "--approve"
    output.line(f"  {typed('decide', view.run_id, barrier.barrier, flag, *where)}", copied=True)


def _failure(output: Output, view: RunView) -> None:
    if view.failure is not None:
        output.line(f"{view.failure.code}: {view.failure.message}", "red")
        for frame in view.failure.trace:
            output.line(f"  {frame}", "dim")
    elif view.message:
        output.line(view.message)
    for visit in view.unknown:
        output.line(f"nobody knows whether the effect of {visit} happened", "yellow")
    for error in view.observed:
        output.line(observed(error.level, f"{error.node}@{error.visit}", error.message), "yellow")
    if view.unlisted:
        output.line(f"and {count(view.unlisted, 'more error')} that ended nothing", "yellow")


def _commits(output: Output, view: RunView) -> None:
    if not view.commits:
        return
    output.line()
    if view.first > 1:
        output.line(f"... commits before {view.first} were pruned", "dim")
    hidden = view.seq - view.first + 1 - len(view.commits)
    if hidden > 0:
        output.line(f"... {count(hidden, 'earlier commit')} (--commits all)", "dim")
    cells = [_cells(commit) for commit in view.commits]
    output.table(("SEQ", "AT", "EPOCH", "COMMIT", "MUTATIONS", "EVENTS"), cells)
    output.line()


def _cells(commit: CommitView) -> tuple[str, str, str, str, str, str]:
    node = f"{commit.path}/{commit.place}" if commit.path else commit.place
    visit = f" {node}@{commit.visit}" if commit.visit else ""
    outcome = f" {commit.outcome}" if commit.outcome else ""
    events = ", ".join(map(event_note, commit.events))
    return (
        str(commit.seq),
        clock(commit.at),
        str(commit.epoch),
        f"{commit.kind}{visit}{outcome}",
        names_of(commit),
        events,
    )
