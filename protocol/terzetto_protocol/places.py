"""Where a run can be: nodes and barriers, and the exits and edges that lead from one to the next."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, cast

from msgspec import Struct, field
from typing_extensions import TypeVar

from .decisions import Decision, Exiting, Fail, Reject
from .state import Mutation

if TYPE_CHECKING:
    from .composites import Lens
    from .context import AnyContext, NodeContext
    from .retry import RetryPolicy

S = TypeVar("S")
T = TypeVar("T")
D = TypeVar("D", default=None)
R = TypeVar("R", default=Awaitable[None])
"""What calling a node gives: something to await, or, for a plain function, nothing."""

Effects: TypeAlias = Literal["pure", "repeatable", "once"]
EFFECTS: Final[tuple[Effects, ...]] = ("pure", "repeatable", "once")

OnCancel: TypeAlias = Literal["wait", "abandon"]
ON_CANCEL: Final[tuple[OnCancel, ...]] = ("wait", "abandon")

Runs: TypeAlias = Literal["as a task", "in a thread", "on the loop", "as a block"]

NodeFunction: TypeAlias = "Callable[[NodeContext[S, D]], R]"
"""A function that wants only a `LeafContext` is one too: it asks for less than it gets."""
Probe: TypeAlias = "Callable[[NodeContext[S, D]], Awaitable[bool | None]]"


class Place(Generic[S]):
    """Anything that an edge may lead to."""

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"


class Node(Place[S], Generic[S, D, R]):
    """A step: the decorated function, still callable, and what was declared about it.

    A plain function makes a `Node[State, Deps, None]`: what calls it awaits nothing.
    """

    def __init__(self, fn: "NodeFunction[S, D, R]", name: str, options: "NodeOptions[S, D]", asks: "Asks") -> None:
        super().__init__(name)
        self.fn: Final = fn
        self.options: Final = options
        self.asks: Final = asks
        self.runs: Final[Runs] = "as a block" if asks.block else _runs(fn, options)
        self.is_bare: Final = self.runs == "as a task" and not options.is_timed
        """Whether its body is awaited as it is."""
        self.__doc__ = fn.__doc__

    def __call__(self, ctx: "NodeContext[S, D]", /) -> R:
        """Run the body alone: `await node(terzetto.testing.context(state))` is a unit test.

        A plain function is called here and now, and there is nothing to await.
        """
        return self.fn(ctx)


class ItemNode(Node[S, D, R], Generic[S, T, D, R]):
    """A step that works on one item of a map."""


class Asks(Struct, frozen=True):
    """Which context a node's function wants, as its annotation says."""

    context: "type[AnyContext]"
    item: Any = None
    """Type of the item that it works on, if it says one."""
    block: bool = False
    """Whether it is a node of a dataflow: it is called with its inputs, and sends."""


class NodeOptions(Struct, Generic[S, D], frozen=True):
    """What `@graph.node(...)` was told."""

    effects: Effects = "repeatable"
    probe: "Probe[S, D] | None" = None
    max_visits: int | None = None
    token_cost: float = 0.0
    has_side_effects: bool = False
    """As it was said; `effects` is what it came to."""
    retry: "RetryPolicy | None" = None
    run_timeout: float | None = None
    """Seconds that one attempt may take."""
    idle_timeout: float | None = None
    """Seconds that it may take between two signs of life."""
    on_cancel: OnCancel | None = None
    """What a cancel does to a plain function in a thread; None: nothing was said, and it is waited for."""
    thread: bool | None = None
    """Whether a plain function runs in a thread; None: nothing was said, and it does."""
    runs: "Sequence[Lens[S, Any]]" = ()
    """Graphs that its body may run."""

    @property
    def is_timed(self) -> bool:
        """Whether an attempt may take too long."""
        return self.run_timeout is not None or self.idle_timeout is not None


def _runs(fn: Callable[..., object], options: NodeOptions[Any, Any]) -> Runs:
    if inspect.iscoroutinefunction(inspect.unwrap(fn)):
        return "as a task"
    return "on the loop" if options.thread is False else "in a thread"


class Exit(Generic[S]):
    """One way out of a barrier; edges start from it."""

    def __init__(self, barrier: "Barrier[S]", name: str) -> None:
        self.barrier: Final = barrier
        self.name: Final = name

    def __repr__(self) -> str:
        return f"<exit {self.barrier.name}.{self.name}>"


class BarrierOptions(Struct, Generic[S], frozen=True):
    """What `graph.barrier(...)` was told."""

    timeout: float | None = None
    on_timeout: Exiting | Fail = field(default_factory=Reject)
    payload: Callable[[S], object] | None = None
    decided: Callable[[Exiting], Sequence[Mutation[S]]] | None = None


class Barrier(Place[S]):
    """A point where the run waits for a decision and holds neither a slot nor a task."""

    def __init__(self, name: str, exits: Sequence[str], options: BarrierOptions[S]) -> None:
        super().__init__(name)
        self.options: Final = options
        self.exits: Final[Mapping[str, Exit[S]]] = {exit_name: Exit(self, exit_name) for exit_name in exits}

    @property
    def approved(self) -> Exit[S]:
        """The exit that `Approve()` takes."""
        return self.exit("approved")

    @property
    def rejected(self) -> Exit[S]:
        """The exit that `Reject(reason)` takes."""
        return self.exit("rejected")

    def exit(self, name: str) -> Exit[S]:
        """The declared exit of this name, which `Choose(name)` takes; raises `KeyError` naming the declared ones."""
        if name not in self.exits:
            raise KeyError(f"barrier {self.name!r} has no exit {name!r}; it has {', '.join(self.exits)}")
        return self.exits[name]

    def takes(self, decision: Decision) -> bool:
        """Whether this decision leads out of this barrier."""
        return getattr(decision, "exit", None) in self.exits


def as_node(place: "Place[S] | None") -> "Node[S, Any] | None":
    """The place itself if it is a node, else None."""
    return cast("Node[S, Any]", place) if isinstance(place, Node) else None


def as_barrier(place: "Place[S] | None") -> Barrier[S] | None:
    """The place itself if it is a barrier, else None."""
    return place if isinstance(place, Barrier) else None


class Edge(Struct, Generic[S], frozen=True):
    """One declared way from a place (or one of its exits) to another place."""

    index: int
    source: str
    exit: str
    target: str
    when: Callable[[S], bool] | None = None
    fallback: bool = False
    on_error: bool = False
    max_visits: int | None = None

    def label(self) -> str:
        """How messages and drawings call the edge."""
        return f"{self.origin} -> {self.target}"

    @property
    def origin(self) -> str:
        """The node that it leaves, or the barrier with the exit."""
        return f"{self.source}.{self.exit}" if self.exit else self.source

    @property
    def predicate(self) -> str:
        """The name of its predicate: `when` for a lambda, empty for an edge without one."""
        name = getattr(self.when, "__name__", "when") if self.when is not None else ""
        return "when" if name == "<lambda>" else name


Source: TypeAlias = "Place[S] | Exit[S] | str"


def key_of(source: "Source[Any]") -> tuple[str, str]:
    """The (place, exit) that an edge starts from."""
    if isinstance(source, Exit):
        return source.barrier.name, source.name
    if isinstance(source, Place):
        return source.name, ""
    if not isinstance(cast("object", source), str):
        raise TypeError(f"a node, a barrier's exit or a name is wanted, not {source!r:.80} (is it a @graph.node?)")
    place, _, exit_name = source.partition(".")
    return place, exit_name
