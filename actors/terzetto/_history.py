"""A run's past: its commits, the state at any of them, what changed between two, and whether the log still holds."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from attrs import frozen

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.codec import readable
from terzetto_protocol.difference import Change, difference
from terzetto_protocol.errors import CommitPruned, InvalidRequest, Refused, UnknownRun
from terzetto_protocol.fold import Fold
from terzetto_protocol.image import Snapshot, read_record, read_snapshot
from terzetto_protocol.packing import upcast
from terzetto_protocol.records import Record, RunHeader, RunRow
from terzetto_protocol.shown import Shown
from terzetto_protocol.travel import as_was, holds, repeats, undone
from terzetto_protocol.upcasting import upcast_all
from terzetto_protocol.views import CommitView, commit_view

from ._loading import check_fits, load_fold, reading
from .stores._contract import Store

_PAGE: Final = 512
"""Commits that are read at once."""


@frozen
class Replay:
    """What came of folding a run's whole log anew."""

    run_id: str
    commits: int
    """Commits that were folded, the first of them as its snapshot has it."""
    checked: int
    """Snapshots that were compared with what the log made by then."""
    broken: tuple[int, ...] = ()
    """Commits whose snapshot is not what the log makes."""
    first: int = 1
    """The commit with which it began; 1 unless the log was pruned."""

    @property
    def holds(self) -> bool:
        """Whether every snapshot is what the log makes."""
        return not self.broken


class Past:
    """The stored past of one run."""

    def __init__(self, store: Store, row: RunRow, blueprint: Blueprint[Any]) -> None:
        self._store: Final = store
        self._row: Final = row
        self.blueprint: Final = blueprint

    @property
    def seq(self) -> int:
        """The newest commit of this past."""
        return self._row.seq

    async def commits(self, *, limit: int | None, before: int | None) -> list[CommitView]:
        """Commits that are left, newest first; `limit` 0 means none, None all. A checkpoint."""
        return await commits_of(self._store, self._row, limit=limit, before=before)

    async def _records(self, after: int, limit: int | None = None) -> list[Record]:
        return await _records(self._store, self._row.run_id, after, limit)

    async def state(self, at: int | None) -> Any:
        """A copy of the state as of a commit; the newest by default. A checkpoint; raises `InvalidRequest`."""
        return (await self.fold(at)).state

    async def fold(self, at: int | None) -> Fold[Any]:
        """The run as of a commit. A checkpoint.

        Raises:
            InvalidRequest: it has no such commit.
            CommitPruned: the commit is not there any more.
        """
        if at is not None and not 1 <= at <= self._row.seq:
            raise InvalidRequest(f"run {self._row.run_id!r} has commits 1 to {self._row.seq}, and no {at}")
        return await load_fold(self._store, self._row, self.blueprint, at=at)

    async def difference(self, before: int, after: int | None) -> tuple[Change, ...]:
        """What changed in the state from one commit to another. A checkpoint; raises `InvalidRequest`."""
        one, other = await self.fold(before), await self.fold(after)
        return difference(_plain(one), _plain(other))

    async def states(self, first: int, last: int) -> list[Any]:
        """The states as of these commits and all between, as plain data. A checkpoint; raises `InvalidRequest`."""
        fold = await self.fold(first)
        states = [_plain(fold)]
        for record in await self._page(first, last - first) if last > first else ():
            self._replay(fold, record)
            states.append(_plain(fold))
        return states

    async def progress(self, *, carried: bool) -> dict[str, Shown]:
        """What has happened at each place of the graph. A checkpoint.

        Args:
            carried: whether somebody runs it now.
        """
        begin, records = await left_of(self._store, self._row)
        return progress_of(self.blueprint, self._row.header, begin, records, carried=carried)

    async def before(self, count: int, *, repeat_effects: bool) -> tuple[int, Snapshot]:
        """The run as it was before its last `count` visits, decisions and joins. A checkpoint.

        Raises:
            InvalidRequest: there are not so many, or effects would be repeated.
            CommitPruned: the commit to go back to is not there any more.
        """
        first = self._row.first
        records = await self._records(first - 1, self._row.seq - first + 1)
        to = undone(records, count)
        if to is None and first > 1 and count > 0:
            raise CommitPruned(self._row.run_id, first - 1, first)
        if to is None:
            raise InvalidRequest(f"run {self._row.run_id!r} has no {count} visits, decisions or joins to undo")
        fold = await self.fold(to)
        await check_effects(self._store, self._row, to, fold, repeat_effects=repeat_effects)
        check_fits(fold, anew=True)
        return to, as_was(fold)

    async def replay(self, tell: Callable[[int], None] = lambda seq: None) -> Replay:
        """Fold what is left of the log, and compare it with every snapshot on the way. A checkpoint.

        No node runs and no predicate is asked: what was decided is applied again. `tell` hears how far it is.

        Raises:
            CommitPruned: the log was cut meanwhile, behind where the replay was.
            Refused: the graph cannot read the log.
        """
        first = seq = self._row.first
        fold, marked = await self.fold(first), set(await self._store.checkpoints(self._row.run_id))
        checked, broken = 0, list[int]()
        while seq < self._row.seq:
            for record in await self._page(seq, _PAGE):
                self._replay(fold, record)
                seq = record.seq
                if seq in marked:
                    checked += 1
                    broken += [] if await self._is_made(fold, seq) else [seq]
            tell(seq)
        return Replay(self._row.run_id, seq - first + 1, checked, tuple(broken), first)

    async def _page(self, after: int, limit: int) -> list[Record]:
        """The next commits, at least one; raises `CommitPruned` when they are not there any more."""
        records = await self._records(after, limit)
        if records and records[-1].seq == after + len(records):
            return records
        row = await self._store.run(self._row.run_id)
        if row is not None and row.first > after + 1:
            raise CommitPruned(row.run_id, after + 1, row.first)
        raise Refused(self._row.run_id, f"commit {after + 1} is missing from its log (see `terzetto doctor`)")

    async def _is_made(self, fold: Fold[Any], seq: int) -> bool:
        """Whether the snapshot of this commit, unless it is gone, is what the log makes."""
        found = await self._store.snapshot(self._row.run_id, at=seq)
        with reading(self._row.run_id, self.blueprint):
            return found is None or found[0] != seq or holds(fold, found[1])

    def _replay(self, fold: Fold[Any], record: Record) -> None:
        with reading(self._row.run_id, self.blueprint):
            fold.replay(record)


