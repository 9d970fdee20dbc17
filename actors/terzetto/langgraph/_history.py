"""What a delta channel is made of: its last snapshot, and what was written since, on the way to one checkpoint.

The way leads from parent to parent, so that a fork never sees what its siblings wrote.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol

from .._shelves._contract import Shelf, pack, unpack
from ._loading import find, read_values
from ._rows import CHECKPOINT, EMPTY, Place, Saved, by_checkpoint, decode_saved, writes_of

PAGE: Final = 64
"""How many ancestors are read at a time."""


def delta_history(  # noqa: PLR0917 - it is called by position, in a thread
    shelf: Shelf, serde: SerializerProtocol, thread: str, namespace: str, id: str | None, channels: Sequence[str]
) -> Mapping[str, DeltaChannelHistory]:
    """What each of these channels is made of at this checkpoint, oldest first."""
    written: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    seeds = dict[str, Any]()
    found = find(shelf, thread, namespace, id)
    for page in _ancestry(shelf, thread, namespace, found[1].parent if found else None):
        left = set(channels) - set(seeds)
        if not left:
            break
        _read(shelf, serde, page, left, written, seeds)
    return {channel: _entry(channel, written[channel], seeds) for channel in channels}


def _entry(channel: str, written: list[PendingWrite], seeds: Mapping[str, Any]) -> DeltaChannelHistory:
    entry: DeltaChannelHistory = {"writes": written[::-1]}
    if channel in seeds:
        entry["seed"] = seeds[channel]
    return entry


def _read(  # noqa: PLR0917 - what has been found so far goes from page to page
    shelf: Shelf,
    serde: SerializerProtocol,
    page: Sequence[tuple[Place, Saved]],
    left: set[str],
    written: dict[str, list[PendingWrite]],
    seeds: dict[str, Any],
) -> None:
    """Go back along a page. What was written at the checkpoint that has the seed came after it, and counts."""
    thread, namespace, _ = page[0][0]
    ids = [place.id for place, _ in page]
    writes = by_checkpoint(serde, shelf.scan(thread, *writes_of(namespace, min(ids), max(ids))))
    versions = [serde.loads_typed((saved.kind, saved.body))["channel_versions"] for _, saved in page]
    wanted = {(name, its[name]) for its in versions for name in left if name in its}
    values = read_values(shelf, thread, namespace, wanted)
    for place, its in zip(ids, versions, strict=True):
        for write in reversed(writes.get(place, [])):
            if write[1] in left:
                written[write[1]].append(write)
        for name in sorted(left):
            value = values.get((name, its.get(name)), (EMPTY, b""))
            if value[0] != EMPTY:
                seeds[name] = serde.loads_typed(value)
                left.discard(name)


def _ancestry(shelf: Shelf, thread: str, namespace: str, start: str | None) -> Iterator[list[tuple[Place, Saved]]]:
    """A checkpoint and its ancestors, nearest first, a page at a time; it ends where one is not there any more."""
    first = pack(CHECKPOINT, namespace)
    at = start
    while at is not None:
        # Ids rise, so that most ancestors are near; whatever the order, the page begins with the one that is sought.
        rows = shelf.scan(thread, first, Place(thread, namespace, at).key + b"\0", reverse=True, limit=PAGE)
        loaded = {unpack(key)[2]: decode_saved(row) for key, row in rows}
        page = list[tuple[Place, Saved]]()
        while at is not None and (saved := loaded.pop(at, None)) is not None:
            page.append((Place(thread, namespace, at), saved))
            at = saved.parent
        if not page:
            return
        yield page
