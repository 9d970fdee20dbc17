"""What a run's snapshots are packed from and read into."""

from collections.abc import Sequence
from math import inf
from typing import Any, Generic, TypeVar

import msgspec

from .blueprint import Blueprint
from .branching import Branching
from .codec import pack
from .frames import SLACK, BranchImage, Counts
from .image import Origin, Snapshot, read_snapshot
from .limits import STATE_BYTES
from .open_barriers import OpenBarriers
from .records import Rewind, RunHeader
from .standing import owners_of
from .state import Entry, weight_of

S = TypeVar("S")


class Packing(Branching[S], Generic[S]):
    """The part of a run's durable half that knows snapshots."""

    __slots__ = ()

    def snapshot(self, state: bytes, at: float = -inf) -> bytes:
        """Encode the image with the encoded state, and begin a new tail; `at` is the time of the commit."""
        self.rebase(state)
        return self._pack(state, self._images(), at)

    def origin(self) -> "Origin":
        """What a snapshot of this moment will need besides the image; raises `NotStorable`."""
        return self.blueprint.state.pack(self.state), self._images()

    def snapshot_as(self, origin: "Origin", at: float) -> bytes:
        """Encode the image with a state and branches of an earlier moment, since when nothing was committed."""
        return self._pack(*origin, at)

    def _images(self) -> dict[str, BranchImage]:
        return {path: branch.image() for path, branch in self.branches.items()}

    def _pack(self, state: bytes, branches: dict[str, BranchImage], at: float) -> bytes:
        self.saved, self.saved_at = self.image.seq, at
        image = msgspec.structs.replace(self.image, branches=branches) if branches else self.image
        data = pack(Snapshot(image, state), "snapshot", 2 * STATE_BYTES)
        self.ceiling = len(data) + SLACK
        return data

    def try_pack(self) -> bytes | None:
        """The encoded state, or None for one that cannot be stored (which the log itself still can)."""
        return self.blueprint.state.try_pack(self.state)

    def weigh(self, entries: Sequence[Entry]) -> bool:
        """Count a batch, and say whether the deltas since the last snapshot outweigh it."""
        self.weight += weight_of(entries)
        return self.weight > self.ceiling

    # -- snapshots that are read -----------------------------------------------------------------------------

    def _restore_branches(self) -> None:
        images, self.image.branches = self.image.branches, {}
        for path, image in images.items():  # parents come first: they were opened first
            self._open_branch(path, image.base, image.counts or Counts()).restore(image)

    def _count_pending(self) -> None:
        for entry in self.image.frontier.values():
            self.frame(entry.path).pending += 1

    def _rewind(self, made: Rewind) -> None:
        stored = read_snapshot(made.snapshot)
        image, was = self.image, stored.image
        image.frontier, image.forks, image.branches = was.frontier, was.forks, was.branches
        image.counts, image.visits = was.counts, was.visits
        self.counts, self.branches = was.counts, {}
        self.waiting, self.retrying, self.asking = 0, 0, 0  # all of it is pending again
        self.opened = OpenBarriers()
        self.owners = owners_of(was)
        self.state = self.blueprint.state.unpack(stored.state)
        self.rebase(stored.state)
        self._restore_branches()
        self.pending = 0
        self._count_pending()


def upcast(blueprint: Blueprint[Any], header: RunHeader, stored: Snapshot) -> Snapshot:
    """A stored snapshot as this version of the graph would have written it; raises as `Fold.load`."""
    caster = blueprint.upcaster(stored.image.version or header.version)
    return stored if caster is None else caster.snapshot(stored)
