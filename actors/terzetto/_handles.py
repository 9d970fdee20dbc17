"""What people hold: a handle on one run, and the channel by which one barrier is decided."""

from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, cast

import trio

from terzetto_protocol.decisions import Decision
from terzetto_protocol.difference import Change
from terzetto_protocol.errors import HeadMissing
from terzetto_protocol.limits import HEARTBEAT, RECONNECT_GRACE
from terzetto_protocol.places import Barrier, Place
from terzetto_protocol.receipts import CancelReceipt, PauseReceipt, Receipt
from terzetto_protocol.records import BarrierRow, RunRow
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.threads import UNDER_WAY, in_line
from terzetto_protocol.views import CommitView

from ._history import Replay
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

    async def decide(
        self,
        barrier: "str | Barrier[S]",
        decision: Decision,
        /,
        *,
        source: str = "",
        keep: Literal["", "once", "always"] = "",
    ) -> Receipt:
        """Resolve a barrier: by its id, its name, or `""` for the only open one. A checkpoint.

        The receipt is `DecisionTaken`, `AlreadyResolved` with the winner, or `DecisionKept`. Cancelled, the
        decision may have been taken.

        Args:
            barrier: which; with `keep` also `"*"`, for any.
            decision: what is decided.
            source: who decides, as it is shown.
            keep: what happens if it is not open: refused; kept for the next time that it opens (`"once"`);
                or for every time, until it is withdrawn (`"always"`).

        Raises:
            Refused: no such barrier is open, or it does not take this decision; it keeps waiting.
        """
        name = barrier.name if isinstance(barrier, Barrier) else barrier
        return await self._runtime.decide(self.run_id, name, decision, source=source, keep=keep)

    async def withdraw(self, barrier: "str | Barrier[S]") -> Receipt:
        """Forget the decisions that are kept for a barrier; the receipt counts them. A checkpoint."""
        name = barrier.name if isinstance(barrier, Barrier) else barrier
        return await self._runtime.withdraw(self.run_id, name)

    def decisions(self, barrier: "str | Barrier[S]", *, source: str = "") -> DecisionChannel[S]:
        """The decision channel of a barrier. Not a checkpoint."""
        name = barrier.name if isinstance(barrier, Barrier) else barrier
        return DecisionChannel(self._runtime, self.run_id, name, source)

    async def cancel(
        self, reason: str = "", *, mode: Literal["stop", "rollback"] = "stop", repeat_effects: bool = False
    ) -> CancelReceipt:
        """End the run: once this has returned nothing of it commits any more. A checkpoint.

        Args:
            reason: kept in its history, and shown.
            mode: `"rollback"` puts the run's thread back to where it was before the run: one that is under way is
                ended, and of one that has SUCCEEDED and is the head, the head goes back (`rolled_back`).
            repeat_effects: whether a rollback may forget that effects of `once` nodes were begun.

        Raises:
            InvalidRequest: a rollback would forget effects of `once` nodes.
            Refused: there is no thread to roll back, or a later run builds on this one.
        """
        return await self._runtime.cancel(self.run_id, reason, mode=mode, repeat_effects=repeat_effects)

    async def pause(self) -> PauseReceipt:
        """Stop the run at its next commit; see `Runtime.pause`. A checkpoint."""
        return await self._runtime.pause(self.run_id)

    async def resume(self) -> Receipt:
        """Let a paused run go on. A checkpoint."""
        return await self._runtime.resume(self.run_id)

    async def result(self) -> Result[S]:
        """Wait for the end; never raises for an outcome. A checkpoint; a cancelled wait leaves the run alone."""
        return cast("Result[S]", await self._runtime.supervisor.result(self.run_id))

    async def status(self) -> RunStatus:
        """The durable status. A checkpoint."""
        return (await self._runtime.row(self.run_id)).status

    async def state(self, *, at: int | None = None) -> S:
        """A copy of the durable state, as of the commit `at` or the newest. A checkpoint.

        Raises:
            InvalidRequest: the run has no such commit.
            CommitPruned: the commit is not there any more.
        """
        return cast("S", await self._runtime.state(self.run_id, at=at))

    async def history(self, *, limit: int | None = 100, before: int | None = None) -> list[CommitView]:
        """Commits that are left, newest first, older than `before`; `limit` 0 means none, None all. A checkpoint."""
        return await (await self._runtime.past(self.run_id)).commits(limit=limit, before=before)

    async def checkpoints(self) -> list[int]:
        """The commits that carry a snapshot, oldest first; what is in front of the log stands alone. A checkpoint."""
        return await self._runtime.store.checkpoints(self.run_id)

    async def truncate(self, keep_from: int, /) -> int:
        """Forget the commits in front of a checkpoint; see `Runtime.prune`. A checkpoint."""
        return await self._runtime.prune(self.run_id, keep_from)

    async def delete(self) -> int:
        """Forget the run, which has ended; see `Runtime.delete`. A checkpoint."""
        return await self._runtime.delete(self.run_id)

    async def progress(self) -> dict[str, Shown]:
        """What has happened at each place of the graph, as `graph.svg(shown)` draws it. A checkpoint."""
        carried = self.statistics() is not None
        return await (await self._runtime.past(self.run_id)).progress(carried=carried)

    async def difference(self, before: int, after: int | None = None) -> tuple[Change, ...]:
        """What changed in the state from one commit to another, or to the newest. A checkpoint."""
        return await (await self._runtime.past(self.run_id)).difference(before, after)

    async def fork(self, *, at: int | None = None, new_id: str | None = None, repeat_effects: bool = False) -> "Run[S]":
        """A new run that goes on from a commit of this one; see `Runtime.fork`. A checkpoint."""
        return await self._runtime.fork(self.run_id, at=at, new_id=new_id, repeat_effects=repeat_effects)

    async def retry(self, *, new_id: str | None = None, repeat_effects: bool = False) -> "Run[S]":
        """A new run from before the visit with which this one failed; see `Runtime.retry`. A checkpoint."""
        return await self._runtime.retry(self.run_id, new_id=new_id, repeat_effects=repeat_effects)

    async def rerun(
        self,
        place: "Place[S] | str",
        state: S | None = None,
        /,
        *,
        new_id: str | None = None,
        repeat_effects: bool = False,
    ) -> "Run[S]":
        """A new run that begins at a place with this one's state, or an edited one. A checkpoint."""
        return await self._runtime.rerun(self.run_id, place, state, new_id=new_id, repeat_effects=repeat_effects)

    async def undo(self, count: int = 1, *, repeat_effects: bool = False) -> Receipt:
        """Take the last visits, decisions and joins back, and go on from there; see `Runtime.undo`. A checkpoint."""
        return await self._runtime.undo(self.run_id, count, repeat_effects=repeat_effects)

    async def replay(self) -> Replay:
        """Fold what is left of the log anew, running nothing, and compare it with its snapshots. A checkpoint."""
        return await (await self._runtime.past(self.run_id)).replay()

    def statistics(self) -> RunStatistics | None:
        """Numbers of this moment, or None for a run that is not live here. Not a checkpoint."""
        return self._runtime.supervisor.run_statistics(self.run_id)

    async def barriers(self) -> list[BarrierRow]:
        """Open barriers. A checkpoint."""
        return await self._runtime.store.barriers(self.run_id)


