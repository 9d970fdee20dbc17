"""Going on: visits that begin, branches that open, and how a run unwinds."""

from typing import Any, Generic, TypeVar

from .composites import Composite, Opened, Subgraph
from .errors import describe
from .joins import Joins
from .pending import Pending, fork_path, is_within
from .records import Failure, Forked, Kind, Note, Observed, Opening, Step
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


class Forks(Joins[S], Generic[S]):
    """The part of a run's machine that begins visits and opens branches."""

    __slots__ = ()

    # -- visits that begin -----------------------------------------------------------------------------------

    def work_off(self, at: float) -> None:
        """Do what the commits of this turn have led to, one thing after the other, each in its turn looked at anew."""
        while not self.fenced and (self.todo or self._unwound(at)):
            if not self.todo:
                continue
            what, key = self.todo.pop(0)
            if self.status not in (_R.RUNNING, _R.AWAITING_INPUT):
                continue  # nothing begins in a run that rests
            if isinstance(key, int):
                entry = self.fold.image.frontier.get(key)
                if entry is not None and not self.is_moot(entry):
                    self._begin_visit(what, entry, at)
            elif what == "join":
                self._join(key, at)
            elif key in self.fold.branches:
                self._branch_over(self.fold.branches[key], at)

    def _begin_visit(self, what: str, entry: Pending, at: float) -> None:
        if what == "enter":
            self._enter(entry, at, ahead=True)
        elif entry.status is _V.PENDING:
            self._enter(entry, at, ahead=False)
        elif entry.status is _V.RUNNING:  # an intent without a commit: the process died in the body
            self._recover_effect(entry, at)

    def _enter(self, entry: Pending, at: float, *, ahead: bool) -> None:
        """Let a pending visit begin: hold a node at the gate, open a barrier, open branches."""
        if self.node_of(entry) is not None:
            self.hold(entry.visit, ahead=ahead)
            return
        blueprint = self.blueprint_of(entry)
        if blueprint.composite(entry.place) is not None:
            self._fork(entry, at)
        elif entry.opening is None:
            opening = self._opening(blueprint, self.fold.frame(entry.path).view(), entry.place, at)
            if isinstance(opening, Failure):
                self._fail_visit(entry, opening, at)
            else:
                self._open(Kind.OPEN, entry, opening, at)

    def _open(self, kind: Kind, entry: Pending, opening: Opening, at: float, observed: Observed | None = None) -> None:
        step = Step(entry.visit, entry.place, opening=opening, path=entry.path, k=entry.asked)
        alone = self.fold.waiting + 1 == self.fold.leaves()
        self.commit(kind, at, _R.AWAITING_INPUT if alone else self.status, steps=(step,), observed=observed)

    def _recover_effect(self, entry: Pending, at: float, observed: Observed | None = None) -> None:
        node = self.node_of(entry)
        if node is not None and node.options.probe is not None:
            self.waits.hold(self.fold.image.seq, entry.visit, "probe")
        else:
            self._ask_what_became(entry, at, observed)

    def _ask_what_became(self, entry: Pending, at: float, observed: Observed | None) -> None:
        self._open(Kind.UNKNOWN, entry, Opening(reconcile=True, at=at), at, observed)

    # -- forks -----------------------------------------------------------------------------------------------

    def _fork(self, entry: Pending, at: float) -> None:
        frame = self.fold.frame(entry.path)
        composite = frame.blueprint.composite(entry.place)
        assert composite is not None, "the caller looked"
        path = fork_path(entry)
        try:
            opened = composite.open(frame.view(), entry.ticket)
            if not isinstance(composite, Subgraph):
                frame.pack()  # what its branches begin with
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's function may raise anything
            text = f"{path!r} could not open its branches: {describe(error)}"
            self._fail_visit(entry, Failure(FailureCode.NODE_ERROR, text, (describe(error),)), at)
            return
        steps = self._first(entry, composite, path, opened)
        if isinstance(steps, Failure):
            self._fail_visit(entry, steps, at)
            return
        pending, waiting = self._others(entry)
        detail = Forked(opened.count, opened.items, opened.state)
        status = self._rest(pending + len(steps), waiting) if opened.count else _R.RUNNING  # a join is to follow
        self.commit(Kind.FORK, at, status, entry=entry, attempt=entry.attempt, steps=steps, detail=detail)
        self.plan("enter", [step.visit for step in steps])
        if not opened.count:
            self.plan("join", [path])

    def _first(
        self, entry: Pending, composite: Composite[Any], path: str, opened: Opened
    ) -> tuple[Step, ...] | Failure:
        """The first branches; where this is itself a branch, it leaves its place to one that has not begun."""
        limit, left = composite.options.limit, self.fold.header.max_steps - self.fold.image.visits
        if opened.count > left:
            return self._too_many(f"{opened.count} branches of {path!r} would be more")
        steps = self._branches(composite, path, range(opened.count if limit is None else min(limit, opened.count)))
        stays = not entry.path or not self.fold.leaves_place(entry.path, entry.place)
        if isinstance(steps, Failure) or stays:
            return steps
        more = self._begin(self.fold.branches[entry.path].fork, left=1, after=len(steps))
        return steps if isinstance(more, Failure) else steps + more  # too many visits: whoever ends next says so

    # -- the end of an episode -------------------------------------------------------------------------------

    def _unwound(self, at: float) -> bool:
        """When the last live visit has ended: join what failed, finish a cancel, pause, or leave the run.

        Tells whether it did something that may lead to more.
        """
        frontier = self.fold.image.frontier
        if self.status in TERMINAL or self.status is _R.CANCELLING:
            self.failing.clear()  # the end, or the cancel, ends them all
        elif self.expired is not None:
            if not self.live:
                self._end_failed(at, self._expiry(self.expired))
            return False
        for fork in self.failing:
            if not any(is_within(frontier[visit].path, fork) for visit in self.live):
                self._join_failed(fork, at)
                return True
        if self.live:
            self._release_waiting()
            return False
        if self.status is _R.CANCELLING:
            self.commit(Kind.END, at, _R.CANCELLED, detail=self._end_note())
        elif self.waits.begun():
            return False
        elif self.halting is not None and self.status is _R.RUNNING:
            self.waits.gate.clear()
            text = "; ".join(filter(None, (self.halting, self._left_behind())))
            self.commit(Kind.INTERRUPT, at, _R.INTERRUPTED, detail=Note(text))
        elif self.parking and self.status in (_R.RUNNING, _R.AWAITING_INPUT):
            self.waits.gate.clear()
            self.commit(Kind.PAUSE, at, _R.PAUSED)
        elif self.status is _R.RUNNING and not self.waits.gate and 0 < self.fold.waiting == self.fold.leaves():
            self.commit(Kind.PARK, at, _R.AWAITING_INPUT)  # it was claimed, and has nothing but people to wait for
        return False

    def _end_failed(self, at: float, failure: Failure) -> None:
        self.waits.gate.clear()
        self.commit(Kind.END, at, _R.FAILED, detail=failure)
