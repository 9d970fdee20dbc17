"""Going back: an image of a run as it was, made ready to go on from there, in another run or as a new head."""

from bisect import bisect_right
from typing import Any, Final

from msgspec import msgpack
from msgspec.structs import replace

from .fold import Fold
from .frames import Counts, Fork
from .image import Image, Snapshot, read_snapshot
from .packing import upcast
from .pending import Pending, label_of
from .records import Kind, Record, Rewind
from .statuses import VisitStatus
from .strict import Comparison

_HEADS: Final = frozenset({Kind.VISIT, Kind.DECIDE, Kind.JOIN})
"""Commits that an undo counts."""


def as_was(fold: Fold[Any]) -> Snapshot:
    """A run as it was, for who goes on from there: what waited, ran or rested is pending again.

    Nothing else is taken along: not what it has done and told, and no decision that was kept.
    """
    stored = read_snapshot(fold.snapshot(fold.blueprint.state.pack(fold.state)))
    was = stored.image
    frontier = {visit: _fresh(entry) for visit, entry in was.frontier.items()}
    image = Image(frontier=frontier, visits=was.visits, counts=was.counts, forks=was.forks, branches=was.branches)
    return Snapshot(image, stored.state)


def _fresh(entry: Pending) -> Pending:
    return Pending(entry.visit, entry.place, entry.path, journal=entry.journal, ticket=entry.ticket, sent=entry.sent)


def as_head(snapshot: Snapshot, visits: int) -> Snapshot:
    """The same for the run itself, after so many visits: numbers go on, and none is used again."""
    numbers = {visit: visits + place for place, visit in enumerate(snapshot.image.frontier, 1)}
    entries = [replace(entry, visit=numbers[visit]) for visit, entry in snapshot.image.frontier.items()]
    frontier = {entry.visit: entry for entry in entries}
    forks = {path: _renumbered(fork, numbers) for path, fork in snapshot.image.forks.items()}
    image = replace(snapshot.image, frontier=frontier, forks=forks, visits=visits + len(frontier))
    return Snapshot(image, snapshot.state)


def _renumbered(fork: Fork, renumbered: dict[int, int]) -> Fork:
    return replace(fork, owner=renumbered[fork.owner])


def holds(fold: Fold[Any], snapshot: bytes) -> bool:
    """Whether a snapshot is what the log made by then; branches, which it repeats from the log, are not looked at."""
    stored, packed = upcast(fold.blueprint, fold.header, read_snapshot(snapshot)), fold.try_pack()
    form, image, kept = fold.blueprint.state, fold.image, replace(stored.image, branches={})
    if fold.is_old:  # what is counted depends on what the graph declares, and that was another then
        image, kept = _uncounted(image), _uncounted(kept)
    if packed is None or _plain(image) != _plain(kept):
        return False
    if packed == stored.state:
        return True  # else the order of a set may differ, which says nothing
    return not Comparison(form).differing(form.lasting(packed), form.lasting(stored.state))


def _uncounted(image: Image) -> Image:
    return replace(image, counts=Counts(), finished=0, cost=0.0)


def _plain(image: Image) -> Any:
    return msgpack.decode(msgpack.encode(image))


def undone(records: list[Record], count: int) -> int | None:
    """The commit that a run goes back to when its last `count` visits, decisions and joins are undone.

    What was undone before is not counted again. None when there are not so many.
    """
    heads = list[int]()
    for record in records:
        if isinstance(record.detail, Rewind):
            del heads[bisect_right(heads, record.detail.to) :]
        elif record.kind in _HEADS:
            heads.append(record.seq)
    return heads[-count] - 1 if 0 < count <= len(heads) else None


def repeats(records: list[Record], fold: Fold[Any]) -> tuple[str, ...]:
    """Effects that may happen once more when a run goes on from `fold`: those of `once` visits begun since, or then.

    Args:
        records: the commits after it.
        fold: the run as it was.
    """
    begun = [entry for entry in fold.image.frontier.values() if entry.status is VisitStatus.RUNNING]
    return tuple(dict.fromkeys([*map(label_of, begun), *begun_effects(records)]))


def begun_effects(records: list[Record]) -> tuple[str, ...]:
    """The `once` visits that begin in these commits, as `node@visit`."""
    found = [record for record in records if record.kind is Kind.INTENT]
    names = [f"{each.path}/{each.place}@{each.visit}" if each.path else f"{each.place}@{each.visit}" for each in found]
    return tuple(dict.fromkeys(names))