async def left_of(store: Store, row: RunRow) -> tuple[Snapshot, list[Record]]:
    """The run as of its first commit that is left, and all commits after that. A checkpoint.

    Raises:
        UnknownRun: it was deleted meanwhile.
        Refused: they are not there.
    """
    found: RunRow | None = row
    while found is not None:
        first, snapshot = found.first, await store.snapshot(row.run_id, at=found.first)
        records = await _records(store, row.run_id, first, None)
        if snapshot is not None and snapshot[0] == first and (not records or records[0].seq == first + 1):
            return read_snapshot(snapshot[1]), records
        found = await store.run(row.run_id)
        if found is not None and found.first == first:  # else it was cut meanwhile
            raise Refused(row.run_id, "commits are missing from its log, or their snapshot (see `terzetto doctor`)")
    raise UnknownRun(row.run_id)


def progress_of(
    blueprint: Blueprint[Any], header: RunHeader, begin: Snapshot, records: Iterable[Record], *, carried: bool
) -> dict[str, Shown]:
    """What is left of a run, as `progress_view`; raises `Refused` where this version of its graph cannot read it."""
    from terzetto_protocol.progress_view import progress_view

    with reading(header.run_id, blueprint):
        told = upcast_all(blueprint, begin.image.version or header.version, records)
        return progress_view(told, carried=carried, begin=upcast(blueprint, header, begin))


async def commits_of(store: Store, row: RunRow, *, limit: int | None, before: int | None) -> list[CommitView]:
    """A run's commits, newest first; as `Past.commits`, and without its graph. A checkpoint."""
    last = row.seq if before is None else min(before - 1, row.seq)
    count = last if limit is None else max(0, min(limit, last))
    records = await _newest(store, row, last, count)
    return [commit_view(row.run_id, record) for record in reversed(records) if record.seq <= last]


async def _newest(store: Store, row: RunRow, last: int, count: int) -> list[Record]:
    """At most so many commits up to a seq: the newest of those that are left."""
    after = max(last - count, row.first - 1)
    found = await _records(store, row.run_id, after, max(0, last - after))
    if len(found) == count or row.first == 1:
        return found
    alone = [seq for seq in await store.checkpoints(row.run_id) if seq < min(row.first, last + 1)]
    earlier = await _records(store, row.run_id, 0, len(alone))
    return earlier[max(0, len(earlier) + len(found) - count) :] + found


async def _records(store: Store, run_id: str, after: int, limit: int | None) -> list[Record]:
    return [read_record(body) for body in await store.records(run_id, after=after, limit=limit)]


async def check_effects(store: Store, row: RunRow, seq: int, fold: Fold[Any], *, repeat_effects: bool) -> None:
    """Raise `InvalidRequest` when going on from a commit may repeat effects, and nobody said that this is meant.

    A checkpoint.

    Args:
        row: the run.
        seq: the commit; 0 for its beginning.
        fold: the run with which something goes on.
    """
    if repeat_effects:
        return
    later = await _records(store, row.run_id, seq, None)
    again = repeats(later, fold)
    lost = later[-1].seq - seq != len(later) if later else False
    if not again and lost and await _intents(store, row) > (fold.image.intents if seq else 0):
        again = ("commits that were pruned",)
    if again:
        text = f"effects of {', '.join(again)} may happen again"
        text = f"{text}: say repeat_effects=True (--repeat-effects) if that is meant"
        raise InvalidRequest(f"run {row.run_id!r}: {text}")


async def _intents(store: Store, row: RunRow) -> int:
    """How many effects were begun in a run before what is left of its log."""
    found = await store.snapshot(row.run_id, at=row.first)
    return 0 if found is None else read_snapshot(found[1]).image.intents


def _plain(fold: Fold[Any]) -> Any:
    return readable(fold.pack())
