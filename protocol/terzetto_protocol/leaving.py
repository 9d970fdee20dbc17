"""How a run ends what is under way in it: what has not begun, what leaves, and what stays."""

from typing import Final, Generic, TypeVar

import msgspec

from .ahead import Ahead
from .limits import CANCEL_GRACE, OBSERVED_VISIT
from .pending import Pending, is_within, label_of
from .records import Failure, Kind, Note, Observed, ObservedError
from .statuses import FailureCode, RunStatus, VisitStatus
from .turn import CancelNodes

S = TypeVar("S")

_V = VisitStatus

IGNORED: Final = f"ignored {CANCEL_GRACE:g} s of cancellation, and may still run"
"""What is said of a body that was left behind."""


class Leaving(Ahead[S], Generic[S]):
    """The part of a run's machine that has things end."""

    __slots__ = ()

    def _expire(self, failure: Failure, at: float) -> None:
        """The run is to fail with this as soon as nothing of it is live."""
        self.expired = failure
        self._skip_begun(set(self.fold.image.frontier), at)
        self.waits.gate.clear()
        if self.live:
            self.effects.append(CancelNodes())

    def _cleanse(self, entry: Pending) -> None:
        """Undo what a body that gave no result may have done to the state that it was lent.

        Where nothing begins any more that is done once, when the last body has left; a checkpoint of before that has
        nothing of it either.
        """
        self.soiled[self.fold.frame(entry.path).lender] = None
        if self.status is RunStatus.RUNNING and self.expired is None:
            self.wash()

    def wash(self) -> None:
        """Have every state that was lent be as it was before."""
        for frame in self.soiled:
            frame.cleanse()
        self.soiled.clear()

    def _skip_begun(self, visits: set[int], at: float) -> None:
        """End visits whose intent is written and whose body has not begun: nothing of them can have happened."""
        for visit in self.waits.begun():
            if visit in visits:
                self._skip(visit, at)

    def _skip(self, visit: int, at: float) -> None:
        entry = self.fold.image.frontier[visit]
        self.commit(Kind.SKIP, at, self.status, entry=entry, outcome=_V.CANCELLED, attempt=entry.attempt)

    # -- bodies that were left behind ------------------------------------------------------------------------

    def _ignored(self, what: str, trace: tuple[str, ...]) -> Failure:
        """Why a run fails whose time, or a visit's, is over, and whose body did not care."""
        return Failure(FailureCode.STUCK_NODE, what, (), trace, final=True)

    def _expiry(self, failure: Failure) -> Failure:
        """Why the run fails now; it says so when not everything has left."""
        text = "; ".join(filter(None, (failure.message, self._left_behind())))
        return msgspec.structs.replace(failure, message=text)

    def _left_behind(self) -> str:
        """In words, whose bodies have been left behind; empty where there are none."""
        names = ", ".join(map(label_of, self.stuck))
        return f"{names} {IGNORED}" if names else ""

    def _left_within(self, fork: str) -> Observed | None:
        """What the join tells of bodies that were left behind."""
        left = [entry for entry in self.stuck if is_within(entry.path, fork)]
        self.stuck = [entry for entry in self.stuck if entry not in left]
        observed = Observed()
        for entry in left:
            text, node = f"it {IGNORED}", label_of(entry).rpartition("@")[0]
            observed = observed.plus(ObservedError("degraded", text, node, entry.visit), OBSERVED_VISIT)
        return observed if left else None

    def _end_note(self) -> Note | None:
        unsure = ", ".join(label_of(e) for e in self.fold.image.frontier.values() if e.status is _V.RUNNING)
        unknown = f"nobody knows whether the effect of {unsure} happened" if unsure else ""
        text = "; ".join(filter(None, (self._left_behind(), unknown)))
        return Note(text) if text else None
