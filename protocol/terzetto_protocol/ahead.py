"""What follows: the next visits of a run within its limits, barriers as they open, and how a run unwinds."""

from typing import Generic, TypeVar

from attrs import frozen
from msgspec import Raw

from .codec import pack_plain
from .decisions import Approve
from .errors import describe
from .fold import Pending
from .places import Barrier, Edge
from .records import Failure, Kind, Note, Opening, Step
from .routing import NoWay, Way
from .stage import Stage
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


@frozen
class Next:
    """Where a run goes after a visit: new steps, and the status that follows."""

    status: RunStatus
    steps: tuple[Step, ...] = ()
    failure: Failure | None = None


class Ahead(Stage[S], Generic[S]):
    """The part of a run's machine that knows where a run goes."""

    __slots__ = ()

    def _next(self, entry: Pending, way: Way[S] | NoWay | str, at: float, *, pause: bool = False) -> Next:
        """What follows a visit that leaves the frontier over `way` (a place's name is a goto)."""
        image = self.fold.image
        if isinstance(way, NoWay):
            return Next(_R.FAILED, (), Failure(way.code, way.message))
        others = len(image.frontier) - 1
        if isinstance(way, Way) and way.edge is None:
            return Next(self._rest(others, self.fold.waiting) if others else _R.SUCCEEDED)
        step = self._step(way if isinstance(way, str) else way.edge, at, open_barrier=not pause)
        if isinstance(step, Failure):
            return Next(_R.FAILED, (), step)
        waiting = self.fold.waiting - (entry.opening is not None) + (step.opening is not None)
        return Next(_R.PAUSED if pause else self._rest(others + 1, waiting), (step,))

    def _rest(self, pending: int, waiting: int) -> RunStatus:
        return _R.AWAITING_INPUT if pending == waiting else _R.RUNNING

    def _step(self, to: "Edge[S] | str | None", at: float, *, open_barrier: bool) -> Step | Failure:
        """The visit that an edge (or a goto) leads to, within the limits."""
        assert to is not None
        place = to if isinstance(to, str) else to.target
        counted = -1 if isinstance(to, str) or to.max_visits is None else to.index
        image, node = self.fold.image, self.blueprint.node(place)
        limit = self.fold.header.max_steps
        if image.visits >= limit:
            return Failure(FailureCode.STEPS_EXCEEDED, f"{limit} visits were made and {place!r} would be one more")
        most = None if node is None else node.options.max_visits
        if most is not None and image.places.get(place, 0) >= most:
            return Failure(FailureCode.STEPS_EXCEEDED, f"node {place!r} was visited {most} times, which is its limit")
        opening = self._opening(place, at) if node is None and open_barrier else None
        return opening if isinstance(opening, Failure) else Step(image.visits + 1, place, counted, opening)

    def _opening(self, place: str, at: float) -> Opening | Failure:
        barrier = self.blueprint.barrier(place)
        if barrier is None:
            return Failure(FailureCode.UNROUTED, f"the graph has no node or barrier {place!r}")
        options = barrier.options
        deadline = None if options.timeout is None else at + options.timeout
        if self._approves(barrier):
            deadline = at  # so that whoever finds it open after a crash approves it at once
        if options.payload is None:
            return Opening(deadline, at=at)
        try:
            return Opening(deadline, Raw(pack_plain(options.payload(self.fold.state), "what it returned")), at=at)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the author's function may raise anything
            text = f"the payload of barrier {place!r} could not be made: {describe(error)}"
            return Failure(FailureCode.NODE_ERROR, text, (describe(error),))

    def _approves(self, barrier: Barrier[S]) -> bool:
        return self.fold.header.auto_approve and barrier.takes(Approve())

    def _enter(self, entry: Pending, at: float, *, ahead: bool) -> None:
        """Let a pending visit begin: hold a node at the gate, open a barrier."""
        if self.blueprint.node(entry.place) is not None:
            self.hold(entry.visit, ahead=ahead)
            return
        if entry.opening is None:
            opening = self._opening(entry.place, at)
            if isinstance(opening, Failure):
                self._end_failed(at, opening)
                return
            self._open(Kind.OPEN, entry, opening, at)

    def _open(self, kind: Kind, entry: Pending, opening: Opening, at: float) -> None:
        step = Step(entry.visit, entry.place, opening=opening, path=entry.path, k=entry.asked)
        alone = self.fold.waiting + 1 == len(self.fold.image.frontier)
        self.commit(kind, at, _R.AWAITING_INPUT if alone else self.status, steps=(step,))

    def _go_on(self, ahead: Next, at: float) -> None:
        """Begin the new steps; nothing begins in a run that rests."""
        if ahead.failure is not None or self.status in TERMINAL:
            self.waits.gate.clear()
            return
        for step in ahead.steps:
            if self.status is not _R.PAUSED:
                self._enter(self.fold.image.frontier[step.visit], at, ahead=True)
        self._unwound(at)

    def _unwound(self, at: float) -> None:
        """When the last live visit has ended: finish a cancel, or leave the run to its next owner."""
        if self.live:
            return
        if self.status is _R.CANCELLING:
            self.commit(Kind.END, at, _R.CANCELLED, detail=self._unknown_note())
        elif self.halting is not None and self.status is _R.RUNNING and self.waits.begun() is None:
            self.waits.gate.clear()
            self.commit(Kind.INTERRUPT, at, _R.INTERRUPTED, detail=Note(self.halting))

    def _unknown_note(self) -> Note | None:
        unsure = [f"{e.place}@{e.visit}" for e in self.fold.image.frontier.values() if e.status is _V.RUNNING]
        return Note(f"nobody knows whether the effect of {', '.join(unsure)} happened") if unsure else None

    def _end_failed(self, at: float, failure: Failure) -> None:
        self.waits.gate.clear()
        self.commit(Kind.END, at, _R.FAILED, detail=failure)
