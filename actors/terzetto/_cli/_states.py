"""States of a run as they were: made by its graph's code, or read where they are stored."""

from collections.abc import Sequence
from typing import Any

from terzetto_protocol.codec import readable
from terzetto_protocol.errors import CommitPruned
from terzetto_protocol.graph import unbind
from terzetto_protocol.image import read_snapshot
from terzetto_protocol.records import RunRow
from terzetto_protocol.views import plain

from .._history import Past
from ..stores import Store
from ._exits import Stop
from ._graphs import graph_of, spec_for


def past_of(store: Store, row: RunRow, spec: str) -> Past:
    """A run's past, by its graph's code; raises `Stop` where nobody has said where that is."""
    named = spec_for(spec, row)
    if not named:
        raise Stop(f"run {row.run_id!r} is of graph {row.header.graph!r}: say where that is, --graph MODULE:GRAPH")
    return Past(store, row, unbind(graph_of(named, row)).graph.build())


def check_seq(row: RunRow, seq: int) -> int:
    """A commit that the run has; raises `Stop` for another."""
    if not 1 <= seq <= row.seq:
        raise Stop(f"run {row.run_id!r} has commits 1 to {row.seq}, and no {seq}")
    return seq


async def state_at(store: Store, row: RunRow, seq: int, spec: str) -> Any:
    """The state as of a commit, as plain data; where it is stored its code is not asked. A checkpoint."""
    found = await store.snapshot(row.run_id, at=check_seq(row, seq))
    is_stored = found is not None and found[0] == seq
    if not spec and found is not None and is_stored:
        return plain(readable(read_snapshot(found[1]).state))
    if seq < row.first and not is_stored:  # whose code would not help
        raise CommitPruned(row.run_id, seq, row.first)
    (state,) = await states(store, row, range(seq, seq + 1), spec)
    return state


async def states(store: Store, row: RunRow, commits: range, spec: str) -> Sequence[Any]:
    """The states as of these commits, as plain data. A checkpoint."""
    made = await past_of(store, row, spec).states(commits[0], commits[-1])
    return [plain(state) for state in made]
