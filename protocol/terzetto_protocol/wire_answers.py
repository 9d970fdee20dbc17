"""What a server of the console answers: receipts to commands, and these to queries."""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from .graph_view import GraphView
from .lineage import Kin
from .receipts import Receipt
from .shown import Shown
from .timeline import Span
from .views import BarrierView, CommitView, RunLine, RunView


class _Answer(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Runs(_Answer, frozen=True, tag="runs"):
    """Runs, newest first."""

    runs: tuple[RunLine, ...]
    next: str = ""
    """What to say as `before` for more; empty after the last one."""


class RunShown(_Answer, frozen=True, tag="run"):
    """One run. Its `commits` and its `state` are left out: ask for its history and its state."""

    run: RunView


class History(_Answer, frozen=True, tag="history"):
    """Commits of a run, newest first."""

    run_id: str
    commits: tuple[CommitView, ...]
    cut: tuple[int, ...] = ()
    """Those that were too large to be told whole: they come without mutations, events and detail (ask `commit`)."""
    next: int | None = None
    """What to say as `before` for more; None after the last one."""


class Piece(_Answer, frozen=True, tag="piece"):
    """A piece of a JSON text, which may be all of it: put together, the pieces are what was asked for."""

    of: Literal["state", "diff", "commit"]
    """A state as plain data, a list of `Change`, or a `CommitView`."""
    run_id: str
    seq: int
    """The commit (of a diff, the later one)."""
    offset: int
    """Where it begins, in bytes of UTF-8."""
    total: int
    """Bytes of the whole."""
    next: int | None
    """What to say as `offset` for the next piece, with `seq` as the commit; None for the last one."""
    digest: str
    """Tells the whole from every other: pieces with different ones do not belong together."""
    text: str


class Following(_Answer, frozen=True, tag="following"):
    """From here on frames come for this subscription, which is the id of the request."""

    subscription: int


class Unsubscribed(_Answer, frozen=True, tag="unsubscribed"):
    """Nothing comes for this subscription any more."""

    subscription: int


class Statistics(_Answer, frozen=True, tag="statistics"):
    """The numbers of this moment, by their names; None for a run that is not live."""

    run_id: str
    numbers: dict[str, Any] | None


class Graphs(_Answer, frozen=True, tag="graphs"):
    """Graphs in the order in which the server was given them."""

    graphs: tuple[GraphView, ...]


class Health(_Answer, frozen=True, tag="health"):
    """How the server and its store are."""

    ok: bool
    store: str
    """Where it is, without secrets."""
    durable: bool
    """Whether what it acknowledges survives the death of the process."""
    problems: tuple[str, ...] = ()
    """What is wrong; empty is good."""
    details: dict[str, str] = {}
    """Settings worth showing."""


class WaitingBarrier(Struct, frozen=True, forbid_unknown_fields=True):
    """An open barrier, and whose it is."""

    run_id: str
    graph: str
    barrier: BarrierView


class Barriers(_Answer, frozen=True, tag="barriers"):
    """Open barriers, oldest first."""

    barriers: tuple[WaitingBarrier, ...]
    total: int
    """How many are open in all."""
    next: int | None = None
    """What to say as `offset` for more; None after the last one."""


class PlacesShown(_Answer, frozen=True, tag="progress"):
    """What a run did at each place that it came to, by the name of the place."""

    run_id: str
    places: dict[str, Shown]


class Timeline(_Answer, frozen=True, tag="timeline"):
    """The visits of a run, in the order of their numbers."""

    run_id: str
    spans: tuple[Span, ...]
    next: int | None = None
    """What to say as `after` for more; None after the last one."""


class Lineage(_Answer, frozen=True, tag="lineage"):
    """Runs that were made from each other, oldest first."""

    run_id: str
    runs: tuple[Kin, ...]


QueryAnswer: TypeAlias = (
    Runs
    | RunShown
    | History
    | Piece
    | Following
    | Unsubscribed
    | Statistics
    | Graphs
    | Health
    | Barriers
    | PlacesShown
    | Timeline
    | Lineage
)
Answer: TypeAlias = Receipt | QueryAnswer
