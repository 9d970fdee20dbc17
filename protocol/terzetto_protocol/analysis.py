"""What is worth knowing about a graph before it runs: cycles, what nothing reaches, where it can end.

Only what is declared is seen. A `goto` may lead where no edge does, and `end` may end a run anywhere.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .blueprint import Routes
from .composites import as_composite
from .cycles import Links, components, reached, shortest_cycles
from .dataflow import Dataflow
from .places import Edge, Place, as_barrier, as_node

if TYPE_CHECKING:
    from .declaration import Declaration


@frozen
class Cycle:
    """A way round: the last of its nodes leads to the first."""

    nodes: tuple[str, ...]
    guarded: bool
    """Whether something can end it: a predicate, a `max_visits`, a barrier; in a dataflow, that no more is sent."""

    def __str__(self) -> str:
        return " -> ".join((*self.nodes, self.nodes[0]))


@frozen
class Analysis:
    """What `analyze` found, each in order of declaration."""

    cycles: tuple[Cycle, ...]
    """One for every edge that is part of any, and every kind of unguarded one; not all combinations."""
    unreachable: tuple[str, ...]
    """Nodes and barriers to which no chain of edges leads from the start."""
    ends: tuple[str, ...]
    """Nodes, and exits as `barrier.exit`, that no edge leaves: a run that succeeds there is over."""
    warnings: tuple[str, ...]


def analyze(graph: "Declaration[Any, Any]") -> Analysis:
    """Look at a graph, built or not; edges to undeclared places are left out, for `build` reports them."""
    view = _View.of(graph)
    links = view.links(graph.edges)
    cycles = tuple(_cycles(view, links))
    found = reached(links, view.starts)
    return Analysis(
        cycles=cycles,
        unreachable=tuple(name for name in view.places if name not in found),
        ends=tuple(origin for origin in _ends(view) if view.routes[origin].empty),
        warnings=tuple(_warnings(view, links, cycles)),
    )


@frozen
class _View:
    """A graph with what every question looks up."""

    graph: "Declaration[Any, Any]"
    places: dict[str, Place[Any]]
    routes: dict[str, Routes[Any]]
    """By node, and by `barrier.exit`."""
    between: dict[tuple[str, str], list[Edge[Any]]]
    asking: dict[tuple[str, bool], set[str]]
    """By place and `on_error`: where the edges lead that a predicate decides about."""

    @classmethod
    def of(cls, graph: "Declaration[Any, Any]") -> "_View":
        places = {place.name: place for place in graph.places}
        routes = {origin: Routes[Any]() for place in places.values() for origin in _origins(place)}
        view = cls(graph, places, routes, {}, {})
        for edge in graph.edges:
            if edge.origin in routes and edge.target in places:
                view.add(edge)
        return view

    @property
    def starts(self) -> list[str]:
        """Where runs begin: in a dataflow also at every node that waits for nothing."""
        fed = {edge.target for edge in self.graph.edges}
        free = [name for name in self.places if name not in fed] if self.is_flow else []
        return [*(name for name in self.graph.starts if name in self.places), *free]

    @property
    def is_flow(self) -> bool:
        """Whether it is a dataflow, in which nothing goes round that nobody sends."""
        return isinstance(self.graph, Dataflow)

    def add(self, edge: Edge[Any]) -> None:
        self.routes[edge.origin].add(edge)
        self.between.setdefault((edge.source, edge.target), []).append(edge)
        if edge.when is not None:
            self.asking.setdefault((edge.source, edge.on_error), set()).add(edge.target)

    def links(self, edges: Sequence[Edge[Any]], *, inward: bool = True) -> Links:
        """Which place leads to which: over these edges and, `inward`, into branches."""
        links = {name: self.branches(name) if inward else [] for name in self.places}
        for edge in edges:
            if (edge.source, edge.target) in self.between and edge.target not in links[edge.source]:
                links[edge.source].append(edge.target)
        return links

    def branches(self, name: str) -> list[str]:
        """Where the branches begin that a place opens."""
        composite = as_composite(self.places[name])
        return [] if composite is None else [branch for branch in composite.leads_to if branch in self.places]

    def halts(self, name: str) -> bool:
        """Whether a place lets no run through for ever: a barrier, or a node with `max_visits`."""
        place = self.places[name]
        node = as_node(place)
        return as_barrier(place) is not None or (node is not None and node.options.max_visits is not None)

    def is_guarded(self, nodes: tuple[str, ...]) -> bool:
        """Whether something on this cycle can end it."""
        if self.is_flow or any(map(self.halts, nodes)):
            return True
        around = zip(nodes, (*nodes[1:], nodes[0]), strict=True)
        return any(self._is_guarded_link(source, target, nodes) for source, target in around)

    def _is_guarded_link(self, source: str, target: str, nodes: tuple[str, ...]) -> bool:
        """Whether every edge from here to there is limited, or comes after one that may lead out of the cycle."""
        return all(
            _is_limited(edge) or not self.asking.get((source, edge.on_error), set()).issubset(nodes)
            for edge in self.between.get((source, target), ())
        ) and target not in self.branches(source)

    def endless(self, *, unasked: bool) -> Links:
        """The links that a run may follow for ever, or only those of them before which no predicate is asked."""
        edges = [edge for edge in self.graph.edges if edge.origin in self.routes]
        unlimited = [edge for edge in edges if not (_is_limited(edge) or self.halts(edge.source))]
        return self.links(
            [edge for edge in unlimited if not unasked or (edge.source, edge.on_error) not in self.asking]
        )


def _ends(view: _View) -> Iterator[str]:
    """Origins that a run can come to outside of branches, and those that nothing reaches at all."""
    starts = view.starts
    within = reached(view.links(view.graph.edges), starts) - reached(view.links(view.graph.edges, inward=False), starts)
    for place in view.places.values():
        if place.name not in within:
            yield from _origins(place)


def _origins(place: Place[Any]) -> list[str]:
    barrier = as_barrier(place)
    return [place.name] if barrier is None else [f"{place.name}.{name}" for name in barrier.exits]


def _is_limited(edge: Edge[Any]) -> bool:
    return edge.when is not None or edge.max_visits is not None


def _cycles(view: _View, links: Links) -> Iterator[Cycle]:
    """Cycles that cover all links, and again all that may be endless, so that no guarded one hides another."""
    parts = view.endless(unasked=True), view.endless(unasked=False), links
    found = {nodes for part in parts for nodes in shortest_cycles(part)}
    positions = {name: position for position, name in enumerate(view.places)}
    for nodes in sorted(found, key=lambda nodes: [positions[name] for name in nodes]):
        yield Cycle(nodes, view.is_guarded(nodes))


def _warnings(view: _View, links: Links, cycles: tuple[Cycle, ...]) -> Iterator[str]:
    for cycle in cycles:
        if not cycle.guarded:
            yield f"cycle {cycle} has no guard: nothing declared ends it before max_steps ({view.graph.max_steps}) does"
    component = components(links)
    for edge in view.graph.edges:
        declared = (edge.source, edge.target) in view.between
        if edge.fallback and declared and component[edge.source] == component[edge.target]:
            yield f"fallback edge {edge.label()} is part of a cycle: whatever matches nothing goes round again"
    for origin, routes in view.routes.items():
        yield from _way_out(origin, routes)


def _way_out(origin: str, routes: Routes[Any]) -> Iterator[str]:
    if routes.empty:
        if "." in origin:
            yield f"exit {origin} has no edge: a decision that takes it ends the run"
        return
    edges = [*routes.conditional, routes.plain, routes.fallback]
    if all(edge is None or _is_limited(edge) for edge in edges):
        yield f"{origin} can end unrouted: all its edges are conditional or limited (add a plain or a fallback edge)"
