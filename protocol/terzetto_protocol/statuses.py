"""All statuses and the moves between them, as data.

Two rules hold here. Whatever changes a status asks `check_move` (or one of the tables) first, and
this file knows nothing about why a move happens. A move that is not in a table is the error.

The run table is the life of one run; RUNNING covers everything from the claim to the last commit,
also a run that has open barriers and runnable branches. Terminal statuses have no moves: retry,
rerun and fork make a new run. The tables do not tell who may make a move: that is the machine.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from .errors import IllegalTransition


class RunStatus(StrEnum):
    """Where a run is in its life."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    AWAITING_INPUT = "AWAITING_INPUT"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    INTERRUPTED = "INTERRUPTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    __hash__ = str.__hash__  # the Enum's own is Python code, and these are looked up on every step


class VisitStatus(StrEnum):
    """Where one execution of one node is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    AWAITING_INPUT = "AWAITING_INPUT"
    WAITING_RETRY = "WAITING_RETRY"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    __hash__ = str.__hash__


class BarrierStatus(StrEnum):
    """Where one occurrence of a barrier is."""

    OPEN = "OPEN"
    RESOLVED = "RESOLVED"
    DROPPED = "DROPPED"
    __hash__ = str.__hash__


class StreamStatus(StrEnum):
    """Where a run's event stream is."""

    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
    CANCELLED = "CANCELLED"
    ERRORED = "ERRORED"
    CLOSED = "CLOSED"
    __hash__ = str.__hash__


class FailureCode(StrEnum):
    """Why a run FAILED."""

    NODE_ERROR = "node_error"
    BARRIER_TIMEOUT = "barrier_timeout"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    QUEUE_TIMEOUT = "queue_timeout"
    BUDGET_EXCEEDED = "budget_exceeded"
    MODERATION_REJECTED = "moderation_rejected"
    STEPS_EXCEEDED = "steps_exceeded"
    UNROUTED = "unrouted"
    RECOVERY_EXHAUSTED = "recovery_exhausted"
    STORE_REJECTED = "store_rejected"
    STUCK_NODE = "stuck_node"


_R, _V, _B, _S = RunStatus, VisitStatus, BarrierStatus, StreamStatus

RUN_MOVES: Final[Mapping[RunStatus | None, frozenset[RunStatus]]] = {
    None: frozenset({_R.QUEUED}),
    _R.QUEUED: frozenset({_R.RUNNING, _R.CANCELLED, _R.FAILED}),
    _R.RUNNING: frozenset({_R.AWAITING_INPUT, _R.PAUSED, _R.CANCELLING, _R.INTERRUPTED, _R.SUCCEEDED, _R.FAILED}),
    _R.AWAITING_INPUT: frozenset({_R.QUEUED, _R.RUNNING, _R.SUCCEEDED, _R.PAUSED, _R.CANCELLED, _R.FAILED}),
    _R.PAUSED: frozenset({_R.QUEUED, _R.RUNNING, _R.CANCELLED, _R.FAILED}),
    _R.CANCELLING: frozenset({_R.CANCELLED}),
    _R.INTERRUPTED: frozenset({_R.QUEUED, _R.RUNNING, _R.AWAITING_INPUT, _R.CANCELLED, _R.FAILED}),
    _R.SUCCEEDED: frozenset(),
    _R.FAILED: frozenset(),
    _R.CANCELLED: frozenset(),
}
"""Run: from -> to."""

VISIT_MOVES: Final[Mapping[VisitStatus | None, frozenset[VisitStatus]]] = {
    None: frozenset({_V.PENDING}),
    _V.PENDING: frozenset(
        {_V.RUNNING, _V.AWAITING_INPUT, _V.WAITING_RETRY, _V.SUCCEEDED, _V.FAILED, _V.CANCELLED, _V.SKIPPED}
    ),
    _V.RUNNING: frozenset({_V.SUCCEEDED, _V.FAILED, _V.CANCELLED, _V.UNKNOWN, _V.WAITING_RETRY, _V.RUNNING}),
    _V.AWAITING_INPUT: frozenset({_V.SUCCEEDED, _V.FAILED, _V.CANCELLED}),
    _V.WAITING_RETRY: frozenset({_V.PENDING, _V.SUCCEEDED, _V.FAILED, _V.CANCELLED}),
    _V.UNKNOWN: frozenset({_V.SUCCEEDED, _V.PENDING, _V.FAILED, _V.CANCELLED}),
    _V.SUCCEEDED: frozenset(),
    _V.FAILED: frozenset(),
    _V.CANCELLED: frozenset(),
    _V.SKIPPED: frozenset(),
}
"""Visit: from -> to. RUNNING is durable only where an intent is, so that PENDING and WAITING_RETRY go where it goes."""

BARRIER_MOVES: Final[Mapping[BarrierStatus | None, frozenset[BarrierStatus]]] = {
    None: frozenset({_B.OPEN}),
    _B.OPEN: frozenset({_B.RESOLVED, _B.DROPPED}),
    _B.RESOLVED: frozenset(),
    _B.DROPPED: frozenset(),
}
"""Barrier: from -> to. DROPPED is a barrier whose run ended before anybody decided."""

STREAM_MOVES: Final[Mapping[StreamStatus | None, frozenset[StreamStatus]]] = {
    None: frozenset({_S.ACTIVE}),
    _S.ACTIVE: frozenset({_S.ENDED, _S.CANCELLED, _S.ERRORED, _S.CLOSED}),
    _S.ENDED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.ERRORED: frozenset(),
    _S.CLOSED: frozenset(),
}
"""Stream: from -> to. CLOSED is the hub going away, which is not the run's end."""

TERMINAL: Final = frozenset({_R.SUCCEEDED, _R.FAILED, _R.CANCELLED})
"""Run statuses that nothing follows."""

PARKED: Final = frozenset({_R.AWAITING_INPUT, _R.PAUSED})
"""Run statuses that hold no slot, no task and no owner."""

STREAM_END: Final[Mapping[RunStatus, StreamStatus]] = {
    _R.SUCCEEDED: _S.ENDED,
    _R.FAILED: _S.ERRORED,
    _R.CANCELLED: _S.CANCELLED,
}
"""How a stream ends when its run does."""

OTHER_NAMES: Final[Mapping[str, RunStatus]] = {
    "PENDING": _R.QUEUED,
    "COMPLETED": _R.SUCCEEDED,
    "TERMINATED": _R.CANCELLED,
    "INCOMPLETE": _R.INTERRUPTED,
    "REVIEW": _R.AWAITING_INPUT,
}
"""What other systems call these."""


def check_move(run_id: str, source: RunStatus | None, target: RunStatus, hint: str = "") -> None:
    """Raise `IllegalTransition` unless a run may go from `source` to `target`, or stay there and not be terminal."""
    if (source is not target or source in TERMINAL) and target not in RUN_MOVES[source]:
        raise IllegalTransition(run_id, "run", source, target, hint)
