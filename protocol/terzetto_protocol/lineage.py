"""Runs that were made from each other, as a tree: forks, retries, reruns, and where each was taken back by an undo."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from .records import Record, Rewind, RunRow
from .statuses import RunStatus


class Turning(Struct, frozen=True, forbid_unknown_fields=True):
    """An undo: what follows this commit goes on from an earlier one."""

    seq: int
    to: int
    at: float
    """UNIX time, seconds."""


class Kin(Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the tree."""

    run_id: str
    parent: str
    """The run that it was made from, which may have been deleted; empty for none."""
    parent_seq: int
    """The commit from which it goes on; 0 for none."""
    graph: str
    version: str
    status: RunStatus
    submitted: float
    """UNIX time, seconds."""
    first: int
    """The first commit from which all are left."""
    seq: int
    """The last commit."""
    undone: tuple[Turning, ...] = ()


def parent_of(row: RunRow) -> tuple[str, int]:
    """The run that another was made from and the commit; an empty text and 0 for none."""
    run_id, _, seq = row.header.parent.rpartition("@")
    return (run_id, int(seq)) if run_id and seq.isdecimal() else (row.header.parent, 0)


def family(run_id: str, rows: Iterable[RunRow]) -> list[RunRow]:
    """What a run was made from and all that was made from any of these, oldest first; nothing without the run itself.

    Args:
        run_id: the run.
        rows: all runs of the store, in any order.
    """
    known = {row.run_id: row for row in rows}
    if run_id not in known:
        return []
    children: dict[str, list[str]] = {}
    for row in known.values():
        children.setdefault(parent_of(row)[0], []).append(row.run_id)
    found = dict.fromkeys([_root(run_id, known)])
    for each in (line := list(found)):  # which grows meanwhile
        new = [child for child in children.get(each, ()) if child not in found]
        found.update(dict.fromkeys(new))
        line += new
    return sorted((known[each] for each in found if each in known), key=lambda row: (row.header.at, row.run_id))


def _root(run_id: str, known: Mapping[str, RunRow]) -> str:
    """The oldest ancestor, or the deleted run that it was made from: others may have been, too."""
    seen = {run_id}
    while run_id in known and (parent := parent_of(known[run_id])[0]) and parent not in seen:
        seen.add(parent)
        run_id = parent
    return run_id


def turnings(records: Iterable[Record]) -> tuple[Turning, ...]:
    """Every undo of a run, in order."""
    return tuple(Turning(each.seq, each.detail.to, each.at) for each in records if isinstance(each.detail, Rewind))


def kin_of(row: RunRow, undone: Sequence[Turning] = ()) -> Kin:
    """A run as the tree shows it."""
    parent, seq = parent_of(row)
    header = row.header
    return Kin(
        run_id=row.run_id,
        parent=parent,
        parent_seq=seq,
        graph=header.graph,
        version=header.version,
        status=row.status,
        submitted=header.at,
        first=row.first,
        seq=row.seq,
        undone=tuple(undone),
    )
