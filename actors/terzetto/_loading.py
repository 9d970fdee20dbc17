"""A run as its stored log makes it."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.compatible import misfits
from terzetto_protocol.errors import (
    CarriedElsewhere,
    CommitPruned,
    Malformed,
    MigrationFailed,
    MutationFailed,
    Refused,
    TerzettoError,
    UnknownGraph,
    UnknownRun,
    describe,
)
from terzetto_protocol.fold import Fold
from terzetto_protocol.graph import Bound
from terzetto_protocol.image import Snapshot, read_record, read_snapshot
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import already_resolved
from terzetto_protocol.records import RunRow
from terzetto_protocol.registry import Registry
from terzetto_protocol.statuses import TERMINAL
from terzetto_protocol.travel import holds

from .stores._contract import Store, StoredRun

S = TypeVar("S")
Stored: TypeAlias = tuple[int, bytes]
"""A snapshot, behind the seq of its commit."""
_FOLD: Final[type[Fold[Any]]] = Fold  # to say Fold[Any] takes as long as the folding


async def load_fold(
    store: Store,
    row: RunRow,
    blueprint: Blueprint[S],
    *,
    at: int | None = None,
    before: int | None = None,
) -> Fold[S]:
    """A run as its stored log makes it, up to the commit `at` if one is named. A checkpoint.

    It begins with the newest snapshot by then, or by the commit `before`. What an older version of the graph wrote is
    upcast by its migrations.

    Raises:
        CommitPruned: the log was cut behind that commit.
        Refused: the graph cannot read this log.
    """
    snapshot, bodies = await _read(store, row, at, at if before is None else before)
    with reading(row.run_id, blueprint):
        return Fold[S].load(blueprint, row.header, snapshot, bodies)


def check_fits(fold: Fold[Any], *, anew: bool = False) -> None:
    """Raise `Refused` where a run cannot go on in its graph; `anew` as for `misfits`."""
    blueprint = fold.blueprint
    with reading(fold.header.run_id, blueprint):
        found = misfits(fold, anew=anew)
    if found:
        text = f"graph {blueprint.name!r} {blueprint.version!r} cannot go on with it: {'; '.join(found)}"
        advice = "say what became of it with terzetto.Migration, or let the version that began it end it"
        raise Refused(fold.header.run_id, f"{text}; it stays as it is ({advice})")


class reading:  # noqa: N801 - it is used as a function is; made of a generator it would take four times as long
    """Say `Refused` where the block fails to read what is stored of a run."""

    __slots__ = ("_blueprint", "_run_id")

    def __init__(self, run_id: str, blueprint: Blueprint[Any]) -> None:
        self._run_id, self._blueprint = run_id, blueprint

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if isinstance(error, MutationFailed | MigrationFailed | LookupError | ValueError):  # most of ours is the last
            reason = str(error) if isinstance(error, TerzettoError) else describe(error)
            name = f"graph {self._blueprint.name!r} {self._blueprint.version!r}"
            raise Refused(self._run_id, f"{name} cannot read its log ({reason}); it stays as it is") from error


async def carrier_of(store: Store, registry: Registry, row: RunRow) -> Bound[Any]:
    """The graph under which a run goes on: of the version that wrote its last commit, or with migrations since that.

    A checkpoint. Raises `UnknownGraph` where nothing here carries it on, and `Refused` for a damaged snapshot.
    """
    return _carrier(registry, row, _decoded(row, await store.snapshot(row.run_id)))


def _carrier(registry: Registry, row: RunRow, newest: Snapshot | None) -> Bound[Any]:
    version = (newest is not None and newest.image.version) or row.header.version
    bound = registry.carrier(row.header.graph, version)
    if bound is None:
        raise UnknownGraph(row.header.graph, version, registry.why_not(row.header.graph, version), row.run_id)
    return bound


def _decoded(row: RunRow, newest: Stored | None) -> Snapshot | None:
    """A snapshot; raises `Refused` for a damaged one."""
    try:
        return None if newest is None else read_snapshot(newest[1])
    except Malformed as error:
        raise Refused(row.run_id, f"{error} (see `terzetto doctor`); it stays as it is") from error


async def load_carried(store: Store, registry: Registry, stored: StoredRun) -> tuple[Fold[Any], Bound[Any]]:
    """A run as it can go on, or has ended, and the graph under which it does. A checkpoint where it has to be read.

    Raises:
        Refused: no graph here can carry it; it stays as it is.
    """
    row, newest = stored.row, stored.snapshot
    snapshot = _decoded(row, newest)
    bound = _carrier(registry, row, snapshot)
    blueprint = registry.blueprint(bound)
    if blueprint.is_strict and newest is not None:
        await _verify(store, row, blueprint, newest)
    if newest is not None and snapshot is not None and _fits(newest[0], stored.records, None):
        with reading(row.run_id, blueprint):
            fold = _FOLD.resume(blueprint, row.header, snapshot, stored.records)
    else:  # its log was cut or went on while it was read, or there is something wrong with it
        fold = await load_fold(store, row, blueprint)
    if fold.image.status not in TERMINAL:
        check_fits(fold)
    return fold, bound


def _fits(seq: int, bodies: Sequence[bytes], at: int | None) -> bool:
    """Whether none of the commits from a snapshot up to `at` is missing."""
    last = read_record(bodies[-1]).seq if bodies else seq
    return last == seq + len(bodies) and at in (None, last)


async def _read(store: Store, row: RunRow, at: int | None, begin: int | None) -> tuple[bytes, list[bytes]]:
    """The newest snapshot by `begin`, and the commits from there up to `at`, none of which is missing."""
    found = await store.snapshot(row.run_id, at=begin)
    while found is not None:
        seq, snapshot = found
        bodies = await store.records(row.run_id, after=seq, limit=None if at is None else at - seq)
        if _fits(seq, bodies, at):
            return snapshot, bodies
        found = await store.snapshot(row.run_id, at=begin)
        if found is not None and found[0] == seq:
            break  # else the log was cut meanwhile, behind a newer one
    row = await store.run(row.run_id) or row
    if at is not None and (at if begin is None else begin) < row.first:
        raise CommitPruned(row.run_id, at, row.first)
    raise Refused(row.run_id, "commits are missing from its log, or their snapshot (see `terzetto doctor`)")


async def load_machine(store: Store, registry: Registry, run_id: str, *, settled: bool) -> tuple[RunMachine[Any], Any]:
    """The machine of a stored run, and the deps of its graph. A checkpoint.

    Raises:
        UnknownRun: no run has this id.
        CarriedElsewhere: another owner of the store does.
        Refused: no graph here can carry it; it stays as it is.
    """
    stored = await store.load(run_id)
    if stored is None:
        raise UnknownRun(run_id)
    if stored.owner:
        raise CarriedElsewhere(run_id, stored.owner)
    fold, bound = await load_carried(store, registry, stored)
    machine = RunMachine(fold, settled=settled, promises=store.durable)
    for barrier in stored.barriers:
        if (winner := already_resolved(barrier)) is not None:
            machine.resolved[barrier.barrier] = winner
    return machine, bound.deps


async def _verify(store: Store, row: RunRow, blueprint: Blueprint[Any], newest: Stored) -> None:
    """Compare a run's newest snapshot with what its log made of the one before, where both are kept. A checkpoint.

    Raises:
        Refused: they differ.
    """
    seq, snapshot = newest
    try:
        fold = await load_fold(store, row, blueprint, at=seq, before=seq - 1)
    except CommitPruned:
        return  # what lies between is gone, or there was nothing before
    if not holds(fold, snapshot):
        text = f"folding its log does not make the snapshot of commit {seq}: a node changed its input, or a mutation"
        raise Refused(row.run_id, f"{text} is not deterministic or was changed since; it stays as it is")
