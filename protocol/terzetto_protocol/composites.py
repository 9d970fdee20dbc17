"""Places whose visit lasts until the branches that it opens have ended."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypeAlias, TypeVar, cast

from attrs import evolve, field, frozen
from msgspec import Raw, Struct

from .decisions import Recorded
from .fields import field_types
from .forms import Form
from .places import Node, Place
from .state import Mutation

if TYPE_CHECKING:
    from .blueprint import Blueprint
    from .declaration import Declaration

S = TypeVar("S")
T = TypeVar("T")

Errors: TypeAlias = Literal["fail_fast", "collect"]
Merge: TypeAlias = Literal["strict", "replay"] | Callable[[S, Sequence[S]], Sequence[Mutation[S]]]
"""How branches are folded; a function gets the state before and the branches' states, and says the mutations."""


class ForkOptions(Struct, Generic[S], frozen=True):
    """What `graph.parallel(...)` or `graph.map(...)` was told."""

    merge: "Merge[S]" = "strict"
    errors: Errors = "fail_fast"
    limit: int | None = None


class Opened(Struct, frozen=True):
    """What a composite place opens: how many branches, and what each gets."""

    count: int
    items: tuple[Raw, ...] = ()
    state: bytes = b""
    """A subgraph's state, encoded; empty where branches share their parent's."""


class Composite(Place[S]):
    """A place that opens branches and goes on when they have ended."""

    def __init__(self, name: str, options: ForkOptions[S]) -> None:
        super().__init__(name)
        self.options: Final = options

    def open(self, state: S, ticket: int = 0) -> Opened:
        """What it opens for this state (and this task of a dataflow); may raise whatever a user's function raises."""
        raise NotImplementedError

    def begins_at(self, index: int) -> str:
        """The place where a branch begins."""
        raise NotImplementedError

    def path_of(self, fork: str, index: int) -> str:
        """The path of a branch."""
        raise NotImplementedError

    def index_of(self, path: str) -> int:
        """The number of the branch with this path."""
        raise NotImplementedError

    @property
    def leads_to(self) -> tuple[str, ...]:
        """Places of the same graph where its branches begin."""
        return ()

    @property
    def shape(self) -> tuple[str, ...]:
        """What a run's log depends on."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """What a drawing says about it, below its name."""
        raise NotImplementedError


class Parallel(Composite[S]):
    """Branches that were declared, side by side."""

    def __init__(self, name: str, branches: Sequence[str], options: ForkOptions[S]) -> None:
        super().__init__(name, options)
        self.branches: Final = tuple(branches)

    def open(self, state: S, ticket: int = 0) -> Opened:
        """All of them."""
        return Opened(len(self.branches))

    def begins_at(self, index: int) -> str:
        """The place of the branch."""
        return self.branches[index]

    def path_of(self, fork: str, index: int) -> str:
        """`fork/branch`."""
        return f"{fork}/{self.branches[index]}"

    def index_of(self, path: str) -> int:
        """The branch's position in the declaration."""
        return self.branches.index(path.rpartition("/")[2])

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The branches."""
        return self.branches

    @property
    def shape(self) -> tuple[str, ...]:
        """Its branches, in their order."""
        return ("parallel", *self.branches)

    @property
    def title(self) -> str:
        """That all of them run."""
        return "in parallel"


class Map(Composite[S], Generic[S, T]):
    """The same branch once for each of some items of the state."""

    def __init__(
        self, name: str, body: str, over: Callable[[S], Sequence[T]], item: Any, options: ForkOptions[S]
    ) -> None:
        super().__init__(name, options)
        self.body: Final = body
        self.over: Final = over
        self.item: Final = item
        """Type of the items; None when nobody said."""

    @cached_property
    def form(self) -> Form[T]:
        """How items are stored."""
        return Form(self.item)

    def revive(self, item: Raw) -> T:
        """An item as it was stored; every caller gets its own."""
        return self.form.unpack(item, f"an item of {self.name}")

    def open(self, state: S, ticket: int = 0) -> Opened:
        """One branch for each item."""
        what, pack = f"an item of {self.name}", self.form.pack
        items = tuple([Raw(pack(item, what)) for item in self.over(state)])
        return Opened(len(items), items)

    def begins_at(self, index: int) -> str:
        """Always the body."""
        return self.body

    def path_of(self, fork: str, index: int) -> str:
        """`fork/number`."""
        return f"{fork}/{index}"

    def index_of(self, path: str) -> int:
        """The item's position."""
        return int(path.rpartition("/")[2])

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The body."""
        return (self.body,)

    @property
    def shape(self) -> tuple[str, ...]:
        """Its body."""
        return ("map", self.body)

    @property
    def title(self) -> str:
        """That it repeats."""
        return "for each item"


@frozen
class Lens(Generic[S, T]):
    """How a graph with a state of its own lives inside another: what it begins with, and what its end means outside."""

    graph: "Declaration[T, Any]"
    get: Callable[[S], T] | None = None
    """The inner state, made of the outer one; None where both are of one type."""
    put: Callable[[S, T], None] | None = None
    """Changes the outer state by the inner one at its end; None takes the inner one's fields."""
    deps: Callable[[Any], Any] | None = None
    """What the inner nodes get as `ctx.deps`, made of what the outer ones get; None for the same."""
    strict: bool = field(default=False, eq=False)
    """Whether the run is strict."""

    @property
    def blueprint(self) -> "Blueprint[T]":
        """The inner graph as runs use it."""
        blueprint = self.graph.build()
        return blueprint.strict if self.strict else blueprint

    def enter(self, outer: S) -> bytes:
        """The inner state to begin with, encoded."""
        inner: Any = outer if self.get is None else self.get(outer)
        return self.graph.first(inner)[0]

    def leave(self, body: Raw) -> "LensExit[S, T]":
        """The mutation that the inner state at its end amounts to."""
        return LensExit(self, self.blueprint.state.unpack(bytes(body)))


