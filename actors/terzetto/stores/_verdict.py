"""Why a write is not simply applied: the one decision that every store makes in the same way."""

from terzetto_protocol.records import Applied, Outcome, Rejected, Stale, Write


def verdict(write: Write, epoch: int, last: int, stored: tuple[int, bytes] | None) -> Outcome | None:
    """The outcome of a write to an existing run, or None when it can be applied now.

    Args:
        epoch: the stored run's epoch.
        last: seq of its last commit.
        stored: epoch and body of the commit that has the write's seq, if there is one.
    """
    same_epoch = stored is not None and stored[0] == write.epoch
    if same_epoch and stored is not None and stored[1] == write.body:
        return Applied()
    if epoch != write.expect:  # two who claim at once claim the same epoch: the second is stale all the same
        return Stale(epoch)
    if same_epoch:
        return Rejected(f"commit {write.seq} of run {write.run_id!r} is stored already, with other content")
    if write.seq != last + 1:
        return Rejected(f"commit {write.seq} of run {write.run_id!r} does not follow {last}, its last one")
    return None


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
