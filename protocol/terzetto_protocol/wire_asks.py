"""What a client of the console asks: every command, and these queries, each of which changes nothing.

A query names the type of its answer, so that `ask(query)` is typed for whoever asks.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar, get_args

from msgspec import Meta, Struct

from .commands import Command, Decide, Withdraw
from .limits import WIRE_LIST
from .statuses import RunStatus
from .wire_answers import (
    Answer,
    Barriers,
    Following,
    Graphs,
    Health,
    History,
    Lineage,
    Piece,
    PlacesShown,
    Runs,
    RunShown,
    Statistics,
    Timeline,
    Unsubscribed,
)

A = TypeVar("A", bound=Answer)

Limit: TypeAlias = Annotated[int, Meta(ge=0, le=WIRE_LIST)]
"""How many at most; an answer may have fewer, and says where the next one begins."""
Offset: TypeAlias = Annotated[int, Meta(ge=0)]
"""Where a piece begins: 0, or what the last one called `next`."""
Scope: TypeAlias = Literal["read", "decide", "control"]
"""What a connection may do: look; decide and withdraw; everything else that commands do."""


class _Query(Struct, Generic[A], frozen=True, forbid_unknown_fields=True):
    """A question whose answer is an `A`."""


class ListRuns(_Query[Runs], frozen=True, tag="list"):
    """Runs, newest first; answered by `runs`."""

    statuses: tuple[RunStatus, ...] = ()
    """Only these; none for all."""
    graph: str = ""
    """Only of this graph; empty for all."""
    thread: str = ""
    """Only on this thread; empty for all."""
    before: str = ""
    """Only those that are older than this run; empty for all."""
    limit: Limit = 100


class GetRun(_Query[RunShown], frozen=True, tag="get"):
    """One run without its commits and its state; answered by `run`."""

    run_id: str


class ReadHistory(_Query[History], frozen=True, tag="history"):
    """The commits of a run, newest first; answered by `history`."""

    run_id: str
    before: int | None = None
    """Only those that are older than this commit; None for all."""
    limit: Limit = 100


class ReadCommit(_Query[Piece], frozen=True, tag="commit"):
    """One commit whole, however large; answered by `piece`."""

    run_id: str
    seq: int
    offset: Offset = 0


class ReadState(_Query[Piece], frozen=True, tag="state"):
    """The state of a run as of a commit; answered by `piece`."""

    run_id: str
    at: int | None = None
    """The commit; None for the newest, which the first piece names: later ones are asked for by that."""
    offset: Offset = 0


class ReadDiff(_Query[Piece], frozen=True, tag="diff"):
    """What changed in the state between two commits; answered by `piece`."""

    run_id: str
    before: int
    after: int | None = None
    """None for the newest, as in `state`."""
    offset: Offset = 0


class Subscribe(_Query[Following], frozen=True, tag="subscribe"):
    """The events of a run, after one or from the beginning; answered by `following`, and then by `told` frames."""

    run_id: str
    last_event_id: int | None = None
    """The last event that was seen; None for everything."""
    strict: bool = False
    """End after the Cursor when something after `last_event_id` is gone."""


class FollowRuns(_Query[Following], frozen=True, tag="follow"):
    """Whatever changes about runs, as they are listed; answered by `following`, and then by `changed` frames.

    What changed before is not told: list the runs after the answer.
    """

    statuses: tuple[RunStatus, ...] = ()
    """Only runs that have one of these, or had when they were told last; none for all."""
    graph: str = ""
    thread: str = ""


class Unsubscribe(_Query[Unsubscribed], frozen=True, tag="unsubscribe"):
    """No more of a subscription; answered by `unsubscribed`, after which nothing of it comes."""

    subscription: int


class GetStatistics(_Query[Statistics], frozen=True, tag="statistics"):
    """The numbers of every actor, or of one live run; answered by `statistics`."""

    run_id: str = ""
    """Empty for the runtime."""


class GetGraphs(_Query[Graphs], frozen=True, tag="graphs"):
    """The graphs that the server knows, with what it takes to draw them and to edit a state; answered by `graphs`."""

    name: str = ""
    """Only the graph of this name; empty for all."""


class GetHealth(_Query[Health], frozen=True, tag="health"):
    """Whether the server and its store are well; answered by `health`."""


class ListBarriers(_Query[Barriers], frozen=True, tag="barriers"):
    """Open barriers with what a person needs to decide them, oldest first; answered by `barriers`."""

    run_id: str = ""
    """Only this run's; empty for those of all runs."""
    offset: Offset = 0
    limit: Limit = 100


class GetProgress(_Query[PlacesShown], frozen=True, tag="progress"):
    """What a run did at each place of its graph; answered by `progress`."""

    run_id: str


class GetTimeline(_Query[Timeline], frozen=True, tag="timeline"):
    """When each visit of a run began, waited, was tried again and ended; answered by `timeline`."""

    run_id: str
    after: int = 0
    """Only visits with higher numbers."""
    limit: Limit = WIRE_LIST


class GetLineage(_Query[Lineage], frozen=True, tag="lineage"):
    """The run, what it was made from, and what was made from any of these; answered by `lineage`."""

    run_id: str


Query: TypeAlias = (
    ListRuns
    | GetRun
    | ReadHistory
    | ReadCommit
    | ReadState
    | ReadDiff
    | Subscribe
    | FollowRuns
    | Unsubscribe
    | GetStatistics
    | GetGraphs
    | GetHealth
    | ListBarriers
    | GetProgress
    | GetTimeline
    | GetLineage
)
Ask: TypeAlias = Command | Query
Asking: TypeAlias = _Query[A]
"""For who asks: a query that is answered by an `A`."""

_READ: Final[Scope] = "read"
_DECIDE: Final[Scope] = "decide"
_CONTROL: Final[Scope] = "control"
_needed: Final[dict[type[Any], Scope]] = {
    **dict.fromkeys(get_args(Query), _READ),
    **dict.fromkeys(get_args(Command), _CONTROL),
    Decide: _DECIDE,
    Withdraw: _DECIDE,
}
SCOPES: Final[Mapping[type[Any], Scope]] = MappingProxyType(_needed)
"""What a connection needs for each request."""

ANSWERS: Final[Mapping[type[Any], str]] = MappingProxyType(
    {
        ListRuns: "runs",
        GetRun: "run",
        ReadHistory: "history",
        ReadCommit: "piece",
        ReadState: "piece",
        ReadDiff: "piece",
        Subscribe: "following",
        FollowRuns: "following",
        Unsubscribe: "unsubscribed",
        GetStatistics: "statistics",
        GetGraphs: "graphs",
        GetHealth: "health",
        ListBarriers: "barriers",
        GetProgress: "progress",
        GetTimeline: "timeline",
        GetLineage: "lineage",
    }
)
"""The `type` of the answer to each query; a command is answered by a receipt."""


def name_of(ask: Ask) -> str:
    """The `type` of a request."""
    return str(ask.__struct_config__.tag)
