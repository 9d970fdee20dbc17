"""Checkpoints as LangGraph wants them, from the rows of a shelf. Every function here blocks as its shelf does."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, cast

from langgraph.checkpoint.base import Checkpoint, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from .._shelves._contract import AFTER, Shelf, pack, unpack
from ._rows import (
    CHECKPOINT,
    EMPTY,
    Place,
    Saved,
    Typed,
    by_checkpoint,
    decode_saved,
    decode_value,
    value_key,
    writes_of,
)

PAGE: Final = 16
"""How many checkpoints are read at a time."""

Found = tuple[Place, Saved]


def find(shelf: Shelf, thread: str, namespace: str, id: str | None) -> Found | None:
    """The row of a checkpoint, or of the newest one."""
    if id is not None:
        place = Place(thread, namespace, id)
        (row,) = shelf.read(thread, [place.key])
        return None if row is None else (place, decode_saved(row))
    first = pack(CHECKPOINT, namespace)
    for key, row in shelf.scan(thread, first, first + AFTER, reverse=True, limit=1):
        return Place(thread, *unpack(key)[1:]), decode_saved(row)
    return None


def load(
    shelf: Shelf, serde: SerializerProtocol, thread: str, namespace: str, id: str | None
) -> CheckpointTuple | None:
    """A whole checkpoint, or the newest one."""
    found = find(shelf, thread, namespace, id)
    return None if found is None else next(iter(_whole(shelf, serde, [found])), None)


def listed(
    shelf: Shelf,
    serde: SerializerProtocol,
    places: Sequence[Place],
    filter: Mapping[str, Any] | None,
    limit: int | None,
) -> Iterator[CheckpointTuple]:
    """Whole checkpoints of these, in their order, that have such metadata."""
    left = len(places) if limit is None else limit
    for start in range(0, len(places), PAGE):
        if left <= 0:
            return
        page = [each for each in _saved(shelf, places[start : start + PAGE]) if _has(serde, each[1], filter)]
        whole = _whole(shelf, serde, page[:left])
        left -= len(whole)
        yield from whole


def places(shelf: Shelf, thread: str | None, namespace: str | None, id: str | None, before: str | None) -> list[Place]:
    """Where all checkpoints are that are asked for, newest first."""
    rooms = shelf.rooms() if thread is None else [thread]
    first = pack(CHECKPOINT) if namespace is None else pack(CHECKPOINT, namespace)
    every = [Place(room, *unpack(key)[1:]) for room in rooms for key in shelf.keys(room, first, first + AFTER)]
    wanted = [it for it in every if (id is None or it.id == id) and (before is None or it.id < before)]
    return sorted(wanted, key=lambda place: place.id, reverse=True)


def _saved(shelf: Shelf, places: Sequence[Place]) -> list[Found]:
    # One that was deleted meanwhile is left out.
    found = dict[Place, bytes | None]()
    for thread, group in groupby(sorted(places), key=lambda place: place.thread):
        there = list(group)
        found.update(zip(there, shelf.read(thread, [place.key for place in there]), strict=True))
    return [(place, decode_saved(row)) for place in places if (row := found[place]) is not None]


def _has(serde: SerializerProtocol, saved: Saved, filter: Mapping[str, Any] | None) -> bool:
    if not filter:
        return True
    metadata = serde.loads_typed((saved.metadata_kind, saved.metadata))
    return all(metadata.get(name) == value for name, value in filter.items())


def _whole(shelf: Shelf, serde: SerializerProtocol, page: Sequence[Found]) -> list[CheckpointTuple]:
    """The checkpoints of a page, read in a few questions for each of its namespaces."""
    made = dict[Place, CheckpointTuple]()
    for (thread, namespace), group in groupby(sorted(page, key=_place), key=lambda found: found[0][:2]):
        made.update(_whole_of(shelf, serde, thread, namespace, list(group)))
    return [made[place] for place, _ in page if place in made]


def _place(found: Found) -> Place:
    return found[0]


def _whole_of(
    shelf: Shelf, serde: SerializerProtocol, thread: str, namespace: str, group: Sequence[Found]
) -> Iterator[tuple[Place, CheckpointTuple]]:
    writes = by_checkpoint(serde, shelf.scan(thread, *writes_of(namespace, group[0][0].id, group[-1][0].id)))
    bodies = {place: serde.loads_typed((saved.kind, saved.body)) for place, saved in group}
    wanted = {(c, v) for body in bodies.values() for c, v in body["channel_versions"].items()}
    values = read_values(shelf, thread, namespace, wanted)
    is_all_there = len(values) == len(wanted)
    for place, saved in group:
        # Values go only with their checkpoints. Where one is missing, the checkpoint may have been deleted meanwhile.
        if not is_all_there and shelf.read(thread, [place.key]) == [None]:
            continue
        versions = bodies[place]["channel_versions"]
        here = {name: value for name, version in versions.items() if (value := values.get((name, version)))}
        channels = {name: serde.loads_typed(value) for name, value in here.items() if value[0] != EMPTY}
        yield (
            place,
            CheckpointTuple(
                config=place.config(),
                checkpoint=cast("Checkpoint", {**bodies[place], "channel_values": channels}),
                metadata=serde.loads_typed((saved.metadata_kind, saved.metadata)),
                parent_config=Place(thread, namespace, saved.parent).config() if saved.parent else None,
                pending_writes=writes.get(place.id, []),
            ),
        )


def read_values(
    shelf: Shelf, thread: str, namespace: str, wanted: set[tuple[str, Any]]
) -> dict[tuple[str, Any], Typed]:
    """What channels have in these versions, still encoded: each checkpoint gets objects of its own."""
    order = list(wanted)
    rows = shelf.read(thread, [value_key(namespace, *each) for each in order])
    values = {each: decode_value(row) for each, row in zip(order, rows, strict=True) if row is not None}
    return {each: (value.kind, value.body) for each, value in values.items()}
