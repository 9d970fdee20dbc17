"""What happens in a simulation: graphs, submits, people, faults, and when."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import Factory, frozen

from terzetto_protocol.commands import Command
from terzetto_protocol.decisions import Approve, Confirm, Decision, Fail, Reject, Retry
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.graph import Bound
from terzetto_protocol.records import BarrierRow

from ._simulated_luck import Trouble

if TYPE_CHECKING:
    from ._simulation import Simulation
    from ._world import World

Graphs: TypeAlias = "Callable[[World], Sequence[Declaration[Any, Any] | Bound[Any]]]"
Way: TypeAlias = Literal["call", "desk", "inbox"]
Check: TypeAlias = "Callable[[Simulation], Iterable[str]]"
Choose: TypeAlias = Callable[[BarrierRow, Random], Decision | None]


@frozen
class Submission:
    """Somebody submits a run, and tries again under the same id until there is an answer.

    One for a thread that is busy is such an answer; where the thread has no state to go on from, they bring one.
    """

    graph: str
    """Its name."""
    state: Any
    """What it begins with, or a function that makes it of its graph, which may be called again."""
    run_id: str
    at: float = 0.0
    """Seconds."""
    options: Mapping[str, Any] = Factory(dict[str, Any])
    """More options of `Runtime.submit`."""


@frozen
class Act:
    """Somebody says something to a run, once; who gets no answer leaves it at that."""

    at: float
    """Seconds."""
    command: Command
    who: str = "ann"
    way: Way = "call"
    """By a call of the runtime, by a message to its desk, or as another process that shares the store."""


def anything(row: BarrierRow, dice: Random) -> Decision | None:
    """Any of the decisions that a barrier usually takes."""
    if row.reconcile:
        return dice.choice((Confirm(), Retry(), Fail()))
    return dice.choice((Approve(), Approve(), Reject()))


@frozen
class Person:
    """Somebody who looks at open barriers again and again and decides, and lets paused runs go on."""

    name: str
    every: float = 1.0
    """Seconds between two looks, on average."""
    since: float = 0.0
    """Seconds; before that they are not there."""
    until: float = float("inf")
    """Seconds; after that they are not there any more."""
    choose: Choose = anything
    """What they decide; None leaves it open for now."""


@frozen
class Crash:
    """The process that owns the store dies, and is started again."""

    at: float
    """Seconds."""
    down: float = 1.0
    """Seconds before it is started again."""


@frozen
class CrashAt:
    """Whoever passes a fault point for the k-th time dies (see `terzetto.testing.points`), and is started again."""

    point: str
    count: int = 1
    down: float = 1.0
    """Seconds before it is started again."""


@frozen
class Restart:
    """The process that owns the store is stopped in good order, and started again."""

    at: float
    """Seconds."""
    down: float = 1.0
    """Seconds before it is started again."""


@frozen
class Freeze:
    """The owner stands still and loses the store; when it thaws it goes on for a while, and then dies.

    That cannot happen to an owner of a SQLite file, and can to one of a store with leases.
    """

    at: float
    """Seconds."""
    seconds: float = 3.0
    """How long it stands still."""
    down: float = 0.3
    """Seconds before another one is started in its place, which takes the store over."""


@frozen
class Release:
    """Processes that start from now on have other graphs: newer versions, with migrations."""

    at: float
    """Seconds."""
    graphs: Graphs


Fault: TypeAlias = Crash | CrashAt | Restart | Freeze | Trouble


@frozen
class Scenario:
    """A world to be simulated; it says what happens, and a seed says everything else."""

    graphs: Graphs
    """The graphs of every process, made anew for each simulation; what they do outside they do in the `World`."""
    submits: tuple[Submission, ...]
    acts: tuple[Act, ...] = ()
    people: tuple[Person, ...] = ()
    faults: tuple[Fault, ...] = ()
    releases: tuple[Release, ...] = ()
    """Newer versions of the graphs, earliest first."""
    sinks: bool = False
    """Whether each process has sinks for every run, and what they are told is checked, too."""
    linger: float = 0.0
    """Seconds for which the world goes on when every run rests, for whoever cleans up."""
    processes: int = 1
    """Processes that would like to own the store: one does and the others wait for it, unless there is a lease."""
    lease: float | None = None
    """Seconds for which a process that says nothing keeps its runs, in a store that all of them own at once."""
    latency: float = 0.01
    """Seconds that a call of the store takes at most where nothing is wrong."""
    check: "Check" = lambda simulation: ()
    """What has to be true in the end, besides what always has to be: gives a sentence for whatever is not."""
    patience: float = 300.0
    """Seconds after the last fault by which every run has to rest."""
    options: Mapping[str, Any] = Factory(dict[str, Any])
    """More options of `terzetto.open_runtime`."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes leave commands for the owner."""
        return self.lease is not None or any(act.way == "inbox" for act in self.acts)

    @property
    def calm(self) -> float:
        """When the last thing has happened that the scenario names, seconds."""
        moments = [wish.at for wish in self.submits] + [act.at for act in self.acts]
        moments += [release.at for release in self.releases]
        return max([*moments, *(_end(fault) for fault in self.faults)], default=0.0)


def _end(fault: Fault) -> float:
    if isinstance(fault, CrashAt):
        return 0.0  # nobody knows when, and the run is not over before it happened or never will
    return fault.at + fault.seconds if isinstance(fault, Freeze | Trouble) else fault.at
