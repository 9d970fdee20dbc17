"""A declared graph with what every search for mistakes looks up."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .closest import closest
from .places import Place

if TYPE_CHECKING:
    from .graph import Graph


class Declared(Struct, frozen=True):
    """A graph with what every check looks up."""

    graph: "Graph[Any, Any]"
    places: dict[str, Place[Any]]
    positions: dict[int, int]
    """Where an edge stands among those that leave the same node or barrier."""

    @classmethod
    def of(cls, graph: "Graph[Any, Any]") -> "Declared":
        """The graph as it is now."""
        seen: Counter[str] = Counter()
        positions: dict[int, int] = {}
        for edge in graph.edges:
            positions[edge.index] = seen[edge.source]
            seen[edge.source] += 1
        return cls(graph, {place.name: place for place in graph.places}, positions)


def function_mistakes(
    fn: Callable[..., object], path: str, name: str, arguments: str, count: int = 1, *, wants_async: bool = False
) -> Iterator[str]:
    """What is wrong with a user's function: not (or wrongly) async, or of other arguments."""
    if inspect.iscoroutinefunction(inspect.unwrap(fn)) is not wants_async:
        yield f"{path}: {name} must {'be' if wants_async else 'not be'} `async def`"
        return
    try:
        inspect.signature(fn).bind(*[None] * count)
    except TypeError:
        yield f"{path}: {name} must take {arguments}"
    except ValueError:
        return  # built-ins may have no signature to look at


def unknown_place(declared: Declared, name: str, path: str) -> Iterator[str]:
    """That there is no place of this name, with the nearest one that there is."""
    if name not in declared.places:
        close = closest(name, declared.places)
        known = ", ".join(list(declared.places)[:10]) or "none"
        hint = f" (did you mean {close!r}?)" if close else f" (there are {known})"
        yield f"{path}: no node {name!r}{hint}"
