"""Branches as the log has them: opened and closed because a record says so."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from .composites import Subgraph
from .frames import Branch, Counts, Fork, Frame, InnerFrame, SharedBranch
from .pending import WAITING, fork_path, is_within
from .records import Called, Forked, Joined, Record, Step
from .standing import Standing

S = TypeVar("S")


class Branching(Standing[S], Generic[S]):
    """The part of a run's durable half that opens and closes branches."""

    __slots__ = ()

    def _fork(self, record: Record, made: Forked) -> None:
        path = fork_path(self.image.frontier[record.visit])
        self.image.forks[path] = Fork(record.visit, made.count, items=made.items)
        self.owners[record.visit] = None
        self._count_nested(record, +1)
        if made.state:
            self._open_branch(path, made.state, Counts())
        else:
            self._open_branches(path, record.steps)

    def _call(self, record: Record, made: Called) -> None:
        self.image.forks[made.path] = Fork(record.visit, 1, called=made.key)
        self._open_branch(made.path, made.state, Counts())

    def _open_branch(self, path: str, base: bytes, counts: Counts) -> Branch[Any]:
        fork = path if path in self.image.forks else path.rpartition("/")[0]
        composite, parent = self.composite_of(fork), self.frame(fork.rpartition("/")[0])
        if isinstance(composite, Subgraph):
            inner = composite.lens.blueprint
            state = inner.state.unpack(base)
            branch: Branch[Any] = InnerFrame(path, inner, state, base, counts, composite=composite, fork=fork, index=0)
        else:
            index = composite.index_of(path)
            branch = SharedBranch(path, parent, parent.pack(), composite=composite, fork=fork, index=index)
        self.branches[path] = branch
        return branch

    def _open_branches(self, fork: str, steps: Sequence[Step]) -> None:
        """As `_open_branch` for the first steps of a fork, which share what has to be looked up."""
        composite, parent = self.composite_of(fork), self.frame(fork.rpartition("/")[0])
        base = parent.pack()
        for index, step in enumerate(steps):
            if not is_within(step.path, fork):
                return  # the branch around it has given its place to another one
            self.branches[step.path] = SharedBranch(
                step.path, parent, base, composite=composite, fork=fork, index=index
            )

    def _frame_for(self, step: Step) -> Frame[Any]:
        """The frame that a step enters; a branch of which this is the first begins."""
        if not step.path:
            return self
        branch = self.branches.get(step.path) or self._open_branch(step.path, b"", Counts())
        fork = self.image.forks[branch.fork]
        fork.begun = max(fork.begun, branch.index + 1)
        return branch

    def _join(self, record: Record, made: Joined) -> None:
        path, _ = self.fork_of(record.visit)
        self.image.unknown += made.unknown
        self._close(path)
        self._count_nested(record, -1)

    def _close(self, path: str) -> None:
        """Forget a fork with everything in it."""
        over = self._is_over(path, self.image.forks[path])  # then nothing is open inside, and nobody looks for it
        frames = [each.path for each in self.branches_of(path)] if over else self._frames_within(path)
        for entry in self.within(path):
            self.waiting -= entry.status in WAITING
            self.retrying -= entry.due is not None
            self.asking -= len(entry.asks)
            self.opened.drop_all(entry)
            del self.image.frontier[entry.visit]
        for inner in [path] if over else [each for each in self.image.forks if is_within(each, path)]:
            self.owners.pop(self.image.forks.pop(inner).owner, None)
        for branch in frames:
            del self.branches[branch]

    def _frames_within(self, fork: str) -> list[str]:
        return [path for path in self.branches if is_within(path, fork)]

    def _count_nested(self, record: Record, change: int) -> None:
        if record.path and self.leaves_place(record.path, record.place):
            self.image.forks[self.branches[record.path].fork].nested += change
