"""Everything that is wrong with a declared graph, with the path of each mistake and a suggestion."""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import attrs

from .decisions import Fail
from .places import EFFECTS, Barrier, Edge, Node
from .state import Form, field_types, is_frozen, transient_fields

if TYPE_CHECKING:
    from .graph import Graph

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def find_mistakes(graph: "Graph[Any, Any]") -> list[str]:
    """All mistakes, in the order in which a reader meets them; empty means that the graph can run."""
    checks: tuple[Callable[[Graph[Any, Any]], Iterator[str]], ...] = (
        _names, _types, _start, _nodes, _barriers, _edges, _rivals,
    )  # fmt: skip
    return [mistake for check in checks for mistake in check(graph)]


def _names(graph: "Graph[Any, Any]") -> Iterator[str]:
    if not _NAME.fullmatch(graph.name):
        yield f"name: {graph.name!r} is not a name (letters, digits, _ and -, beginning with a letter)"
    if not _VERSION.fullmatch(graph.version):
        yield f"version: {graph.version!r} is not a version (letters, digits, . _ + -)"
    if graph.max_steps < 1:
        yield f"max_steps: {graph.max_steps} allows no visit at all"
    for name, count in Counter(place.name for place in graph.places).items():
        if count > 1:
            yield f"nodes.{name}: {count} nodes or barriers have this name"
        if not _NAME.fullmatch(name):
            yield f"nodes.{name}: {name!r} is not a name (letters, digits, _ and -, beginning with a letter)"
    for name in sorted(set(graph.strangers)):
        yield f"nodes.{name}: this node or barrier belongs to another graph"


def _types(graph: "Graph[Any, Any]") -> Iterator[str]:
    yield from _state(graph.state)
    for name, count in Counter(cls.__name__ for cls in graph.mutations).items():
        if count > 1:
            yield f"mutations.{name}: {count} mutations have this name, and the name is how they are stored"
    for cls in graph.mutations:
        yield from _mutation(cls)


def _state(cls: type) -> Iterator[str]:
    try:
        field_types(cls)
        left_out = transient_fields(cls)
        if not left_out:
            Form(cls)
    except Exception as error:  # noqa: BLE001 - annotations are user code and may raise anything
        yield f"state: {error}"
        return
    if left_out:
        required = {name for name, spec in inspect.signature(cls).parameters.items() if spec.default is spec.empty}
        for name in sorted(required.intersection(left_out)):
            yield f"state.{name}: a transient field needs a default, which a restored state begins with"


def _mutation(cls: type) -> Iterator[str]:
    path = f"mutations.{cls.__name__}"
    if not callable(getattr(cls, "apply", None)):
        yield f"{path}: it has no method apply(self, state)"
    elif inspect.iscoroutinefunction(cls.apply):  # pyright: ignore[reportAttributeAccessIssue]  # checked above
        yield f"{path}: its apply is async, and a mutation must not wait"
    if not attrs.has(cls) and not is_frozen(cls):
        yield f"{path}: it is not frozen (use @attrs.frozen, @dataclass(frozen=True) or Struct, frozen=True)"
    elif not is_frozen(cls):
        yield f"{path}: it is not frozen (use @attrs.frozen)"
    try:
        Form(cls)
    except Exception as error:  # noqa: BLE001 - as in _state
        yield f"{path}: {error}"


def _start(graph: "Graph[Any, Any]") -> Iterator[str]:
    if len(graph.starts) != 1:
        yield f"start: a graph has exactly one start, this one has {len(graph.starts)} (say graph.start(node))"
    for name in graph.starts:
        yield from _known(graph, name, "start")


def _nodes(graph: "Graph[Any, Any]") -> Iterator[str]:
    for node in graph.places:
        if not isinstance(node, Node):
            continue
        options, path = node.options, f"nodes.{node.name}"
        if not inspect.iscoroutinefunction(inspect.unwrap(node.fn)):
            yield f"{path}: its function must be `async def`"
        elif not _takes_context(node.fn):
            yield f"{path}: its function must take one argument, the context"
        if options.effects not in EFFECTS:
            yield f"{path}.effects: {options.effects!r} is none of {', '.join(EFFECTS)}"
        if options.probe is not None and options.effects != "once":
            yield f'{path}.probe: only a node with effects="once" is ever probed'
        yield from _limit(options.max_visits, path)


