"""What people hold: a handle on one run, and the channel by which one barrier is decided."""

from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar, cast

import trio

from terzetto_protocol.decisions import Decision
from terzetto_protocol.limits import HEARTBEAT, RECONNECT_GRACE
from terzetto_protocol.places import Barrier
from terzetto_protocol.receipts import CancelReceipt, Receipt
from terzetto_protocol.records import BarrierRow
from terzetto_protocol.statuses import RunStatus

from ._hub import Subscription
from ._results import Result
from ._run import RunStatistics

if TYPE_CHECKING:
    from ._runtime import Runtime

S = TypeVar("S")


class DecisionChannel(Generic[S]):
    """The way by which decisions reach one barrier; it can be held, passed on and closed."""

    def __init__(self, runtime: "Runtime", run_id: str, barrier: str, source: str) -> None:
        self.run_id: Final = run_id
        self.barrier: Final = barrier
        self._runtime: Runtime | None = runtime
        self._source = source

    async def decide(self, decision: Decision, /) -> Receipt:
        """Decide; the receipt is durable. A checkpoint; raises as `Run.decide`, and `trio.ClosedResourceError`."""
        if self._runtime is None:
            raise trio.ClosedResourceError("this decision channel was closed")
        return await self._runtime.decide(self.run_id, self.barrier, decision, source=self._source)

    def close(self) -> None:
        """Decide nothing more through this channel; the barrier keeps waiting. Not a checkpoint."""
        self._runtime = None


class Run(Generic[S]):
    """A handle on one run; it costs nothing and may be made again from the id."""

    def __init__(self, runtime: "Runtime", run_id: str, *, reused: bool = False) -> None:
        self.run_id: Final = run_id
        self.reused: Final = reused
        """Whether submitting found the same run there already."""
        self._runtime = runtime

    def __repr__(self) -> str:
        return f"<run {self.run_id}>"

    def events(
        self,
        *,
        last_event_id: int | str | None = None,
        heartbeat: float = HEARTBEAT,
        strict: bool = False,
        on_disconnect: Literal["continue", "cancel"] = "continue",
        grace: float = RECONNECT_GRACE,
    ) -> Subscription:
        """Everything that the run tells, from its beginning or after an event that was seen.

        `async with run.events() as events: async for event in events: ...`. The first item is a `Cursor` that
        says how `last_event_id` was resolved; the iteration ends after `RunEnded`. A slow reader gets a `Gap`
        and delays nobody.

        Args:
            last_event_id: id of the last event that was seen; None for everything.
            heartbeat: seconds of silence after which a `Heartbeat` comes.
            strict: end instead of going on when events between are gone.
            on_disconnect: `"cancel"` ends the run when this reader leaves, was the last, and nobody comes in time.
            grace: seconds that a reader has to come back.
        """
        runtime, run_id = self._runtime, self.run_id
        left = (lambda: runtime.abandon(run_id, grace)) if on_disconnect == "cancel" else None
        return runtime.hub.events(run_id, last_event_id=last_event_id, heartbeat=heartbeat, strict=strict, left=left)

    async def decide(self, barrier: "str | Barrier[S]", decision: Decision, /, *, source: str = "") -> Receipt:
        """Resolve a barrier: by its id, its name, or `""` for the only open one. A checkpoint.

        The receipt is `DecisionTaken`, or `AlreadyResolved` with the winner. Cancelled, the decision may
        have been taken.

        Raises:
            Refused: no such barrier is open, or it does not take this decision; it keeps waiting.
        """
        name = barrier.name if isinstance(barrier, Barrier) else barrier
        return await self._runtime.decide(self.run_id, name, decision, source=source)

    def decisions(self, barrier: "str | Barrier[S]", *, source: str = "") -> DecisionChannel[S]:
        """The decision channel of a barrier. Not a checkpoint."""
        name = barrier.name if isinstance(barrier, Barrier) else barrier
        return DecisionChannel(self._runtime, self.run_id, name, source)

    async def cancel(self, reason: str = "") -> CancelReceipt:
        """End the run: once this has returned nothing of it commits any more. A checkpoint."""
        return await self._runtime.cancel(self.run_id, reason)

    async def resume(self) -> Receipt:
        """Let a paused run go on. A checkpoint."""
        return await self._runtime.resume(self.run_id)

    async def result(self) -> Result[S]:
        """Wait for the end; never raises for an outcome. A checkpoint; a cancelled wait leaves the run alone."""
        return cast("Result[S]", await self._runtime.supervisor.result(self.run_id))

    async def status(self) -> RunStatus:
        """The durable status. A checkpoint."""
        return (await self._runtime.row(self.run_id)).status

    async def state(self) -> S:
        """A copy of the durable state. A checkpoint."""
        return cast("S", await self._runtime.state(self.run_id))

    def statistics(self) -> RunStatistics | None:
        """Numbers of this moment, or None for a run that is not live here. Not a checkpoint."""
        return self._runtime.supervisor.run_statistics(self.run_id)

    async def barriers(self) -> list[BarrierRow]:
        """Open barriers. A checkpoint."""
        return await self._runtime.store.barriers(self.run_id)
