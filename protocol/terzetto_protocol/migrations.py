"""Migrations: what a graph says about runs that began under one of its older versions.

A migration leads from one version to the next, and a graph lists its own in the order of its versions, so that a run
of any of them is led through all that followed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from .closest import closest
from .composites import Subgraph, calls_of
from .declared import function_mistakes
from .places import as_node

if TYPE_CHECKING:
    from .declaration import Declaration

Plain: TypeAlias = dict[str, Any]
"""A state or a mutation as it is stored, by the names of its fields."""
Moved: TypeAlias = tuple[str, Plain] | list[tuple[str, Plain]] | None
"""What a stored mutation is in the next version: one, several in their order, or none."""


class Migration(Struct, frozen=True):
    """How the next version of a graph reads what the version `since` has stored.

    Its functions are pure: they get plain data (dicts, lists, texts, numbers, bytes) that nobody else holds, and return
    plain data. They run whenever such a log is read, as often as it is.

    Args:
        since: the version that stored it.
        state: the stored state, as the next version stores it. None: as it is, so that a field that is new gets its
            default and one that is gone is left out.
        mutation: a recorded mutation, by its name and its fields, as the next version records it: `(name, fields)`, a
            list of such, or None to drop it. What a person changed by `Modify` comes as `"@changes"`, with the new
            values by field. None: as they are.
        places: new names of nodes, barriers and places that open branches, by their old ones.
        inner: versions of the graphs inside, for those that have changed too: what each was, by the name of its place
            as of `since` (`"node.graph"` for one that a body runs). Its own migrations lead on from there.
        item: an item of a map whose branches are open, by the name of the map's place as of `since`, as the next
            version stores it. None: as they are.
    """

    since: str
    state: Callable[[Plain], Plain] | None = None
    mutation: Callable[[str, Plain], Moved] | None = None
    places: Mapping[str, str] = {}
    inner: Mapping[str, str] = {}
    item: Callable[[str, Any], Any] | None = None


def chain_from(graph: "Declaration[Any, Any]", version: str) -> tuple[Migration, ...] | None:
    """What leads from a version to the graph's own, in order; empty for its own, None where nothing does."""
    if version == graph.version:
        return ()
    for number, migration in enumerate(graph.migrations):
        if migration.since == version:
            return tuple(graph.migrations[number:])
    return None


def renamed(place: str, chain: Sequence[Migration]) -> str:
    """What a place is called at the end of a chain; of a graph that a body runs, `node.graph`, the node."""
    node, dot, rest = place.partition(".")
    for migration in chain:
        node = migration.places.get(node, node)
    return f"{node}{dot}{rest}"


def inner_versions(chain: Sequence[Migration]) -> dict[str, str]:
    """What the graphs inside were at the beginning of a chain, by what their places are called at its end."""
    found: dict[str, str] = {}
    for number, migration in enumerate(chain):
        for place, version in migration.inner.items():
            found.setdefault(renamed(place, chain[number:]), version)
    return found


def migration_mistakes(graph: "Declaration[Any, Any]") -> Iterator[str]:
    """What is wrong with the migrations of a graph of either kind."""
    seen: set[str] = set()
    for number, migration in enumerate(graph.migrations):
        path = f"migrations[{number}]"
        if migration.since == graph.version:
            yield f"{path}.since: {migration.since!r} is this graph's own version"
        if migration.since in seen:
            yield f"{path}.since: two migrations lead on from version {migration.since!r}"
        seen.add(migration.since)
        yield from _functions(graph, migration, path)
        yield from _targets(graph, number, path)
        yield from _inner(graph, number, path)


def _functions(graph: "Declaration[Any, Any]", migration: Migration, path: str) -> Iterator[str]:
    if migration.state is not None:
        yield from function_mistakes(migration.state, f"{path}.state", "it", "one argument, the stored state")
    if migration.mutation is not None:
        if graph.wiring is not None:
            yield f"{path}.mutation: nobody records mutations in a dataflow"
        yield from function_mistakes(
            migration.mutation, f"{path}.mutation", "it", "two arguments, a name and its fields", 2
        )
    if migration.item is not None:
        if graph.wiring is not None:
            yield f"{path}.item: there is no map in a dataflow"
        yield from function_mistakes(migration.item, f"{path}.item", "it", "two arguments, a map's name and an item", 2)


def _targets(graph: "Declaration[Any, Any]", number: int, path: str) -> Iterator[str]:
    names = [place.name for place in graph.places]
    for old, new in graph.migrations[number].places.items():
        last = renamed(new, graph.migrations[number + 1 :])
        if last not in names:
            yield f"{path}.places.{old}: no node {last!r}{_hint(last, names)}"


def _inner(graph: "Declaration[Any, Any]", number: int, path: str) -> Iterator[str]:
    places = [*graph.places, *(call for place in graph.places for call in calls_of(as_node(place)))]
    inside = {place.name: place.lens.graph for place in places if isinstance(place, Subgraph)}
    for old, version in graph.migrations[number].inner.items():
        last = renamed(old, graph.migrations[number:])
        if last not in inside:
            yield f"{path}.inner.{old}: no graph {last!r} inside{_hint(last, list(inside))}"
        elif chain_from(inside[last], version) is None:
            name = f"{inside[last].name!r} {inside[last].version!r}"
            yield f"{path}.inner.{old}: graph {name} has no migration since {version!r}"


def _hint(name: str, names: Sequence[str]) -> str:
    close = closest(name, names)
    return f" (did you mean {close!r}?)" if close else f" (there are {', '.join(names[:10]) or 'none'})"
