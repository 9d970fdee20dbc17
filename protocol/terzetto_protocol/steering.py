"""What people, deadlines and owners say to a run: decide, cancel, resume, halt."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar

from .ahead import Next
from .decisions import Approve, Decision, Fail, name_of
from .errors import IllegalTransition, MutationFailed, NotStorable, Refused
from .fold import Pending
from .forks import Forks
from .inputs import (
    CancelRequested,
    DeadlinePassed,
    Decided,
    Halted,
    ResumeRequested,
    TimerFired,
)
from .receipts import AlreadyResolved, CancelReceipt, DecisionTaken, Resumed
from .records import Failure, Kind, Note, Resolution
from .routing import Way, after_failure, after_success
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus
from .turn import CancelNodes
from .verdict import Verdict, judge

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
        entry = self._waiting(msg.barrier)
        verdict = judge(self.run_id, self.blueprint_of(entry), entry, msg.decision, timeout=False)
        self._decide(entry, verdict, msg)

    def _on_timer(self, msg: TimerFired) -> None:
        entry = self._waiting(msg.barrier)
        blueprint, opening = self.blueprint_of(entry), entry.opening
        barrier = blueprint.barrier(entry.place)
        if barrier is None or opening is None or opening.deadline is None or opening.deadline > msg.at:
            raise Refused(self.run_id, f"barrier {msg.barrier} is not due")
        decision: Decision = barrier.options.on_timeout
        source = "timeout"
        if self._approves(barrier):
            decision, source = Approve(), "auto"
        try:
            verdict = judge(self.run_id, blueprint, entry, decision, timeout=True)
            self._decide(entry, verdict, Decided(msg.barrier, decision, source, msg.at, slot=msg.slot))
        except Refused as error:
            if source == "auto":
                raise
            # Nobody is there to be told, and the deadline will not pass again: waiting on would be for ever.
            text = f"nobody decided barrier {entry.barrier} in time, and what was to happen then cannot: {error}"
            self._fail_visit(entry, Failure(FailureCode.BARRIER_TIMEOUT, text, final=True), msg.at)

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
                self.work_off(at)
            except Refused:
                refused.add(entry.visit)

    def _waiting(self, barrier: str) -> Pending:
        if self.status in _OPEN:
            for entry in self.fold.image.frontier.values():
                if entry.opening is not None and entry.barrier == barrier and not self._is_moot(entry):
                    return entry
        raise Refused(self.run_id, f"barrier {barrier!r} is not open (the run is {self.status})")

    def _decide(self, entry: Pending, verdict: Verdict, msg: Decided) -> None:
        frame = self.fold.frame(entry.path)
        try:
            frame.apply(verdict.mutations)
            if verdict.mutations and self.logged:
                frame.pack()
        except (MutationFailed, NotStorable) as error:
            if isinstance(error, NotStorable):
                frame.drop(verdict.mutations)
            raise Refused(self.run_id, f"barrier {entry.barrier} keeps waiting: {error}") from error
        ahead = self._after_verdict(entry, verdict, msg)
        if self.status in _CARRIED_BY_NOBODY:
            ahead = Next(self.status, ahead.steps, ahead.failure)
        elif ahead.status is _R.RUNNING and not msg.slot and self.status is _R.AWAITING_INPUT:
            ahead = Next(_R.QUEUED, ahead.steps, ahead.failure)
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
        if verdict.outcome is _V.PENDING and self.status is _R.RUNNING:
            self.waits.hold(self.fold.image.seq, entry.visit)
        elif self.status not in _CARRIED_BY_NOBODY:
            self._go_on(entry.path, ahead)

    def _after_verdict(self, entry: Pending, verdict: Verdict, msg: Decided) -> Next:
        frame = self.fold.frame(entry.path)
        blueprint, edges, state = frame.blueprint, frame.counts.edges, frame.view()
        if verdict.outcome is _V.PENDING:
            return Next(_R.RUNNING)
        if verdict.outcome is _V.FAILED:
            way = after_failure(blueprint, entry.place, state, edges)
            if isinstance(way, Way) and way.edge is None:
                return self._end_frame(entry, self._given_up(entry, msg))
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
        self.expired = Failure(FailureCode.DEADLINE_EXCEEDED, text, final=True)
        self.waits.gate.clear()
        if self.live:
            self.effects.append(CancelNodes())

    def _on_halted(self, msg: Halted) -> None:
        if self.status is _R.RUNNING:
            self.halting = msg.reason
        if msg.hard and self.live:
            self.effects.append(CancelNodes())

    HEARS: ClassVar[Mapping[type, Callable[..., None]]] = {
        Decided: _on_decided,
        TimerFired: _on_timer,
        CancelRequested: _on_cancel,
        ResumeRequested: _on_resume,
        Halted: _on_halted,
        DeadlinePassed: _on_deadline,
    }
