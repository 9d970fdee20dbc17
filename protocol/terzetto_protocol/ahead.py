"""What follows a visit: the next step within the limits of its graph, or the end of its frame."""

from collections import Counter
from typing import Any, Final, Generic, TypeVar

from msgspec import Raw, Struct
from msgspec.structs import replace

from .blueprint import Blueprint
from .codec import pack_plain
from .composites import Composite, Subgraph
from .decisions import Approve
from .errors import describe
from .flow_state import FlowState
from .frames import Frame
from .ids import barrier_name
from .pending import WAITING, Pending
from .places import Barrier, Edge
from .records import Failure, Opening, Step
from .routing import NoWay, Way
from .saving import Saving
from .statuses import FailureCode, RunStatus

S = TypeVar("S")

_R = RunStatus
ANY: Final = "*"
"""Stands for every barrier where a decision is kept."""


class Next(Struct, frozen=True):
    """Where a run goes after a visit: new steps, and the status that follows."""

    status: RunStatus
    steps: tuple[Step, ...] = ()
    failure: Failure | None = None
    """Why the visit's frame fails, if it does; the frame of the run itself fails with the run."""


def besides(failure: Failure, more: Failure | None) -> Failure:
    """What is told of a failure where a second one decides what follows: neither loses its words."""
    if more is None or more is failure:
        return failure
    errors, trace = (*failure.errors, *more.errors), more.trace or failure.trace
    return replace(more, message=f"{failure.message}; then {more.message}", errors=errors, trace=trace)


