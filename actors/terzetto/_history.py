"""A run's past: its commits, the state at any of them, what changed between two, and whether the log still holds."""

from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.codec import readable
from terzetto_protocol.difference import Change, difference
from terzetto_protocol.errors import InvalidRequest, Refused
from terzetto_protocol.fold import Fold, Snapshot, read_record
from terzetto_protocol.records import Record, RunRow
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
    checked: int
    """Snapshots that were compared with what the log made by then."""
    broken: tuple[int, ...] = ()
    """Commits whose snapshot is not what the log makes."""

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

    async def commits(self, *, limit: int | None, before: int | None) -> list[CommitView]:
        """Commits, newest first; `limit` 0 means none, None all. A checkpoint."""
        return await commits_of(self._store, self._row, limit=limit, before=before)

    async def state(self, at: int | None) -> Any:
        """A copy of the state as of a commit; the newest by default. A checkpoint; raises `InvalidRequest`."""
        return (await self.fold(at)).state

    async def fold(self, at: int | None) -> Fold[Any]:
        """The run as of a commit. A checkpoint; raises `InvalidRequest` for a commit that it does not have."""
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
        for body in await self._store.records(self._row.run_id, after=first, limit=last - first):
            self._replay(fold, body)
            states.append(_plain(fold))
        return states

    async def progress(self, *, carried: bool) -> dict[str, Shown]:
        """What has happened at each place of the graph. A checkpoint.

        Args:
            carried: whether somebody runs it now.
        """
        from terzetto_protocol.progress_view import progress_view

        records = map(read_record, await self._store.records(self._row.run_id))
        with reading(self._row.run_id, self.blueprint):
            return progress_view(upcast_all(self.blueprint, self._row.header, records), carried=carried)

    async def before(self, count: int, *, repeat_effects: bool) -> tuple[int, Snapshot]:
        """The run as it was before its last `count` visits, decisions and joins. A checkpoint.

        Raises:
            InvalidRequest: there are not so many, or effects would be repeated.
        """
        records = [read_record(body) for body in await self._store.records(self._row.run_id)]
        to = undone(records, count)
        if to is None:
            raise InvalidRequest(f"run {self._row.run_id!r} has no {count} visits, decisions or joins to undo")
        fold = await self.fold(to)
        check_effects(self._row.run_id, records[to:], fold, repeat_effects=repeat_effects)
        check_fits(fold, anew=True)
        return to, as_was(fold)

    async def replay(self, tell: Callable[[int], None] = lambda seq: None) -> Replay:
        """Fold the log from its first snapshot, and compare it with every snapshot on the way. A checkpoint.

        No node runs and no predicate is asked: what was decided is applied again. `tell` hears how far it is.

        Raises:
            Refused: the graph cannot read the log.
        """
        fold = await self.fold(1)
        checked, broken, seq = 0, list[int](), 1
        while seq < self._row.seq:
            bodies = await self._store.records(self._row.run_id, after=seq, limit=_PAGE)
            if not bodies:
                raise Refused(self._row.run_id, f"commit {seq + 1} is missing from its log (see `terzetto doctor`)")
            for body in bodies:
                self._replay(fold, body)
                seq += 1
                found = await self._store.snapshot(self._row.run_id, at=seq)
                if found is not None and found[0] == seq:
                    checked += 1
                    broken += [] if holds(fold, found[1]) else [seq]
            tell(seq)
        return Replay(self._row.run_id, seq, checked, tuple(broken))

    def _replay(self, fold: Fold[Any], body: bytes) -> None:
        with reading(self._row.run_id, self.blueprint):
            fold.replay(read_record(body))


async def commits_of(store: Store, row: RunRow, *, limit: int | None, before: int | None) -> list[CommitView]:
    """A run's commits, newest first; as `Past.commits`, and without its graph. A checkpoint."""
    last = row.seq if before is None else min(before - 1, row.seq)
    count = last if limit is None else min(limit, last)
    bodies = await store.records(row.run_id, after=max(0, last - count), limit=max(0, count))
    return [commit_view(row.run_id, read_record(body)) for body in reversed(bodies)]


def check_effects(run_id: str, later: list[Record], fold: Fold[Any], *, repeat_effects: bool) -> None:
    """Raise `InvalidRequest` when going on from `fold` may repeat effects, and nobody said that this is meant."""
    again = repeats(later, fold)
    if again and not repeat_effects:
        text = f"effects of {', '.join(again)} may happen again"
        text = f"{text}: say repeat_effects=True (--repeat-effects) if that is meant"
        raise InvalidRequest(f"run {run_id!r}: {text}")


def _plain(fold: Fold[Any]) -> Any:
    return readable(fold.pack())
