"""Everyday turns: a lone visit ends well and an easy way leads on, or a branch ends well and others live.

The same records, events and moves as the general path makes of it (a property test runs both on the same inputs),
without asking what cannot be the case. It is most of what a run does, and the general path takes three times as long.
What cannot be the case is looked at after every other turn, and stands in `lone` and `crowded`.
"""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from .blueprint import EasyWay
from .chunks import chunk_of
from .errors import MutationFailed, NotStorable
from .events import Chunk, NodeFinished as FinishedEvent, TextChunk
from .fold import Fold
from .forks import Forks
from .frames import Branch, SharedBranch
from .inputs import NodeFinished
from .limits import RUN_AHEAD
from .pending import Pending
from .port import Emission
from .records import Write
from .remarks import NO_REMARKS, THE_END, Remarks
from .scribe import everyday_write
from .state import Entry, pairs_to_keep
from .statuses import RunStatus, VisitStatus
from .step_commit import StepCommit, step_array
from .stepped import Stepped, begun_after
from .turn import NOTHING, Finish, Start, Turn

S = TypeVar("S")

_RUNNING: Final = RunStatus.RUNNING
_PENDING: Final = VisitStatus.PENDING


class Everyday(Forks[S], Generic[S]):
    """The part of a run's machine that takes everyday turns."""

    __slots__ = ("crowded", "lone")

    def __init__(self, fold: Fold[S], *, logged: bool, settled: bool, promises: bool) -> None:
        super().__init__(fold, logged=logged, settled=settled, promises=promises)
        self.lone: Pending | None = None
        """The one visit that is pending, while its end is all that can move the run; None if anything else may."""
        self.crowded = False
        """Whether branches live, and nothing but the ends of their visits can move the run."""

    def look_around(self) -> None:
        """See whether the next turn may be an everyday one; done after every turn that was none."""
        self.lone, self.crowded = None, False
        fold, image = self.fold, self.fold.image
        if image.status is not _RUNNING or fold.asking or self.held.active or self.is_leaving or self.fenced:
            return
        if len(image.frontier) == 1:
            (entry,) = image.frontier.values()
            self.lone = None if entry.path else entry
        elif fold.owners and not (self.failing or fold.waiting):
            self.crowded = not (fold.header.auto_approve or image.kept)

    def take_everyday(self, msg: NodeFinished) -> Turn | None:
        """The turn for a body that has returned; None, with nothing moved, when it needs the general path's words."""
        if msg.visit not in self.live:
            return None
        lone, is_silent = self.lone, msg.remarks is NO_REMARKS
        if lone is None or lone.visit != msg.visit:
            return self._end_branch(msg) if is_silent and self.crowded and not self.waits.gate else None
        if self.tells:
            return self._follow(lone, msg) if is_silent else None
        if self.step(msg.visit, msg.batch, msg.at, msg.remarks) is None:
            return self._end(lone, msg)
        return Turn(start=Start(lone.visit, lone.place, 1))

    def step(self, visit: int, batch: Sequence[Entry], at: float, remarks: Remarks) -> Pending | None:
        """What begins after the end of this visit, in a run of which nobody hears: it is the whole of an everyday turn.

        None, with nothing moved, where another one has to be taken.
        """
        entry, fold = self.lone, self.fold
        if entry is None or remarks is not NO_REMARKS or entry.visit != visit or visit not in self.live:
            return None
        way = self._way_on(entry, batch)
        if way is None:
            return None
        try:
            fold.forget()
        except NotStorable:
            fold.drop(batch)
            return None
        fold.follow(entry, way.place, self.told + 1, way.cost)
        self.told += 2  # that the one has finished, and that the other begins: counted, and not made
        self.durable = fold.image.seq
        self.live.clear()
        self.live.add(entry.visit)
        return entry

    def commit_step(self, visit: int, batch: Sequence[Entry], at: float, remarks: Remarks) -> StepCommit | None:
        """As `step`, for a run whose commits are durable as soon as they are carried out: what is stored and told.

        None, with nothing moved, where another turn has to be taken. The caller stores it and then tells it, at once.
        """
        entry, fold = self.lone, self.fold
        if entry is None or remarks is not NO_REMARKS or entry.visit != visit or visit not in self.live:
            return None
        kept = pairs_to_keep(batch)
        if kept is None or self.waits.outbox or fold.header.checkpoints:
            return None
        weight = fold.weight + kept[1]
        if weight > fold.ceiling:
            return None
        way = self._way_on(entry, batch)
        if way is None:
            return None
        left, tries, first = entry.place, entry.attempt, self.told + 1
        fold.follow(entry, way.place, first, way.cost)
        fold.weight = weight
        self.told = first + 1  # as in `_started`
        image, following = fold.image, entry.visit
        self.durable = seq = image.seq
        self.live.clear()
        self.live.add(following)
        return StepCommit(
            first, fold.header.run_id, at, left, visit, seq, len(batch), way.place, following, 1, at,
            image.epoch, tries, kept[0],
        )  # fmt: skip

    def _way_on(self, entry: Pending, batch: Sequence[Entry]) -> EasyWay[S] | None:
        """Apply what a visit has recorded, and choose; None, with nothing applied, where that is no everyday matter."""
        fold = self.fold
        easy = self.blueprint.everyday.get(entry.place)
        if easy is None or not easy.ways or fold.image.visits >= fold.header.max_steps:
            return None
        try:
            fold.apply(batch)
        except MutationFailed:
            return None
        way = easy.only or _choose(easy.ways, fold.state)
        if way is None:
            fold.drop(batch)
        return way

    def _follow(self, entry: Pending, msg: NodeFinished) -> Turn | None:
        fold, way = self.fold, self._way_on(entry, msg.batch)
        if way is None:
            return None
        try:
            state = self._state_beside(msg)
        except NotStorable:
            fold.drop(msg.batch)
            return None
        left = entry.place, entry.attempt, ""
        fold.follow(entry, way.place, self.told + 1, way.cost)
        self.live.clear()
        steps = (step_array(entry.visit, way.place),)
        write = everyday_write(fold, left, msg, steps, state) if self.logged else None
        return self._go_on_told(entry, write, msg, left[0], ahead=way.is_pure)

    def _state_beside(self, msg: NodeFinished) -> bytes | None:
        """As `_checkpoint`, for the run's own frame."""
        fold = self.fold
        if not self.logged:
            fold.forget()
            return None
        heavy = fold.weigh(msg.batch)
        return self._snapshot(msg.at, heavy=heavy, lone=True) if heavy or fold.header.checkpoints else None

    def _finished(self, msg: NodeFinished, node: str) -> FinishedEvent:
        self.told += 1
        image = self.fold.image
        return FinishedEvent(
            id=self.told,
            run_id=self.fold.header.run_id,
            at=msg.at,
            node=node,
            visit=msg.visit,
            seq=image.seq,
            mutations=len(msg.batch),
        )

    def _end(self, entry: Pending, msg: NodeFinished) -> Turn | None:
        """The run, of which nobody hears, ends well; None where its last visit does not say so, or leads on."""
        fold, easy = self.fold, self.blueprint.everyday.get(entry.place)
        if easy is None or not (msg.remarks is THE_END or (msg.remarks is NO_REMARKS and not easy.ways)):
            return None
        try:
            fold.apply(msg.batch)
        except MutationFailed:
            return None
        self.told += 2  # that the node has finished, and that the run has ended
        fold.end(entry, self.told, easy.cost)
        self.live.clear()
        self.lone = None
        self.durable = self.announced = fold.image.seq
        return Turn(more=(Finish(RunStatus.SUCCEEDED),))

    def _go_on_told(self, entry: Pending, write: Write | None, msg: NodeFinished, left: str, *, ahead: bool) -> Turn:
        """Start the visit that follows, now or when the commit is durable."""
        seq, waits = self.fold.image.seq, self.waits
        if self.settled:
            self.durable = seq
            if not waits.outbox:
                self.live.add(entry.visit)
                return Turn(write, self._stepped(entry, msg, left), (), Start(entry.visit, entry.place, 1))
        # Nothing that waited can go now: no commit has become durable since the last turn let out what could.
        if not ahead or waits.gate or seq - RUN_AHEAD > self.durable:
            waits.outbox.append((seq, self._finished(msg, left)))
            waits.gate.append((seq - RUN_AHEAD if ahead else seq, entry.visit, "start"))
            return Turn(write)
        self.live.add(entry.visit)
        waits.outbox.append((seq, self._stepped(entry, msg, left)))
        return Turn(write, start=Start(entry.visit, entry.place, 1))

    def _stepped(self, entry: Pending, msg: NodeFinished, left: str) -> Stepped:
        first, fold = self.told + 1, self.fold
        self.told = first + 1  # as in `_started`
        seq, at = fold.image.seq, msg.at
        return Stepped(
            first, fold.header.run_id, at, left, msg.visit, seq, len(msg.batch), entry.place, entry.visit, 1, at
        )

    def _end_branch(self, msg: NodeFinished) -> Turn | None:
        fold, frontier = self.fold, self.fold.image.frontier
        entry = frontier[msg.visit]
        branch: Branch[Any] | None = fold.branches.get(entry.path)
        if not isinstance(branch, SharedBranch) or branch.pending != 1 or entry.status is not _PENDING:
            return None
        fork, easy = fold.image.forks[branch.fork], branch.blueprint.everyday.get(entry.place)
        if easy is None or easy.ways or fork.begun < fork.count or fork.ended + 1 == fork.count:
            return None  # it leads on, or another branch begins, or all of them are joined
        merge = branch.composite.options.merge
        try:
            (branch.note if merge == "replay" else branch.apply)(msg.batch)
            state = self._checkpoint(branch, msg.batch, _RUNNING, msg.at)
        except MutationFailed:
            return None
        except NotStorable:
            branch.drop(msg.batch)
            return None
        left = entry.place, entry.attempt, entry.path
        fold.end_branch(entry, branch, self.told + 1, easy.cost)
        self.live.discard(msg.visit)
        write = everyday_write(fold, left, msg, (), state) if self.logged else None
        if merge == "strict":
            branch.changed()  # now, while its state is at hand
        branch.let_go()
        if not self.tells:
            self.told, self.durable = self.told + 1, fold.image.seq
            return NOTHING
        return self._tell(write, self._finished(msg, f"{entry.path}/{entry.place}"))

    def _tell(self, write: Write | None, finished: FinishedEvent) -> Turn:
        """Show an event when its commit is durable."""
        if self.settled:
            self.durable = finished.seq
            if not self.waits.outbox:
                return Turn(write, finished)
        self.waits.outbox.append((finished.seq, finished))
        return Turn(write)

    def show(self, visit: int, emission: Emission, at: float) -> Chunk | None:
        """The chunk that may be shown at once; None where `Emitted` has to be fed.

        Then what was told before it still waits, or nobody may hear it.
        """
        fold = self.fold
        image = fold.image
        if visit not in self.live or self.waits.outbox or self.durable < image.seq or self.fenced:
            return None
        entry = image.frontier.get(visit)
        if entry is None:
            return None
        self.told = number = self.told + 1  # as in `_started`
        node = f"{entry.path}/{entry.place}" if entry.path else entry.place
        run_id = fold.header.run_id
        if type(emission) is str:  # as `chunk_of` does it, for most of what is said
            return TextChunk(id=number, run_id=run_id, at=at, node=node, visit=visit, text=emission)
        return chunk_of(emission, number, run_id=run_id, at=at, node=node, visit=visit)

    def let_go(self, seq: int, at: float) -> Turn | None:
        """Everything up to `seq` is durable: let out what waited for it and start the one visit at the gate.

        None where there is anything else to consider.
        """
        gate, outbox, entry = self.waits.gate, self.waits.outbox, self.lone
        if not gate and (self.crowded or entry is not None):
            self.durable = max(seq, self.durable)
            return Turn(more=tuple(self.waits.ready(self.durable)))
        if entry is None or len(gate) != 1 or len(outbox) != 1 or outbox[0][0] > seq:
            return None
        need, visit, mode = gate[0]
        event, easy = outbox[0][1], self.blueprint.nodes.get(entry.place)
        if need > seq or mode != "start" or easy is None or easy.options.effects == "once":
            return None
        if not isinstance(event, FinishedEvent) or event.id != self.told:
            return None
        self.durable = max(seq, self.durable)
        gate.clear()
        outbox.clear()
        self.live.add(visit)
        attempt = entry.attempt + 1
        step = begun_after(event, entry.place, visit, attempt, at)
        self.told = event.id + 1  # as in `_started`
        return Turn(None, step, (), Start(visit, entry.place, attempt))


def _choose(ways: tuple[EasyWay[S], ...], state: S) -> EasyWay[S] | None:
    """Where to go; None where the general path has to say why not."""
    try:
        for way in ways:
            if way.when is None or way.when(state):
                return way
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a predicate may raise anything: it is asked again
        return None
    return None
