"""The persistence actor: owns writing to the store.

It owns the list of writes that wait, and tells each sender what became of its own. While one group is
being stored the next one gathers, and is taken when the answers of the first are handed over: group
commit without a timer. Other work, such as a piece of a blob, is done between two groups. It is told to stop by
`close()`, after everything that writes has ended, and stops when nothing waits any more.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any, Final, Generic, Protocol, TypeVar

import trio
from attrs import frozen

from terzetto_protocol.backoff import backoff
from terzetto_protocol.errors import ActorStopped, StoreError, StoreRejected, StoreUnavailable, TerzettoError, describe
from terzetto_protocol.limits import GROUP_COMMITS
from terzetto_protocol.records import Applied, Outcome, Rejected, Write
from terzetto_protocol.step_commit import StepCommit

from . import _faults
from ._mailbox import Slot
from .stores._contract import SettlingStore, Store

T = TypeVar("T")


class Sender(Protocol):
    """Whoever hands over writes."""

    def written(self, write: Write, outcome: Outcome) -> None:
        """Hear what became of a write; called on the persistence task, in order, and must not raise.

        Of writes that were stored together only the last one is told: it says that all before it are stored, too.
        """


@frozen
class PersistenceStatistics:
    """What the persistence actor says of itself."""

    waiting: int
    """Writes that are not answered yet. Bounded: a run has at most its window of commits on the way."""
    transactions: int
    commits: int
    bytes: int
    """Encoded commits and snapshots that were stored."""
    largest_group: int
    failures: int
    """Tries that the store did not take."""
    unavailable_since: float | None
    """Trio time since which the store is gone, or None."""


class _Chore(Generic[T]):
    """Something that is done to the store between two groups, and the slot for what comes of it."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work: Final = work
        self.slot: Final[Slot[T]] = Slot()

    async def perform(self) -> None:
        """Do it and answer; raises `StoreUnavailable`, having answered, when the handle may be worth nothing now."""
        try:
            self.slot.answer(await self._work())
        except TerzettoError as error:
            self.slot.fail(error)
            if isinstance(error, StoreUnavailable):
                raise
        finally:
            self.slot.fail(ActorStopped(_NAME))  # unless it was answered


