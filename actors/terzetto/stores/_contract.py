"""What every store promises, whoever wrote it; the store kit of `terzetto.testing` holds it to that."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Any, Final, Self

import trio
from attrs import frozen

from terzetto_protocol.records import BarrierRow, Head, Outcome, Posted, RunRow, Write
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.step_commit import StepCommit

from ._blob_contract import BlobStore

TIMED: Final = (RunStatus.QUEUED, RunStatus.AWAITING_INPUT, RunStatus.PAUSED)
"""Statuses of a run that nobody carries, in which a moment may come all the same."""


@frozen
class StoreHealth:
    """What a store says of itself."""

    url: str
    """Where it is, without secrets."""
    durable: bool
    """Whether what it acknowledges survives the death of the process."""
    version: int
    """Version of its schema."""
    problems: tuple[str, ...] = ()
    """What an integrity check found; empty is good."""
    details: tuple[tuple[str, str], ...] = ()
    """Settings worth showing, such as ("synchronous", "FULL")."""


@frozen
class StoredRun:
    """What whoever carries a run on has to know of it."""

    row: RunRow
    snapshot: tuple[int, bytes] | None
    """The newest one, behind the seq of its commit."""
    records: Sequence[bytes]
    """The encoded commits after that, in order of seq."""
    barriers: Sequence[BarrierRow]
    """In order of opening, those that are closed included."""
    owner: str = ""
    """Who else it belongs to, and still lives; empty for one that is nobody's or ours, and for one that has ended."""


UNFINISHED: Final = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.CANCELLING, RunStatus.INTERRUPTED)
"""Statuses of a run that somebody has to carry on."""


