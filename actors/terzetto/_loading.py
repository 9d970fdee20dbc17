"""A run as its stored log makes it."""

from typing import TypeVar

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.errors import Malformed, MutationFailed, Refused
from terzetto_protocol.fold import Fold
from terzetto_protocol.records import RunRow

from .stores._contract import Store

S = TypeVar("S")


async def load_fold(store: Store, row: RunRow, blueprint: Blueprint[S]) -> Fold[S]:
    """A run as its stored log makes it. A checkpoint.

    Raises:
        Refused: the graph cannot carry this run on any more; it stays as it is.
    """
    found = await store.snapshot(row.run_id)
    if found is None:
        raise Refused(row.run_id, "its log has no snapshot to begin with (see `terzetto doctor`)")
    seq, snapshot = found
    try:
        fold = Fold[S].load(blueprint, row.header, snapshot, await store.records(row.run_id, after=seq))
    except (Malformed, MutationFailed, KeyError) as error:
        raise Refused(
            row.run_id, f"graph {blueprint.name!r} cannot read its log ({error}); it stays as it is"
        ) from error
    missing = [entry.place for entry in fold.image.frontier.values() if entry.place not in blueprint.places]
    if missing:
        raise Refused(
            row.run_id, f"graph {blueprint.name!r} has no node {', '.join(missing)} any more; it stays as it is"
        )
    return fold
