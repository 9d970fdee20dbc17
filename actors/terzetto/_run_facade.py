"""`runtime.runs`: create, join, list and delete runs, under the names that users of other systems know."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, Unpack, cast, final, overload

import trio

from terzetto_protocol.declaration import Declaration
from terzetto_protocol.ids import check_choice
from terzetto_protocol.limits import HEARTBEAT, RECONNECT_GRACE
from terzetto_protocol.receipts import CancelReceipt
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import RunStatus

from ._bridge_reader import BridgeReader
from ._handles import Run
from ._results import Result
from ._runtime_bridge import DISCONNECTED, OnDisconnect, RuntimeStreamBridge

if TYPE_CHECKING:
    from ._options import SubmitOptions, ThreadOptions
    from ._runtime import Runtime

S = TypeVar("S")

_Rows: TypeAlias = list[RunRow]  # inside the class, `list` is something else
_PAGE: Final = 256
"""Rows that are read at once where some are left out."""


@final
class Runs:
    """The runs of a runtime's store; called, it lists them, as `list` does.

    The `create_` methods take what `Runtime.submit` takes, and raise what it raises. Streams are those of a
    `RuntimeStreamBridge`: texts as ids, plain data.
    """

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime: Final = runtime
        self._bridge: Final = RuntimeStreamBridge(runtime)

    async def __call__(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> _Rows:
        """Runs of the store (or of one thread), newest first; `limit` 0 means none, None all. A checkpoint."""
        return await self._runtime.store.runs(statuses=statuses, before=before, limit=limit, thread=thread)

    # -- making them -----------------------------------------------------------------------------------------

    @overload
    async def create_background(
        self, graph: Declaration[S, Any], state: S, /, **options: "Unpack[SubmitOptions[S]]"
    ) -> Run[S]: ...
    @overload
    async def create_background(
        self, graph: Declaration[S, Any], /, **options: "Unpack[ThreadOptions[S]]"
    ) -> Run[S]: ...
    async def create_background(self, graph: Declaration[S, Any], state: S | None = None, /, **options: Any) -> Run[S]:
        """Start a run and return its handle; it is durable then. As `Runtime.submit`. A checkpoint."""
        run: Run[S] = await self._runtime.submit(graph, cast("S", state), **options)
        return run

    @overload
    async def create_and_stream(
        self,
        graph: Declaration[S, Any],
        state: S,
        /,
        *,
        heartbeat_interval: float = HEARTBEAT,
        on_disconnect: OnDisconnect = "continue",
        grace: float = RECONNECT_GRACE,
        **options: "Unpack[SubmitOptions[S]]",
    ) -> tuple[Run[S], BridgeReader]: ...
    @overload
    async def create_and_stream(
        self,
        graph: Declaration[S, Any],
        /,
        *,
        heartbeat_interval: float = HEARTBEAT,
        on_disconnect: OnDisconnect = "continue",
        grace: float = RECONNECT_GRACE,
        **options: "Unpack[ThreadOptions[S]]",
    ) -> tuple[Run[S], BridgeReader]: ...
    async def create_and_stream(
        self,
        graph: Declaration[S, Any],
        state: S | None = None,
        /,
        *,
        heartbeat_interval: float = HEARTBEAT,
        on_disconnect: OnDisconnect = "continue",
        grace: float = RECONNECT_GRACE,
        **options: Any,
    ) -> tuple[Run[S], BridgeReader]:
        """Start a run, and return its handle with everything that it tells, from its beginning. A checkpoint.

        Args:
            graph: as for `Runtime.submit`, like `state` and the other options.
            state: as there.
            heartbeat_interval: seconds of silence after which `HEARTBEAT_SENTINEL` comes.
            on_disconnect: `"cancel"` ends the run when nobody reads it for `grace` seconds, from the beginning on.
            grace: seconds that a reader has to come, or to come back.
        """
        check_choice(on_disconnect, DISCONNECTED, "on_disconnect")
        run: Run[S] = await self._runtime.submit(graph, cast("S", state), **options)
        if on_disconnect == "cancel":
            self._runtime.abandon(run.run_id, grace)
        reader = self._bridge.subscribe(
            run.run_id, heartbeat_interval=heartbeat_interval, on_disconnect=on_disconnect, grace=grace
        )
        return run, reader

    @overload
    async def create_and_wait(
        self,
        graph: Declaration[S, Any],
        state: S,
        /,
        *,
        on_disconnect: OnDisconnect = "continue",
        **options: "Unpack[SubmitOptions[S]]",
    ) -> Result[S]: ...
    @overload
    async def create_and_wait(
        self,
        graph: Declaration[S, Any],
        /,
        *,
        on_disconnect: OnDisconnect = "continue",
        **options: "Unpack[ThreadOptions[S]]",
    ) -> Result[S]: ...
    async def create_and_wait(
        self,
        graph: Declaration[S, Any],
        state: S | None = None,
        /,
        *,
        on_disconnect: OnDisconnect = "continue",
        **options: Any,
    ) -> Result[S]:
        """Start a run and wait for its end; never raises for an outcome. A checkpoint.

        A cancelled wait leaves the run alone; with `on_disconnect="cancel"` the run is cancelled, too, unless somebody
        reads it within `RECONNECT_GRACE` seconds.
        """
        check_choice(on_disconnect, DISCONNECTED, "on_disconnect")
        run: Run[S] = await self._runtime.submit(graph, cast("S", state), **options)
        return await self._wait(run, on_disconnect)

    # -- joining them ----------------------------------------------------------------------------------------

    def join_stream(
        self,
        run_id: str,
        *,
        last_event_id: str | None = None,
        heartbeat_interval: float = HEARTBEAT,
        on_disconnect: OnDisconnect = "continue",
        grace: float = RECONNECT_GRACE,
    ) -> BridgeReader:
        """What a run tells, after `last_event_id`; see `RuntimeStreamBridge.subscribe`. Not a checkpoint."""
        return self._bridge.subscribe(
            run_id,
            last_event_id=last_event_id,
            heartbeat_interval=heartbeat_interval,
            on_disconnect=on_disconnect,
            grace=grace,
        )

    async def join_wait(self, run_id: str, *, on_disconnect: OnDisconnect = "continue") -> Result[Any]:
        """Wait for the end of a run; never raises for an outcome. A checkpoint.

        Raises:
            UnknownRun: no run has this id.
        """
        check_choice(on_disconnect, DISCONNECTED, "on_disconnect")
        return await self._wait(self._runtime.get(run_id), on_disconnect)

    async def _wait(self, run: Run[S], on_disconnect: OnDisconnect) -> Result[S]:
        try:
            return await run.result()
        except trio.Cancelled:
            if on_disconnect == "cancel":
                self._runtime.abandon(run.run_id, RECONNECT_GRACE)
            raise

    # -- looking for them, and ending them -------------------------------------------------------------------

    async def get(self, run_id: str) -> RunRow:
        """What the store lists about a run. A checkpoint; raises `UnknownRun`. For a handle: `Runtime.get`."""
        return await self._runtime.row(run_id)

    async def cancel(
        self,
        run_id: str,
        reason: str = "",
        *,
        mode: Literal["stop", "rollback"] = "stop",
        repeat_effects: bool = False,
    ) -> CancelReceipt:
        """End a run, or roll its thread back; see `Run.cancel`. A checkpoint."""
        return await self._runtime.cancel(run_id, reason, mode=mode, repeat_effects=repeat_effects)

    async def delete(self, run_id: str) -> int:
        """Forget a run that has ended, and return how many commits it had left; see `Runtime.delete`. A checkpoint.

        Raises:
            UnknownRun: no run has this id.
            Refused: it has not ended, a run that went on from it has not, or it is the head of a thread.
        """
        return await self._runtime.delete(run_id)

    async def list(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        thread: str | None = None,
        graph: str | None = None,
        metadata: Mapping[str, str | int | float | bool] | None = None,
        before: str | None = None,
        limit: int | None = 100,
    ) -> _Rows:
        """Runs of the store, newest first. A checkpoint.

        Args:
            statuses: only runs with one of these; None for all.
            thread: only those on this thread.
            graph: only those of a graph with this name.
            metadata: only those whose metadata have all of this.
            before: only those that were submitted before this run.
            limit: how many; 0 means none, None all.
        """
        if graph is None and not metadata:
            return await self(statuses=statuses, before=before, limit=limit, thread=thread)
        found: _Rows = []
        while limit is None or len(found) < limit:
            page = await self(statuses=statuses, before=before, limit=_PAGE, thread=thread)
            found += [row for row in page if _fits(row, graph, metadata or {})]
            if len(page) < _PAGE:
                break
            before = page[-1].run_id
        return found[:limit]


def _fits(row: RunRow, graph: str | None, metadata: Mapping[str, object]) -> bool:
    """Whether a run is one of those that were asked for."""
    known, missing = row.header.metadata, object()
    return graph in {None, row.header.graph} and all(
        type(value) is type(known.get(key, missing)) and known[key] == value for key, value in metadata.items()
    )
