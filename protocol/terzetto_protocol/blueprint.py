"""A graph as runs use it: frozen, with every lookup of the hot path made beforehand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from msgspec import Raw, Struct, field

from .changes import CHANGES, Changes
from .composites import Composite, Subgraph, as_composite, calls_of, lenses
from .errors import InvalidRequest, Malformed
from .fingerprint import fingerprint, state_schema
from .merging import Fields
from .migrations import chain_from
from .places import Barrier, Edge, Node, Place, as_barrier, as_node
from .state import Entry, Mutation, StateForm, Vocabulary
from .strict import StrictVocabulary, watching

if TYPE_CHECKING:
    from .declaration import Declaration
    from .upcasting import Upcaster

S = TypeVar("S")


class EasyWay(Struct, Generic[S], frozen=True):
    """An edge that nothing counts, to a node that nothing limits and that is not `once`."""

    when: Callable[[S], bool] | None
    place: str
    is_pure: bool
    """Whether the node may run before what led to it is durable."""
    cost: float
    """What the visit costs that it leads on from."""


class Easy(Struct, Generic[S], frozen=True):
    """A node all of whose ways on are easy."""

    ways: tuple[EasyWay[S], ...]
    """In the order in which they are tried; none where it leads nowhere."""
    cost: float
    """What a visit of the node costs."""
    only: EasyWay[S] | None = None
    """The one way that is always taken, if there is one."""


class Routes(Struct, Generic[S]):
    """The edges out of one place (or one of a barrier's exits)."""

    conditional: list[Edge[S]] = field(default_factory=list[Edge[S]])
    plain: Edge[S] | None = None
    fallback: Edge[S] | None = None
    on_error: list[Edge[S]] = field(default_factory=list[Edge[S]])

    def add(self, edge: Edge[S]) -> None:
        """Sort one edge in: conditional ones in order of declaration, and before the one without a condition."""
        if edge.on_error:
            self.on_error.append(edge)
            self.on_error.sort(key=lambda each: each.when is None)
        elif edge.when is not None:
            self.conditional.append(edge)
        elif edge.fallback:
            self.fallback = edge
        else:
            self.plain = edge

    @property
    def empty(self) -> bool:
        """Whether a visit that succeeds here ends the run."""
        return not self.conditional and self.plain is None and self.fallback is None


class Blueprint(Generic[S]):
    """What all runs of a graph share; made by `Graph.build()`.

    That of strict runs holds its author's functions to what the others take on trust, and knows no easy ways.
    """

    def __init__(self, graph: "Declaration[S, Any]", *, is_strict: bool = False) -> None:
        self.graph: Final = graph
        self.is_strict: Final = is_strict
        self.name: Final = graph.name
        self.version: Final = graph.version
        self.max_steps: Final = graph.max_steps
        self.checkpoints: Final = graph.checkpoints
        self.state: Final = StateForm(graph.state, graph.restore)
        self.places: Final[dict[str, Place[S]]] = {place.name: self._place(place) for place in graph.places}
        self.changes: Final = Changes(self.state)
        calls = [call for place in graph.places for call in calls_of(as_node(place))]
        self.calls: Final = {call.name: call.strict if is_strict else call for call in calls}
        """Graphs that bodies may run, as places by `node.graph`."""
        exits = {name: lens.leave for name, lens in lenses({**self.places, **self.calls}).items()}
        self.flow: Final = graph.wiring
        """Its links, if it is a dataflow; then nothing but what is sent says where a run goes."""
        moves: Mapping[str, Callable[[Raw], Mutation[Any]]] = {} if self.flow is None else self.flow.moves()
        self.vocabulary: Final = self._vocabulary({CHANGES: self.changes.revive, **exits, **moves})
        self.nodes: Final = {name: node for name, place in self.places.items() if (node := as_node(place)) is not None}
        self.start: Final = graph.starts[0]
        self._nowhere: Final = Routes[S]()
        self.routes: Final = self._routes([self._edge(edge) for edge in graph.edges] if self.flow is None else ())
        easy = {} if is_strict or self.flow is not None else self.nodes
        self.everyday: Final = {
            name: Easy(ways, node.options.token_cost, ways[0] if ways and ways[0].when is None else None)
            for name, node in easy.items()
            if (ways := self._easy_ways(name)) is not None and not node.options.runs
        }
        """Nodes all of whose ways on are easy, or that lead nowhere."""
        self._upcasters: Final[dict[str, Upcaster[S]]] = {}

    def applied(self, entries: Iterable[Entry], state: S) -> tuple[bytes, S]:
        """A state, encoded and as it is, to which these have been applied in place.

        Raises `MutationFailed`, and `NotStorable` for what would not come back from the store.
        """
        self.vocabulary.apply(entries, state)
        return self.state.pack(state), state

    def node(self, name: str) -> Node[S, Any] | None:
        """The node of this name, or None for a barrier or an unknown name."""
        return self.nodes.get(name)

    def barrier(self, name: str) -> Barrier[S] | None:
        """The barrier of this name, or None for a node or an unknown name."""
        return as_barrier(self.places.get(name))

    def composite(self, name: str) -> Composite[S] | None:
        """The composite place of this name, or None for any other.

        In a path it may stand with a number: that of a task of a dataflow, or of a graph that a body runs again.
        """
        if "." in name:
            place, second, *_ = name.split(".")  # the rest is a number
            return as_composite(self.places.get(place)) if second.isdecimal() else self.calls.get(f"{place}.{second}")
        return as_composite(self.places.get(name))

    def routes_from(self, place: str, exit_name: str = "") -> Routes[S]:
        """The edges out of a node, or out of a barrier's exit."""
        return self.routes.get((place, exit_name), self._nowhere)

    def steps(self, asked: int | None) -> int:
        """Visits that a run may make; raises `InvalidRequest` for a number that allows none."""
        if asked is not None and asked < 1:
            raise InvalidRequest(f"max_steps {asked} allows no visit at all")
        return asked or self.max_steps

    @cached_property
    def has_barriers(self) -> bool:
        """Whether anything here, or in a graph inside, waits for people at a barrier."""
        if self.flow is not None:
            return False  # nor has a dataflow inside, which may be this one
        around = (*self.places.values(), *self.calls.values())
        inner = (place.lens.blueprint for place in around if isinstance(place, Subgraph))
        return any(isinstance(place, Barrier) for place in self.places.values()) or any(i.has_barriers for i in inner)

    @cached_property
    def overlaps(self) -> bool:
        """Whether visits may begin while others run, without any place that opens branches."""
        return self.flow is not None or bool(self.calls)

    @cached_property
    def strict(self) -> "Blueprint[S]":
        """The same for strict runs."""
        return self if self.is_strict else Blueprint(self.graph, is_strict=True)

    @cached_property
    def fields(self) -> Fields[S]:
        """The fields of the state that branches may get into conflict over."""
        return Fields(self.state)

    @cached_property
    def fingerprint(self) -> str:
        """Hash over structure and schemas, the same in every process."""
        return fingerprint(self.graph)

    @cached_property
    def state_schema(self) -> str:
        """Hash over the schema of the state alone, the same in every process and for every graph of this state."""
        return state_schema(self.state)

    def _place(self, place: Place[S]) -> Place[S]:
        return place.strict if self.is_strict and isinstance(place, Subgraph) else place

    def _edge(self, edge: Edge[S]) -> Edge[S]:
        return watching(self.state, edge) if self.is_strict else edge

    def _vocabulary(self, others: Mapping[str, Callable[[Raw], Mutation[S]]]) -> Vocabulary[S]:
        if self.is_strict:
            return StrictVocabulary(self.graph.mutations, others, self.state)
        return Vocabulary(self.graph.mutations, others)

    def upcaster(self, version: str) -> "Upcaster[S] | None":
        """What reads a log that this version of the graph has written; None for its own.

        Raises `Malformed` where no migration leads on from there.
        """
        if version == self.version:
            return None
        if version not in self._upcasters:
            from .upcasting import Upcaster

            chain = chain_from(self.graph, version)
            if chain is None:
                reason = f"version {version!r} wrote it, and {self.version!r} has no migration since that"
                raise Malformed(f"the log of graph {self.name!r}", reason)
            self._upcasters[version] = Upcaster(self, chain)
        return self._upcasters[version]

    @staticmethod
    def _routes(edges: Sequence[Edge[S]]) -> dict[tuple[str, str], Routes[S]]:
        routes: dict[tuple[str, str], Routes[S]] = {}
        for edge in edges:
            routes.setdefault((edge.source, edge.exit), Routes()).add(edge)
        return routes

    def _easy_ways(self, name: str) -> tuple[EasyWay[S], ...] | None:
        routes = self.routes_from(name)
        edges = [*routes.conditional, *(edge for edge in (routes.plain, routes.fallback) if edge is not None)]
        cost = self.nodes[name].options.token_cost
        ways = [
            EasyWay(edge.when, node.name, node.options.effects == "pure", cost)
            for edge in edges
            if (node := self._easy(edge)) is not None
        ]
        return tuple(ways) if len(ways) == len(edges) else None

    def _easy(self, edge: Edge[S]) -> Node[S, Any] | None:
        node = self.nodes.get(edge.target)
        if node is None or node.options.effects == "once" or node.options.max_visits is not None or node.options.runs:
            return None
        return node if edge.max_visits is None else None
