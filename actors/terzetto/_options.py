"""The options with which runs are submitted, for type checkers."""

from collections.abc import Sequence
from typing import Generic, Required, TypedDict, TypeVar

from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.records import Durability, OnCompletion
from terzetto_protocol.state import Mutation
from terzetto_protocol.threads import Busy

from ._sinks import Sink

S = TypeVar("S")


class RunOptions(TypedDict, Generic[S], total=False):
    """The options of a run, whether or not it is on a thread."""

    run_id: str | None
    key: str
    max_steps: int | None
    auto_approve: bool
    metadata: dict[str, str | int | float | bool] | None
    deadline: float | None
    deadline_parked: bool
    durability: Durability
    checkpoints: CheckpointPolicy | None
    busy: Busy
    record: Sequence[Mutation[S]]
    sinks: Sequence[Sink]
    on_completion: OnCompletion


class SubmitOptions(RunOptions[S], Generic[S], total=False):
    """The options of `Runtime.submit`, which `Runtime.run` takes too."""

    thread: str | None


class ThreadOptions(RunOptions[S], Generic[S], total=False):
    """The same where the thread says what the run begins with."""

    thread: Required[str]
