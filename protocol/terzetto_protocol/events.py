"""What a run tells: durable events are told by its commits, the others by its live nodes.

`told_by(record)` derives a commit's events from the commit alone, so that an event read from the
store after a restart has the same id and the same bytes as the one that was seen live.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from .decisions import Decision
from .flow_state import value_sent
from .ids import barrier_id, barrier_name
from .records import (
    Asked,
    Attempt,
    Called,
    ErrorLevel,
    Failure,
    Forked,
    Joined,
    Kind,
    Note,
    Observed,
    Opening,
    Record,
    Resolution,
    Sent,
    Step,
    failure_in,
    failure_of,
)
from .statuses import TERMINAL, FailureCode, RunStatus, VisitStatus


class _Told(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    id: int
    """Rises strictly inside a run: `epoch << 32 | n`."""
    run_id: str
    at: float
    """UNIX time, seconds."""
    durable: ClassVar[bool] = True


class RunQueued(_Told, frozen=True):
    """The run is durable and waits for a slot: new, decided, resumed, or undone."""

    reason: str = ""


class RunStarted(_Told, frozen=True):
    """An owner has claimed the run."""

    epoch: int


class NodeStarted(_Told, frozen=True, gc=False):
    """A node's body is about to run."""

    node: str
    visit: int
    attempt: int
    durable: ClassVar[bool] = False


class NodeFinished(_Told, frozen=True, gc=False):
    """A visit's commit is durable."""

    node: str
    visit: int
    seq: int
    mutations: int


class NodeFailed(_Told, frozen=True):
    """A visit failed; the state is what it was before."""

    node: str
    visit: int
    seq: int
    failure: Failure


class RetryScheduled(_Told, frozen=True):
    """An attempt failed, and the next begins when it is `due`; the state is what it was before."""

    node: str
    visit: int
    attempt: int
    """The one that failed, from 1."""
    due: float
    """UNIX time, seconds."""
    failure: Failure


class ErrorObserved(_Told, frozen=True):
    """A node reported an error that ended neither it nor its run; its attempt is committed."""

    node: str
    visit: int
    level: ErrorLevel
    message: str
    more: int = 0
    """Errors beyond its limit that the same attempt reported; told with the last one."""


class BranchesStarted(_Told, frozen=True):
    """A place that opens branches has opened them; each tells what its visits do under `node/branch/...`."""

    node: str
    visit: int
    count: int
    """Branches in all; a limit lets them begin one after the other."""


class BranchDiscarded(_Told, frozen=True):
    """What this branch had committed is not part of the run's state, because it or a sibling failed."""

    branch: str
    """Its path."""


class EffectIntended(_Told, frozen=True):
    """The intent of a `once` visit is durable."""

    node: str
    visit: int
    attempt: int


class BarrierOpened(_Told, frozen=True):
    """The run waits for a decision."""

    barrier: str
    name: str
    payload: Raw = Raw(b"\xc0")
    """What to show, as msgpack (`terzetto.payload_of(event)` decodes it)."""
    deadline: float | None = None
    reconcile: bool = False


class BarrierResolved(_Told, frozen=True):
    """A decision is durable and its barrier closed."""

    barrier: str
    name: str
    decision: Decision
    source: str


class RunPaused(_Told, frozen=True):
    """The run is parked until somebody resumes it."""


class CancelRequested(_Told, frozen=True):
    """From here on no commit and no intent of this run succeeds."""

    reason: str


class RunInterrupted(_Told, frozen=True):
    """The owner stopped before the run did; another claim goes on."""

    reason: str


class RunEnded(_Told, frozen=True):
    """The last event of every run."""

    status: RunStatus
    code: str = ""
    message: str = ""


class OutputSent(_Told, frozen=True):
    """A node of a dataflow sent a value, which has gone on along its links; `value` is msgpack."""

    node: str
    visit: int
    output: str
    number: int
    """How many it had sent before."""
    value: Raw = Raw(b"\xc0")


class TextChunk(_Told, frozen=True, gc=False):
    """A piece of text that a node emits while it works."""

    node: str
    visit: int
    text: str
    durable: ClassVar[bool] = False


class ThinkingChunk(_Told, frozen=True, gc=False):
    """A piece of reasoning that a node emits while it works."""

    node: str
    visit: int
    text: str
    durable: ClassVar[bool] = False


class ToolChunk(_Told, frozen=True, gc=False):
    """A step in the life of a tool call."""

    node: str
    visit: int
    call_id: str
    tool: str
    phase: Literal["queued", "started", "output", "finished", "failed"]
    text: str = ""
    durable: ClassVar[bool] = False


