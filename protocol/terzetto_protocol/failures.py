"""What the end of a visit leads to, above all where it fails: its commit, and the way on from there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from .ahead import Next, besides
from .calls import Calls
from .decisions import Recorded
from .errors import MutationFailed, NotStorable, describe
from .pending import Pending, label_of
from .records import Failure, Joined, Kind, Observed
from .routing import NoWay, Way, after_failure
from .state import Entry
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus

if TYPE_CHECKING:
    from .wiring import Wiring

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


class Failures(Calls[S], Generic[S]):
    """The part of a run's machine that has visits fail, and goes on after any."""

    __slots__ = ()

    def _go_on(self, path: str, ahead: Next, at: float) -> None:
        """After a visit of the frame `path`: what is to be done next in this turn."""
        if self.status in TERMINAL:
            self.waits.gate.clear()
            self.todo.clear()
            return
        if self.fold.image.doomed is not None:
            self._expire(self.fold.image.doomed, at)
            return
        self.plan("enter", [step.visit for step in ahead.steps])
        if path in self.fold.branches and self.fold.branches[path].ended:
            self.plan("ended", [path])

    def _fail_visit(
        self,
        entry: Pending,
        failure: Failure,
        at: float,
        joined: Joined | None = None,
        mutations: Sequence[Entry] = (),
        *,
        folded: Sequence[Entry] = (),
        observed: Observed | None = None,
    ) -> None:
        """Commit a failed visit; an `on_error` edge leads on, unless the failure is final.

        `mutations` and what branches had `folded` are part of the state by now; a dataflow's visit adds its error.
        """
        frame = self.fold.frame(entry.path)
        way: Way[Any] | NoWay = Way(None)
        if frame.blueprint.flow is not None:
            mutations, failure = self._spill(frame.blueprint.flow, entry, failure)
            frame.apply(mutations)
        elif not failure.final:
            way = after_failure(frame.blueprint, entry.place, frame.view(), frame.counts.edges)
            if isinstance(way, NoWay):
                failure = msgspec.structs.replace(failure, message=f"{failure.message}; then {way.message}", final=True)
        leads_on = isinstance(way, Way) and way.edge is not None
        stands = failure.final or frame.blueprint.flow is None
        ahead = self._next(entry, way, at) if leads_on else self._end_frame(entry, failure if stands else None)
        try:
            state = self._checkpoint(frame, mutations, ahead.status, at, folded=folded) if mutations or folded else None
        except NotStorable as error:
            frame.drop([*folded, *mutations])
            if joined is not None:
                fork, _ = self.fold.fork_of(entry.visit)
                joined = Joined(discarded=self.fold.discarded(fork), unknown=joined.unknown)
            self._fail_visit(entry, self._unstorable(entry, error), at, joined, observed=observed)
            return
        detail = besides(failure, ahead.failure)
        self.commit(
            Kind.VISIT if joined is None else Kind.JOIN,
            at,
            ahead.status,
            entry=entry,
            outcome=_V.FAILED,
            attempt=entry.attempt,
            steps=ahead.steps,
            mutations=mutations,
            detail=detail if joined is None else msgspec.structs.replace(joined, failure=detail),
            state=state,
            observed=observed,
        )
        self._go_on(entry.path, ahead, at)

    def _spill(self, flow: "Wiring", entry: Pending, failure: Failure) -> tuple[Sequence[Recorded], Failure]:
        """A visit of a dataflow has failed: what went wrong comes out of it, and is final where nobody may go on."""
        if failure.final or not (flow.goes_on or flow.takes_error(entry.place)):
            return (), msgspec.structs.replace(failure, final=True)
        return flow.failed(entry.ticket, entry.place, failure), failure

    def _failure(self, entry: Pending, error: Exception, node: str = "") -> Failure:
        text = f"node {node or label_of(entry).partition('@')[0]!r}: {describe(error)}"
        return Failure(FailureCode.NODE_ERROR, text, (describe(error),), final=isinstance(error, MutationFailed))

    def _unstorable(self, entry: Pending, error: NotStorable) -> Failure:
        """The state is too large at a visit's end; in a dataflow by what was sent before, so that no way leads on."""
        final = self.fold.frame(entry.path).blueprint.flow is not None
        return msgspec.structs.replace(self._failure(entry, error), final=final)
