"""How a run ended, as a value."""

from typing import Generic, TypeVar

from msgspec import Struct

from terzetto_protocol.errors import RunFailed
from terzetto_protocol.fold import Fold
from terzetto_protocol.records import Failure, ObservedError
from terzetto_protocol.statuses import RunStatus

S = TypeVar("S")


class Result(Struct, Generic[S], frozen=True):
    """The end of a run; no outcome is an exception."""

    run_id: str
    status: RunStatus
    """SUCCEEDED, FAILED or CANCELLED."""
    state: S
    """As of the last commit."""
    code: str = ""
    """Why it FAILED (see `terzetto.FailureCode`)."""
    message: str = ""
    failure: Failure | None = None
    cost: float = 0.0
    """Sum of the `token_cost` of the visits that ended."""
    unknown: tuple[str, ...] = ()
    """Visits, as `node@visit`, whose effect nobody knows: started once, ended by a cancel or a stop."""
    observed: tuple[ObservedError, ...] = ()
    """Errors that nodes reported and that ended nothing, in the order of their commits: the first 64."""
    unlisted: int = 0
    """How many more there were."""

    def unwrap(self) -> S:
        """The state of a run that SUCCEEDED; raises `RunFailed` for any other end."""
        if self.status is RunStatus.SUCCEEDED:
            return self.state
        raise RunFailed(self.run_id, self.status, self.code, self.message or "no reason was given")


def result_of(fold: Fold[S]) -> Result[S]:
    """The result of a fold whose run has ended."""
    image, failure = fold.image, fold.image.failure
    return Result(
        run_id=fold.header.run_id,
        status=image.status,
        state=fold.state,
        code="" if failure is None else failure.code,
        message=image.note if failure is None else failure.message,
        failure=failure,
        cost=image.cost,
        unknown=image.unknown,
        observed=image.observed.errors,
        unlisted=image.observed.more,
    )
