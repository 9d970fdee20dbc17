"""New runs out of old ones: fork, retry and rerun. The old run stays as it is, and is named as the parent."""

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.fold import Fold
from terzetto_protocol.ids import check_run_id, input_digest
from terzetto_protocol.image import Image, Snapshot
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.places import Place
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.travel import as_was

from ._chance import new_id
from ._history import check_effects
from ._loading import carrier_of, check_fits, load_fold

if TYPE_CHECKING:
    from terzetto_protocol.graph import Bound

    from ._handles import Run
    from ._runtime import Runtime

S = TypeVar("S")

_ID_DIGITS: Final = 12


def new_run_id() -> str:
    """An id that nobody else has."""
    return new_id()[:_ID_DIGITS]


def _may_go_on(image: Image) -> bool:
    """Whether something is pending, and nothing has happened that fails all of it."""
    return bool(image.frontier) and image.doomed is None


class Forking:
    """Makes runs out of runs."""

    def __init__(self, runtime: "Runtime", command_id: str = "") -> None:
        self._runtime: Final = runtime
        self._command_id: Final = command_id or new_id()

    async def fork(self, run_id: str, at: int | None, new_id: str | None, *, repeat_effects: bool) -> "Run[Any]":
        """See `Runtime.fork`. A checkpoint."""
        row, bound = await self._parent(run_id)
        seq = row.seq if at is None else at
        fold = await (await self._runtime.past(run_id)).fold(seq)
        if fold.image.status in TERMINAL:
            raise InvalidRequest(f"run {run_id!r} had ended at commit {seq}, and nothing goes on from there")
        if fold.takes_head and fold.header.from_head:
            raise InvalidRequest(f"run {run_id!r} had not begun at commit {seq}: it waited for its input")
        await check_effects(self._runtime.store, row, seq, fold, repeat_effects=repeat_effects)
        check_fits(fold, anew=True)
        return await self._begin(row, bound, seq, as_was(fold), new_id)

    async def retry(self, run_id: str, new_id: str | None, *, repeat_effects: bool) -> "Run[Any]":
        """See `Runtime.retry`. A checkpoint."""
        row, bound = await self._parent(run_id)
        if row.status not in TERMINAL:
            raise InvalidRequest(f"run {run_id!r} is {row.status}: only one that has ended is tried again")
        if row.status is RunStatus.SUCCEEDED:
            raise InvalidRequest(f"run {run_id!r} has SUCCEEDED: there is nothing to try again (fork or rerun it)")
        seq = row.seq - 1
        while seq > 1 and not _may_go_on((await self._fold(row, bound, seq)).image):
            seq -= 1
        return await self.fork(run_id, seq, new_id, repeat_effects=repeat_effects)

    async def rerun(
        self, run_id: str, place: "Place[S] | str", state: S | None, new_id: str | None, *, repeat_effects: bool
    ) -> "Run[S]":
        """See `Runtime.rerun`. A checkpoint."""
        row, bound = await self._parent(run_id)
        blueprint, name = self._runtime.registry.blueprint(bound), place.name if isinstance(place, Place) else place
        if name not in blueprint.places:
            raise InvalidRequest(
                f"graph {blueprint.name!r} has no place {name!r} (it has {', '.join(blueprint.places)})"
            )
        if blueprint.flow is not None and name != blueprint.start:
            text = "only values say where a dataflow goes on: rerun it from its inputs, or fork it"
            raise InvalidRequest(f"run {run_id!r}: {text}")
        fold = await self._fold(row, bound, row.seq)
        await check_effects(self._runtime.store, row, 0, fold, repeat_effects=repeat_effects)
        copy = bound.graph.first(bound.graph.again(fold.state) if state is None else state)
        header = self._header(row, bound, f"{run_id}@{row.seq}", copy[0], new_id, start=name)
        machine, first = RunMachine[S].begin(
            blueprint,
            header,
            copy,
            settled=self._runtime.settles,
            promises=self._durable,
            command_id=self._command_id,
            start=name,
        )
        return await self._runtime.begin(machine, first, bound.deps)

    async def _begin(
        self, row: RunRow, bound: "Bound[Any]", seq: int, snapshot: Snapshot, new_id: str | None
    ) -> "Run[Any]":
        header = self._header(row, bound, f"{row.run_id}@{seq}", snapshot.state, new_id)
        machine, first = RunMachine[Any].branch_off(
            self._runtime.registry.blueprint(bound),
            header,
            snapshot,
            settled=self._runtime.settles,
            promises=self._durable,
            command_id=self._command_id,
        )
        return await self._runtime.begin(machine, first, bound.deps)

    def _header(
        self, row: RunRow, bound: "Bound[Any]", parent: str, state: bytes, new_id: str | None, *, start: str = ""
    ) -> RunHeader:
        blueprint = bound.graph.build()
        return msgspec.structs.replace(
            row.header,
            run_id=check_run_id(new_id) if new_id is not None else new_run_id(),
            version=blueprint.version,
            fingerprint=blueprint.fingerprint,
            input_digest=input_digest(blueprint.name, blueprint.version, state, f"{parent}:{start}"),
            at=self._runtime.supervisor.clock(),
            key="",
            parent=parent,
            thread="",
            line=0,
            from_head=False,
            recorded=(),
            on_completion="keep",
        )

    async def _parent(self, run_id: str) -> "tuple[RunRow, Bound[Any]]":
        row = await self._runtime.row(run_id)
        return row, await carrier_of(self._runtime.store, self._runtime.registry, row)

    async def _fold(self, row: RunRow, bound: "Bound[Any]", at: int) -> Fold[Any]:
        return await load_fold(self._runtime.store, row, bound.graph.build(), at=at)

    @property
    def _durable(self) -> bool:
        return self._runtime.store.durable