class Thread:
    """A handle on a thread, the conversation that several runs continue; it costs nothing, and asking makes nothing."""

    def __init__(self, runtime: "Runtime", thread: str) -> None:
        self.thread: Final = thread
        self._runtime = runtime

    def __repr__(self) -> str:
        return f"<thread {self.thread}>"

    async def head(self) -> RunRow | None:
        """The run that SUCCEEDED last and was not rolled back: the next one goes on from its end. A checkpoint."""
        head = await self._runtime.store.head(self.thread)
        return None if head is None else await self._runtime.row(head.run_id)

    async def state(self) -> Any:
        """A copy of the state with which the head ended. A checkpoint; raises `HeadMissing`."""
        head = await self._runtime.store.head(self.thread)
        if head is None:
            raise HeadMissing(self.thread)
        return await self._runtime.state(head.run_id)

    async def busy(self) -> list[RunRow]:
        """The runs that are under way: one whose turn it is, then those that wait for theirs. A checkpoint."""
        return in_line(await self._runtime.runs(thread=self.thread, statuses=UNDER_WAY, limit=None))

    async def runs(self, *, before: str | None = None, limit: int | None = 100) -> list[RunRow]:
        """Every run on it, whatever became of it, newest first; `limit` 0 means none, None all. A checkpoint."""
        return await self._runtime.runs(thread=self.thread, before=before, limit=limit)
