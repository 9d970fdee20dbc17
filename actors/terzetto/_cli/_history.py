"""`terzetto history`: what a run has committed, newest first."""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from terzetto_protocol.records import RunRow
from terzetto_protocol.sayings import short
from terzetto_protocol.views import CommitView

from .._history import commits_of
from ..stores import Store
from ._commit_words import names_of, what
from ._exits import Exit
from ._output import Output
from ._states import state_at, states
from ._stores import find_run, guest, store_url
from ._words import STYLES, clock, typed

_HEAD: Final = ("SEQ", "AT", "WHAT", "STATUS", "MUTATIONS", "STATE")


async def history(args: Namespace, output: Output) -> int:
    """List commits. A checkpoint."""
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        commits = await commits_of(store, row, limit=args.limit, before=args.before)
        made = await _states(args, store, row, commits) if args.state and commits else None
    output.document({"run_id": row.run_id, "commits": _documents(commits, made)})
    if not commits:
        output.line("no such commits")
        return Exit.FINE
    cells = [_cells(commit) for commit in commits]
    if made is not None:
        cells = [[*each, short(state)] for each, state in zip(cells, made, strict=True)]
    output.table(_HEAD[: len(cells[0])], cells, {**STYLES})
    if commits[-1].seq > 1 and len(commits) == args.limit:
        output.line(
            f"(older ones: {typed('history', row.run_id, '--before', str(commits[-1].seq))})", "dim", copied=True
        )
    return Exit.FINE


async def _states(args: Namespace, store: Store, row: RunRow, commits: Sequence[CommitView]) -> Sequence[Any]:
    """The states as of these commits, in their order."""
    if commits[0].seq - commits[-1].seq >= len(commits):  # some stand alone, for the log was pruned around them
        return [await state_at(store, row, commit.seq, args.graph) for commit in commits]
    made = await states(store, row, range(commits[-1].seq, commits[0].seq + 1), args.graph)
    return made[::-1]


def _documents(commits: Sequence[CommitView], made: Sequence[Any] | None) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = [msgspec.to_builtins(commit) for commit in commits]
    if made is None:
        return documents
    return [{**document, "state": state} for document, state in zip(documents, made, strict=True)]


def _cells(commit: CommitView) -> list[str]:
    return [str(commit.seq), clock(commit.at), what(commit), commit.status, names_of(commit)]