class LensExit(Struct, Generic[S, T], frozen=True):
    """What the success of a subgraph does to the outer state."""

    lens: Lens[S, T]
    inner: T

    def apply(self, outer: S) -> None:
        """Put the inner state into the outer one."""
        if self.lens.put is not None:
            self.lens.put(outer, self.inner)
            return
        for name in field_types(self.lens.graph.state):
            setattr(outer, name, getattr(self.inner, name))


class Subgraph(Composite[S]):
    """A graph inside the graph, as one place."""

    def __init__(self, name: str, lens: Lens[S, Any]) -> None:
        super().__init__(name, ForkOptions())
        self.lens = lens

    def open(self, state: S, ticket: int = 0) -> Opened:
        """One branch with a state of its own."""
        return Opened(1, state=self.lens.enter(state))

    def leaving(self, ticket: int, inner: Any) -> list[Recorded] | None:
        """What its success does outside, where that is not what its lens says."""
        return None

    def begins_at(self, index: int) -> str:
        """The inner graph's start."""
        return self.lens.blueprint.start

    def path_of(self, fork: str, index: int) -> str:
        """The fork's own: there is only one."""
        return fork

    def index_of(self, path: str) -> int:
        """Always 0."""
        return 0

    @property
    def shape(self) -> tuple[str, ...]:
        """The inner graph's own hash."""
        return ("subgraph", self.lens.blueprint.fingerprint)

    @property
    def title(self) -> str:
        """Which graph it is."""
        return f"graph {self.lens.graph.name}"

    @property
    def strict(self) -> Self:
        """The same for strict runs."""
        other = copy(self)
        other.lens = evolve(self.lens, strict=True)
        return other


def as_composite(place: "Place[S] | None") -> "Composite[S] | None":
    """The place itself if it is a composite one, else None."""
    return place if isinstance(place, Composite) else None


def as_map(place: "Place[S] | None") -> "Map[S, Any] | None":
    """The place itself if it is a map, else None."""
    return cast("Map[S, Any]", place) if isinstance(place, Map) else None


def call_name(node: str, graph: str) -> str:
    """How a graph is called that a node's body runs; no place has a dot in its name."""
    return f"{node}.{graph}"


def calls_of(node: "Node[S, Any] | None") -> list[Subgraph[S]]:
    """The graphs that a node's body may run, as places."""
    return [] if node is None else [Subgraph(call_name(node.name, lens.graph.name), lens) for lens in node.options.runs]


def exit_name(place: str) -> str:
    """The name under which the end of a subgraph is recorded; no class can have it."""
    return f"@{place}"


def lenses(places: Mapping[str, Place[Any]]) -> dict[str, Lens[Any, Any]]:
    """The lenses of a graph by the names under which their ends are recorded."""
    return {exit_name(name): place.lens for name, place in places.items() if isinstance(place, Subgraph)}