class CustomChunk(_Told, frozen=True, gc=False):
    """Progress in the application's own words; `data` is msgpack."""

    node: str
    visit: int
    name: str
    data: Raw = Raw(b"\xc0")
    durable: ClassVar[bool] = False


class Cursor(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """First item of every subscription: how `last_event_id` was resolved."""

    how: Literal["fresh", "resumed", "evicted", "invalid", "unknown"]
    missed: int | None = 0
    """Events that are gone for this reader; None when nobody can know."""


class Gap(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """This reader fell behind: what was in between is gone for it."""

    after: int
    """Id of the last event that it saw (0: none)."""
    missed: int | None


class Heartbeat(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Nothing has happened for a while, and the stream is alive."""


Chunk: TypeAlias = TextChunk | ThinkingChunk | ToolChunk | CustomChunk
DurableEvent: TypeAlias = (
    RunQueued
    | RunStarted
    | NodeFinished
    | NodeFailed
    | RetryScheduled
    | ErrorObserved
    | OutputSent
    | BranchesStarted
    | BranchDiscarded
    | EffectIntended
    | BarrierOpened
    | BarrierResolved
    | RunPaused
    | CancelRequested
    | RunInterrupted
    | RunEnded
)
Event: TypeAlias = DurableEvent | NodeStarted | Chunk
StreamItem: TypeAlias = Event | Cursor | Gap | Heartbeat


def told_by(run_id: str, record: Record) -> tuple[DurableEvent, ...]:
    """The events of a commit, in order and with their ids: the same for the same record, always."""
    teller = _TELLERS.get(record.kind)
    events: list[DurableEvent] = [] if record.observed is None else _observed(run_id, record, record.observed)
    if teller:
        events.append(teller(record.event_id + len(events), run_id, record))
    for branch in _discarded(record):
        events.append(BranchDiscarded(id=record.event_id + len(events), run_id=run_id, at=record.at, branch=branch))
    for step in record.steps:
        if step.opening is not None:
            events.append(_opened(record.event_id + len(events), run_id, record.at, step, step.opening))
    if _pauses(record):
        events.append(RunPaused(id=record.event_id + len(events), run_id=run_id, at=record.at))
    if record.status in TERMINAL:
        events.append(_ended(record.event_id + len(events), run_id, record))
    return tuple(events)


def count_told(record: Record) -> int:
    """How many events `told_by` would make, without making them."""
    opened = sum(1 for step in record.steps if step.opening is not None) if record.steps else 0
    ending = record.status in TERMINAL or _pauses(record)
    observed = 0 if record.observed is None else len(record.observed.errors)
    return observed + (record.kind in _TELLERS) + len(_discarded(record)) + opened + ending


def _observed(run_id: str, record: Record, observed: Observed) -> list[DurableEvent]:
    last = len(observed.errors) - 1
    return [
        ErrorObserved(
            id=record.event_id + place,
            run_id=run_id,
            at=record.at,
            node=error.node,
            visit=error.visit,
            level=error.level,
            message=error.message,
            more=observed.more if place == last else 0,
        )
        for place, error in enumerate(observed.errors)
    ]


def _pauses(record: Record) -> bool:
    """Whether it says that the run is paused; a paused run that is migrated has said so."""
    return record.status is RunStatus.PAUSED and record.kind is not Kind.MIGRATE


def _discarded(record: Record) -> tuple[str, ...]:
    return record.detail.discarded if isinstance(record.detail, Joined) else ()


def _visited(number: int, run_id: str, record: Record) -> DurableEvent:
    node = _node(record)
    if record.outcome is VisitStatus.FAILED:
        failure = failure_in(record) or Failure(FailureCode.NODE_ERROR, "")
        return NodeFailed(
            id=number, run_id=run_id, at=record.at, node=node, visit=record.visit, seq=record.seq, failure=failure
        )
    return NodeFinished(
        id=number,
        run_id=run_id,
        at=record.at,
        node=node,
        visit=record.visit,
        seq=record.seq,
        mutations=len(record.mutations),
    )


def _retried(number: int, run_id: str, record: Record) -> DurableEvent:
    made = record.detail
    assert isinstance(made, Attempt), "a retry record carries the attempt that failed"
    return RetryScheduled(
        id=number,
        run_id=run_id,
        at=record.at,
        node=_node(record),
        visit=record.visit,
        attempt=record.attempt,
        due=made.due,
        failure=made.failure,
    )


def _forked(number: int, run_id: str, record: Record) -> DurableEvent:
    assert isinstance(record.detail, Forked), "a fork record carries what was opened"
    node, count = _node(record), record.detail.count
    return BranchesStarted(id=number, run_id=run_id, at=record.at, node=node, visit=record.visit, count=count)


def _called(number: int, run_id: str, record: Record) -> DurableEvent:
    made = record.detail
    assert isinstance(made, Called), "a call record carries what is run"
    return BranchesStarted(id=number, run_id=run_id, at=record.at, node=made.path, visit=record.visit, count=1)


def _node(record: Record) -> str:
    return f"{record.path}/{record.place}" if record.path else record.place


def _opened(number: int, run_id: str, at: float, step: Step, opening: Opening) -> DurableEvent:
    barrier = barrier_id(step.path, step.place, step.visit, step.k)
    return BarrierOpened(
        id=number,
        run_id=run_id,
        at=at,
        barrier=barrier,
        name=step.place,
        payload=opening.payload,
        deadline=opening.deadline,
        reconcile=opening.reconcile,
    )


def _asked(number: int, run_id: str, record: Record) -> DurableEvent:
    assert isinstance(record.detail, Asked), "an ask record carries what is asked"
    ask = record.detail.ask
    return BarrierOpened(
        id=number,
        run_id=run_id,
        at=record.at,
        barrier=ask.barrier,
        name=ask.name,
        payload=ask.opening.payload,
        deadline=ask.opening.deadline,
    )


def _sent(number: int, run_id: str, record: Record) -> DurableEvent:
    made, value = record.detail, value_sent(record.mutations[0])
    assert isinstance(made, Sent), "a send record carries what is sent"
    return OutputSent(
        id=number,
        run_id=run_id,
        at=record.at,
        node=_node(record),
        visit=record.visit,
        output=made.output,
        number=made.number,
        value=value,
    )


def _resolved(number: int, run_id: str, record: Record) -> DurableEvent:
    made = record.detail
    assert isinstance(made, Resolution), "a decide record carries its resolution"
    return BarrierResolved(
        id=number,
        run_id=run_id,
        at=record.at,
        barrier=made.barrier,
        name=barrier_name(made.barrier),
        decision=made.decision,
        source=made.source,
    )


def _ended(number: int, run_id: str, record: Record) -> DurableEvent:
    failure = failure_of(record)
    code, message = ("", _text(record)) if failure is None else (failure.code, failure.message)
    return RunEnded(id=number, run_id=run_id, at=record.at, status=record.status, code=code, message=message)


def _text(record: Record) -> str:
    made = record.detail
    return made.text if isinstance(made, Note) else ""


_TELLERS: Mapping[Kind, Callable[[int, str, Record], DurableEvent]] = {
    Kind.SUBMIT: lambda n, run, r: RunQueued(id=n, run_id=run, at=r.at),
    Kind.QUEUE: lambda n, run, r: RunQueued(id=n, run_id=run, at=r.at, reason=_text(r)),
    Kind.REWIND: lambda n, run, r: RunQueued(id=n, run_id=run, at=r.at, reason="undone"),
    Kind.CLAIM: lambda n, run, r: RunStarted(id=n, run_id=run, at=r.at, epoch=r.epoch),
    Kind.INTENT: lambda n, run, r: EffectIntended(
        id=n, run_id=run, at=r.at, node=_node(r), visit=r.visit, attempt=r.attempt
    ),
    Kind.VISIT: _visited,
    Kind.JOIN: _visited,
    Kind.FORK: _forked,
    Kind.CALL: _called,
    Kind.RETRY: _retried,
    Kind.ASK: _asked,
    Kind.SEND: _sent,
    Kind.DECIDE: _resolved,
    Kind.CANCEL: lambda n, run, r: CancelRequested(id=n, run_id=run, at=r.at, reason=_text(r)),
    Kind.INTERRUPT: lambda n, run, r: RunInterrupted(id=n, run_id=run, at=r.at, reason=_text(r)),
}
"""How a commit's main event is told; kinds that are not here tell only what they open or end."""


def payload_of(event: BarrierOpened | CustomChunk | OutputSent) -> Any:
    """What a barrier shows, a custom chunk carries, or a node sent, as plain data (dicts, lists, texts, numbers)."""
    if isinstance(event, OutputSent):
        return msgspec.msgpack.decode(event.value)
    return msgspec.msgpack.decode(event.payload if isinstance(event, BarrierOpened) else event.data)
