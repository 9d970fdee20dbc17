"""What people, deadlines and owners say to a run: decide, cancel, pause, resume, halt."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from .ahead import ANY, Next, besides
from .decisions import Approve, Confirm, Decision, Exiting, Fail, Retry, name_of
from .errors import IllegalTransition, MutationFailed, NotStorable, Refused
from .forks import Forks
from .inputs import (
    CancelRequested,
    DeadlinePassed,
    Decided,
    Halted,
    PauseRequested,
    ResumeRequested,
    TimerFired,
    WithdrawRequested,
)
from .pending import Pending
from .receipts import (
    AlreadyResolved,
    CancelReceipt,
    DecisionKept,
    DecisionTaken,
    DecisionWithdrawn,
    PauseReceipt,
    Resumed,
)
from .records import Ask, Failure, Kept, Kind, Note, Resolution, Withdrawn
from .routing import NoWay, Way, after_failure, after_success
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus
from .turn import CancelNodes
from .verdict import Verdict, check_answer, judge

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus

_CARRIED_BY_NOBODY: Final = frozenset({_R.QUEUED, _R.INTERRUPTED})
_OPEN: Final = frozenset({_R.AWAITING_INPUT, _R.RUNNING, _R.QUEUED, _R.INTERRUPTED})
"""Run statuses in which a barrier may be decided."""


class Steering(Forks[S], Generic[S]):
    """The part of a run's machine that is steered from outside."""

    __slots__ = ()

    def _on_decided(self, msg: Decided) -> None:
        first = self.resolved.get(msg.barrier)
        if first is not None and msg.command_id:
            self.reply(msg.command_id, first)
            return
        if msg.keep == "always" or (msg.keep and self._open_entry(msg.barrier) is None):
            self._keep(msg)
            return
        self._resolve(self._waiting(msg.barrier), msg)

    def _resolve(self, entry: Pending, msg: Decided, kept: str = "") -> None:
        if entry.asked_as(msg.barrier) is not None:
            self._decide_ask(entry, msg, kept)
            return
        verdict = judge(self.run_id, self.blueprint_of(entry), entry, msg.decision, timeout=False)
        self._decide(entry, verdict, msg, kept)

    # -- decisions that come before their barrier --------------------------------------------------------------

    def _keep(self, msg: Decided) -> None:
        """Store a decision whose barrier is not open yet."""
        if self.status in TERMINAL or self.status is _R.CANCELLING:
            raise Refused(self.run_id, f"barrier {msg.barrier!r} will never open (the run is {self.status})")
        if isinstance(msg.decision, Confirm | Retry | Fail):
            raise Refused(self.run_id, f"{name_of(msg.decision)} says what became of an effect, and nobody asked yet")
        standing = msg.keep == "always"
        kept = Kept(msg.barrier, msg.decision, msg.source, standing, msg.command_id)
        if kept not in self.fold.image.kept:  # else the same command came twice
            self._note_loss(msg.at)
            self.commit(Kind.KEEP, msg.at, self.status, detail=kept)
        self.reply(msg.command_id, DecisionKept(self.run_id, msg.barrier, standing, self.promises))

    def _note_loss(self, at: float) -> None:
        """A run whose owner was lost is INTERRUPTED before anything else is written about it: it is to be claimed."""
        if self.status is _R.RUNNING and not self.owned:
            self.commit(Kind.INTERRUPT, at, _R.INTERRUPTED, detail=Note("the owner was lost"))

    def _on_withdraw(self, msg: WithdrawRequested) -> None:
        count = sum(kept.barrier == msg.barrier for kept in self.fold.image.kept)
        if count and self.status not in TERMINAL and self.status is not _R.CANCELLING:
            self._note_loss(msg.at)
            self.commit(Kind.WITHDRAW, msg.at, self.status, detail=Withdrawn(msg.barrier, msg.command_id))
        self.reply(msg.command_id, DecisionWithdrawn(self.run_id, msg.barrier, count, self.promises))

    def decide_by_itself(self, at: float) -> None:
        """Decide what has opened and somebody decided before, or a run approves by itself; the others keep waiting."""
        refused: set[str] = set()
        while self.status in (_R.AWAITING_INPUT, _R.RUNNING):
            found = next((each for each in self._open_ones() if each[1] not in refused), None)
            if found is None:
                return
            entry, barrier, kept = found
            decision, source = (Approve(), "auto") if kept is None else (kept.decision, kept.source)
            try:
                self._resolve(entry, Decided(barrier, decision, source, at), "" if kept is None else kept.barrier)
                self.work_off(at)
            except Refused:
                refused.add(barrier)

    def _open_ones(self) -> Iterator[tuple[Pending, str, Kept | None]]:
        """Open barriers that may be decided at once, each with the decision that was kept for it."""
        approves = self.fold.header.auto_approve
        for barrier, (entry, name, _) in self.fold.opened.by_id.items():
            if entry.status is _V.UNKNOWN or self.is_moot(entry):
                continue
            kept = self._kept_for(barrier, name)
            if kept is not None or approves:
                yield entry, barrier, kept

    def _kept_for(self, barrier: str, name: str) -> Kept | None:
        """The decision that was kept for a barrier: one for its id before one for its name, and that before any."""
        for standing in (False, True):
            for key in (barrier, name, ANY):
                for kept in self.fold.image.kept:
                    if kept.barrier == key and kept.standing is standing:
                        return kept
        return None

    def _on_timer(self, msg: TimerFired) -> None:
        entry = self._waiting(msg.barrier)
        if (key := entry.asked_as(msg.barrier)) is not None:
            self._time_out(entry, entry.asks[key], msg)
            return
        blueprint, opening = self.blueprint_of(entry), entry.opening
        barrier = blueprint.barrier(entry.place)
        if barrier is None or opening is None or opening.deadline is None or opening.deadline > msg.at:
            raise Refused(self.run_id, f"barrier {msg.barrier} is not due")
        decision: Decision = barrier.options.on_timeout
        source, kept = "timeout", self._kept_for(entry.barrier, entry.place)
        if kept is not None:
            decision, source = kept.decision, kept.source
        elif self._approves(barrier):
            decision, source = Approve(), "auto"
        try:
            verdict = judge(self.run_id, blueprint, entry, decision, timeout=True)
            decided = Decided(msg.barrier, decision, source, msg.at, slot=msg.slot)
            self._decide(entry, verdict, decided, "" if kept is None else kept.barrier)
        except Refused as error:
            if source != "timeout":
                raise
            # Nobody is there to be told, and the deadline will not pass again: waiting on would be for ever.
            text = f"nobody decided barrier {entry.barrier} in time, and what was to happen then cannot: {error}"
            self._fail_visit(entry, Failure(FailureCode.BARRIER_TIMEOUT, text, final=True), msg.at)

    def _open_entry(self, barrier: str) -> Pending | None:
        found = self.fold.opened.by_id.get(barrier) if self.status in _OPEN else None
        return None if found is None or self.is_moot(found[0]) else found[0]

    def _waiting(self, barrier: str) -> Pending:
        entry = self._open_entry(barrier)
        if entry is not None:
            return entry
        raise Refused(self.run_id, f"barrier {barrier!r} is not open (the run is {self.status})")

    def _time_out(self, entry: Pending, ask: Ask, msg: TimerFired) -> None:
        if ask.opening.deadline is None or ask.opening.deadline > msg.at:
            raise Refused(self.run_id, f"barrier {msg.barrier} is not due")
        decision: Exiting | Fail = ask.on_timeout
        if not isinstance(decision, Fail) and decision.exit not in ask.exits:
            # Nobody is there to be told, and it would stay due: waiting on would be for ever, without a pause.
            decision = Fail(f"its exits are {', '.join(ask.exits)}, and {decision.exit!r} is none of them")
        self._decide_ask(entry, Decided(msg.barrier, decision, "timeout", msg.at))

    def _decide_ask(self, entry: Pending, msg: Decided, kept: str = "") -> None:
        """Somebody decides what a body waits for: the body is told, or a later one that asks again."""
        key = entry.asked_as(msg.barrier)
        assert key is not None, "the caller looked"
        if not (isinstance(msg.decision, Fail) and msg.source == "timeout"):
            check_answer(self.run_id, entry.asks[key], msg.decision)
        self._note_loss(msg.at)
        resolution = Resolution(msg.barrier, msg.decision, msg.source, msg.command_id, kept=kept)
        self.resolved[msg.barrier] = AlreadyResolved(self.run_id, msg.barrier, name_of(msg.decision), msg.source)
        self.commit(Kind.DECIDE, msg.at, self.status, entry=entry, attempt=entry.attempt, detail=resolution)
        self.reply(msg.command_id, DecisionTaken(self.run_id, msg.barrier, self.promises))
        if entry.visit in self.live:
            self._answer(entry, key)

    def _decide(self, entry: Pending, verdict: Verdict, msg: Decided, kept: str = "") -> None:
        frame = self.fold.frame(entry.path)
        flow, failure = frame.blueprint.flow, None
        if flow is not None and verdict.outcome is _V.FAILED:
            moves, failure = self._spill(flow, entry, self._given_up(entry, msg))
            verdict = msgspec.structs.replace(verdict, mutations=tuple(moves))
        try:
            frame.apply(verdict.mutations)
            if verdict.mutations and self.logged:
                frame.pack()
        except (MutationFailed, NotStorable) as error:
            if isinstance(error, NotStorable):
                frame.drop(verdict.mutations)
            raise Refused(self.run_id, f"barrier {entry.barrier} keeps waiting: {error}") from error
        ahead = self._after_verdict(entry, verdict, msg, failure)
        if self.status in _CARRIED_BY_NOBODY:
            lost = ahead.failure
            if lost is not None and ahead.status is _R.FAILED:
                lost = msgspec.structs.replace(lost, final=True)  # whoever claims the run finds that it is to fail
            ahead = Next(self.status, ahead.steps, lost)
        elif ahead.status is _R.RUNNING and not msg.slot and self.status is _R.AWAITING_INPUT:
            ahead = Next(_R.QUEUED, ahead.steps, ahead.failure)
        failure = ahead.failure if failure is None else besides(failure, ahead.failure)
        resolution = Resolution(entry.barrier, msg.decision, msg.source, msg.command_id, failure, kept)
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
        if verdict.outcome is _V.PENDING and self.status is _R.RUNNING:
            self.waits.hold(self.fold.image.seq, entry.visit)
        elif self.status not in _CARRIED_BY_NOBODY:
            self._go_on(entry.path, ahead, msg.at)

    def _after_verdict(self, entry: Pending, verdict: Verdict, msg: Decided, failure: Failure | None) -> Next:
        """What follows; `failure` is what a visit of a dataflow fails with, if it does."""
        frame = self.fold.frame(entry.path)
        blueprint, edges, state = frame.blueprint, frame.counts.edges, frame.view()
        way: Way[Any] | NoWay | str
        if verdict.outcome is _V.PENDING:
            return Next(_R.RUNNING)
        if failure is not None:
            return self._end_frame(entry, failure if failure.final else None)
        if verdict.outcome is _V.FAILED:
            way = after_failure(blueprint, entry.place, state, edges)
            if isinstance(way, Way) and way.edge is None:
                return self._end_frame(entry, self._given_up(entry, msg))
        elif verdict.target:
            way = verdict.target
        else:
            way = after_success(blueprint, entry.place, verdict.exit, state, edges)
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
            self._cancel_running(msg.at, note)
            if self.live:
                self.effects.append(CancelNodes())
                self._answer_cancel(msg, "requested")
            else:
                self._unwound(msg.at)
                self._answer_cancel(msg, "stopped")
        else:
            self.commit(Kind.CANCEL, msg.at, _R.CANCELLED, detail=note)
            self._answer_cancel(msg, "stopped")

    def _cancel_running(self, at: float, note: Note) -> None:
        """Write the cancel; a `once` visit whose body has not begun ends with it: nothing of it can have happened."""
        begun = self.waits.begun()
        self.waits.gate.clear()
        if not begun:
            self.commit(Kind.CANCEL, at, _R.CANCELLING, detail=note)
            return
        for visit in begun[1:]:
            self._skip(visit, at)
        entry = self.fold.image.frontier[begun[0]]
        self.commit(
            Kind.CANCEL, at, _R.CANCELLING, entry=entry, outcome=_V.CANCELLED, attempt=entry.attempt, detail=note
        )

    def _answer_cancel(self, msg: CancelRequested, outcome: Any) -> None:
        self.reply(msg.command_id, CancelReceipt(self.run_id, outcome, self.status, self.promises))

    def _on_pause(self, msg: PauseRequested) -> None:
        if self.status in TERMINAL or self.status is _R.CANCELLING:
            raise IllegalTransition(self.run_id, "run", self.status, _R.PAUSED, "only a run that goes on can be paused")
        if not self.parking and self.status is not _R.PAUSED:
            self._pause(msg.at, Note("", msg.command_id))
        outcome: Any = "paused" if self.status is _R.PAUSED else "requested"
        self.reply(msg.command_id, PauseReceipt(self.run_id, outcome, self.promises))

    def _pause(self, at: float, note: Note) -> None:
        """Pause the run now; where that has to wait for a body or for a claim, write that it is to be."""
        if self.status in (_R.RUNNING, _R.AWAITING_INPUT) and not (self.live or self.waits.begun()):
            self.waits.gate.clear()
            self.commit(Kind.PAUSE, at, _R.PAUSED, detail=note)
        else:
            self.commit(Kind.PAUSE, at, self.status, detail=note, parks=True)

    def _on_resume(self, msg: ResumeRequested) -> None:
        if self.status is not _R.PAUSED:
            raise IllegalTransition(self.run_id, "run", self.status, _R.QUEUED, "only a paused run can be resumed")
        self.commit(Kind.QUEUE, msg.at, _R.QUEUED, detail=Note("resumed", msg.command_id))
        self.reply(msg.command_id, Resumed(self.run_id, self.promises))

    def _on_deadline(self, msg: DeadlinePassed) -> None:
        ends_at = self.fold.ends_at
        if ends_at is None or ends_at > msg.at:
            raise Refused(self.run_id, "its deadline has not passed")
        if self.status is _R.CANCELLING:
            return
        text = f"the {self.fold.header.deadline:g} s that it had are over"
        self._expire(Failure(FailureCode.DEADLINE_EXCEEDED, text, final=True), msg.at)

    def _on_halted(self, msg: Halted) -> None:
        if self.status is _R.RUNNING:
            self.halting = msg.reason
        if msg.hard and self.live:
            self.effects.append(CancelNodes())

    HEARS: ClassVar[Mapping[type, Callable[..., None]]] = {
        Decided: _on_decided,
        TimerFired: _on_timer,
        WithdrawRequested: _on_withdraw,
        CancelRequested: _on_cancel,
        PauseRequested: _on_pause,
        ResumeRequested: _on_resume,
        Halted: _on_halted,
        DeadlinePassed: _on_deadline,
    }