class Ahead(Saving[S], Generic[S]):
    """The part of a run's machine that knows where a run goes."""

    __slots__ = ()

    def _next(self, entry: Pending, way: Way[Any] | NoWay | str, at: float, *, pause: bool = False) -> Next:
        """What follows a visit that leaves the frontier over `way` (a place's name is a goto)."""
        if isinstance(way, NoWay):
            return self._end_frame(entry, Failure(way.code, way.message, final=True))
        if isinstance(way, Way) and way.edge is None:
            return self._end_frame(entry)
        step = self._step(entry, way if isinstance(way, str) else way.edge, at, open_barrier=not pause)
        if isinstance(step, Failure):
            return self._end_frame(entry, step)
        pending, waiting = self._others(entry)
        if pause and not pending:
            return Next(_R.PAUSED, (step,))
        return Next(self._rest(pending + 1, waiting + (step.opening is not None)), (step,))

    def _end_frame(self, entry: Pending, failure: Failure | None = None) -> Next:
        """The visit leads nowhere: its frame ends, unless it is a dataflow's and others are under way there."""
        frame = self.fold.frame(entry.path)
        if frame.blueprint.flow is not None:
            return self._flow_on(frame, entry, failure)
        return self._over(entry, failure)

    def _flow_on(self, frame: Frame[Any], entry: Pending, failure: Failure | None) -> Next:
        """After a visit of a dataflow: whatever its values have completed begins."""
        made = self.completed(frame, left=1)
        if isinstance(made, Failure):
            failure = made  # also of one that failed because it was told so when it sent
        steps = () if isinstance(made, Failure) or failure is not None else made
        if failure is not None and frame.pending > 1 and not entry.path:
            return Next(_R.RUNNING, (), failure)  # the others are cancelled first
        if failure is not None or (not steps and frame.pending == 1):
            return self._over(entry, failure)
        pending, waiting = self._others(entry)
        return Next(self._rest(pending + len(steps), waiting), steps)

    def completed(self, frame: Frame[FlowState], *, left: int) -> tuple[Step, ...] | Failure:
        """First steps for inputs that are complete, as many as there is room for when `left` visits leave."""
        state, last = frame.view(), frame.counts.ticket
        room, flow = state.issued - last, frame.blueprint.flow
        if flow is not None and flow.limit is not None:
            room = min(room, flow.limit - frame.pending + left)
        tickets = range(last + 1, last + 1 + max(0, room))
        places = [state.tasks[ticket].node for ticket in tickets]
        if (excess := self._beyond(frame, places, "visits would be more")) is not None:
            return excess
        first = self.fold.image.visits + 1
        return tuple(
            Step(first + number, place, path=frame.path, ticket=ticket)
            for number, (ticket, place) in enumerate(zip(tickets, places, strict=True))
        )

    def _over(self, entry: Pending, failure: Failure | None) -> Next:
        """The visit was the last of its frame: the run ends, or the branch does and leaves its place to others."""
        if not entry.path:
            return Next(_R.SUCCEEDED if failure is None else _R.FAILED, (), failure)
        fork = self.fold.branches[entry.path].fork
        if failure is not None and self._is_fatal(fork, failure):
            return Next(_R.RUNNING, (), failure)
        had_left = entry.visit in self.fold.owners and self.fold.leaves_place(entry.path, entry.place)
        steps = self._begin(fork, left=0 if had_left else 1)
        if isinstance(steps, Failure):
            return Next(_R.RUNNING, (), steps)
        opened = self.fold.image.forks[fork]
        if opened.ended + 1 == opened.count:
            return Next(_R.RUNNING, (), failure)  # a join is to follow
        pending, waiting = self._others(entry)
        return Next(self._rest(pending + len(steps), waiting), steps, failure)

    def _is_fatal(self, fork: str, failure: Failure) -> bool:
        """Whether a branch that fails so ends its siblings."""
        return failure.final or self.fold.composite_of(fork).options.errors == "fail_fast"

    def _begin(self, fork: str, *, left: int, after: int = 0) -> tuple[Step, ...] | Failure:
        """The first steps of further branches, when `left` of those that live leave their places.

        `after` is the number of other steps that go before.
        """
        opened, composite = self.fold.image.forks[fork], self.fold.composite_of(fork)
        limit, live = composite.options.limit, opened.begun - opened.ended - opened.nested - left
        room = opened.count - opened.begun
        count = room if limit is None else min(room, limit - live)
        return self._branches(composite, fork, range(opened.begun, opened.begun + count), after)

    def _branches(
        self, composite: Composite[Any], fork: str, indices: range, after: int = 0
    ) -> tuple[Step, ...] | Failure:
        number, begins = self.fold.image.visits + after + 1, [composite.begins_at(index) for index in indices]
        frame = None if isinstance(composite, Subgraph) else self.fold.frame(fork.rpartition("/")[0])
        if (excess := self._beyond(frame, begins, f"branches of {fork!r} would be more", after)) is not None:
            return excess
        return tuple(
            Step(number + each, composite.begins_at(index), path=composite.path_of(fork, index))
            for each, index in enumerate(indices)
        )

    def _beyond(self, frame: Frame[Any] | None, places: list[str], what: str, after: int = 0) -> Failure | None:
        """What the run's limits, and those of a graph around, say to visits of so many places at once.

        `frame` is None for what begins with limits of its own.
        """
        count = len(places)
        if count and self.fold.image.visits + after + count > self.fold.header.max_steps:
            return self._too_many(f"{count} {what}")
        if frame is None:
            return None
        blueprint, counts = frame.blueprint, frame.counts
        if blueprint is not self.blueprint and counts.visits + after + count > blueprint.max_steps:
            text = f"graph {blueprint.name!r} made {counts.visits} visits and {count} {what}"
            return Failure(FailureCode.STEPS_EXCEEDED, text, final=True)
        for place, times in Counter(places).items():
            node = blueprint.node(place)
            most = None if node is None else node.options.max_visits
            if most is not None and counts.places.get(place, 0) + times > most:
                text = f"node {place!r} would be visited more than {most} times, which is its limit"
                return Failure(FailureCode.STEPS_EXCEEDED, text, final=True)
        return None

    def _others(self, entry: Pending) -> tuple[int, int]:
        """How many visits are pending, and how many of them wait for people, but this one and its branches."""
        fold = self.fold
        if entry.visit not in fold.owners:
            return fold.leaves() - 1, fold.waiting - (entry.status in WAITING)
        within = fold.within(fold.fork_of(entry.visit)[0])
        leaves = sum(1 for each in within if each.visit not in fold.owners)
        return fold.leaves() - leaves, fold.waiting - sum(each.status in WAITING for each in within)

    def _rest(self, pending: int, waiting: int) -> RunStatus:
        return _R.AWAITING_INPUT if pending and pending == waiting else _R.RUNNING

    def _step(self, entry: Pending, to: Edge[Any] | str | None, at: float, *, open_barrier: bool) -> Step | Failure:
        """The visit that an edge (or a goto) leads to, within the limits."""
        assert to is not None
        place = to if isinstance(to, str) else to.target
        counted = -1 if isinstance(to, str) or to.max_visits is None else to.index
        frame, visits = self.fold.frame(entry.path), self.fold.image.visits
        blueprint, counts = frame.blueprint, frame.counts
        if visits >= self.fold.header.max_steps:
            return self._too_many(f"{place!r} would be one more")
        if blueprint is not self.blueprint and counts.visits >= blueprint.max_steps:
            text = f"graph {blueprint.name!r} made {counts.visits} visits and {place!r} would be one more"
            return Failure(FailureCode.STEPS_EXCEEDED, text, final=True)
        node = blueprint.node(place)
        most = None if node is None else node.options.max_visits
        if most is not None and counts.places.get(place, 0) >= most:
            text = f"node {place!r} was visited {most} times, which is its limit"
            return Failure(FailureCode.STEPS_EXCEEDED, text, final=True)
        opens = open_barrier and blueprint.barrier(place) is not None
        opening = self._opening(blueprint, frame.view(), place, at) if opens else None
        return opening if isinstance(opening, Failure) else Step(visits + 1, place, counted, opening, entry.path)

    def _too_many(self, what: str) -> Failure:
        text = f"{self.fold.image.visits} visits were made, the limit is {self.fold.header.max_steps}, and {what}"
        return Failure(FailureCode.STEPS_EXCEEDED, text, final=True)

    def _opening(self, blueprint: Blueprint[Any], state: Any, place: str, at: float) -> Opening | Failure:
        barrier = blueprint.barrier(place)
        if barrier is None:
            return Failure(FailureCode.UNROUTED, f"the graph has no node or barrier {place!r}", final=True)
        options = barrier.options
        deadline = None if options.timeout is None else at + options.timeout
        if self._approves(barrier) or self._knows(place):
            deadline = at  # so that whoever finds it open after a crash decides it at once
        if options.payload is None:
            return Opening(deadline, at=at)
        try:
            return Opening(deadline, Raw(pack_plain(options.payload(state), "what it returned")), at=at)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the author's function may raise anything
            text = f"the payload of barrier {place!r} could not be made: {describe(error)}"
            return Failure(FailureCode.NODE_ERROR, text, (describe(error),), final=True)

    def _knows(self, place: str) -> bool:
        """Whether a decision for this barrier may be there already."""
        return any(barrier_name(kept.barrier) == place or kept.barrier in (place, ANY) for kept in self.fold.image.kept)

    def _approves(self, barrier: Barrier[Any]) -> bool:
        return self.fold.header.auto_approve and barrier.takes(Approve())
