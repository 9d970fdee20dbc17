"""What the end of a visit means: its commit, its failure, its cancellation, and what became of its effect."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from .ahead import Next
from .chunks import chunk_of
from .decisions import Recorded
from .errors import MutationFailed, NonDeterministicOutput, NotStorable, Refused
from .everyday import Everyday
from .flow_sent import digest_of, sent_before
from .flow_state import INPUTS
from .frames import Frame, SharedBranch
from .ids import barrier_id
from .inputs import (
    Again,
    BodiesCancelled,
    BodyAsked,
    Emitted,
    GivenUp,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
    NodeStuck,
    Probed,
    RetryDue,
)
from .pending import Pending, label_of
from .questions import AskDecision, Journal, RunGraph, Sending
from .records import Answer, Ask, Asked, Attempt, Failure, Kind, Noted, Opening, Sent
from .remarks import Remarks
from .retry import RetryPolicy
from .routing import NoWay, Way, after_success
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus
from .turn import Answered

if TYPE_CHECKING:
    from .wiring import Wiring

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


class Visits(Everyday[S], Generic[S]):
    """The part of a run's machine that nodes speak to."""

    __slots__ = ()

    # -- how a visit ends -------------------------------------------------------------------------------------

    def _leave(self, visit: int) -> Pending:
        """Take a visit out of the live ones; raises `Refused` when it is not one of them."""
        if visit not in self.live:
            raise Refused(self.run_id, f"visit {visit} is not running (late, or never started)")
        self.live.discard(visit)
        self.sending.pop(visit, None)
        return self.fold.image.frontier[visit]

    def _on_finished(self, msg: NodeFinished) -> None:
        entry = self._leave(msg.visit)
        self._end_calls(entry)
        frame = self.fold.frame(entry.path)
        if self.status is not _R.RUNNING or self.is_moot(entry):
            self._cleanse(entry)
            return  # D6: nothing commits after an acknowledged cancel
        if frame.blueprint.flow is not None:
            msg = self._closing(frame.blueprint.flow, entry, msg)
        try:
            way = self._take(frame, entry, msg)
        except MutationFailed as error:
            self._fail_visit(entry, self._failure(entry, error), msg.at, observed=msg.remarks.observed)
            return
        ahead = self._next(entry, way, msg.at, pause=msg.remarks.pause)
        try:
            state = self._checkpoint(frame, msg.batch, ahead.status, msg.at, asked=msg.remarks.checkpoint is not None)
        except NotStorable as error:
            frame.drop(msg.batch)
            self._fail_visit(entry, self._unstorable(entry, error), msg.at, observed=msg.remarks.observed)
            return
        self._commit_visit(entry, ahead, msg, state)

    def _closing(self, flow: "Wiring", entry: Pending, msg: NodeFinished) -> NodeFinished:
        """What the end of a dataflow's visit means: the inputs go out, or what it took in is used up."""
        last = flow.begun() if entry.place == INPUTS else flow.over(entry.ticket)
        return NodeFinished(msg.visit, (*msg.batch, last), msg.at, msg.remarks)

    def _take(self, frame: Frame[Any], entry: Pending, msg: NodeFinished) -> Way[Any] | NoWay | str:
        """Apply a batch and say where the visit leads; raises `MutationFailed`."""
        blueprint = frame.blueprint
        if isinstance(frame, SharedBranch) and self._is_last(frame, entry, msg):
            frame.note(msg.batch)
            return Way(None)
        frame.apply(msg.batch)
        if msg.remarks.next is None:
            return after_success(blueprint, entry.place, "", frame.view(), frame.counts.edges)
        if msg.remarks.next and msg.remarks.next not in blueprint.places:
            return NoWay(FailureCode.UNROUTED, f"goto: the graph has no node {msg.remarks.next!r}")
        return msg.remarks.next or Way(None)

    def _is_last(self, frame: SharedBranch[Any], entry: Pending, msg: NodeFinished) -> bool:
        """Whether nobody will look at the branch's state after this visit: then it need not be made."""
        if frame.composite.options.merge != "replay":
            return False
        return msg.remarks.next == "" or (msg.remarks.next is None and frame.blueprint.routes_from(entry.place).empty)

    def _commit_visit(self, entry: Pending, ahead: Next, msg: NodeFinished, state: bytes | None) -> None:
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
            parks=msg.remarks.pause and ahead.status not in (_R.PAUSED, *TERMINAL),
            observed=msg.remarks.observed,
            checkpoint=msg.remarks.checkpoint,
        )
        self._go_on(entry.path, ahead, msg.at)

    def _on_failed(self, msg: NodeFailed) -> None:
        entry = self._leave(msg.visit)
        self._end_calls(entry)
        self._cleanse(entry)
        if self.status is not _R.RUNNING or self.is_moot(entry):
            return
        node = self.node_of(entry)
        policy = None if node is None else node.options.retry
        if msg.unknown and entry.status is _V.RUNNING:
            self._recover_effect(entry, msg.at, msg.observed)
        elif msg.again is None or policy is None or not self._try_again(entry, policy, msg.again, msg):
            self._fail_visit(entry, msg.failure, msg.at, observed=msg.observed)

    def _try_again(self, entry: Pending, policy: RetryPolicy, again: Again, msg: NodeFailed) -> bool:
        """Commit a failed attempt that another follows; False when this was the last."""
        attempt = entry.attempt + 1
        delay = policy.delay(attempt, again.chance, again.asked)
        if delay is None:
            return False
        detail = Attempt(msg.failure, msg.at + delay)
        self.commit(
            Kind.RETRY,
            msg.at,
            _R.RUNNING,
            entry=entry,
            outcome=_V.WAITING_RETRY,
            attempt=attempt,
            detail=detail,
            observed=msg.observed,
        )
        return True

    def _on_retry_due(self, msg: RetryDue) -> None:
        entry = self.fold.image.frontier.get(msg.visit)
        if entry is None or not self.is_resting(entry) or entry.due is None or entry.due > msg.at:
            raise Refused(self.run_id, f"visit {msg.visit} has no attempt that is due")
        self.waits.hold(self.fold.image.seq, msg.visit)

    def _on_node_cancelled(self, msg: NodeCancelled) -> None:
        entry = self._leave(msg.visit)
        self._cleanse(entry)
        self._halt_without(entry)

    def _on_bodies_cancelled(self, msg: BodiesCancelled) -> None:
        if not self.live.issuperset(msg.visits):
            raise Refused(self.run_id, f"not all of the visits {msg.visits} are running")
        entries = [self._leave(visit) for visit in msg.visits]
        self.soiled.update((self.fold.frame(entry.path).lender, None) for entry in entries)
        if self.status is _R.RUNNING and self.expired is None:
            self.wash()
        for entry in entries:
            self._halt_without(entry)

    def _halt_without(self, entry: Pending) -> None:
        """A body was cancelled: where nobody of ours has asked for that, the run is to be interrupted."""
        if self.parking and self._waits_inside(entry.visit):
            return  # it only waited, and was told to leave so that the run can be paused
        if self.status is _R.RUNNING and self.halting is None and not self.is_moot(entry):
            self.halting = "its scope was cancelled"

    def _on_node_stuck(self, msg: NodeStuck) -> None:
        entry = self._leave(msg.visit)
        self.fold.frame(entry.path).lender.disown()
        if msg.timeout and self.status is _R.RUNNING and not self.is_moot(entry):
            self._expire(self._ignored(f"{label_of(entry)}: {msg.timeout}", msg.trace), msg.at)
        elif self.expired is not None and self.expired.code == FailureCode.DEADLINE_EXCEEDED:
            self.expired = self._ignored(self.expired.message, msg.trace)
        self.stuck.append(entry)

    def _on_probed(self, msg: Probed) -> None:
        asked = self.fold.image.frontier.get(msg.visit)
        if asked is not None and asked.status is not _V.RUNNING:
            raise Refused(self.run_id, f"visit {msg.visit} has no intent to ask about")
        entry = self._leave(msg.visit)
        if msg.happened and self.status is _R.RUNNING:
            self.live.add(msg.visit)
            self._on_finished(NodeFinished(msg.visit, msg.batch, msg.at, Remarks(observed=msg.observed)))
            return
        self._cleanse(entry)
        if self.status is not _R.RUNNING or self.is_moot(entry):
            return
        if msg.happened is None:
            self._ask_what_became(entry, msg.at, msg.observed)
        else:
            self.waits.hold(self.fold.image.seq, msg.visit)

    def _on_emitted(self, msg: Emitted) -> None:
        entry = self.fold.image.frontier.get(msg.visit)
        if msg.visit not in self.live or entry is None:
            return  # a task that outlived its visit still talks: nobody may hear it
        self.told = self.next_event_id(self.fold.image.epoch)
        node = f"{entry.path}/{entry.place}" if entry.path else entry.place
        chunk = chunk_of(msg.emission, self.told, run_id=self.run_id, at=msg.at, node=node, visit=msg.visit)
        self.waits.post(self.fold.image.seq, chunk)

    # -- what bodies ask -------------------------------------------------------------------------------------

    def _on_asked(self, msg: BodyAsked) -> None:
        entry, question = self.fold.image.frontier.get(msg.visit), msg.question
        if entry is None or msg.visit not in self.live or self.status is not _R.RUNNING or self.is_moot(entry):
            raise Refused(self.run_id, f"visit {msg.visit} is over: it may ask nothing more")
        if isinstance(question, Sending):
            self._send(entry, question, msg.at)
        elif question.key in entry.journal:
            self._answer(entry, question.key)
        elif isinstance(question, RunGraph):
            self._call(entry, question, msg.at)
        elif isinstance(question, Journal):
            noted = Noted(question.key, Answer(question.value))
            self.commit(Kind.NOTE, msg.at, _R.RUNNING, entry=entry, attempt=entry.attempt, detail=noted)
            self._answer(entry, question.key)
        elif question.key not in entry.asks:
            self._open_ask(entry, question, msg.at)

    def _on_given_up(self, msg: GivenUp) -> None:
        entry = self.fold.image.frontier.get(msg.visit)
        paths = [] if entry is None else self.fold.calls(entry.visit)
        path = next((path for path in paths if self.fold.image.forks[path].called == msg.key), None)
        if entry is None or path is None or self.is_leaving or self.status is not _R.RUNNING or self.is_moot(entry):
            raise Refused(self.run_id, f"visit {msg.visit} runs nothing under {msg.key!r} that could be given up")
        self._give_up(path, msg.at)

    def _send(self, entry: Pending, question: Sending, at: float) -> None:
        """Commit a value that a node of a dataflow sends, and whatever it completes; one that is known only once."""
        frame = self.fold.frame(entry.path)
        flow = frame.blueprint.flow
        if flow is None:
            raise Refused(self.run_id, f"node {entry.place!r} sends, and it is no node of a dataflow")
        value = flow.encode(entry.place, question.output, question.value)
        digest, number = digest_of(question.output, value), self.sending.get(entry.visit, 0)
        excess: Failure | None = None
        if (known := sent_before(entry.sent, number)) is None:
            moves = [flow.passed(entry.ticket, entry.place, question.output, value)]
            excess = self._commit_sent(entry, moves, Sent(number, question.output, digest), at)
        elif known != digest:
            raise NonDeterministicOutput(self.run_id, entry.place, number, question.output)
        self.sending[entry.visit] = number + 1  # what was refused has no number: a body that goes on repeats none
        self.waits.post(self.fold.image.seq, Answered(entry.visit, question.key, Answer(failure=excess)))

    def _commit_sent(self, entry: Pending, moves: Sequence[Recorded], sent: Sent, at: float) -> Failure | None:
        """Why the visits that this completes are too many, if they are: whoever sends, or ends, next says so."""
        frame = self.fold.frame(entry.path)
        frame.apply(moves)
        try:
            state = self._checkpoint(frame, moves, _R.RUNNING, at)
        except NotStorable as error:
            frame.drop(moves)
            raise self._too_much(frame, error) from error
        made = self.completed(frame, left=0)
        excess, steps = (made, ()) if isinstance(made, Failure) else (None, made)
        self.commit(
            Kind.SEND,
            at,
            _R.RUNNING,
            entry=entry,
            attempt=entry.attempt,
            steps=steps,
            mutations=moves,
            detail=sent,
            state=state,
        )
        self.plan("enter", [step.visit for step in steps])
        return excess

    def _too_much(self, frame: Frame[Any], error: NotStorable) -> NotStorable:
        """Why a value was one too many, where it is the line of visits that have not begun that holds so much."""
        count = frame.view().issued - frame.counts.ticket
        if not count:
            return error
        advice = "let more of them run at once (limit=), or send several in one value"
        return NotStorable(
            error.what, f"{error.reason}; {count} visits wait for their turn with what they take: {advice}"
        )

    def _open_ask(self, entry: Pending, question: AskDecision, at: float) -> None:
        node = self.node_of(entry)
        if node is not None and node.options.effects == "once":
            raise Refused(self.run_id, f"node {entry.place!r} is once, and would not run again to hear a decision")
        deadline = None if question.timeout is None else at + question.timeout
        opening = Opening(deadline, question.payload, at=at)
        barrier = barrier_id(entry.path, question.name, entry.visit, question.number)
        ask = Ask(barrier, question.name, opening, question.exits, question.on_timeout)
        asked = Asked(question.key, ask)
        self.commit(Kind.ASK, at, _R.RUNNING, entry=entry, attempt=entry.attempt, detail=asked)

    HEARS: ClassVar[Mapping[type, Callable[..., None]]] = {
        NodeFinished: _on_finished,
        NodeFailed: _on_failed,
        NodeCancelled: _on_node_cancelled,
        BodiesCancelled: _on_bodies_cancelled,
        NodeStuck: _on_node_stuck,
        Probed: _on_probed,
        Emitted: _on_emitted,
        RetryDue: _on_retry_due,
        BodyAsked: _on_asked,
        GivenUp: _on_given_up,
    }
