"""The graphs that a runtime knows: recovery finds code here, never by import."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from .blueprint import Blueprint
from .declaration import Declaration
from .errors import GraphError, InvalidRequest, UnknownGraph
from .graph import Bound, unbind
from .migrations import chain_from

S = TypeVar("S")


class Registry:
    """Finds the blueprint and the dependencies of a run by its graph's name and version."""

    def __init__(self, graphs: Iterable[Declaration[Any, Any] | Bound[Any]], *, strict: bool = False) -> None:
        self.strict: Final = strict
        """Whether its runs are strict."""
        self._bound: Final[dict[tuple[str, str], Bound[Any]]] = {}
        if isinstance(graphs, Declaration | Bound):
            raise InvalidRequest("graphs= takes a list, also of one graph: graphs=[graph]")
        for bound in map(unbind, graphs):
            key = bound.graph.name, bound.graph.version
            bound.graph.build()
            if key in self._bound:
                raise GraphError(key[0], [f"version {key[1]!r} is given twice: give each version its own name"])
            self._bound[key] = bound

    def find(self, name: str, version: str) -> Bound[Any] | None:
        """The graph of exactly this version, or None."""
        return self._bound.get((name, version))

    def blueprint(self, bound: Bound[S]) -> Blueprint[S]:
        """A graph as the runs of this registry use it."""
        blueprint = bound.graph.build()
        return blueprint.strict if self.strict else blueprint

    def carrier(self, name: str, version: str) -> Bound[Any] | None:
        """The graph under which a run of this version goes on: its own, else the last one that has migrations since."""
        exact = self.find(name, version)
        newer = [bound for bound in self._versions(name) if chain_from(bound.graph, version) is not None]
        return exact or (newer[-1] if newer else None)

    def why_not(self, name: str, version: str) -> str:
        """Why nothing here carries such a run on, and what to do."""
        known = ", ".join(repr(bound.graph.version) for bound in self._versions(name))
        others = f"; there is {known}, which can declare terzetto.Migration(since={version!r})" if known else ""
        return f"graph {name!r} {version!r} is not known here; it stays as it is (give it to the runtime{others})"

    def _versions(self, name: str) -> list[Bound[Any]]:
        return [bound for (known, _), bound in self._bound.items() if known == name]

    def latest(self, name: str) -> Bound[Any]:
        """The graph of this name that was given last; raises `UnknownGraph` naming the known ones."""
        found = self._versions(name)
        if not found:
            known = ", ".join(sorted({key[0] for key in self._bound})) or "none"
            raise UnknownGraph(name, "", f"no graph {name!r} is known here; known: {known}")
        return found[-1]

    def of(self, graph: Declaration[Any, Any]) -> Bound[Any]:
        """This very graph with its dependencies; raises `InvalidRequest` when it was not given to the runtime."""
        bound = self._bound.get((graph.name, graph.version))
        if bound is None or bound.graph is not graph:
            raise InvalidRequest(
                f"graph {graph.name!r} {graph.version!r} was not given: open_runtime(..., graphs=[...])"
            )
        return bound

    def all(self) -> list[Blueprint[Any]]:
        """Every blueprint, in the order given."""
        return [bound.graph.build() for bound in self._bound.values()]
