"""Which rows of a thread go, and which of them others still need."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define
from langgraph.checkpoint.serde.base import SerializerProtocol

from .._shelves._contract import AFTER, Shelf, pack, unpack
from ._rows import CHECKPOINT, EMPTY, RUN, WRITE, Place, Saved, decode_saved, decode_value, value_key


@define
class _Checkpoint:
    saved: Saved
    versions: Mapping[str, Any]


Thread = dict[Place, _Checkpoint]


def prune(shelf: Shelf, serde: SerializerProtocol, thread: str) -> None:
    """Delete all checkpoints but the newest of each namespace, and the ancestors that its delta channels need."""
    there = _read(shelf, serde, thread)
    newest = {place.namespace: place for place in sorted(there)}
    kept = set[Place]()
    for place in newest.values():
        kept.update(_needed(shelf, serde, there, place))
    _delete(shelf, thread, there, set(there) - kept)


def delete_runs(shelf: Shelf, serde: SerializerProtocol, thread: str, runs: Iterable[str]) -> None:
    """Delete what these runs put into a thread; what other checkpoints share with them stays."""
    wanted = set(runs)
    marks = [pack(RUN, run) for run in sorted(wanted)]
    if any(row is not None for row in shelf.read(thread, marks)):
        there = _read(shelf, serde, thread)
        _delete(shelf, thread, there, {place for place, it in there.items() if it.saved.run in wanted}, marks)


def _read(shelf: Shelf, serde: SerializerProtocol, thread: str) -> Thread:
    first, found = pack(CHECKPOINT), Thread()
    for key, row in shelf.scan(thread, first, first + AFTER):
        saved = decode_saved(row)
        body = serde.loads_typed((saved.kind, saved.body))
        found[Place(thread, *unpack(key)[1:])] = _Checkpoint(saved, body["channel_versions"])
    return found


def _needed(shelf: Shelf, serde: SerializerProtocol, there: Thread, place: Place) -> Iterable[Place]:
    """A checkpoint, and its ancestors back to where each of its delta channels has a snapshot, or was not yet."""
    yield place
    left = _deltas(serde, there[place])
    left = {name for name in left if not _has_value(shelf, place, there[place], name)}
    while left and (parent := there[place].saved.parent) is not None:
        place = Place(place.thread, place.namespace, parent)
        if place not in there:
            return
        yield place
        at = there[place]
        left = {name for name in left if name in at.versions and not _has_value(shelf, place, at, name)}


def _deltas(serde: SerializerProtocol, at: _Checkpoint) -> set[str]:
    # LangGraph counts what was written to a delta channel since its snapshot; one without a count has just had one.
    metadata = serde.loads_typed((at.saved.metadata_kind, at.saved.metadata))
    return {name for name in metadata.get("counters_since_delta_snapshot") or () if name in at.versions}


def _has_value(shelf: Shelf, place: Place, at: _Checkpoint, name: str) -> bool:
    (row,) = shelf.read(place.thread, [value_key(place.namespace, name, at.versions[name])])
    return row is not None and decode_value(row).kind != EMPTY


def _delete(shelf: Shelf, thread: str, there: Thread, gone: set[Place], also: Iterable[bytes] = ()) -> None:
    """Delete checkpoints with their writes, and those of their values that no other checkpoint has."""
    kept = {key for place, it in there.items() if place not in gone for key in _values(place, it)}
    values = {key for place in gone for key in _values(place, there[place])} - kept
    ids = {(place.namespace, place.id) for place in gone}
    writes = _keys(shelf, thread, WRITE, lambda parts: (parts[1], parts[2]) in ids)
    deletes = [*also, *(place.key for place in gone), *values, *writes]
    if deletes:
        shelf.apply(thread, (), (), deletes)


def _values(place: Place, at: _Checkpoint) -> Iterable[bytes]:
    return (value_key(place.namespace, name, version) for name, version in at.versions.items())


def _keys(shelf: Shelf, thread: str, kind: str, is_wanted: Callable[[list[str]], bool]) -> list[bytes]:
    first = pack(kind)
    return [key for key in shelf.keys(thread, first, first + AFTER) if is_wanted(unpack(key))]
