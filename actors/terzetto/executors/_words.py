"""What an execution is told, and what it comes to."""

from enum import StrEnum
from os import urandom
from typing import Any, Final, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.ids import check_metadata, check_run_id, check_seconds
from terzetto_protocol.statuses import RunStatus

E = TypeVar("E", bound=StrEnum)


class ExecutionMode(StrEnum):
    """Where a flow computes: on this machine, or where Metaflow's `batch` or `kubernetes` does."""

    LOCAL = "local"
    REMOTE = "remote"
    BATCH = "batch"


class ExecutionStatus(StrEnum):
    """Where an execution is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExecutorBackend(StrEnum):
    """Which executor is asked."""

    GRAPH = "graph"
    FLOW = "flow"


STATUSES: Final = {
    RunStatus.QUEUED: ExecutionStatus.PENDING,
    RunStatus.SUCCEEDED: ExecutionStatus.SUCCEEDED,
    RunStatus.FAILED: ExecutionStatus.FAILED,
    RunStatus.CANCELLED: ExecutionStatus.CANCELLED,
}
"""What runs are called here; every other one is RUNNING."""


def new_name(kind: str) -> str:
    """An id that nobody else has: `kind-` and 12 hexadecimal digits."""
    return f"{kind}-{urandom(6).hex()}"


class ExecutionContext(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about one execution that is not its input; raises `InvalidRequest` for what cannot be.

    A field that is none of these is a `TypeError`.
    """

    thread_id: str = field(default_factory=lambda: new_name("thread"))
    """The conversation: LangGraph's `thread_id`, and the thread on which a graph of Terzetto's own runs."""
    run_id: str = field(default_factory=lambda: new_name("run"))
    """The run's id: the same one with the same target and inputs is the same execution."""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    """Plain data: LangGraph's `configurable`, arguments of `run_flow`, or options of `submit`."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    """Texts, numbers and bools, kept with the run and given back with the result."""
    mode: ExecutionMode = ExecutionMode.LOCAL
    timeout_seconds: float | None = None
    """Seconds after which it has FAILED, above 0; None for no limit."""

    def __post_init__(self) -> None:
        check_run_id(self.run_id)
        if not self.thread_id or not isinstance(self.thread_id, str):
            raise InvalidRequest(f"{self.thread_id!r:.80} is no thread_id: give a text that is not empty")
        if not isinstance(self.config, dict):
            raise InvalidRequest(f"config={self.config!r:.80} is no dict")
        check_metadata(self.metadata)
        check_seconds(self.timeout_seconds, "timeout_seconds")
        force_setattr(self, "mode", one_of(ExecutionMode, self.mode, "mode"))


class ExecutionResult(Struct, frozen=True, kw_only=True):
    """What an execution has come to so far; no outcome is an exception."""

    run_id: str
    backend: ExecutorBackend
    status: ExecutionStatus
    output: Any = None
    """What the target returned: the very object, for whoever executed it in this process; else as it was stored."""
    error: str | None = None
    """Why it FAILED or was CANCELLED, in words."""
    started_at: float
    """UNIX time, seconds."""
    finished_at: float | None = None
    """The same; None until it has ended."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    """That of the context, with `thread_id`, `backend` and `mode`; on every outcome."""

    @property
    def duration_seconds(self) -> float | None:
        """How long it took, seconds; None until it has ended."""
        return None if self.finished_at is None else self.finished_at - self.started_at


def one_of(kind: type[E], value: object, what: str) -> E:
    """The member that has this value; raises `InvalidRequest`, a `ValueError`, naming the known ones."""
    for member in kind:
        if member == value:
            return member
    raise InvalidRequest(f"{what}: {value!r:.80} is none of {', '.join(kind)}")
