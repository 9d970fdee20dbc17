"""How a run stands: its frames, its forks with their branches, what is pending, and how to find it there."""

from collections.abc import Iterator
from math import inf
from typing import Any, Generic, TypeVar

from .blueprint import Blueprint
from .composites import Composite, Subgraph, as_map
from .errors import Malformed
from .frames import SLACK, Branch, Fork, Frame
from .image import Image
from .open_barriers import OpenBarriers
from .pending import WAITING, Pending, fork_path, is_within
from .records import Joined, RunHeader
from .state import Entry
from .statuses import PARKED, TERMINAL

S = TypeVar("S")


class Standing(Frame[S], Generic[S]):
    """Image and state of one run: the root frame, and what is known of the others."""

    __slots__ = (
        "_upcaster",
        "asking",
        "branches",
        "ceiling",
        "header",
        "image",
        "moved",
        "opened",
        "owners",
        "retrying",
        "saved",
        "saved_at",
        "waiting",
    )

    def __init__(self, blueprint: Blueprint[S], header: RunHeader, image: Image, state: S, base: bytes) -> None:
        super().__init__("", blueprint, state, base, image.counts)
        self.header = header
        self.image = image
        self._upcaster = blueprint.upcaster(self.version)
        """What leads commits that an older version wrote on to this one, if one did."""
        self.moved: dict[str, str] = {}
        """Paths that were called otherwise when visits entered them, and how."""
        self.ceiling = len(base) + SLACK
        """Bytes of deltas from which on a new snapshot is worth its while."""
        self.saved = image.seq
        """The commit of the last snapshot."""
        self.saved_at = -inf
        """When that was, as UNIX time; of one that was read, nobody knows."""
        self.branches: dict[str, Branch[Any]] = {}
        """Every frame but this one, by its path."""
        self.owners: dict[int, None] = owners_of(image) if image.forks else {}
        """Visits of composite places whose branches live."""
        self.waiting = self.retrying = self.asking = 0
        self.opened = OpenBarriers()
        for entry in image.frontier.values():
            self.waiting += entry.status in WAITING
            self.retrying += entry.due is not None
            self.asking += len(entry.asks)
            self.opened.add_all(entry)

    @property
    def version(self) -> str:
        """The version of the graph that wrote the last commit; its own one writes the next."""
        return self.image.version or self.header.version

    @property
    def is_old(self) -> bool:
        """Whether another version of the graph than this one wrote the last commit."""
        return self._upcaster is not None

    @property
    def deadline(self) -> float | None:
        """When something happens by itself to a run that nobody carries: a barrier decides, or its time is up."""
        if not (self.waiting or self.asking) and self.header.deadline is None:
            return None
        return min((moment for moment in (self.ends_at, self.opened.next_moment) if moment is not None), default=None)

    @property
    def takes_head(self) -> bool:
        """Whether it waits for its turn on its thread, and is told with its first claim what it begins with."""
        return self.header.line > 0 and self.image.base is None

    @property
    def timed(self) -> bool:
        """Whether any visit has a moment at which something happens to it by itself."""
        return bool(self.waiting or self.retrying or self.asking)

    @property
    def ends_at(self) -> float | None:
        """When the run's deadline passes; None while it stands still, and for a run without one."""
        header, image = self.header, self.image
        if header.deadline is None or image.status in TERMINAL:
            return None
        if header.deadline_parked:
            return header.at + header.deadline
        return None if image.status in PARKED else header.at + header.deadline + image.parked

    # -- frames ----------------------------------------------------------------------------------------------

    def frame(self, path: str) -> Frame[Any]:
        """The frame of this path."""
        return self.branches[path] if path else self

    def leaves(self) -> int:
        """Visits that are pending themselves, and not only their branches."""
        return len(self.image.frontier) - len(self.owners)

    def fork_of(self, visit: int) -> tuple[str, Fork]:
        """The open fork of a composite's visit, and its path."""
        path = fork_path(self.image.frontier[visit])
        return path, self.image.forks[path]

    def composite_of(self, fork: str) -> Composite[Any]:
        """The place that opened a fork."""
        parent, _, place = fork.rpartition("/")
        composite = self.frame(parent).blueprint.composite(place)
        if composite is None:
            raise Malformed(f"fork {fork}", "the graph has no such place that opens branches")
        return composite

    def branches_of(self, fork: str) -> Iterator[Branch[Any]]:
        """The branches of a fork that have begun, in order of declaration."""
        composite = self.composite_of(fork)
        for index in range(self.image.forks[fork].begun):
            yield self.branches[composite.path_of(fork, index)]

    def item_of(self, path: str) -> tuple[Any, int] | None:
        """The item that a path works on, and its position; None outside of a map."""
        while path in self.branches:
            branch = self.branches[path]
            found = as_map(branch.composite)
            if found is not None:
                return found.revive(self.image.forks[branch.fork].items[branch.index]), branch.index
            path = branch.fork.rpartition("/")[0]
        return None

    def within(self, fork: str) -> list[Pending]:
        """Pending visits of a fork's branches, however deep."""
        opened = self.image.forks.get(fork)
        if opened is not None and self._is_over(fork, opened):
            return []  # known without a look at every visit of the run
        return [entry for entry in self.image.frontier.values() if is_within(entry.path, fork)]

    def collected(self, visit: int, joined: Joined) -> list[Entry]:
        """What the branches that fold have recorded, in order of declaration."""
        if not joined.folds:
            return []
        fork, _ = self.fork_of(visit)
        left_out = set(joined.dropped)
        return [entry for branch in self.branches_of(fork) if branch.index not in left_out for entry in branch.entries]

    def discarded(self, fork: str) -> tuple[str, ...]:
        """Branches of a fork, however deep, whose commits will not be part of the state."""
        return tuple(path for path, each in self.branches.items() if is_within(path, fork) and each.has_committed)

    def calls(self, visit: int) -> list[str]:
        """Paths of the graphs that a body runs."""
        return [path for path, fork in self.image.forks.items() if fork.called and fork.owner == visit]

    def leaves_place(self, path: str, place: str) -> bool:
        """Whether a branch that waits here gives its place of the limit away: a subgraph is one way on, not many."""
        composite = self.frame(path).blueprint.composite(place)
        return composite is not None and not isinstance(composite, Subgraph)

    def _is_over(self, path: str, fork: Fork) -> bool:
        """Whether nothing is pending in a fork's branches; a failed dataflow may still have visits under way."""
        branch = self.branches.get(path)
        return fork.ended == fork.count and (branch is None or not branch.pending)


def owners_of(image: Image) -> dict[int, None]:
    """Visits of composite places whose branches live."""
    return {fork.owner: None for fork in image.forks.values() if not fork.called}  # empty, it is smaller than a set