class Persistence:
    """Groups waiting writes into transactions and answers each sender.

    A store that is gone is tried again for as long as it takes, on a new handle each time: a handle whose
    sync failed is never trusted again. Writes that were in doubt are simply written again, for a store
    recognises what it has.
    """

    def __init__(self, store: Store) -> None:
        self.store: Final = store
        self.on_change: Callable[[], None] = _nobody
        """Called when the store went away or came back."""
        self.on_stored: Callable[[Write], None] | None = None
        """Called with every write that the store has answered, if anybody wants to know; set before the first."""
        self.lease_ends = inf
        """Trio time until which what is ours stays ours; what the store answers later has to be looked at again."""
        self._waiting: list[tuple[Write, Sender]] = []
        self._chores: deque[_Chore[Any]] = deque()
        self._in_flight = 0
        self._task: trio.lowlevel.Task | None = None
        self._answered = trio.Event()
        self._closing = False
        self._stopped = False
        self._deadline = trio.CancelScope(shield=True)
        self._unavailable_since: float | None = None
        self._counts = {"transactions": 0, "commits": 0, "bytes": 0, "largest_group": 0, "failures": 0}

    @property
    def available(self) -> bool:
        """Whether the store took the last thing that it was given."""
        return self._unavailable_since is None

    @property
    def stopped(self) -> bool:
        """Whether it takes nothing any more."""
        return self._stopped

    def send(self, write: Write, sender: Sender) -> None:
        """Hand over a write; `sender.written` is called when it is durable or refused. Not a checkpoint.

        After the actor has stopped the answer comes at once, inside this call.
        """
        if self._stopped:
            sender.written(write, Rejected(STOPPED, final=False))
            return
        self._waiting.append((write, sender))
        self._wake()

    def settler(self) -> Callable[[Write], Outcome] | None:
        """What stores a write inside the call, where the store can do that."""
        if not isinstance(self.store, SettlingStore):
            return None
        return self.store.settle if self.on_stored is None else _noting(self.store.settle, self.on_stored)

    def step_settler(self) -> Callable[[StepCommit], Outcome] | None:
        """As `settler`, for everyday steps; None where somebody wants to see every write."""
        return self.store.settle_step if isinstance(self.store, SettlingStore) and self.on_stored is None else None

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something done to the store between two groups of writes, by the writer. A checkpoint.

        What follows the last `await` of `work` happens before any later write. Cancelled, it may still happen.

        Raises:
            ActorStopped: the actor stopped before it was done.
            StoreUnavailable: nothing is known about it.
        """
        if self._stopped:
            await trio.lowlevel.checkpoint()
            raise ActorStopped(_NAME)
        chore = _Chore(work)
        self._chores.append(chore)
        self._wake()
        return await chore.slot.wait()

    def doubt(self) -> None:
        """Somebody could not read: have the handle replaced, unless that is being done. Not a checkpoint."""
        if self.available and not self._stopped:
            self._note_failure()
            self._chores.append(_Chore(_fail))
            self._wake()

    async def settled(self) -> None:
        """Wait until everything that was handed over is answered. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while self._waiting:
            await self._answered.wait()

    def close(self, deadline: float) -> None:
        """Stop once nothing waits any more, or at this Trio time. Not a checkpoint; twice is once."""
        self._closing = True
        self._deadline.deadline = min(self._deadline.deadline, deadline)
        self._wake()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Store what comes until closed. A checkpoint.

        Shielded, so that the last commits of cancelled runs still land; `close` gives the shield its deadline.
        When it stops early, every sender that still waits is told so.
        """
        self._stopped = self._closing = False
        self._deadline = trio.CancelScope(shield=True)
        task_status.started()
        try:
            with self._deadline:
                while await self._work():
                    pass
        finally:
            self._stopped = True
            self._refuse_rest()

    async def _work(self) -> bool:
        while not (self._waiting or self._chores):
            if self._closing:
                return False
            await self._sleep()
        if self._chores:
            await self._do_chore(self._chores.popleft())
        if _faults.hook is not None:
            await _faults.hook.writes(self._waiting, GROUP_COMMITS)
        group = self._waiting[:GROUP_COMMITS]
        if not group:
            self._tell_answered()
            return True
        self._in_flight = len(group)
        outcomes = await self._store([write for write, _ in group])
        if trio.current_time() >= self.lease_ends:
            outcomes = await self._affirmed([write for write, _ in group], outcomes)
        del self._waiting[: len(group)]
        self._in_flight = 0
        if _faults.hook is not None:
            _pass_points(_faults.hook, group)
        self._answer(group, outcomes)
        self._tell_answered()
        return True

    def _answer(self, group: Sequence[tuple[Write, Sender]], outcomes: Sequence[Outcome]) -> None:
        """Tell each sender how far its writes are stored, and whatever was refused."""
        pairs = zip(group, outcomes, strict=True)
        last = {sender: write for (write, sender), outcome in pairs if type(outcome) is Applied}
        for (write, sender), outcome in zip(group, outcomes, strict=True):
            if type(outcome) is not Applied:
                sender.written(write, outcome)
                self._refuse_following(write, sender)
            elif last[sender] is write:
                sender.written(write, outcome)

    async def _affirmed(self, writes: Sequence[Write], outcomes: list[Outcome]) -> list[Outcome]:
        """What became of writes that were answered after our lease: what others have claimed since is not ours.

        It is stored, and whoever claimed the run has it. But nobody may begin what it leads to here.
        """
        failures = 0
        while True:
            try:
                await self.renew()
                lost = {row.run_id for row in await self.store.foreign({write.run_id for write in writes})}
            except StoreUnavailable:
                failures += 1
                self._note_failure()
                await trio.sleep(backoff(failures))
                await self._store([], failures)
            else:
                pairs = zip(writes, outcomes, strict=True)
                return [Rejected(LAPSED, final=False) if one.run_id in lost else outcome for one, outcome in pairs]

    async def renew(self) -> None:
        """Renew our lease on the store, if it has leases. A checkpoint; raises `StoreUnavailable`."""
        begun = trio.current_time()
        await self.store.renew()
        if self.store.lease is not None:
            self.lease_ends = begun + self.store.lease

    def _refuse_following(self, write: Write, sender: Sender) -> None:
        """What a sender made upon a refused write might fit what another owner has made: it is never tried."""
        theirs = [each for each in self._waiting if each[1] is sender and each[0].run_id == write.run_id]
        if theirs:
            gone = {id(each) for each in theirs}
            self._waiting = [each for each in self._waiting if id(each) not in gone]
        for each, _ in theirs:
            sender.written(each, Rejected(f"it follows commit {write.seq}, which was refused", final=False))

    async def _do_chore(self, chore: _Chore[Any]) -> None:
        try:
            await chore.perform()
        except StoreUnavailable:
            self._note_failure()
            await self._store([], failures=1)  # until the store is back

    async def _store(self, writes: Sequence[Write], failures: int = 0) -> list[Outcome]:
        while True:
            try:
                outcomes = await self._try(writes, again=failures > 0)
            except StoreUnavailable:
                failures += 1
                self._note_failure()
                if self._closing and not writes:
                    return []  # nobody needs a new handle any more
                await trio.sleep(backoff(failures))
            else:
                self._note_success(writes)
                return outcomes

    async def _try(self, writes: Sequence[Write], *, again: bool) -> list[Outcome]:
        try:
            if again:
                await self.store.reopen()
            return await self.store.commit(writes)
        except StoreRejected as error:
            return [Rejected(describe(error)) for _ in writes]
        except StoreError as error:  # whatever is wrong with the store, it is not the writes: they wait for it
            raise StoreUnavailable(describe(error)) from error

    def _note_failure(self) -> None:
        self._counts["failures"] += 1
        if self._unavailable_since is None:
            self._unavailable_since = trio.current_time()
            self.on_change()

    def _note_success(self, writes: Sequence[Write]) -> None:
        counts = self._counts
        counts["transactions"] += 1
        counts["commits"] += len(writes)
        counts["bytes"] += sum(len(write.body) + len(write.snapshot or b"") for write in writes)
        counts["largest_group"] = max(counts["largest_group"], len(writes))
        if self._unavailable_since is not None:
            self._unavailable_since = None
            self.on_change()
        if self.on_stored is not None:
            for write in writes:
                self.on_stored(write)

    async def _sleep(self) -> None:
        self._task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _wake(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _refuse_rest(self) -> None:
        rest, self._waiting = self._waiting, []
        for write, sender in rest:
            sender.written(write, Rejected(STOPPED, final=False))
        while self._chores:
            self._chores.popleft().slot.fail(ActorStopped(_NAME))
        self._tell_answered()

    def _tell_answered(self) -> None:
        self._answered.set()
        self._answered = trio.Event()

    def statistics(self) -> PersistenceStatistics:
        """Numbers since the start."""
        return PersistenceStatistics(
            waiting=len(self._waiting), unavailable_since=self._unavailable_since, **self._counts
        )


LAPSED: Final = "our lease had ended when it was stored, and another owner has claimed the run"
"""Reason of the answers to what was stored too late."""
STOPPED: Final = "the persistence actor stopped before it was stored"
"""Reason of the answers that a stopping persistence actor gives: the write may or may not be there."""


_NAME: Final = "the persistence actor"


def _noting(settle: Callable[[Write], Outcome], note: Callable[[Write], None]) -> Callable[[Write], Outcome]:
    def settled(write: Write) -> Outcome:
        outcome = settle(write)
        note(write)
        return outcome

    return settled


async def _fail() -> None:
    await trio.lowlevel.checkpoint()
    raise StoreUnavailable("it could not be read")


def _nobody() -> None:
    """Nobody wants to know."""


def _pass_points(hook: _faults.Hook, group: Sequence[tuple[Write, Sender]]) -> None:
    for write, _ in group:
        hook("commit_durable", write)
        if write.header is not None:
            hook("submit_durable", write)
        kind = write.kind
        if kind == "intent":
            hook("intent_durable", write)
        elif kind == "decide":
            hook("decision_durable", write)
