"""Sinks: who hears of runs while they go on, without being asked for and without ever being waited for."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.events import BarrierOpened, BarrierResolved, Event
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import RunStatus, VisitStatus
from terzetto_protocol.views import CommitView

LoadState: TypeAlias = Callable[[int], Awaitable[Any]]


@frozen
class Checkpoint:
    """A stored commit, as something a run can be looked at, forked or undone to."""

    run_id: str
    seq: int
    kind: Kind
    """What the commit is about."""
    status: RunStatus
    """The run's, after it."""
    node: str
    """Whose visit it is about, with its path; empty where it is about none."""
    visit: int
    """Number of that visit, or 0."""
    outcome: VisitStatus | None
    """Status of that visit, after it."""
    at: float
    """UNIX time, seconds."""
    _load: LoadState = field(repr=False, eq=False)

    async def state(self) -> Any:
        """A copy of the run's state as of this commit, made when it is asked for. A checkpoint.

        Raises:
            Refused: the graph cannot read the log, or the log does not go back so far any more.
        """
        return await self._load(self.seq)


def checkpoint_of(commit: CommitView, run_id: str, load: LoadState) -> Checkpoint:
    """A commit as a `CheckpointSink` gets it."""
    node = f"{commit.path}/{commit.place}" if commit.path else commit.place
    kind = Kind(commit.kind)
    return Checkpoint(
        run_id, commit.seq, kind, commit.status, node, commit.visit, commit.outcome, commit.at, load
    )  # fmt: skip


@runtime_checkable
class StreamSink(Protocol):
    """Gets what a run tells, as its readers do: every event, chunks too, in order, each at most once."""

    async def emit(self, event: Event, /) -> None:
        """Take an event; the next one comes when this has returned."""
        ...


@runtime_checkable
class CheckpointSink(Protocol):
    """Gets every commit of a run once it is stored, in order, each at least once."""

    async def on_checkpoint(self, checkpoint: Checkpoint, /) -> None:
        """Take a commit; the next one comes when this has returned."""
        ...


@runtime_checkable
class BarrierSink(Protocol):
    """Is told when a run begins to wait for somebody, and when it does not wait any more."""

    async def on_barrier_opened(self, event: BarrierOpened, /) -> None:
        """A barrier is open, and that is stored."""
        ...

    async def on_barrier_resolved(self, event: BarrierResolved, /) -> None:
        """A barrier was decided, and that is stored. One that its run dropped, for it ended, is not told here."""
        ...


@runtime_checkable
class TraceSink(Protocol):
    """Gets the commits of a run once they are stored, whole and in batches, in order, each at least once."""

    async def on_commits(self, run_id: str, commits: Sequence[CommitView], /) -> None:
        """Take some commits; the next ones come when this has returned."""
        ...


@frozen
class Required:
    """A sink without which its run is not to go on: where a call of it fails, the run is cancelled, with the reason."""

    sink: StreamSink | CheckpointSink | BarrierSink | TraceSink


Sink: TypeAlias = StreamSink | CheckpointSink | BarrierSink | TraceSink | Required
"""Any of them, perhaps as a required one; one object may be several."""
Sinks: TypeAlias = Sequence[Sink] | Callable[[str], Sequence[Sink]]
"""Sinks for every run, or what makes them for a run, by its id."""

_KINDS = (StreamSink, CheckpointSink, BarrierSink, TraceSink)


def check_sinks(sinks: Sequence[Sink]) -> tuple[Sink, ...]:
    """Return the sinks; raises `InvalidRequest` for what is none."""
    if not isinstance(sinks, Iterable):
        raise InvalidRequest(f"sinks= takes a list, also of one sink, and not a {type(sinks).__name__}")
    for sink in sinks:
        asked = heard_by(sink)
        if isinstance(asked, type) or not isinstance(asked, _KINDS):
            names = "emit, on_checkpoint, on_commits, or on_barrier_opened and on_barrier_resolved"
            raise InvalidRequest(f"{type(asked).__name__} is no sink: it has none of the methods {names}")
    return tuple(sinks)


def heard_by(sink: Sink) -> object:
    """Who is called: what is required, or the sink itself."""
    return sink.sink if isinstance(sink, Required) else sink
