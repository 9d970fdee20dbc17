"""`RunMachine`: the whole life of one run, decided without waiting for anything.

`feed(input)` decides and returns what is to be done; the records it makes move the durable half
(`Fold`). The volatile half is small: which visits are `live` (told to start, not yet ended), how far the
log is `durable`, and what waits for it. The outbox holds what may be seen only after its commit is
durable (events, receipts, the end of the episode); the gate holds visits that may start only then. A
pure node's gate opens a window of commits earlier: running ahead is nothing more than that.

A refused input raises before anything has moved.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
from attrs import frozen
from msgspec import Raw

from .blueprint import Blueprint
from .chunks import chunk_of
from .codec import pack_plain
from .decisions import Approve, Decision, Fail, name_of
from .errors import IllegalTransition, MutationFailed, NotStorable, Refused, describe
from .fold import Fold, Image, Pending
from .inputs import (
    CancelRequested,
    Claimed,
    CommitDurable,
    CommitRefused,
    Decided,
    Emitted,
    Halted,
    Input,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
    Probed,
    ResumeRequested,
    StoreGaveUp,
    TimerFired,
)
from .limits import CLAIMS
from .places import Barrier, Edge, Node
from .receipts import AlreadyResolved, CancelReceipt, DecisionTaken, Resumed
from .records import Failure, Kind, Note, Opening, Resolution, RunHeader, Step
from .routing import NoWay, Way, after_failure, after_success
from .scribe import RESTING
from .stage import Stage
from .state import Entry
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus
from .turn import NOTHING, CancelNodes, Finish, Turn
from .verdict import Verdict, judge

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus
_ENDING: Final = (NodeFinished, NodeFailed, NodeCancelled, Probed)


@frozen
class _Next:
    """Where a run goes after a visit: new steps, and the status that follows."""

    status: RunStatus
    steps: tuple[Step, ...] = ()
    failure: Failure | None = None


class RunMachine(Stage[S], Generic[S]):
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
    ) -> tuple["RunMachine[S]", Turn]:
        """A new run in QUEUED, and the turn that makes it durable; `state` is (encoded, decoded copy).

        `command_id` tells this submit from every other one, also at the same moment: a store must not take the
        second for a repetition of the first.
        """
        fold = Fold(blueprint, header, Image(), state[1], state[0])
        machine = cls(fold, logged=logged, settled=settled, promises=promises)
        machine.owned = True  # epoch 0 is nobody's: the first claim makes it 1
        machine.announced = None
        step = Step(1, blueprint.start)
        detail = Note("", command_id) if command_id else None
        machine.commit(Kind.SUBMIT, header.at, _R.QUEUED, steps=(step,), detail=detail, state=state[0], create=True)
        return machine, machine.turn(header.at)

    @property
    def cancelling(self) -> bool:
        """Whether the bodies that run should leave."""
        return self.halting is not None or self.fenced != "" or self.status is _R.CANCELLING

    def feed(self, msg: Input) -> Turn:
        """Decide about one input; raises `Refused` (or its leaf `IllegalTransition`) when it is not acceptable now."""
        if type(msg) is NodeFinished and msg.next is None and self._is_everyday(msg):
            entry = self.fold.image.frontier[msg.visit]
            successor = self.blueprint.everyday.get(entry.place)
            if successor is not None:
                return self._follow(entry, successor, msg)
        if self.fenced:
            return self._feed_fenced(msg)
        seq = self.fold.image.seq
        self._HANDLERS[type(msg)](self, msg)
        if self.fold.header.auto_approve and self.fold.image.seq != seq:
            self._auto_approve(msg.at)
        return self.turn(msg.at)

    # -- the everyday path -----------------------------------------------------------------------------------
    #
    # A lone visit that ends well, with one plain edge on to a node that needs nothing special: the same records,
    # events and moves as the general path below (a property test runs both on the same inputs), without asking
    # what cannot be the case. It is most of what a run does, and the general path takes three times as long.

    def _is_everyday(self, msg: NodeFinished) -> bool:
        image = self.fold.image
        return (
            image.status is _R.RUNNING
            and msg.visit in self.live
            and len(image.frontier) == 1
            and image.visits < self.fold.header.max_steps
            and not msg.pause
            and self.halting is None
            and not self.fenced
        )

    def _follow(self, entry: Pending, successor: Node[S, Any], msg: NodeFinished) -> Turn:
        fold = self.fold
        try:
            fold.apply(msg.batch)
        except MutationFailed:
            return self._unfollow(msg)
        try:
            state = self._checkpoint(msg.batch, _R.RUNNING)
        except NotStorable:
            fold.drop(msg.batch)
            return self._unfollow(msg)
        left = (entry.visit, entry.place, entry.attempt)
        fold.follow(entry, successor.name, self.told + 1)
        self.live.clear()
        return self.go_on_everyday(entry, left, msg, state, pure=successor.options.effects == "pure")

    def _unfollow(self, msg: NodeFinished) -> Turn:
        """The batch cannot be applied or stored, and was taken back: let the general path say so in full."""
        self._on_finished(msg)
        if self.fold.header.auto_approve:
            self._auto_approve(msg.at)
        return self.turn(msg.at)

    # -- claims ----------------------------------------------------------------------------------------------

    def _on_claimed(self, msg: Claimed) -> None:
        status = self.status
        if status in RESTING or (self.owned and status not in (_R.QUEUED, _R.INTERRUPTED)):
            raise IllegalTransition(self.run_id, "run", status, _R.RUNNING, "only a run that waits can be claimed")
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
        self.commit(Kind.CLAIM, msg.at, _R.RUNNING)
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
        for entry in list(self.fold.image.frontier.values()):
            if self.status is not _R.RUNNING:
                return
            if entry.status is _V.PENDING:
                self._enter(entry, at, ahead=False)
            elif entry.status is _V.RUNNING:  # an intent without a commit: the process died in the body
                self._recover_effect(entry, at)

    def _recover_effect(self, entry: Pending, at: float) -> None:
        node = self.blueprint.node(entry.place)
        if node is not None and node.options.probe is not None:
            self.waits.hold(self.fold.image.seq, entry.visit, "probe")
        else:
            self._ask_what_became(entry, at)

    def _ask_what_became(self, entry: Pending, at: float) -> None:
        self._open(Kind.UNKNOWN, entry, Opening(reconcile=True, at=at), at)

    def _enter(self, entry: Pending, at: float, *, ahead: bool) -> None:
        """Let a pending visit begin: hold a node at the gate, open a barrier."""
        if self.blueprint.node(entry.place) is not None:
            self.hold(entry.visit, ahead=ahead)
            return
        if entry.opening is None:
            opening = self._opening(entry.place, at)
            if isinstance(opening, Failure):
                self._end_failed(at, opening)
                return
            self._open(Kind.OPEN, entry, opening, at)

    def _open(self, kind: Kind, entry: Pending, opening: Opening, at: float) -> None:
        step = Step(entry.visit, entry.place, opening=opening, path=entry.path, k=entry.asked)
        alone = self.fold.waiting + 1 == len(self.fold.image.frontier)
        self.commit(kind, at, _R.AWAITING_INPUT if alone else self.status, steps=(step,))

    def _opening(self, place: str, at: float) -> Opening | Failure:
        barrier = self.blueprint.barrier(place)
        if barrier is None:
            return Failure(FailureCode.UNROUTED, f"the graph has no node or barrier {place!r}")
        options = barrier.options
        deadline = None if options.timeout is None else at + options.timeout
        if self._approves(barrier):
            deadline = at  # so that whoever finds it open after a crash approves it at once
        if options.payload is None:
            return Opening(deadline, at=at)
        try:
            return Opening(deadline, Raw(pack_plain(options.payload(self.fold.state), "what it returned")), at=at)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the author's function may raise anything
            text = f"the payload of barrier {place!r} could not be made: {describe(error)}"
            return Failure(FailureCode.NODE_ERROR, text, (describe(error),))

    # -- visits ----------------------------------------------------------------------------------------------

    def _leave(self, visit: int) -> Pending:
        """Take a visit out of the live ones; raises `Refused` when it is not one of them."""
        if visit not in self.live:
            raise Refused(self.run_id, f"visit {visit} is not running (late, or never started)")
        self.live.discard(visit)
        return self.fold.image.frontier[visit]

    def _on_finished(self, msg: NodeFinished) -> None:
        entry = self._leave(msg.visit)
        if self.status is not _R.RUNNING:
            self.fold.cleanse()
            self._unwound(msg.at)  # D6: nothing commits after an acknowledged cancel
            return
        try:
            self.fold.apply(msg.batch)
        except MutationFailed as error:
            self._fail_visit(entry, self._failure(entry, error), msg.at, final=True)
            return
        way = self._ways(entry, msg)
        ahead = self._next(entry, way, msg.at, pause=msg.pause)
        try:
            state = self._checkpoint(msg.batch, ahead.status)
        except NotStorable as error:
            self.fold.drop(msg.batch)
            self._fail_visit(entry, self._failure(entry, error), msg.at)
            return
        self._commit_visit(entry, ahead, msg, state)

    def _commit_visit(self, entry: Pending, ahead: _Next, msg: NodeFinished, state: bytes | None) -> None:
        self.commit(
            Kind.VISIT,
            msg.at,
            ahead.status,
            entry=entry,
            outcome=_V.SUCCEEDED,
            attempt=entry.attempt,
            steps=ahead.steps,
            mutations=msg.batch,
            detail=ahead.failure,
            state=state,
        )
        self._go_on(ahead, msg.at)

    def _on_failed(self, msg: NodeFailed) -> None:
        entry = self._leave(msg.visit)
        self.fold.cleanse()
        if self.status is _R.RUNNING:
            self._fail_visit(entry, msg.failure, msg.at)
        else:
            self._unwound(msg.at)

    def _fail_visit(self, entry: Pending, failure: Failure, at: float, *, final: bool = False) -> None:
        """Commit a failed visit; an `on_error` edge leads on, unless the failure is `final`."""
        image = self.fold.image
        way: Way[S] | NoWay = Way(None)
        if not final:
            way = after_failure(self.blueprint, entry.place, self.fold.state, image.edges)
            if isinstance(way, NoWay):
                failure = msgspec.structs.replace(failure, message=f"{failure.message}; then {way.message}")
        leads_on = isinstance(way, Way) and way.edge is not None
        ahead = self._next(entry, way, at) if leads_on else _Next(_R.FAILED, (), failure)
        detail = ahead.failure or failure
        self.commit(
            Kind.VISIT,
            at,
            ahead.status,
            entry=entry,
            outcome=_V.FAILED,
            attempt=entry.attempt,
            steps=ahead.steps,
            detail=detail,
        )
        self._go_on(ahead, at)

    def _on_node_cancelled(self, msg: NodeCancelled) -> None:
        self._leave(msg.visit)
        self.fold.cleanse()
        if self.status is _R.RUNNING and self.halting is None:
            self.halting = "its scope was cancelled"
        self._unwound(msg.at)

    def _on_probed(self, msg: Probed) -> None:
        asked = self.fold.image.frontier.get(msg.visit)
        if asked is not None and asked.status is not _V.RUNNING:
            raise Refused(self.run_id, f"visit {msg.visit} has no intent to ask about")
        entry = self._leave(msg.visit)
        if self.status is not _R.RUNNING:
            self.fold.cleanse()
            self._unwound(msg.at)
        elif msg.happened:
            self.live.add(msg.visit)
            self._on_finished(NodeFinished(msg.visit, msg.batch, msg.at))
        elif msg.happened is None:
            self.fold.cleanse()
            self._ask_what_became(entry, msg.at)
        else:
            self.fold.cleanse()
            self.waits.hold(self.fold.image.seq, msg.visit)
            self._unwound(msg.at)

    def _on_emitted(self, msg: Emitted) -> None:
        entry = self.fold.image.frontier.get(msg.visit)
        if msg.visit not in self.live or entry is None:
            return  # a task that outlived its visit still talks: nobody may hear it
        self.told = self.next_event_id(self.fold.image.epoch)
        node = f"{entry.path}/{entry.place}" if entry.path else entry.place
        chunk = chunk_of(msg.emission, self.told, run_id=self.run_id, at=msg.at, node=node, visit=msg.visit)
        self.waits.post(self.fold.image.seq, chunk)

    def _ways(self, entry: Pending, msg: NodeFinished) -> Way[S] | NoWay | str:
        if msg.next is None:
            return after_success(self.blueprint, entry.place, "", self.fold.state, self.fold.image.edges)
        if msg.next and msg.next not in self.blueprint.places:
            return NoWay(FailureCode.UNROUTED, f"goto: the graph has no node {msg.next!r}")
        return msg.next or Way(None)

    def _next(self, entry: Pending, way: Way[S] | NoWay | str, at: float, *, pause: bool = False) -> _Next:
        """What follows a visit that leaves the frontier over `way` (a place's name is a goto)."""
        image = self.fold.image
        if isinstance(way, NoWay):
            return _Next(_R.FAILED, (), Failure(way.code, way.message))
        others = len(image.frontier) - 1
        if isinstance(way, Way) and way.edge is None:
            return _Next(self._rest(others, self.fold.waiting) if others else _R.SUCCEEDED)
        step = self._step(way if isinstance(way, str) else way.edge, at, open_barrier=not pause)
        if isinstance(step, Failure):
            return _Next(_R.FAILED, (), step)
        waiting = self.fold.waiting - (entry.opening is not None) + (step.opening is not None)
        return _Next(_R.PAUSED if pause else self._rest(others + 1, waiting), (step,))

    def _rest(self, pending: int, waiting: int) -> RunStatus:
        return _R.AWAITING_INPUT if pending == waiting else _R.RUNNING

    def _step(self, to: "Edge[S] | str | None", at: float, *, open_barrier: bool) -> Step | Failure:
        """The visit that an edge (or a goto) leads to, within the limits."""
        assert to is not None
        place = to if isinstance(to, str) else to.target
        counted = -1 if isinstance(to, str) or to.max_visits is None else to.index
        image, node = self.fold.image, self.blueprint.node(place)
        limit = self.fold.header.max_steps
        if image.visits >= limit:
            return Failure(FailureCode.STEPS_EXCEEDED, f"{limit} visits were made and {place!r} would be one more")
        most = None if node is None else node.options.max_visits
        if most is not None and image.places.get(place, 0) >= most:
            return Failure(FailureCode.STEPS_EXCEEDED, f"node {place!r} was visited {most} times, which is its limit")
        opening = self._opening(place, at) if node is None and open_barrier else None
        return opening if isinstance(opening, Failure) else Step(image.visits + 1, place, counted, opening)

    def _go_on(self, ahead: _Next, at: float) -> None:
        """Begin the new steps; nothing begins in a run that rests."""
        if ahead.failure is not None or self.status in TERMINAL:
            self.waits.gate.clear()
            return
        for step in ahead.steps:
            if self.status is not _R.PAUSED:
                self._enter(self.fold.image.frontier[step.visit], at, ahead=True)
        self._unwound(at)

    def _unwound(self, at: float) -> None:
        """When the last live visit has ended: finish a cancel, or leave the run to its next owner."""
        if self.live:
            return
        if self.status is _R.CANCELLING:
            self.commit(Kind.END, at, _R.CANCELLED, detail=self._unknown_note())
        elif self.halting is not None and self.status is _R.RUNNING and not self.waits.begun():
            self.waits.gate.clear()
            self.commit(Kind.INTERRUPT, at, _R.INTERRUPTED, detail=Note(self.halting))

    def _unknown_note(self) -> Note | None:
        unsure = [f"{e.place}@{e.visit}" for e in self.fold.image.frontier.values() if e.status is _V.RUNNING]
        return Note(f"nobody knows whether the effect of {', '.join(unsure)} happened") if unsure else None

    def _checkpoint(self, batch: Sequence[Entry], status: RunStatus) -> bytes | None:
        """The encoded state, if the coming commit is to carry a snapshot; raises `NotStorable`."""
        if not self.logged:
            self.fold.forget()
            return None
        weight = 0
        for entry in batch:
            weight += len(entry.body)  # type: ignore[union-attr]  # with a log every entry is encoded
        due = self.fold.snapshot_due(weight)
        return self.blueprint.state.pack(self.fold.state) if due or status in RESTING else None

    def _failure(self, entry: Pending, error: Exception) -> Failure:
        return Failure(FailureCode.NODE_ERROR, f"node {entry.place!r}: {describe(error)}", (describe(error),))

    def _end_failed(self, at: float, failure: Failure) -> None:
        self.waits.gate.clear()
        self.commit(Kind.END, at, _R.FAILED, detail=failure)

    # -- commands --------------------------------------------------------------------------------------------

    def _on_decided(self, msg: Decided) -> None:
        first = self.resolved.get(msg.barrier)
        if first is not None and msg.command_id:
            self.reply(msg.command_id, first)
            return
        entry = self._waiting(msg.barrier)
        verdict = judge(self.run_id, self.blueprint, entry, msg.decision, timeout=False)
        self._decide(entry, verdict, msg)

    def _on_timer(self, msg: TimerFired) -> None:
        entry = self._waiting(msg.barrier)
        barrier, opening = self.blueprint.barrier(entry.place), entry.opening
        if barrier is None or opening is None or opening.deadline is None or opening.deadline > msg.at:
            raise Refused(self.run_id, f"barrier {msg.barrier} is not due")
        decision: Decision = barrier.options.on_timeout
        source = "timeout"
        if self._approves(barrier):
            decision, source = Approve(), "auto"
        try:
            verdict = judge(self.run_id, self.blueprint, entry, decision, timeout=True)
            self._decide(entry, verdict, Decided(msg.barrier, decision, source, msg.at, slot=msg.slot))
        except Refused as error:
            if source == "auto":
                raise
            # Nobody is there to be told, and the deadline will not pass again: waiting on would be for ever.
            text = f"nobody decided barrier {entry.barrier} in time, and what was to happen then cannot: {error}"
            self._end_failed(msg.at, Failure(FailureCode.BARRIER_TIMEOUT, text))

    def _approves(self, barrier: Barrier[S]) -> bool:
        return self.fold.header.auto_approve and barrier.takes(Approve())

    def _auto_approve(self, at: float) -> None:
        """Approve what has opened, one after the other; a barrier that cannot be approved keeps waiting."""
        refused: set[int] = set()
        while self.status in (_R.AWAITING_INPUT, _R.RUNNING):
            open_ones = (e for e in self.fold.image.frontier.values() if e.status is _V.AWAITING_INPUT)
            entry = next((e for e in open_ones if e.visit not in refused), None)
            if entry is None:
                return
            try:
                self._on_decided(Decided(entry.barrier, Approve(), "auto", at))
            except Refused:
                refused.add(entry.visit)

    def _waiting(self, barrier: str) -> Pending:
        if self.status in (_R.AWAITING_INPUT, _R.RUNNING):
            for entry in self.fold.image.frontier.values():
                if entry.opening is not None and entry.barrier == barrier:
                    return entry
        raise Refused(self.run_id, f"barrier {barrier!r} is not open (the run is {self.status})")

    def _decide(self, entry: Pending, verdict: Verdict, msg: Decided) -> None:
        try:
            self.fold.apply(verdict.mutations)
            if verdict.mutations and self.logged:
                self.blueprint.state.pack(self.fold.state)
        except (MutationFailed, NotStorable) as error:
            if isinstance(error, NotStorable):
                self.fold.drop(verdict.mutations)
            raise Refused(self.run_id, f"barrier {entry.barrier} keeps waiting: {error}") from error
        ahead = self._after_verdict(entry, verdict, msg)
        if ahead.status is _R.RUNNING and not msg.slot and self.status is _R.AWAITING_INPUT:
            ahead = _Next(_R.QUEUED, ahead.steps)
        resolution = Resolution(entry.barrier, msg.decision, msg.source, msg.command_id, ahead.failure)
        self.resolved[entry.barrier] = AlreadyResolved(self.run_id, entry.barrier, name_of(msg.decision), msg.source)
        self.commit(
            Kind.DECIDE,
            msg.at,
            ahead.status,
            entry=entry,
            outcome=verdict.outcome,
            attempt=entry.attempt,
            steps=ahead.steps,
            mutations=verdict.mutations,
            detail=resolution,
        )
        self.reply(msg.command_id, DecisionTaken(self.run_id, resolution.barrier, self.promises))
        if ahead.failure is not None:
            return
        if verdict.outcome is _V.PENDING and self.status is _R.RUNNING:
            self.waits.hold(self.fold.image.seq, entry.visit)
            self._unwound(msg.at)
        elif self.status is not _R.QUEUED:
            self._go_on(ahead, msg.at)

    def _after_verdict(self, entry: Pending, verdict: Verdict, msg: Decided) -> _Next:
        edges, state = self.fold.image.edges, self.fold.state
        if verdict.outcome is _V.PENDING:
            return _Next(_R.RUNNING)
        if verdict.outcome is _V.FAILED:
            way = after_failure(self.blueprint, entry.place, state, edges)
            if isinstance(way, Way) and way.edge is None:
                return _Next(_R.FAILED, (), self._given_up(entry, msg))
        else:
            way = after_success(self.blueprint, entry.place, verdict.exit, state, edges)
        return self._next(entry, way, msg.at)

    def _given_up(self, entry: Pending, msg: Decided) -> Failure:
        reason = msg.decision.reason if isinstance(msg.decision, Fail) else ""
        if msg.source == "timeout":
            text = f"nobody decided barrier {entry.barrier} in time"
            return Failure(FailureCode.BARRIER_TIMEOUT, f"{text}: {reason}" if reason else text)
        text = f"the effect of {entry.barrier} was given up by {msg.source or 'somebody'}"
        return Failure(FailureCode.NODE_ERROR, f"{text}: {reason}" if reason else text)

    def _on_cancel(self, msg: CancelRequested) -> None:
        status = self.status
        note = Note(msg.reason, msg.command_id)
        if status in TERMINAL:
            self._answer_cancel(msg, "already_terminal")
        elif status is _R.CANCELLING:
            self._unwound(msg.at)  # for one that was found so in the log
            self._answer_cancel(msg, "stopped" if self.status in TERMINAL else "requested")
        elif status is _R.RUNNING:
            self.waits.gate.clear()
            self.commit(Kind.CANCEL, msg.at, _R.CANCELLING, detail=note)
            if self.live:
                self.effects.append(CancelNodes())
                self._answer_cancel(msg, "requested")
            else:
                self._unwound(msg.at)
                self._answer_cancel(msg, "stopped")
        else:
            self.commit(Kind.CANCEL, msg.at, _R.CANCELLED, detail=note)
            self._answer_cancel(msg, "stopped")

    def _answer_cancel(self, msg: CancelRequested, outcome: Any) -> None:
        self.reply(msg.command_id, CancelReceipt(self.run_id, outcome, self.status, self.promises))

    def _on_resume(self, msg: ResumeRequested) -> None:
        if self.status is not _R.PAUSED:
            raise IllegalTransition(self.run_id, "run", self.status, _R.QUEUED, "only a paused run can be resumed")
        self.commit(Kind.QUEUE, msg.at, _R.QUEUED, detail=Note("resumed", msg.command_id))
        self.reply(msg.command_id, Resumed(self.run_id, self.promises))

    def _on_halted(self, msg: Halted) -> None:
        if self.status is _R.RUNNING:
            self.halting = msg.reason
        if msg.hard and self.live:
            self.effects.append(CancelNodes())
        self._unwound(msg.at)

    # -- the store's answers ---------------------------------------------------------------------------------

    def _on_durable(self, msg: CommitDurable) -> None:
        self.durable = max(self.durable, msg.seq)

    def _on_refused(self, msg: CommitRefused) -> None:
        """What this process still knows about the run is worth nothing: leave, and publish nothing."""
        self.fenced = msg.reason
        self.waits.clear()
        if self.live:
            self.effects.append(CancelNodes())
        self.effects.append(Finish(self.status, fenced=msg.reason, final=msg.final))

    def _feed_fenced(self, msg: Input) -> Turn:
        if isinstance(msg, _ENDING):
            self.live.discard(msg.visit)
        elif not isinstance(msg, Emitted | CommitDurable | CommitRefused | Halted):
            raise Refused(self.run_id, f"this process does not own it any more: {self.fenced}")
        return NOTHING

    _HANDLERS: ClassVar[Mapping[type, Callable[..., None]]] = {
        Claimed: _on_claimed,
        NodeFinished: _on_finished,
        NodeFailed: _on_failed,
        NodeCancelled: _on_node_cancelled,
        Probed: _on_probed,
        Emitted: _on_emitted,
        Decided: _on_decided,
        TimerFired: _on_timer,
        CancelRequested: _on_cancel,
        ResumeRequested: _on_resume,
        Halted: _on_halted,
        StoreGaveUp: _on_store_gave_up,
        CommitDurable: _on_durable,
        CommitRefused: _on_refused,
    }
