"""`RunMachine`: the whole life of one run, decided without waiting for anything.

`feed(input)` decides and returns what is to be done; the records it makes move the durable half
(`Fold`). The volatile half is small: which visits are `live` (told to start, not yet ended), how far the
log is `durable`, and what waits for it. The outbox holds what may be seen only after its commit is
durable (events, receipts, the end of the episode); the gate holds visits that may start only then. A
pure node's gate opens a window of commits earlier: running ahead is nothing more than that.

A refused input raises before anything has moved.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Generic, TypeVar

from .blueprint import Blueprint
from .codec import pack
from .errors import IllegalTransition, Refused
from .fold import Fold
from .image import Image, Snapshot
from .inputs import (
    BodiesCancelled,
    Claimed,
    CommitDurable,
    CommitRefused,
    Emitted,
    Halted,
    Input,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
    NodeStuck,
    Probed,
    StoreGaveUp,
    UndoRequested,
)
from .limits import CLAIMS, STATE_BYTES
from .receipts import Undone
from .records import Failure, Kind, Note, Rewind, RunHeader, Step
from .scribe import RESTING
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus
from .steering import Steering
from .travel import as_head
from .turn import NOTHING, CancelNodes, Finish, Start, Turn
from .visits import Visits

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus
_UNDONE: Final = frozenset({_R.QUEUED, _R.AWAITING_INPUT, _R.PAUSED, _R.INTERRUPTED})
"""Run statuses in which nobody is at work, and something may be taken back."""
_LEFT: Final = TERMINAL | {_R.CANCELLING}
"""Run statuses in which no body has anything more to do."""
_ENDING: Final = (NodeFinished, NodeFailed, NodeCancelled, NodeStuck, Probed)


class RunMachine(Visits[S], Steering[S], Generic[S]):
    """One run. `feed` is the only way in, and a `Turn` the only way out.

    Args:
        fold: the durable half.
        logged: False for a run that is never stored: no write is made.
        settled: True when a write is durable as soon as it has been carried out, so that no
            `CommitDurable` will follow.
        promises: what receipts say about the store's durability.
    """

    __slots__ = ()

    def __init__(self, fold: Fold[S], *, logged: bool = True, settled: bool = False, promises: bool = True) -> None:
        super().__init__(fold, logged=logged, settled=settled, promises=promises)

    @classmethod
    def begin(
        cls,
        blueprint: Blueprint[S],
        header: RunHeader,
        state: tuple[bytes, S],
        *,
        logged: bool = True,
        settled: bool = False,
        promises: bool = True,
        command_id: str = "",
        start: str = "",
        base: str | None = None,
    ) -> tuple["RunMachine[S]", Turn]:
        """A new run in QUEUED, and the turn that makes it durable; `state` is (encoded, decoded copy).

        It begins at the graph's start, or at the place `start`; `base` is the head of its thread, where it has one
        and need not wait for its turn. `command_id` tells this submit from every other
        one, also at the same moment: a store must not take the second for a repetition of the first.
        """
        fold = Fold(blueprint, header, Image(base=base), state[1], state[0])
        machine = cls(fold, logged=logged, settled=settled, promises=promises)
        machine.owned = True  # epoch 0 is nobody's: the first claim makes it 1
        machine.announced = 0
        step = Step(1, start or blueprint.start)
        detail = Note("", command_id) if command_id else None
        machine.commit(Kind.SUBMIT, header.at, _R.QUEUED, steps=(step,), detail=detail, state=state[0], create=True)
        return machine, machine.turn(header.at)

    @classmethod
    def alone(
        cls, blueprint: Blueprint[S], header: RunHeader, state: tuple[bytes, S], *, tells: bool
    ) -> tuple["RunMachine[S]", Turn]:
        """A new run that is stored nowhere, as its first claim leaves it, and the turn that sets it going.

        `tells` is False when nobody can listen.
        """
        fold = Fold(blueprint, header, Image(), state[1], state[0])
        fold.set_going()
        machine = cls(fold, logged=False, settled=True, promises=False)
        machine.owned, machine.tells, machine.claimed = True, tells, fold.image.seq
        return machine, machine._set_out(header.at)

    def _set_out(self, at: float) -> Turn:
        """Let the first visit begin."""
        (entry,) = self.fold.image.frontier.values()
        node = self.node_of(entry)
        if self.tells or node is None or node.options.effects == "once":
            self.plan("resume", [entry.visit])
            turn = self._conclude(at, moved=True)
            self.look_around()
            return turn
        self.lone = entry
        self.live.add(entry.visit)
        self.told += 1  # that it begins: counted, and not made
        self.announced = self.fold.image.seq
        return Turn(start=Start(entry.visit, entry.place, 1))

    @classmethod
    def branch_off(
        cls,
        blueprint: Blueprint[S],
        header: RunHeader,
        snapshot: Snapshot,
        *,
        settled: bool = False,
        promises: bool = True,
        command_id: str = "",
    ) -> tuple["RunMachine[S]", Turn]:
        """A new run in QUEUED that goes on from a snapshot of another, and the turn that makes it durable."""
        fold = Fold[S].load(blueprint, header, pack(snapshot, "snapshot", 2 * STATE_BYTES), ())
        machine = cls(fold, settled=settled, promises=promises)
        machine.owned = True  # as in begin
        detail = Note(f"goes on from {header.parent}", command_id)
        machine.commit(Kind.SUBMIT, header.at, _R.QUEUED, detail=detail, state=snapshot.state, create=True)
        return machine, machine.turn(header.at)

    @property
    def cancelling(self) -> bool:
        """Whether the bodies that run should leave; after the end, those that have not."""
        return self.halting is not None or self.fenced != "" or self.status in _LEFT

    def feed(self, msg: Input) -> Turn:
        """Decide about one input; raises `Refused` (or its leaf `IllegalTransition`) when it is not acceptable now."""
        if type(msg) is NodeFinished:
            turn = self.take_everyday(msg)
            if turn is not None:
                return turn
        elif type(msg) is CommitDurable:
            turn = self.let_go(msg.seq, msg.at)
            if turn is not None:
                return turn
        turn = self._feed(msg)
        self.look_around()
        return turn

    def _feed(self, msg: Input) -> Turn:
        if self.fenced:
            return self._feed_fenced(msg)
        seq = self.fold.image.seq
        self.HEARS[type(msg)](self, msg)
        return self._conclude(msg.at, moved=self.fold.image.seq != seq)

    def _conclude(self, at: float, *, moved: bool) -> Turn:
        """Do what an input has led to, if it has `moved` the run or not, and say what is to be done about it."""
        if self.soiled and not self.live:
            self.wash()
        self.work_off(at)
        if moved and (self.fold.header.auto_approve or self.fold.image.kept):
            self.decide_by_itself(at)
        return self.turn(at)

    # -- claims ----------------------------------------------------------------------------------------------

    def _on_claimed(self, msg: Claimed) -> None:
        status = self.status
        if status in RESTING or (self.owned and status not in (_R.QUEUED, _R.INTERRUPTED)):
            raise IllegalTransition(self.run_id, "run", status, _R.RUNNING, "only a run that waits can be claimed")
        if self.fold.takes_head and msg.taken is None:
            raise Refused(self.run_id, f"it waits for its turn on thread {self.fold.header.thread!r}")
        self.owned, self.halting = False, None
        if status is _R.CANCELLING:
            note = Note("the cancel was finished after the owner was lost")
            self.commit(Kind.END, msg.at, _R.CANCELLED, detail=note)
            return
        if status is _R.RUNNING:
            self.commit(Kind.INTERRUPT, msg.at, _R.INTERRUPTED, detail=Note("the owner was lost"))
        if self.fold.image.claims >= CLAIMS:
            text = f"{CLAIMS} claims in a row ended without a new commit: something in it ends the process"
            self._end_failed(msg.at, Failure(FailureCode.RECOVERY_EXHAUSTED, text))
            return
        self.commit(Kind.CLAIM, msg.at, _R.RUNNING, detail=msg.taken if self.fold.takes_head else None)
        self.claimed = self.fold.image.seq
        self._resume_frontier(msg.at)

    def _on_store_gave_up(self, msg: StoreGaveUp) -> None:
        if self.status in TERMINAL:
            raise IllegalTransition(self.run_id, "run", self.status, _R.FAILED)
        if self.live:
            raise Refused(self.run_id, "its nodes still run here: only a run that was loaded anew is given up")
        self.owned = False
        if self.status is _R.CANCELLING:
            self.commit(Kind.END, msg.at, _R.CANCELLED, detail=Note(msg.reason))
        else:
            self._end_failed(msg.at, Failure(FailureCode.STORE_REJECTED, msg.reason))

    def _resume_frontier(self, at: float) -> None:
        """Finish what a branch's last commit led to before the process died, and let every pending visit go on."""
        if self.fold.image.doomed is not None:
            self._expire(self.fold.image.doomed, at)
            return
        if not self.fold.image.frontier:
            self.commit(Kind.END, at, _R.SUCCEEDED)  # the last step was decided while nobody carried it
            return
        for path, opened in self.fold.image.forks.items():
            failed = [branch for branch in self.fold.branches_of(path) if branch.failure is not None]
            fatal = [branch.path for branch in failed if branch.failure and self._is_fatal(path, branch.failure)]
            if fatal:
                self.plan("ended", fatal[:1])
            elif opened.ended == opened.count:
                self.plan("join", [path])
        waiting = [entry.visit for entry in self.fold.image.frontier.values() if entry.visit not in self.fold.owners]
        self.plan("resume", waiting)

    def _on_undo(self, msg: UndoRequested) -> None:
        if self.live or self.status not in _UNDONE:
            raise Refused(self.run_id, f"it is {self.status}: only a run that waits, rests or is paused is undone")
        head = as_head(msg.was, self.fold.image.visits)
        detail = Rewind(msg.to, pack(head, "snapshot", 2 * STATE_BYTES), msg.command_id)
        self.waits.gate.clear()
        self.commit(Kind.REWIND, msg.at, _R.QUEUED, detail=detail)
        self.reply(msg.command_id, Undone(self.run_id, msg.to, self.promises))

    # -- the store's answers ---------------------------------------------------------------------------------

    def _on_durable(self, msg: CommitDurable) -> None:
        self.durable = max(self.durable, msg.seq)

    def _on_refused(self, msg: CommitRefused) -> None:
        """What this process still knows about the run is worth nothing: leave, and publish nothing."""
        self.fenced = msg.reason
        self.held.let_go()
        self.waits.clear()
        if self.live:
            self.effects.append(CancelNodes())
        self.effects.append(Finish(self.status, fenced=msg.reason, final=msg.final))

    def _feed_fenced(self, msg: Input) -> Turn:
        if isinstance(msg, _ENDING):
            self.live.discard(msg.visit)
        elif isinstance(msg, BodiesCancelled):
            self.live.difference_update(msg.visits)
        elif not isinstance(msg, Emitted | CommitDurable | CommitRefused | Halted):
            raise Refused(self.run_id, f"this process does not own it any more: {self.fenced}")
        return NOTHING

    HEARS: ClassVar[Mapping[type, Callable[..., None]]] = {
        **Visits.HEARS,
        **Steering.HEARS,
        Claimed: _on_claimed,
        StoreGaveUp: _on_store_gave_up,
        UndoRequested: _on_undo,
        CommitDurable: _on_durable,
        CommitRefused: _on_refused,
    }