def _takes_context(fn: Callable[..., object]) -> bool:
    try:
        inspect.signature(fn).bind(None)
    except (TypeError, ValueError):
        return False
    return True


def _barriers(graph: "Graph[Any, Any]") -> Iterator[str]:
    for barrier in graph.places:
        if not isinstance(barrier, Barrier):
            continue
        path, options = f"barriers.{barrier.name}", barrier.options
        if not barrier.exits:
            yield f"{path}.exits: nothing leads out of it"
        for name in barrier.exits:
            if not _NAME.fullmatch(name):
                yield f"{path}.exits: {name!r} is not a name"
        if options.timeout is not None and not 0 < options.timeout < float("inf"):
            yield f"{path}.timeout: {options.timeout} is not a number of seconds above 0"
        if options.timeout is not None and not isinstance(options.on_timeout, Fail):
            if not barrier.takes(options.on_timeout):
                declared = ", ".join(barrier.exits)
                yield f"{path}.on_timeout: it has no exit {options.on_timeout.exit!r} (it has {declared})"


def _edges(graph: "Graph[Any, Any]") -> Iterator[str]:
    for edge in graph.edges:
        path = f"nodes.{edge.source}.edges[{_position(graph, edge)}]"
        yield from _known(graph, edge.source, f"{path}.source")
        yield from _known(graph, edge.target, f"{path}.target")
        yield from _leaving(graph, edge, path)
        yield from _limit(edge.max_visits, path)
        if edge.fallback and (edge.when is not None or edge.on_error):
            yield f"{path}: a fallback edge has no `when` and no `on_error`: it is taken when nothing else is"


def _leaving(graph: "Graph[Any, Any]", edge: Edge[Any], path: str) -> Iterator[str]:
    source = next((place for place in graph.places if place.name == edge.source), None)
    if isinstance(source, Barrier):
        if not edge.exit:
            yield f"{path}: edges leave a barrier by its exits ({', '.join(source.exits)})"
        elif edge.exit not in source.exits:
            yield f"{path}: barrier {source.name!r} has no exit {edge.exit!r} (it has {', '.join(source.exits)})"
        if edge.on_error:
            yield f"{path}: a barrier does not fail, so `on_error` never applies"
    elif source is not None and edge.exit:
        yield f"{path}: node {source.name!r} has no exits; only barriers do"


def _rivals(graph: "Graph[Any, Any]") -> Iterator[str]:
    for what, pick in (("plain", _is_plain), ("fallback", lambda edge: edge.fallback)):
        counts = Counter((edge.source, edge.exit) for edge in graph.edges if pick(edge))
        for (source, exit_name), count in counts.items():
            if count > 1:
                where = f"{source}.{exit_name}" if exit_name else source
                hint = " (to run several at once, say parallel)" if what == "plain" else ""
                yield f"nodes.{where}: {count} {what} edges leave it, and only one can be taken{hint}"


def _is_plain(edge: Edge[Any]) -> bool:
    return edge.when is None and not edge.fallback and not edge.on_error


def _position(graph: "Graph[Any, Any]", edge: Edge[Any]) -> int:
    return [other.index for other in graph.edges if other.source == edge.source].index(edge.index)


def _limit(max_visits: int | None, path: str) -> Iterator[str]:
    if max_visits is not None and max_visits < 1:
        yield f"{path}.max_visits: {max_visits} would never let it be visited"


def _known(graph: "Graph[Any, Any]", name: str, path: str) -> Iterator[str]:
    names = [place.name for place in graph.places]
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else f" (there are {', '.join(names) or 'none'})"
        yield f"{path}: no node {name!r}{hint}"
