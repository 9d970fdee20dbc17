"""Going on: visits that begin, forks that open and join, and how a run unwinds."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from .ahead import Next, besides
from .calls import Calls
from .composites import Composite, Opened, Subgraph, exit_name
from .decisions import Recorded
from .errors import BranchesFailed, MergeConflict, MutationFailed, NotStorable, describe
from .frames import Branch, Frame, InnerFrame, SharedBranch
from .merging import conflicts
from .pending import Pending, fork_path, is_within, label_of
from .records import Failure, Forked, Joined, Kind, Note, Observed, Opening, Step
from .routing import NoWay, Way, after_failure, after_success
from .scribe import RESTING
from .state import Entry, weight_of
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus
from .turn import Answered, CancelNodes

if TYPE_CHECKING:
    from .wiring import Wiring

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


class Forks(Calls[S], Generic[S]):
    """The part of a run's machine that begins visits, opens branches and brings them together."""

    __slots__ = ()

    # -- visits that begin -----------------------------------------------------------------------------------

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

    def _recover_effect(self, entry: Pending, at: float, observed: Observed | None = None) -> None:
        node = self.node_of(entry)
        if node is not None and node.options.probe is not None:
            self.waits.hold(self.fold.image.seq, entry.visit, "probe")
        else:
            self._ask_what_became(entry, at, observed)

    def _ask_what_became(self, entry: Pending, at: float, observed: Observed | None) -> None:
        self._open(Kind.UNKNOWN, entry, Opening(reconcile=True, at=at), at, observed)

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
                joined = Joined(discarded=self._discarded(self.fold.fork_of(entry.visit)[0]), unknown=joined.unknown)
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

    def _answer(self, entry: Pending, key: str) -> None:
        """Tell a body what is known under this key, once that is durable."""
        self.waits.post(self.fold.image.seq, Answered(entry.visit, key, entry.journal[key]))

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

    def _branch_over(self, branch: Branch[Any], at: float) -> None:
        """A branch has ended: give its siblings up, or join them when it was the last."""
        fork, options = branch.fork, branch.composite.options
        if any(is_within(fork, path) for path in self.failing):
            return  # a fork around it fails: `_unwound` ends both
        if branch.failure is not None and self._is_fatal(fork, branch.failure):
            self._give_up(fork, at)
            return
        if options.merge == "strict" and branch.failure is None and isinstance(branch, SharedBranch):
            branch.changed()  # now, while its state is at hand
        branch.let_go()
        opened = self.fold.image.forks[fork]
        if opened.ended == opened.count:
            self._join(fork, at)

    def _give_up(self, fork: str, at: float) -> None:
        """A branch has failed and takes its siblings with it: cancel what runs; `_unwound` does the rest."""
        self.failing = [path for path in self.failing if not is_within(path, fork)] + [fork]
        within = {entry.visit for entry in self.fold.within(fork)}
        self._skip_begun(within, at)
        self.waits.forget(within)
        live = tuple(sorted(self.live & within))
        if live:
            self.effects.append(CancelNodes(live))

    def _join_failed(self, fork: str, at: float) -> None:
        if self.fold.image.forks[fork].called:
            self._return(fork, at)
            return
        self.failing.remove(fork)
        branches = list(self.fold.branches_of(fork))
        failed = next(each for each in branches if each.failure is not None and self._is_fatal(fork, each.failure))
        unsure = (_V.RUNNING, _V.UNKNOWN)
        joined = Joined(
            discarded=self._discarded(fork),
            unknown=tuple(label_of(entry) for entry in self.fold.within(fork) if entry.status in unsure),
        )
        assert failed.failure is not None
        failure = failed.failure
        if failed.blueprint.flow is not None and failure.code == FailureCode.NODE_ERROR:
            failure = msgspec.structs.replace(failure, final=False)  # it ended the dataflow, and not what is around it
        if others := [each for each in branches if each.failure is not None and each is not failed]:
            failure = besides(self._collected(fork, others, len(branches)), failure)
        entry = self.fold.image.frontier[self.fold.image.forks[fork].owner]
        self._fail_visit(entry, failure, at, joined, observed=self._left_within(fork))

    # -- joins -----------------------------------------------------------------------------------------------

    def _join(self, fork: str, at: float) -> None:
        if self.fold.image.forks[fork].called:
            self._return(fork, at)
            return
        composite = self.fold.composite_of(fork)
        entry = self.fold.image.frontier[self.fold.image.forks[fork].owner]
        frame, branches = self.fold.frame(entry.path), list(self.fold.branches_of(fork))
        made = self._merged(fork, composite, frame, branches)
        if isinstance(made, Failure):
            self._fail_visit(entry, made, at, Joined(discarded=self._discarded(fork)))
            return
        joined, mutations = made
        collected = self.fold.collected(entry.visit, joined)
        entries = [*collected, *mutations]
        try:
            frame.apply(entries)
        except MutationFailed as error:
            failure = self._failure(entry, error, self._culprit(frame, branches))
            self._fail_visit(entry, failure, at, Joined(discarded=self._discarded(fork)))
            return
        try:
            if frame.blueprint.flow is None:  # what a dataflow holds grows with every value: snapshots are looked at
                frame.pack()
        except NotStorable as error:
            frame.drop(entries)
            self._fail_visit(entry, self._failure(entry, error), at, Joined(discarded=self._discarded(fork)))
            return
        if joined.failure is not None:
            self._fail_visit(entry, joined.failure, at, joined, mutations, folded=collected)
        else:
            self._commit_join(entry, frame, joined, (collected, mutations), at)

    def _discarded(self, fork: str) -> tuple[str, ...]:
        """Branches of a fork, however deep, whose commits will not be part of the state."""
        return tuple(path for path, each in self.fold.branches.items() if is_within(path, fork) and each.has_committed)

    def _culprit(self, frame: Frame[Any], branches: Sequence[Branch[Any]]) -> str:
        """The last visit of the branch whose own commands cannot be applied; empty where only all of them cannot."""
        for branch in branches:
            if not isinstance(branch, SharedBranch):
                return ""
            try:
                frame.blueprint.vocabulary.apply(branch.entries, frame.blueprint.state.unpack(frame.pack()))
            except MutationFailed:
                return branch.last
        return ""

    def _commit_join(
        self, entry: Pending, frame: Frame[Any], joined: Joined, made: tuple[list[Entry], Sequence[Entry]], at: float
    ) -> None:
        collected, mutations = made
        way = after_success(frame.blueprint, entry.place, "", frame.view(), frame.counts.edges)
        ahead = self._next(entry, way, at)
        try:
            state = self._checkpoint(frame, mutations, ahead.status, at, folded=collected)
        except NotStorable as error:
            frame.drop([*collected, *mutations])
            fork, _ = self.fold.fork_of(entry.visit)
            self._fail_visit(entry, self._failure(entry, error), at, Joined(discarded=self._discarded(fork)))
            return
        self.commit(
            Kind.JOIN,
            at,
            ahead.status,
            entry=entry,
            outcome=_V.SUCCEEDED,
            attempt=entry.attempt,
            steps=ahead.steps,
            mutations=mutations,
            detail=msgspec.structs.replace(joined, failure=ahead.failure),
            state=state,
        )
        self._go_on(entry.path, ahead, at)

    def _merged(
        self, fork: str, composite: Composite[Any], frame: Frame[Any], branches: Sequence[Branch[Any]]
    ) -> tuple[Joined, Sequence[Entry]] | Failure:
        """How the branches come together: the join, and the mutations that it records itself."""
        failed = [branch for branch in branches if branch.failure is not None]
        if isinstance(composite, Subgraph):
            return branches[0].failure or self._left(composite, frame, branches[0])
        joined, kept = Joined(folds=True), [branch for branch in branches if branch.failure is None]
        if failed:
            discarded = tuple(branch.path for branch in failed if branch.has_committed)
            failure = self._collected(fork, failed, len(branches))
            joined = Joined(True, tuple(branch.index for branch in failed), discarded, failure=failure)
        if callable(composite.options.merge) and kept:
            return self._custom(fork, composite.options.merge, frame, kept, joined)
        return self._folded(fork, composite, kept, joined)

    def _collected(self, fork: str, failed: Sequence[Branch[Any]], count: int) -> Failure:
        error = BranchesFailed(fork, [(branch.path, _text(branch)) for branch in failed], count)
        leaves = tuple(leaf for branch in failed if branch.failure for leaf in branch.failure.errors)
        return Failure(FailureCode.NODE_ERROR, str(error), leaves)

    def _folded(
        self, fork: str, composite: Composite[Any], kept: Sequence[Branch[Any]], joined: Joined
    ) -> tuple[Joined, Sequence[Entry]] | Failure:
        """Apply what they recorded, in order of declaration, unless they got into conflict."""
        if composite.options.merge == "strict" and len(kept) > 1:
            clashes = conflicts([branch.changed() for branch in kept if isinstance(branch, SharedBranch)])
            for name, numbers in clashes.items():
                error = MergeConflict(fork, name, [kept[number].path for number in numbers])
                return Failure(FailureCode.NODE_ERROR, str(error), (describe(error),))
        return joined, ()

    def _custom(
        self,
        fork: str,
        merge: Callable[[Any, Sequence[Any]], Sequence[Any]],
        frame: Frame[Any],
        kept: Sequence[Branch[Any]],
        joined: Joined,
    ) -> tuple[Joined, Sequence[Entry]] | Failure:
        try:
            states = [branch.final() for branch in kept if isinstance(branch, SharedBranch)]
            made = merge(frame.blueprint.state.unpack(frame.pack()), states)
            if not isinstance(made, Iterable):
                raise TypeError(f"its function returns mutations to record, and not a {type(made).__name__}")
            mutations = [self._note(frame, mutation) for mutation in made]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's function may raise anything
            text = f"the branches of {fork!r} could not be merged: {describe(error)}"
            return Failure(FailureCode.NODE_ERROR, text, (describe(error),))
        return msgspec.structs.replace(joined, folds=False), mutations

    def _note(self, frame: Frame[Any], mutation: Any) -> Entry:
        vocabulary = frame.blueprint.vocabulary
        return vocabulary.note(mutation) if self.logged else vocabulary.keep(mutation)

    def _left(
        self, composite: Subgraph[Any], frame: Frame[Any], branch: Branch[Any]
    ) -> tuple[Joined, Sequence[Entry]] | Failure:
        assert isinstance(branch, InnerFrame)
        try:
            moves = composite.leaving(
                self.fold.image.frontier[self.fold.image.forks[branch.fork].owner].ticket, branch.state
            )
            if moves is not None:
                return Joined(), moves
            if composite.lens.put is None:  # only what it has changed: a branch beside it may have changed the rest
                return Joined(), [frame.blueprint.changes.between(frame.view(), branch.state)]
            return Joined(), [Recorded(exit_name(composite.name), Raw(branch.pack()))]
        except NotStorable as error:
            return Failure(FailureCode.NODE_ERROR, str(error), (describe(error),))

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

    def _checkpoint(
        self,
        frame: Frame[Any],
        batch: Sequence[Entry],
        status: RunStatus,
        at: float,
        *,
        asked: bool = False,
        folded: Sequence[Entry] = (),
    ) -> bytes | None:
        """The encoded state, if the coming commit is to carry a snapshot; raises `NotStorable`.

        `folded` is what branches recorded in commits of their own, and this one makes part of the frame.
        """
        if not self.logged:
            frame.forget()
            return None
        state = self._snapshot(at, heavy=self.fold.weigh(batch), asked=asked or status in RESTING)
        if isinstance(frame, Branch):  # last, for whoever drops the batch has to find it in the tail
            frame.compact(weight_of(batch) + weight_of(folded))
        return state

    def _snapshot(self, at: float, *, heavy: bool, asked: bool = False, lone: bool = False) -> bytes | None:
        """The encoded state where a snapshot is asked for or due; by default one is due that is `heavy`.

        `lone` says that no other body was lent the state.
        """
        fold = self.fold
        due = asked or (heavy if fold.header.checkpoints is None else self.is_due(fold.image.seq + 1, at))
        if not (due or heavy):
            return None
        if not lone:
            self.undo_touches()
        state = self.blueprint.state.pack(fold.state)
        if due:
            return state
        fold.rebase(state)  # in memory, where the tail would only grow
        return None


def _text(branch: Branch[Any]) -> str:
    return "" if branch.failure is None else branch.failure.message