class Store(BlobStore):
    """Keeps runs: a write is applied whole or refused whole, and an acknowledged one is there after a crash.

    A store is opened and closed by `async with`. All methods are checkpoints, and atomic with respect
    to cancellation: a cancelled `commit` has either happened or not, and writing the same group again
    answers `Applied` for what was there. They raise `StoreUnavailable` when the store is gone for now
    (after `reopen()` they may work again); what can never work is an `Outcome`, not an exception. A store that
    notices that something of a run is not what was stored raises `StoreDamaged` for that run; a new handle would change
    nothing, and nobody asks for one.
    """

    durable: bool
    """Whether what `commit` acknowledges survives the death of the process."""
    shared: bool = False
    """Whether other processes may read this store and leave commands in it."""
    lease: float | None = None
    """How long an owner that is not heard of keeps its runs, seconds by the store's clock; None: there is one owner.

    Where there is a lease, several runtimes may open the store at once. Each is an owner under a name of its own. A run
    belongs to the owner whose write brought it, or raised its epoch last, until that owner closes the store or has not
    called `renew` for so long; then it is anybody's. The epoch alone decides which writes are applied: an owner that
    comes back late is told `Stale`, run by run. Until the store is opened it may be set.
    """

    async def __aenter__(self) -> Self:
        """Open, or leave nothing behind.

        Raises:
            StoreInUse: another process owns it.
            StoreTooNew: a newer Terzetto wrote it.
            StoreUnavailable: it cannot be reached now.
            StoreError: what is there is not a store, and was not touched.
        """
        return self

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close; nothing of the store is left behind, also when cancelled."""

    @abstractmethod
    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Apply a group in one transaction, in order, and answer for each write, in order.

        A write is applied when the stored run has the epoch `expect` and its seq follows the last one (for a
        first write: when its seq is 1 and neither the run nor its idempotency key exists), else refused without
        touching the others. A write that is there already, from a try whose answer was lost (same run, seq,
        epoch and body, and for a first write the same header), is `Applied`. An old epoch is `Stale`, a taken
        id or key `Exists`. Where there is a lease, a claim that is equal to that of another owner who lives is
        `Stale`, too, and the first write of a run on a thread is `Overtaken` where
        one that is under way there has the same place in the line or a later one, and so is a write whose
        `base` is not the thread's head (see `terzetto_protocol.threads.overtaken`). Other content under a seq
        that is taken, a seq that leaves a hole, an unknown run, and what the store cannot hold are `Rejected`.
        What follows a refused write in its group (the next seq of its run, under the epoch that the refused one
        would have left) is refused with it: behind a stale one as `Stale`, else as `Rejected`. A write that
        names a `thread` moves its head to the run, with all the rest of it or not at all, and once: written
        again it moves nothing. A write that names blobs makes the run keep them, and is `Rejected` where one of
        them is not there.

        Raises:
            StoreUnavailable: nothing is known about the group; write it again (after `reopen()`).
        """

    @abstractmethod
    async def reopen(self) -> None:
        """Replace the handle by a new one; what a failed sync left behind is never trusted.

        Raises:
            StoreUnavailable: the store is still gone; try again later.
        """

    @abstractmethod
    async def run(self, run_id: str) -> RunRow | None:
        """The run's row, or None."""

    async def load(self, run_id: str) -> StoredRun | None:
        """All that is needed to carry a run on, or None where there is none.

        It is read piece by piece, and may be of several moments where somebody writes meanwhile: whoever asks looks
        whether the pieces fit. A store that can read it at once should, for every run that is decided waits for this.
        """
        row = await self.run(run_id)
        if row is None:
            return None
        snapshot = await self.snapshot(run_id)
        records = await self.records(run_id, after=0 if snapshot is None else snapshot[0])
        return StoredRun(row, snapshot, records, await self.barriers(run_id, only_open=False))

    @abstractmethod
    async def run_by_key(self, key: str) -> RunRow | None:
        """The run that was submitted under this idempotency key, or None."""

    @abstractmethod
    async def runs(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> list[RunRow]:
        """Rows newest first (by submit time, then id), older than the run `before`.

        One that is damaged is there, with the reason in `damaged`, and keeps nobody from the others.

        Args:
            statuses: only these; None means all, an empty sequence none.
            before: a run id to page from.
            limit: 0 means none, None means all.
            thread: only runs on it (on an empty one is none); None means all.

        Raises:
            UnknownRun: there is no run `before`.
        """

    async def renew(self) -> None:
        """Say that this owner lives: what belongs to it stays its own for another `lease`."""
        await trio.lowlevel.checkpoint()

    async def unfinished(self) -> list[RunRow]:
        """Rows of the runs in `UNFINISHED` statuses that belong to nobody else who lives, newest first."""
        return await self.runs(statuses=UNFINISHED, limit=None)

    async def foreign(self, run_ids: Collection[str]) -> list[RunRow]:
        """Rows of those among these runs that another owner wrote last, living or not, in any order; unknown ids none.

        It is asked often, of the runs that somebody here reads. One owner has nobody else's.
        """
        await trio.lowlevel.checkpoint()
        return []

    async def timers(self) -> list[tuple[str, float]]:
        """Runs in `TIMED` statuses whose row has a timer, each with that, in any order; a damaged one is due at 0.

        Those that belong to somebody else who lives are left out.

        It is asked often, of a store that may hold many runs that wait for people. One that finds them without a look
        at all of those should.
        """
        rows = await self.runs(statuses=TIMED, limit=None)
        moments = ((row.run_id, 0.0 if row.damaged else row.timer) for row in rows)
        return [(run_id, moment) for run_id, moment in moments if moment is not None]

    @abstractmethod
    async def head(self, thread: str) -> Head | None:
        """Where the thread is, or None while it has no head."""

    @abstractmethod
    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """Move a thread's head back from one run to another, or to none; False, and nothing done, when it is elsewhere.

        Where there is a lease: nor while a run that has begun is under way on the thread (`threads.builds_on`).

        Args:
            thread: the thread.
            expect: the run that must be its head.
            run_id: the run that is its head afterwards, or empty; it must be there.
            at: UNIX time, seconds.

        Raises:
            StoreRejected: there is no such run.
        """

    @abstractmethod
    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """The newest snapshot (of a commit not after `at`) and the seq of its commit, or None where there is none."""

    @abstractmethod
    async def checkpoints(self, run_id: str) -> list[int]:
        """Seqs of the commits that carry a snapshot, rising; what is below the row's `first` stands alone."""

    @abstractmethod
    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """Encoded commits in order of seq, those that are left after `after`; limit 0 means none, None all."""

    @abstractmethod
    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """Encoded commits whose last event id is greater than `after_event`, in order of seq."""

    @abstractmethod
    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """Barriers in order of opening (of the writes that brought them); of every run when `run_id` is None.

        Of every run, those that are damaged are left out; `health(deep=True)` tells of them.
        """

    @abstractmethod
    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """Forget commits in front of a snapshot, in one transaction, and return how many are gone by it.

        The cut is in front of the newest snapshot that is not after `before`; where there is none nothing happens.
        So the newest snapshot and all that follows it always stay, and whoever reads the run reads what it was.

        Args:
            before: the first commit that is to stay with all that follow.
            epoch: the epoch that the run must have.
            keep: commits in front of the cut that stay, each alone, if they carry a snapshot.
            closed_before: barriers that were closed before this UNIX time are forgotten with the commits.

        Raises:
            UnknownRun: no run has this id.
            StaleEpoch: the run has another epoch; nothing changed.
            StoreUnavailable: nothing is known about it; prune again (after `reopen()`).
        """

    @abstractmethod
    async def delete(self, run_id: str, *, epoch: int) -> int:
        """Forget a run that has ended, in one transaction, and return how many commits it had left.

        Nothing is left of it: no row, key, commit, snapshot or barrier, no command that was answered, and no claim to a
        blob. Its id and key are free.

        Raises:
            UnknownRun: no run has this id.
            StaleEpoch: the run has another epoch; nothing changed.
            Refused: it has not ended, or is the head of a thread; nothing changed.
            StoreUnavailable: nothing is known about it; look whether it is there (after `reopen()`).
        """

    @abstractmethod
    async def post(self, command: Posted) -> None:
        """Leave a command for the owner; the same command id again changes nothing."""

    @abstractmethod
    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """Commands without a receipt, oldest first; one that is damaged is left out, and its `receipt` tells.

        Where there is a lease: those for runs that are ours, and those for runs that are nobody's and that no other
        owner was given, but for those that we have declined. What an owner was given, and has not answered when its
        lease ends, others are given.
        """

    async def decline(self, command_id: str) -> None:
        """Give a command back that we cannot carry out, and another owner may; one with a receipt keeps it.

        Others are given it from now on, and we are again when as much time as our `lease` has passed: then we may be
        able to. Where there is one owner, there is nobody else to be given it, and nothing happens.
        """
        await trio.lowlevel.checkpoint()

    async def wait_posted(self, seconds: float) -> None:
        """Return when there may be a command that `posted` has not told of yet, after so many seconds at the latest.

        It may return early, and for nothing. A store that hears of commands by itself need not be asked so often.
        """
        await trio.sleep(seconds)

    @abstractmethod
    async def answer(self, command_id: str, receipt: bytes) -> None:
        """Put the receipt beside the command; the first one stays, and one for an unknown command is dropped."""

    @abstractmethod
    async def receipt(self, command_id: str) -> bytes | None:
        """The receipt of a posted command, or None while there is none."""

    @abstractmethod
    async def health(self, *, deep: bool = False) -> StoreHealth:
        """What the store says of itself; `deep` also checks the integrity of everything it holds."""

    def statistics(self) -> dict[str, Any]:
        """Numbers for the console: transactions, commits, bytes; whatever the store counts."""
        return {}


class SettlingStore(Store):
    """A store that can apply a write inside a call, because it waits for nothing."""

    @abstractmethod
    def settle(self, write: Write) -> Outcome:
        """Apply one write, as `commit` does. Not a checkpoint."""

    def settle_step(self, step: StepCommit) -> Outcome:
        """As `settle`, for a commit that need not be encoded before somebody reads it."""
        return self.settle(step.write)
