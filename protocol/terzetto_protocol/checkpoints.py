"""Which commits become checkpoints: they carry a snapshot, so that a run is read from there and not from its beginning.

Whatever the policy says, a run's first commit, every commit with which it comes to rest, and its end are checkpoints.
"""

from typing import cast

from msgspec import Struct

from .codec import check_text
from .errors import InvalidRequest
from .ids import check_seconds
from .limits import LABEL_LENGTH


class CheckpointPolicy(Struct, frozen=True, kw_only=True):
    """Which commits of a run carry a snapshot of it; `CheckpointPolicy()` leaves it to `ctx.checkpoint()`.

    Every commit can be addressed, whatever the policy says, for as long as it is kept. A snapshot makes that
    quick, bounds what a restart has to fold, and is where the log may be cut. Without a policy one is written
    when the deltas since the last one outweigh it.
    """

    every: int | None = None
    """Commits from one checkpoint to the next; 1 makes every commit one."""
    seconds: float | None = None
    """Seconds after which the next commit is one."""
    barriers: bool = False
    """Whether a commit that opens a barrier is one, also while other branches of the run go on."""

    def is_due(self, commits: int, seconds: float) -> bool:
        """Whether a commit is a checkpoint that comes so long after the last one; barriers are told apart from this."""
        if self.every is not None and commits >= self.every:
            return True
        return self.seconds is not None and seconds >= self.seconds


def check_policy(policy: CheckpointPolicy | None) -> CheckpointPolicy | None:
    """Return the policy, or raise `InvalidRequest` for one that no commit could keep to."""
    if policy is not None:
        if not isinstance(cast("object", policy), CheckpointPolicy):
            raise InvalidRequest(f"checkpoints={policy!r:.80}: say terzetto.CheckpointPolicy(...)")
        if policy.every is not None and (isinstance(policy.every, bool) or policy.every < 1):
            raise InvalidRequest(f"a checkpoint every {policy.every!r} commits is not possible: say 1 or more")
        check_seconds(policy.seconds, "seconds between checkpoints")
    return policy


def check_label(label: str) -> str:
    """Return the label, or raise `InvalidRequest` (or its sibling `NotStorable`) for one that cannot be shown."""
    check_text(label, "the label of a checkpoint")
    if len(label) > LABEL_LENGTH:
        raise InvalidRequest(f"the label {label!r:.40}... is longer than {LABEL_LENGTH} characters")
    return label
