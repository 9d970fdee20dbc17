"""Why a write is not simply applied: the decisions that every store makes in the same way."""

from collections.abc import Callable, Sequence

from terzetto_protocol.errors import Refused, StaleEpoch, UnknownRun
from terzetto_protocol.records import Applied, BarrierRow, Outcome, Rejected, Stale, Write
from terzetto_protocol.statuses import TERMINAL, RunStatus


def verdict(
    write: Write, epoch: int, last: int, stored: tuple[int, bytes] | None, *, is_ours: bool = True
) -> Outcome | None:
    """The outcome of a write to an existing run, or None when it can be applied now.

    Args:
        epoch: the stored run's epoch.
        last: seq of its last commit.
        stored: epoch and body of the commit that has the write's seq, if there is one.
        is_ours: whether that may be this very write, which has come again, and not another owner's with equal bytes.
    """
    same_epoch = stored is not None and stored[0] == write.epoch
    if is_ours and same_epoch and stored is not None and stored[1] == write.body:
        return Applied()
    if epoch != write.expect:  # two who claim at once claim the same epoch: the second is stale all the same
        return Stale(epoch)
    if same_epoch:
        return Rejected(f"commit {write.seq} of run {write.run_id!r} is stored already, with other content")
    if write.seq != last + 1:
        return Rejected(f"commit {write.seq} of run {write.run_id!r} does not follow {last}, its last one")
    return None


def in_order(writes: Sequence[Write], settle: Callable[[Write], Outcome]) -> list[Outcome]:
    """Settle a group, one write after the other; what was made upon a refused one is refused with it.

    It would fit by chance where another owner wrote as many commits under the same epoch.
    """
    outcomes = list[Outcome]()
    refused = dict[tuple[str, int, int], Outcome]()
    for write in writes:
        before = refused.get((write.run_id, write.seq, write.expect))
        outcome = settle(write) if before is None else _behind(before, write)
        if not isinstance(outcome, Applied):
            refused[write.run_id, write.seq + 1, write.epoch] = outcome
        outcomes.append(outcome)
    return outcomes


def _behind(outcome: Outcome, write: Write) -> Outcome:
    if isinstance(outcome, Stale):
        return outcome
    return Rejected(f"commit {write.seq} of run {write.run_id!r} follows one that was refused")


def unknown(write: Write) -> Outcome:
    """The outcome of a write without a header to a run that is not there."""
    return Rejected(f"there is no run {write.run_id!r} to append commit {write.seq} to")


def nameless(write: Write, digest: str) -> Rejected:
    """The outcome of a write that names a blob that is not there."""
    return Rejected(f"commit {write.seq} of run {write.run_id!r} names {digest}, which this store does not have")


def misnumbered(write: Write) -> Outcome | None:
    """The outcome of a write that would create a run with another seq than 1, or None."""
    if write.seq == 1:
        return None
    return Rejected(f"the first commit of run {write.run_id!r} has seq {write.seq} instead of 1")


def check_prunable(run_id: str, found: int | None, epoch: int) -> None:
    """Raise `UnknownRun` for a run that is not there (`found` is None) and `StaleEpoch` for one of another epoch."""
    if found is None:
        raise UnknownRun(run_id)
    if found != epoch:
        raise StaleEpoch(run_id, epoch, found)


def check_deletable(run_id: str, found: tuple[int, RunStatus] | None, epoch: int, thread: str | None) -> None:
    """The same for a run of this epoch and status, and `Refused` for one that has not ended or heads a thread."""
    check_prunable(run_id, None if found is None else found[0], epoch)
    if found is not None and found[1] not in TERMINAL:
        raise Refused(run_id, f"it is {found[1]}, and only a run that has ended is deleted: cancel it first")
    if thread is not None:
        raise Refused(run_id, f"it is the head of thread {thread!r}: its next run begins with what this one came to")


def is_closed(barrier: BarrierRow, before: float) -> bool:
    """Whether a barrier was resolved or dropped before this time."""
    return barrier.resolved is not None and barrier.resolved < before
