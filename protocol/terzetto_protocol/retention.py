"""How long what is stored stays: decided from seqs and times, without a store and without a clock."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Final, cast

from attrs import field, frozen

from .errors import InvalidRequest
from .ids import check_seconds
from .limits import FINISHED_GRACE


@frozen(kw_only=True)
class Keep:
    """What is kept: everything, unless a limit is given; with both, what is within both."""

    latest: int | None = None
    """How many of the newest."""
    max_age: float | None = None
    """Seconds."""

    def __attrs_post_init__(self) -> None:
        """Raise `InvalidRequest` for what is no limit."""
        if self.latest is not None and (isinstance(self.latest, bool) or self.latest < 0):
            raise InvalidRequest(f"latest={self.latest!r}: keep 0 or more")
        check_seconds(self.max_age, "max_age")

    @property
    def everything(self) -> bool:
        """Whether nothing is ever forgotten."""
        return self.latest is None and self.max_age is None


ALL: Final = Keep()
"""Nothing is forgotten."""


@frozen(kw_only=True)
class Retention:
    """How long a store keeps what nobody needs to go on; by default for ever."""

    history: Keep = field(default=ALL)
    """How far back one can travel in a run, live or ended: to the newest so many checkpoints, or so long.

    The log is cut in front of a checkpoint. The newest one and all that follows it always stay, of a run that has
    ended also the newest before its end, from which it can be tried again. So does every checkpoint, alone, that a
    node asked for by `ctx.checkpoint()`.
    """
    finished: Keep = field(default=ALL)
    """Which runs that have ended are kept, counted and aged by their end; `Keep(latest=0)` keeps none."""

    def __attrs_post_init__(self) -> None:
        """Raise `InvalidRequest` for a history of nothing, and for what is no `Keep`."""
        for name, keep in (("history", self.history), ("finished", self.finished)):
            if not isinstance(cast("object", keep), Keep):
                raise InvalidRequest(f"{name}={keep!r:.80}: say terzetto.Keep(latest=..., max_age=...)")
        if self.history.latest == 0:
            raise InvalidRequest("history=Keep(latest=0): at least one checkpoint stays, or no run could go on")

    @property
    def forgets(self) -> bool:
        """Whether there is anything to clean."""
        return not (self.history.everything and self.finished.everything)


def usable(checkpoints: Sequence[int], first: int, end: int | None) -> Sequence[int]:
    """The checkpoints in front of which a retention may cut a log, oldest first.

    Args:
        checkpoints: commits with a snapshot, oldest first.
        first: the first commit from which all are left; what is in front of it stands alone.
        end: the commit with which the run ended, from which nothing can go on; None while it has not.
    """
    found = [seq for seq in checkpoints if seq >= first]
    return found[:-1] if len(found) > 1 and found[-1] == end else found


def oldest_kept(usable: Sequence[int], latest: int | None) -> int:
    """The position, among these, of the first that is kept when the newest so many are."""
    return 0 if latest is None else max(0, len(usable) - latest)


def next_cut(usable: Sequence[int], first: int, goal: int, most: int) -> int:
    """Where a log that begins with `first` is cut next on the way to `goal`, so that at most so many commits go.

    Where the next checkpoint is further away than that, it is the next checkpoint.
    """
    ahead = [seq for seq in usable if first < seq <= goal]
    return max((seq for seq in ahead if seq - first <= most), default=ahead[0])


def expired(ended: Sequence[tuple[float, str]], keep: Keep, now: float) -> int:
    """How many of the runs that have ended, the earliest first, are to be deleted.

    None of them ended less than `FINISHED_GRACE` seconds ago: who submitted it may still want to know how it ended.

    Args:
        ended: when each ended, UNIX time, and its id; in order.
        now: UNIX time.
    """
    surplus = 0 if keep.latest is None else len(ended) - keep.latest
    old = 0 if keep.max_age is None else bisect_right(ended, now - keep.max_age, key=itemgetter(0))
    return min(max(0, surplus, old), bisect_right(ended, now - FINISHED_GRACE, key=itemgetter(0)))
