"""Joins: branches end, bring their siblings down, or are merged into what is around them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from .ahead import besides
from .composites import Composite, Subgraph, exit_name
from .decisions import Recorded
from .errors import BranchesFailed, MergeConflict, MutationFailed, NotStorable, describe
from .failures import Failures
from .frames import Branch, Frame, InnerFrame, SharedBranch
from .merging import conflicts
from .pending import Pending, is_within, label_of
from .records import Failure, Joined, Kind
from .routing import after_success
from .state import Entry
from .statuses import FailureCode, RunStatus, VisitStatus
from .turn import CancelNodes

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


class Joins(Failures[S], Generic[S]):
    """The part of a run's machine that brings branches together."""

    __slots__ = ()

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
            discarded=self.fold.discarded(fork),
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

    def _join(self, fork: str, at: float) -> None:
        if self.fold.image.forks[fork].called:
            self._return(fork, at)
            return
        composite = self.fold.composite_of(fork)
        entry = self.fold.image.frontier[self.fold.image.forks[fork].owner]
        frame, branches = self.fold.frame(entry.path), list(self.fold.branches_of(fork))
        made = self._merged(fork, composite, frame, branches)
        if isinstance(made, Failure):
            self._fail_visit(entry, made, at, Joined(discarded=self.fold.discarded(fork)))
            return
        joined, mutations = made
        collected = self.fold.collected(entry.visit, joined)
        entries = [*collected, *mutations]
        try:
            frame.apply(entries)
        except MutationFailed as error:
            failure = self._failure(entry, error, self._culprit(frame, branches))
            self._fail_visit(entry, failure, at, Joined(discarded=self.fold.discarded(fork)))
            return
        try:
            if frame.blueprint.flow is None:  # what a dataflow holds grows with every value: snapshots are looked at
                frame.pack()
        except NotStorable as error:
            frame.drop(entries)
            self._fail_visit(entry, self._failure(entry, error), at, Joined(discarded=self.fold.discarded(fork)))
            return
        if joined.failure is not None:
            self._fail_visit(entry, joined.failure, at, joined, mutations, folded=collected)
        else:
            self._commit_join(entry, frame, joined, (collected, mutations), at)

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
            self._fail_visit(entry, self._failure(entry, error), at, Joined(discarded=self.fold.discarded(fork)))
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

    # -- merges ----------------------------------------------------------------------------------------------

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


def _text(branch: Branch[Any]) -> str:
    return "" if branch.failure is None else branch.failure.message
