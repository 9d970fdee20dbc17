"""Submitting on a thread: a run joins the line, takes the place of those in it, or is refused."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import trio

from terzetto_protocol.admission import same_run
from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.commands import Cancel
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.threads import Busy, place_in

from ._chance import new_id
from ._handles import Run
from ._heads import ThreadMoved

if TYPE_CHECKING:
    from ._runtime import Runtime

S = TypeVar("S")


class Joining:
    """Makes runs on threads."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime: Final = runtime
        self._heads: Final = runtime.supervisor.heads
        self._steering: Final = runtime.supervisor.steering

    async def join(
        self, header: RunHeader, blueprint: Blueprint[S], given: tuple[bytes, S] | None, deps: Any, busy: Busy
    ) -> Run[S]:
        """See `Runtime.submit`. A checkpoint; cancelled, it may have ended those that were under way."""
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()
            with suppress(ThreadMoved):  # somebody else's run is under way now, and that may change everything
                return await self._try(header, blueprint, given, deps, busy)

    async def _try(
        self, header: RunHeader, blueprint: Blueprint[S], given: tuple[bytes, S] | None, deps: Any, busy: Busy
    ) -> Run[S]:
        self._runtime.supervisor.check_open()
        async with self._heads.held(header.thread) as line:
            known = await self._known(header)
            if known is not None:
                same_run(header, known.header)
                return Run(self._runtime, known.run_id, reused=True)
            place = place_in(line, header.thread, busy)
            base = await self._heads.of(header.thread)
            state = given or await (
                self._heads.stand_in(header, blueprint, line, busy)
                if place
                else self._heads.beginning(header, blueprint, base)
            )
            self._runtime.supervisor.admission.check_room()
            await self._make_room(header, line, busy)
            header = msgspec.structs.replace(header, line=place, from_head=given is None)
            return await self._runtime.start(header, blueprint, state, deps, base=None if place else base)

    async def _known(self, header: RunHeader) -> RunRow | None:
        """The run that has this id or key already."""
        store = self._runtime.store
        return await store.run(header.run_id) or (await store.run_by_key(header.key) if header.key else None)

    async def _make_room(self, header: RunHeader, line: Sequence[RunRow], busy: Busy) -> None:
        """End those who are under way; the first one says whether that is acceptable, for only it has begun."""
        reason = f"run {header.run_id!r} takes its place on thread {header.thread!r}"
        for row in line:
            if busy == "interrupt":
                await self._steering.end(Cancel(new_id(), row.run_id, reason))
            elif busy == "rollback":
                await self._steering.rollback.put_back(Cancel(new_id(), row.run_id, reason, "rollback"), line)
