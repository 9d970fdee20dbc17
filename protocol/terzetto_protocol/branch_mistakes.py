"""What is wrong with places that open branches: parallel ones, maps and subgraphs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from .composites import Composite, Errors, Lens, Map, Parallel, Subgraph, as_composite, as_map
from .declared import Declared, function_mistakes, unknown_place
from .errors import GraphError
from .forms import Form
from .places import as_node


def branch_mistakes(declared: Declared) -> Iterator[str]:
    """What is wrong with the places that open branches."""
    yield from _calls(declared)
    yield from _endless(declared)
    for place in filter(None, map(as_composite, declared.graph.places)):
        path = f"branches.{place.name}"
        yield from _branches(declared, place, path)
        limit, errors, merge = place.options.limit, place.options.errors, place.options.merge
        if limit is not None and limit < 1:
            yield f"{path}.limit: {limit} would never let a branch begin"
        if errors not in get_args(Errors):
            yield f"{path}.errors: {errors!r} is none of {', '.join(get_args(Errors))}"
        if callable(merge):
            yield from function_mistakes(
                merge, f"{path}.merge", "it", "two arguments, the state before and the states after", 2
            )
        elif merge not in ("strict", "replay"):
            yield f"{path}.merge: {merge!r} is none of strict, replay, and no function"


def _branches(declared: Declared, place: Composite[Any], path: str) -> Iterator[str]:
    for name in place.leads_to:
        yield from unknown_place(declared, name, path)
    if isinstance(place, Parallel):
        if not place.branches:
            yield f"{path}: it has no branch"
        for name, count in Counter(place.branches).items():
            if count > 1:
                yield f"{path}: branch {name!r} is given {count} times; each needs a place of its own"
    elif isinstance(place, Subgraph):
        yield from _subgraph(declared, place, path)
    elif (found := as_map(place)) is not None:
        yield from _map(found, path)


def _map(place: Map[Any, Any], path: str) -> Iterator[str]:
    yield from function_mistakes(place.over, f"{path}.over", "it", "one argument, the state")
    if place.item is None:
        yield f"{path}.item: nobody says what an item is: write ItemContext[State, Item] in its body, or item="
        return
    try:
        Form(place.item)
    except Exception as error:  # noqa: BLE001 - annotations are user code and may raise anything
        yield f"{path}.item: {error}"


def _endless(declared: Declared) -> Iterator[str]:
    """Places that open branches which begin at themselves, with no node in between that could change anything."""
    for name in declared.places:
        seen, ahead = set[str](), [name]
        while ahead:
            place = as_composite(declared.places.get(ahead.pop()))
            inner = [] if place is None else [each for each in place.leads_to if each not in seen]
            seen.update(inner)
            ahead.extend(inner)
        if name in seen:
            yield f"branches.{name}: its branches begin with itself again, without an end"


def _calls(declared: Declared) -> Iterator[str]:
    """What is wrong with the graphs that bodies run."""
    for node in filter(None, map(as_node, declared.graph.places)):
        path, lenses = f"nodes.{node.name}.runs", node.options.runs
        if lenses and node.options.effects == "once":
            yield f"{path}: a once node would not run again to hear how a graph ended"
        for name, count in Counter(lens.graph.name for lens in lenses).items():
            if count > 1:
                yield f"{path}: {count} graphs are called {name!r}"
        for lens in lenses:
            yield from _inner(declared, lens, f"{path}.{lens.graph.name}")


def _subgraph(declared: Declared, place: Subgraph[Any], path: str) -> Iterator[str]:
    lens, outer = place.lens, declared.graph.state
    for word, given in (("get", lens.get), ("put", lens.put)):
        if given is None and lens.graph.state is not outer:
            names = getattr(lens.graph.state, "__name__", "?"), getattr(outer, "__name__", "?")
            yield f"{path}.{word}: the inner state is a {names[0]} and the outer one a {names[1]}: say {word}="
    yield from _inner(declared, lens, path)


def _inner(declared: Declared, lens: Lens[Any, Any], path: str) -> Iterator[str]:
    if lens.graph is declared.graph or lens.graph.building:
        yield f"{path}: it contains itself"
        return
    try:
        lens.graph.build()
    except GraphError as error:
        yield from (f"{path}.{mistake}" for mistake in error.mistakes)
    if lens.get is not None:
        yield from function_mistakes(lens.get, f"{path}.get", "it", "one argument, the outer state")
    if lens.put is not None:
        yield from function_mistakes(lens.put, f"{path}.put", "it", "two arguments, the outer state and the inner", 2)
