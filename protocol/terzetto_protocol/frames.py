"""Frames: the paths on which a run goes on, each with its own state.

The root frame is the run itself (`Fold`). A composite place opens a *fork*: a frame for each of its
branches, which ends when nothing leads on from its last visit. A branch of a fan-out begins with its
parent's state, which nobody changes meanwhile, and copies it with its first commit; an inner frame, of a
subgraph, has a state of its own.
"""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from msgspec import Raw, Struct

from .blueprint import Blueprint
from .changes import fields_of
from .composites import Composite
from .decisions import Recorded
from .records import Failure
from .state import Entry, StateForm, stored

S = TypeVar("S")

REBASE_ENTRIES: Final = 256
"""Mutations that a run without a log remembers before it makes a new base of its state."""
SLACK: Final = 1024
"""Bytes of deltas that are always cheaper to fold than a snapshot is to write."""


class Counts(Struct, array_like=True):
    """What a graph's own limits are measured with, once for the run and once for every subgraph."""

    edges: dict[int, int] = {}
    """How often each counted edge was taken."""
    places: dict[str, int] = {}
    """How often each counted place was visited."""
    visits: int = 0
    """Visits that were entered; the run's own are counted by their numbers."""
    ticket: int = 0
    """The last of a dataflow's tickets that a visit was entered for."""


class Fork(Struct, array_like=True):
    """The visit of a composite place, as long as its branches live."""

    owner: int
    """The visit."""
    count: int
    """Branches in all."""
    begun: int = 0
    """Branches that have begun: always the first ones."""
    ended: int = 0
    nested: int = 0
    """Branches that hold no place of the limit, because they wait for branches of their own."""
    items: tuple[Raw, ...] = ()
    """What a map goes over, one for each branch, encoded."""
    called: str = ""
    """The key under which a body waits for its end; empty where no body does."""


class BranchImage(Struct, array_like=True):
    """A branch in a snapshot."""

    base: bytes
    """The state it began with; empty for its parent's."""
    entries: tuple[Recorded, ...] = ()
    """What its visits have recorded since, in order."""
    ended: bool = False
    failure: Failure | None = None
    counts: Counts | None = None
    """A subgraph's own."""
    rebased: bool = False
    """Whether the base holds what it recorded before."""
    last: str = ""


class Frame(Generic[S]):
    """A state, and enough of the log to rebuild it after a batch was dropped."""

    __slots__ = ("_base", "_packed", "_tail", "blueprint", "counts", "path", "pending", "state", "weight")

    def __init__(self, path: str, blueprint: Blueprint[S], state: S, base: bytes, counts: Counts) -> None:
        self.path: Final = path
        self.blueprint = blueprint
        self.state = state
        self.counts = counts
        self.pending = 0
        """Its own visits in the frontier."""
        self._packed: bytes | None = None
        self.rebase(base)

    def view(self) -> S:
        """The state as of the frame's last commit, to be read."""
        return self.state

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply a batch whole, or raise `MutationFailed` and leave the state as it was."""
        if not entries:
            return
        self._packed = None
        try:
            self.blueprint.vocabulary.apply(entries, self.state)
        except Exception:
            self.rebuild()
            raise
        self._tail.extend(entries)

    def drop(self, entries: Sequence[Entry]) -> None:
        """Take back the batch that was applied last."""
        if entries:
            del self._tail[-len(entries) :]
            self.rebuild()

    def rebuild(self) -> None:
        """Make the state anew from the log."""
        self._packed = None
        self.state = self.blueprint.state.unpack(self._base)
        self.blueprint.vocabulary.replay(self._tail, self.state)

    @property
    def lender(self) -> "Frame[S]":
        """Whose state its nodes are lent."""
        return self

    def cleanse(self) -> None:
        """Undo what a node that gave no result may have done to the state that it was only lent."""
        if self.blueprint.flow is not None:
            return  # nodes of a dataflow are lent none
        form: StateForm[S] = self.blueprint.state
        lent, data = self.state, form.try_pack(self.state)  # None: surely not what was lent
        self.rebuild()
        if data is not None and data == form.try_pack(self.state):
            self.state = lent  # untouched: keep it, with its transient fields

    def disown(self) -> None:
        """Make the state anew, so that a body that was left behind keeps an object that is nobody's."""
        self.rebuild()

    def pack(self) -> bytes:
        """The encoded state, encoded once while it stays what it is; raises `NotStorable`."""
        if self._packed is None:
            self._packed = self.blueprint.state.pack(self.view())
        return self._packed

    def forget(self) -> None:
        """Without a log: make a new base once enough mutations are remembered; raises `NotStorable`."""
        if len(self._tail) >= REBASE_ENTRIES:
            self.rebase(self.pack())

    def rebase(self, base: bytes) -> None:
        """Begin a new tail on an encoded state."""
        self._base = base
        self._packed = None
        self._tail: list[Any] = []
        self.weight: int = 0
        """Bytes of the deltas since then."""


