"""A run as its log makes it: the durable half of the machine, moved by records and by nothing else.

Live turns, recovery and replay all end in `move`, which asks no predicate, no clock and no node: it
only does what the record says was decided.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Any, Final, Generic, TypeVar

import msgspec

from .blueprint import Blueprint
from .codec import pack
from .composites import Composite, Subgraph, as_map
from .errors import Malformed
from .events import count_told
from .frames import SLACK, Branch, BranchImage, Counts, Fork, Frame, InnerFrame, SharedBranch
from .ids import event_id
from .image import Image, Origin, Snapshot, read_record, read_snapshot
from .limits import OBSERVED_RUN, STATE_BYTES
from .open_barriers import OpenBarriers
from .pending import LASTING, WAITING, Pending, fork_path, is_within, label_of
from .records import (
    Answer,
    Asked,
    Attempt,
    Called,
    Forked,
    Joined,
    Kept,
    Kind,
    Migrated,
    Note,
    Noted,
    Record,
    Resolution,
    Returned,
    Rewind,
    RunHeader,
    Sent,
    Step,
    Taken,
    Withdrawn,
    failure_in,
    failure_of,
)
from .state import Entry, weight_of
from .statuses import PARKED, TERMINAL, RunStatus, VisitStatus

S = TypeVar("S")

_PROGRESS: Final = frozenset({Kind.VISIT, Kind.DECIDE, Kind.FORK, Kind.JOIN, Kind.SEND, Kind.CALL, Kind.RETURN})
_PENDING: Final = VisitStatus.PENDING


class Fold(Frame[S], Generic[S]):
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
        self.owners = _owners(image) if image.forks else {}
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

    @classmethod
    def load(cls, blueprint: Blueprint[S], header: RunHeader, snapshot: bytes, bodies: Iterable[bytes]) -> "Fold[S]":
        """As `resume`, of an encoded snapshot; raises `Malformed` for damaged bytes, too."""
        return cls.resume(blueprint, header, read_snapshot(snapshot), bodies)

    @classmethod
    def resume(cls, blueprint: Blueprint[S], header: RunHeader, was: Snapshot, bodies: Iterable[bytes]) -> "Fold[S]":
        """Fold the log onto a snapshot, which is the fold's own from here on.

        What an older version of the graph wrote is upcast. Raises `Malformed` when the graph cannot read it any more,
        and `MigrationFailed`.
        """
        stored = upcast(blueprint, header, was)
        fold = cls(blueprint, header, stored.image, blueprint.state.unpack(stored.state), stored.state)
        fold._note_moved(was.image.frontier.values(), stored.image.frontier.values())
        fold._restore_branches()
        fold._count_pending()
        for body in bodies:
            fold.replay(read_record(body))
        return fold

    def replay(self, record: Record) -> None:
        """Apply a stored commit."""
        if self._upcaster is not None:
            was, record = record, self._upcaster.record(record)
            self._note_moved(was.steps, record.steps)
        frame = self.frame(record.path)
        if isinstance(record.detail, Joined):
            entries = self.collected(record.visit, record.detail)
            (frame.note if isinstance(frame, Branch) else frame.apply)(entries)
        if isinstance(frame, Branch):
            frame.note(record.mutations)
        else:
            frame.apply(record.mutations)
        self.move(record)

    def _note_moved(self, before: Iterable[Pending | Step], after: Iterable[Pending | Step]) -> None:
        self.moved.update((new.path, old.path) for old, new in zip(before, after, strict=True) if old.path != new.path)

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

    def _is_over(self, path: str, fork: Fork) -> bool:
        """Whether nothing is pending in a fork's branches; a failed dataflow may still have visits under way."""
        branch = self.branches.get(path)
        return fork.ended == fork.count and (branch is None or not branch.pending)

    def _restore_branches(self) -> None:
        images, self.image.branches = self.image.branches, {}
        for path, image in images.items():  # parents come first: they were opened first
            self._open_branch(path, image.base, image.counts or Counts()).restore(image)

    def _count_pending(self) -> None:
        for entry in self.image.frontier.values():
            self.frame(entry.path).pending += 1

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

    def _fork(self, record: Record, made: Forked) -> None:
        path = fork_path(self.image.frontier[record.visit])
        self.image.forks[path] = Fork(record.visit, made.count, items=made.items)
        self.owners[record.visit] = None
        self._count_nested(record, +1)
        if made.state:
            self._open_branch(path, made.state, Counts())
        else:
            self._open_branches(path, record.steps)

    def _join(self, record: Record, made: Joined) -> None:
        path, _ = self.fork_of(record.visit)
        self.image.unknown += made.unknown
        self._close(path)
        self._count_nested(record, -1)

    def _call(self, record: Record, made: Called) -> None:
        self.image.forks[made.path] = Fork(record.visit, 1, called=made.key)
        self._open_branch(made.path, made.state, Counts())

    def calls(self, visit: int) -> list[str]:
        """Paths of the graphs that a body runs."""
        return [path for path, fork in self.image.forks.items() if fork.called and fork.owner == visit]

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

    def _count_nested(self, record: Record, change: int) -> None:
        if record.path and self.leaves_place(record.path, record.place):
            self.image.forks[self.branches[record.path].fork].nested += change

    def leaves_place(self, path: str, place: str) -> bool:
        """Whether a branch that waits here gives its place of the limit away: a subgraph is one way on, not many."""
        composite = self.frame(path).blueprint.composite(place)
        return composite is not None and not isinstance(composite, Subgraph)

    def _frames_within(self, fork: str) -> list[str]:
        return [path for path in self.branches if is_within(path, fork)]

    def _rewind(self, made: Rewind) -> None:
        stored = read_snapshot(made.snapshot)
        image, was = self.image, stored.image
        image.frontier, image.forks, image.branches = was.frontier, was.forks, was.branches
        image.counts, image.visits = was.counts, was.visits
        self.counts, self.branches = was.counts, {}
        self.waiting, self.retrying, self.asking = 0, 0, 0  # all of it is pending again
        self.opened = OpenBarriers()
        self.owners = _owners(was)
        self.state = self.blueprint.state.unpack(stored.state)
        self.rebase(stored.state)
        self._restore_branches()
        self.pending = 0
        self._count_pending()

    def _begin(self, made: Taken) -> None:
        self.image.base = made.base
        if made.state:
            self.state = self.blueprint.state.unpack(made.state)
            self.rebase(made.state)

    def _migrate(self, made: Migrated) -> None:
        self.image.version, self._upcaster = made.to, self.blueprint.upcaster(made.to)
        # It may be tried as often as a new run. A RUNNING one is INTERRUPTED next, which gives a claim back.
        self.image.claims = int(self.image.status is RunStatus.RUNNING)

    def _end_branch(self, branch: Branch[Any], record: Record) -> None:
        failure = failure_in(record)
        goes_on = branch.blueprint.flow is not None and failure is not None and not failure.final
        branch.ended, branch.failure = True, None if goes_on else failure
        self.image.forks[branch.fork].ended += 1

    # -- the log ---------------------------------------------------------------------------------------------

    def move(self, record: Record) -> None:
        """Do what the record says was decided about everything but the state."""
        image = self.image
        self._count_claims(record)
        image.parking = record.parks or (image.parking and record.status is not RunStatus.PAUSED)
        if record.status is not image.status:
            self._count_parked(record)
        image.seq, image.status, image.epoch = record.seq, record.status, record.epoch
        image.event_id = record.event_id + count_told(record) - 1
        if isinstance(record.detail, Kept | Withdrawn | Resolution):
            image.kept = _kept(image.kept, record.detail)
        self._rearrange(record)
        image.intents += record.kind is Kind.INTENT
        if record.visit:
            self._move_visit(record)
        for step in record.steps:
            self._enter(step)
        self._finish(record)

    def _rearrange(self, record: Record) -> None:
        """What a commit does to more than one visit."""
        if isinstance(record.detail, Rewind):
            self._rewind(record.detail)
        elif isinstance(record.detail, Forked):
            self._fork(record, record.detail)
        elif isinstance(record.detail, Joined):
            self._join(record, record.detail)
        elif isinstance(record.detail, Called):
            self._call(record, record.detail)
        elif isinstance(record.detail, Returned):
            self.image.unknown += record.detail.unknown
            self._close(record.detail.path)
        elif isinstance(record.detail, Taken):
            self._begin(record.detail)
        elif isinstance(record.detail, Migrated):
            self._migrate(record.detail)

    def set_going(self) -> None:
        """As `move`, for the first two commits of a run that nobody stores: it is submitted, and claimed."""
        image = self.image
        image.seq, image.status, image.epoch, image.event_id, image.claims = 2, RunStatus.RUNNING, 1, event_id(1, 1), 1
        self._enter(Step(1, self.blueprint.start))

    def end(self, entry: Pending, event: int, cost: float) -> None:
        """As `move`, for the end of a run that nobody stores: its lone visit has ended well, and nothing follows it."""
        image = self._leave_well(entry, event, cost)
        image.status = RunStatus.SUCCEEDED
        self.pending = self.retrying = 0

    def follow(self, entry: Pending, place: str, event: int, cost: float) -> None:
        """As `move`, for the everyday commit: the lone visit has ended well, and `place` follows it."""
        image, frontier = self.image, self.image.frontier  # as in `_leave_well`, without the call
        image.seq += 1
        image.event_id = event
        image.claims = 0
        image.finished += 1
        if cost:
            image.cost += cost
        del frontier[entry.visit]
        entry.visit = image.visits = visit = image.visits + 1
        entry.place = place
        if entry.status is not _PENDING or entry.attempt or entry.asked or entry.journal:
            self.retrying -= entry.due is not None
            entry.status, entry.attempt, entry.opening, entry.asked, entry.due = _PENDING, 0, None, 0, None
            entry.journal = {}
        frontier[visit] = entry

    def _leave_well(self, entry: Pending, event: int, cost: float) -> Image:
        image = self.image
        image.seq += 1
        image.event_id = event
        image.claims = 0
        image.finished += 1
        if cost:
            image.cost += cost
        del image.frontier[entry.visit]
        return image

    def end_branch(self, entry: Pending, branch: Branch[Any], event: int, cost: float) -> None:
        """As `move`, for the everyday commit: the last visit of a branch has ended well, and others live."""
        image = self._leave_well(entry, event, cost)
        branch.pending = 0
        branch.last = f"{entry.path}/{entry.place}"
        branch.ended = True
        image.forks[branch.fork].ended += 1

    def _count_claims(self, record: Record) -> None:
        image = self.image
        if record.kind is Kind.CLAIM:
            image.claims += 1
        elif record.kind in _PROGRESS:
            image.claims = 0
        elif record.kind is Kind.INTERRUPT and record.epoch == image.epoch:
            image.claims -= 1  # an owner that says goodbye gives its claim back; one that is found dead did not

    def _count_parked(self, record: Record) -> None:
        image = self.image
        if image.status in PARKED and record.status not in PARKED:
            image.parked += max(0.0, record.at - image.rested)
        elif record.status in PARKED and image.status not in PARKED:
            image.rested = record.at

    def _move_visit(self, record: Record) -> None:
        image, outcome = self.image, record.outcome
        entry = image.frontier[record.visit]
        self.waiting -= entry.status in WAITING
        self.retrying -= entry.due is not None and outcome is not None
        if outcome in LASTING:
            self.asking -= len(entry.asks)
            self.opened.drop_all(entry)
            del image.frontier[record.visit]
            if outcome is not VisitStatus.CANCELLED:
                self._account(record)
            self._leave(entry, record)
        elif outcome is not None:
            if entry.opening is not None:
                self.opened.drop(entry.barrier)
            entry.status, entry.attempt, entry.opening = outcome, record.attempt, None
            if isinstance(record.detail, Attempt):  # the next attempt runs anew what failed in this one
                entry.journal = {key: told for key, told in entry.journal.items() if told.failure is None}
            entry.due = record.detail.due if isinstance(record.detail, Attempt) else None
            self.retrying += entry.due is not None
            self.waiting += outcome in WAITING
        else:
            self._talk(entry, record.detail)

    def _leave(self, entry: Pending, record: Record) -> None:
        """A visit is over: so is its branch, when nothing else of it is pending, or when it failed for good."""
        frame, failure = self.frame(record.path), failure_in(record)
        frame.pending -= 1
        for path in self.calls(entry.visit) if self.image.forks else ():
            self._close(path)
        doomed = failure is not None and failure.final
        if not isinstance(frame, Branch):
            self.image.doomed = failure if doomed and record.status not in TERMINAL else self.image.doomed
            return
        frame.last = label_of(entry).rpartition("@")[0]
        if frame.ended or (frame.pending and not doomed):
            return
        if not any(step.path == record.path for step in record.steps):
            self._end_branch(frame, record)

    def _talk(self, entry: Pending, detail: object) -> None:
        """What the body of a visit asked or was told."""
        if isinstance(detail, Asked):
            entry.asks[detail.key] = detail.ask
            self.opened.add(entry, detail.ask.barrier, detail.ask.name, detail.ask.opening)
            self.asking += 1
        elif isinstance(detail, Noted):
            entry.journal[detail.key] = detail.answer
        elif isinstance(detail, Sent):
            entry.sent += detail.digest
        elif isinstance(detail, Returned) and detail.answer is not None:
            entry.journal[detail.key] = detail.answer
        elif isinstance(detail, Resolution) and (key := entry.asked_as(detail.barrier)) is not None:
            self.opened.drop(detail.barrier)
            del entry.asks[key]
            self.asking -= 1
            entry.journal[key] = Answer(decision=detail.decision)

    def _account(self, record: Record) -> None:
        node = self.frame(record.path).blueprint.nodes.get(record.place)
        if node is not None:
            self.image.finished += 1
            self.image.cost += node.options.token_cost

    def _enter(self, step: Step) -> None:
        image = self.image
        entry = image.frontier.get(step.visit)
        if entry is None:
            entry = image.frontier[step.visit] = Pending(step.visit, step.place, step.path, ticket=step.ticket)
            image.visits = step.visit
            frame = self._frame_for(step)
            frame.pending += 1
            self._count(frame, step)
        if step.opening is not None:
            self.waiting += entry.status not in WAITING
            entry.opening = step.opening
            entry.asked += 1
            entry.status = VisitStatus.UNKNOWN if step.opening.reconcile else VisitStatus.AWAITING_INPUT
            self.opened.add(entry, entry.barrier, entry.place, step.opening)

    def _frame_for(self, step: Step) -> Frame[Any]:
        """The frame that a step enters; a branch of which this is the first begins."""
        if not step.path:
            return self
        branch = self.branches.get(step.path) or self._open_branch(step.path, b"", Counts())
        fork = self.image.forks[branch.fork]
        fork.begun = max(fork.begun, branch.index + 1)
        return branch

    def _count(self, frame: Frame[Any], step: Step) -> None:
        counts = frame.counts
        counts.visits += counts is not self.counts
        counts.ticket = max(counts.ticket, step.ticket)
        if step.edge >= 0:
            counts.edges[step.edge] = counts.edges.get(step.edge, 0) + 1
        node = frame.blueprint.node(step.place)
        if node is not None and node.options.max_visits is not None:
            counts.places[step.place] = counts.places.get(step.place, 0) + 1

    def _finish(self, record: Record) -> None:
        image = self.image
        if record.observed is not None:
            image.observed = image.observed.with_all(record.observed, OBSERVED_RUN)
        if record.status not in TERMINAL:
            return
        image.failure = failure_of(record)
        if image.failure is None and isinstance(record.detail, Note):
            image.note = record.detail.text
        unsure = (VisitStatus.RUNNING, VisitStatus.UNKNOWN)  # RUNNING is durable only where an intent is
        image.unknown += tuple(label_of(entry) for entry in image.frontier.values() if entry.status in unsure)
        image.frontier, image.forks = {}, {}
        self.waiting, self.retrying, self.asking, self.opened = 0, 0, 0, OpenBarriers()
        self.branches, self.owners, self.pending = {}, {}, 0

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


def _owners(image: Image) -> dict[int, None]:
    return {fork.owner: None for fork in image.forks.values() if not fork.called}  # empty, it is smaller than a set


def upcast(blueprint: Blueprint[Any], header: RunHeader, stored: Snapshot) -> Snapshot:
    """A stored snapshot as this version of the graph would have written it; raises as `Fold.load`."""
    caster = blueprint.upcaster(stored.image.version or header.version)
    return stored if caster is None else caster.snapshot(stored)


def _kept(kept: tuple[Kept, ...], detail: Kept | Withdrawn | Resolution) -> tuple[Kept, ...]:
    """The decisions that are kept after this."""
    if isinstance(detail, Kept):
        return (*(each for each in kept if each.barrier != detail.barrier or not detail.standing), detail)
    if isinstance(detail, Withdrawn):
        return tuple(each for each in kept if each.barrier != detail.barrier)
    used = next((each for each in kept if each.barrier == detail.kept and not each.standing), None)
    return tuple(each for each in kept if each is not used)
