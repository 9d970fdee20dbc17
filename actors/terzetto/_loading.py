"""A run as its stored log makes it."""

from typing import Any, TypeVar

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.errors import Malformed, MutationFailed, Refused, UnknownRun
from terzetto_protocol.fold import Fold, label_of
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import already_resolved
from terzetto_protocol.records import RunRow
from terzetto_protocol.registry import Registry
from terzetto_protocol.travel import holds

from .stores._contract import Store

S = TypeVar("S")


async def load_fold(
    store: Store, row: RunRow, blueprint: Blueprint[S], *, at: int | None = None, before: int | None = None
) -> Fold[S]:
    """A run as its stored log makes it, up to the commit `at` if one is named. A checkpoint.

    It begins with the newest snapshot by then, or by the commit `before`.

    Raises:
        Refused: the graph cannot carry this run on any more; it stays as it is.
    """
    found = await store.snapshot(row.run_id, at=at if before is None else before)
    if found is None:
        raise Refused(row.run_id, "its log has no snapshot to begin with (see `terzetto doctor`)")
    seq, snapshot = found
    bodies = await store.records(row.run_id, after=seq, limit=None if at is None else at - seq)
    try:
        fold = Fold[S].load(blueprint, row.header, snapshot, bodies)
    except (Malformed, MutationFailed, KeyError) as error:
        raise Refused(
            row.run_id, f"graph {blueprint.name!r} cannot read its log ({error}); it stays as it is"
        ) from error
    pending = fold.image.frontier.values()
    missing = [label_of(entry) for entry in pending if entry.place not in fold.frame(entry.path).blueprint.places]
    if missing:
        raise Refused(
            row.run_id, f"graph {blueprint.name!r} has no node {', '.join(missing)} any more; it stays as it is"
        )
    return fold


async def load_machine(store: Store, registry: Registry, run_id: str, *, settled: bool) -> tuple[RunMachine[Any], Any]:
    """The machine of a stored run, and the deps of its graph. A checkpoint.

    Raises:
        UnknownRun: no run has this id.
        Refused: no graph here can carry it; it stays as it is.
    """
    row = await store.run(run_id)
    if row is None:
        raise UnknownRun(run_id)
    bound = registry.find(row.header.graph, row.header.version)
    if bound is None:
        raise Refused(run_id, f"graph {row.header.graph!r} {row.header.version!r} is not known here; it stays as it is")
    blueprint = registry.blueprint(bound)
    if blueprint.is_strict:
        await _verify(store, row, blueprint)
    machine = RunMachine(await load_fold(store, row, blueprint), settled=settled, promises=store.durable)
    for barrier in await store.barriers(run_id, only_open=False):
        if (winner := already_resolved(barrier)) is not None:
            machine.resolved[barrier.barrier] = winner
    return machine, bound.deps


async def _verify(store: Store, row: RunRow, blueprint: Blueprint[Any]) -> None:
    """Compare a run's newest snapshot with what its log made of the one before, where both are kept. A checkpoint.

    Raises:
        Refused: they differ.
    """
    newest = await store.snapshot(row.run_id)
    if newest is None or await store.snapshot(row.run_id, at=newest[0] - 1) is None:
        return
    fold = await load_fold(store, row, blueprint, at=newest[0], before=newest[0] - 1)
    if fold.image.seq == newest[0] and not holds(fold, newest[1]):  # else what lies between was pruned
        text = (
            f"folding its log does not make the snapshot of commit {newest[0]}: a node changed its input, or a mutation"
        )
        raise Refused(row.run_id, f"{text} is not deterministic or was changed since; it stays as it is")