class Branch(Frame[S]):
    """A frame that a fork opened."""

    __slots__ = ("composite", "ended", "failure", "fork", "index", "last")

    def __init__(
        self,
        path: str,
        blueprint: Blueprint[S],
        state: S,
        base: bytes,
        counts: Counts,
        *,
        composite: Composite[Any],
        fork: str,
        index: int,
    ) -> None:
        super().__init__(path, blueprint, state, base, counts)
        self.composite: Final = composite
        """The place that opened the fork."""
        self.fork: Final = fork
        """Path of the fork."""
        self.index: Final = index
        self.ended = False
        self.last = ""
        """The node of its last visit that ended, with its path."""
        self.failure: Failure | None = None
        """Why it failed, once it has."""

    @property
    def entries(self) -> Sequence[Entry]:
        """What its visits have recorded, in order; a subgraph's since its last base."""
        return self._tail

    @property
    def has_committed(self) -> bool:
        """Whether anything that it recorded is in the log."""
        return bool(self._tail)

    def note(self, entries: Sequence[Entry]) -> None:
        """Take a batch from the log."""
        self.apply(entries)

    def compact(self, weight: int) -> None:
        """Note `weight` bytes of deltas. Raises `NotStorable` where a new base is due and cannot be made."""

    def let_go(self) -> None:
        """The branch has ended: keep what the join needs, and not the state."""

    def image(self) -> BranchImage:
        """The frame as a snapshot holds it; never fails."""
        return BranchImage(b"", stored(self._tail), self.ended, self.failure, last=self.last)

    def restore(self, image: BranchImage) -> None:
        """Be what a snapshot holds."""
        self.ended, self.failure, self.last = image.ended, image.failure, image.last
        self.note(image.entries)


class SharedBranch(Branch[S]):
    """A branch that begins with its parent's state, and makes one of its own when somebody looks at it."""

    __slots__ = ("_applied", "_changed", "_parent")

    def __init__(
        self, path: str, parent: Frame[S], base: bytes, *, composite: Composite[Any], fork: str, index: int
    ) -> None:
        self._applied = 0
        """How many of its entries are in `state`; 0 while it is its parent's."""
        self._parent: Final = parent
        self._changed: tuple[str, ...] | None = None
        super().__init__(
            path, parent.blueprint, parent.state, base, parent.counts, composite=composite, fork=fork, index=index
        )

    def view(self) -> S:
        """The state as of the branch's last commit; before the first, its parent's."""
        if not self._tail:
            return self._parent.view()
        if self._applied < len(self._tail):
            self.rebuild()
        return self.state

    def apply(self, entries: Sequence[Entry]) -> None:
        """As for every frame, on a copy of its own from the first commit on."""
        if entries:
            if not self._applied or self._applied < len(self._tail):
                self.rebuild()
            super().apply(entries)
            self._applied = len(self._tail)

    def note(self, entries: Sequence[Entry]) -> None:
        """Take a batch that is not looked at yet: who joins the branches applies it, or who asks for the state."""
        self._packed = None
        self._tail.extend(entries)

    def rebuild(self) -> None:
        """Make the state anew from the log."""
        super().rebuild()
        self._applied = len(self._tail)

    @property
    def lender(self) -> Frame[S]:
        """Whose state its nodes are lent: its own from the first commit on."""
        return self if self._tail else self._parent.lender

    def cleanse(self) -> None:
        """Undo what a node may have done to the state that it was lent."""
        self.view()
        super().cleanse()

    def changed(self) -> tuple[str, ...]:
        """The fields of the state that differ from what the branch began with, but those that merge."""
        if self._changed is None:
            whole = frozenset(name for entry in self._tail for name in fields_of(entry))
            before = self._parent.view()
            self._changed = self.blueprint.fields.changed(before, self.view(), whole) if self._tail else ()
        return self._changed

    def forget(self) -> None:
        """Keep everything: the join folds it."""

    def final(self) -> S:
        """The state at its end, in an object that nobody else holds."""
        self.rebuild()
        self._applied = 0
        return self.state

    def let_go(self) -> None:
        """Forget the copy: what the branch recorded is all that the join needs."""
        self._applied, self.state = 0, self._parent.state


class InnerFrame(Branch[S]):
    """The frame of a subgraph."""

    __slots__ = ("_rebased",)

    @property
    def has_committed(self) -> bool:
        """Whether anything that it recorded is in the log."""
        return bool(self._tail) or self._rebased

    def rebase(self, base: bytes) -> None:
        """Begin a new tail on an encoded state."""
        self._rebased = hasattr(self, "_tail")
        super().rebase(base)

    def compact(self, weight: int) -> None:
        """Make a new base when the deltas outweigh the old one; raises `NotStorable`."""
        self.weight += weight
        if self.weight > len(self._base) + SLACK:
            self.rebase(self.pack())

    def image(self) -> BranchImage:
        """The frame as a snapshot holds it; never fails."""
        image = BranchImage(self._base, stored(self._tail), self.ended, self.failure, self.counts)
        image.rebased = self._rebased
        return image

    def restore(self, image: BranchImage) -> None:
        """Be what a snapshot holds."""
        super().restore(image)
        self._rebased = image.rebased
