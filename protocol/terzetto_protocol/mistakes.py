"""Everything that is wrong with a declared graph, with the path of each mistake and a suggestion."""

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from .branch_mistakes import branch_mistakes
from .decisions import Exiting, Fail, Reject
from .declared import Declared, function_mistakes, unknown_place
from .fields import field_defaults, field_types, has_fields, is_frozen, transient_fields
from .forms import Form
from .ids import is_time
from .keyed import KeyedState, key_mistakes
from .migrations import migration_mistakes
from .places import EFFECTS, Barrier, Edge, Node, Place, as_barrier, as_node
from .plain_mistakes import plain_mistakes
from .retry import RetryPolicy
from .state import projection

if TYPE_CHECKING:
    from .declaration import Declaration
    from .graph import Graph

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_NO_NAME: Final = "is not a name (1 to 64 letters, digits, _ and -, beginning with a letter or _)"
_NO_FIELDS: Final = "is not an attrs class, a dataclass or a msgspec Struct"


def find_mistakes(graph: "Graph[Any, Any]") -> list[str]:
    """All mistakes, in the order in which a reader meets them; empty means that the graph can run."""
    checks = _names, _types, _start, _nodes, _barriers, branch_mistakes, _edges, _rivals, _migrations
    declared = Declared.of(graph)
    return [mistake for check in checks for mistake in check(declared)]


def _migrations(declared: Declared) -> Iterator[str]:
    yield from migration_mistakes(declared.graph)


def _names(declared: Declared) -> Iterator[str]:
    graph = declared.graph
    names = [place.name for place in graph.places]
    yield from name_mistakes(graph, names)
    for name, count in Counter(names).items():
        if count > 1:
            yield f"nodes.{name}: {count} nodes or barriers have this name"
    for name in sorted(set(graph.strangers)):
        yield f"nodes.{name}: this node or barrier belongs to another graph"


def name_mistakes(graph: "Declaration[Any, Any]", names: list[str]) -> Iterator[str]:
    """What is wrong with the names and numbers that every kind of graph has."""
    if not _NAME.fullmatch(graph.name):
        yield f"name: {graph.name!r} {_NO_NAME}"
    if not _VERSION.fullmatch(graph.version):
        yield f"version: {graph.version!r} is not a version (letters, digits, . _ + -)"
    if graph.max_steps < 1:
        yield f"max_steps: {graph.max_steps} allows no visit at all"
    for name in dict.fromkeys(names):
        yield from no_name(f"nodes.{name}", name)


def no_name(path: str, name: str) -> Iterator[str]:
    """That a text is not what places, exits and pins may be called."""
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        yield f"{path}: {name!r} {_NO_NAME}"


def _types(declared: Declared) -> Iterator[str]:
    graph = declared.graph
    yield from _state(graph.state)
    named = [(getattr(cls, "__name__", repr(cls)), cls) for cls in graph.mutations]
    for name, count in Counter(name for name, _ in named).items():
        if count > 1:
            yield f"mutations.{name}: {count} mutations have this name, and the name is how they are stored"
    for name, cls in named:
        yield from _mutation(f"mutations.{name}", cls)


def _state(cls: Any) -> Iterator[str]:
    if not has_fields(cls):
        yield f"state: {getattr(cls, '__name__', repr(cls))} {_NO_FIELDS}"
        return
    if issubclass(cls, KeyedState):
        yield from key_mistakes(cls)
    try:
        left_out = transient_fields(cls)
    except Exception as error:  # noqa: BLE001 - annotations are user code and may raise anything
        yield f"state: {error}"
        return
    for name in left_out:
        if name not in field_defaults(cls):
            yield f"state.{name}: a transient field needs a default, which a restored state begins with"
    for path, reason in _unstorable(cls, left_out):
        yield f"state{path}: {reason}" + (" (mark it transient, or give it to nodes as deps)" if path else "")


def _mutation(path: str, cls: Any) -> Iterator[str]:
    if not has_fields(cls):
        yield f"{path}: it {_NO_FIELDS}"
        return
    apply = getattr(cls, "apply", None)
    if not callable(apply):
        yield f"{path}: it has no method apply(self, state)"
    elif inspect.iscoroutinefunction(apply):
        yield f"{path}: its apply is async, and a mutation must not wait"
    if not is_frozen(cls):
        yield f"{path}: it is not frozen (use @attrs.frozen, @dataclass(frozen=True) or Struct, frozen=True)"
    for field, reason in _unstorable(cls, []):
        yield f"{path}{field}: {reason}"


def _unstorable(cls: type[Any], left_out: list[str]) -> Iterator[tuple[str, str]]:
    """The fields that nothing can store, or the class itself where no single field is to blame."""
    try:
        Form(projection(cls, left_out) if left_out else cls)
    except Exception as error:  # noqa: BLE001 - annotations are user code and may raise anything
        fields = list(_unstorable_fields(cls, left_out))
        yield from fields or [("", str(error))]


def _unstorable_fields(cls: type[Any], left_out: list[str]) -> Iterator[tuple[str, str]]:
    try:
        hints = field_types(cls)
    except Exception:  # noqa: BLE001 - as in _unstorable, which tells
        return
    for name, hint in hints.items():
        try:
            if name not in left_out:
                Form(hint)
        except Exception as error:  # noqa: BLE001 - as in _unstorable
            yield f".{name}", str(error)


def _start(declared: Declared) -> Iterator[str]:
    starts = declared.graph.starts
    if len(starts) != 1:
        yield f"start: a graph has exactly one start, this one has {len(starts)} (say graph.start(node))"
    for name in starts:
        yield from unknown_place(declared, name, "start")


def _nodes(declared: Declared) -> Iterator[str]:
    for node in filter(None, map(as_node, declared.graph.places)):
        options, path = node.options, f"nodes.{node.name}"
        is_async = node.runs == "as a task"
        yield from function_mistakes(node.fn, path, "its function", "one argument, the context", wants_async=is_async)
        yield from plain_mistakes(node, path)
        if options.effects not in EFFECTS:
            yield f"{path}.effects: {options.effects!r} is none of {', '.join(EFFECTS)}"
        elif options.has_side_effects and options.effects != "once":
            yield f'{path}.effects: has_side_effects=True means "once", not {options.effects!r}'
        if options.probe is not None:
            yield from _probe(node, path)
        yield from attempt_mistakes(node, path)


def attempt_mistakes(node: Node[Any, Any], path: str) -> Iterator[str]:
    """What is wrong with how often, how long and after what a node may run."""
    options = node.options
    yield from _limit(options.max_visits, path)
    if not isinstance(cast("object", options.retry), RetryPolicy | None):
        yield f"{path}.retry: {options.retry!r:.80} is no policy: say terzetto.RetryPolicy(max_attempts=...)"
    elif options.retry is not None:
        yield from options.retry.mistakes(f"{path}.retry")
        if options.effects == "once":
            yield f"{path}.retry: a once node is never run again by itself; leave the retry out, or say repeatable"
    for name in ("run_timeout", "idle_timeout"):
        seconds = getattr(options, name)
        if seconds is not None and not is_time(seconds):
            yield f"{path}.{name}: {seconds!r} is not a number of seconds above 0"


def _probe(node: Node[Any, Any], path: str) -> Iterator[str]:
    if node.options.effects != "once":
        yield f'{path}.probe: only a node with effects="once" is ever probed'
    assert node.options.probe is not None, "the caller looked"
    yield from function_mistakes(
        node.options.probe, f"{path}.probe", "it", "one argument, the context", wants_async=True
    )


def _barriers(declared: Declared) -> Iterator[str]:
    for barrier in filter(None, map(as_barrier, declared.graph.places)):
        path = f"barriers.{barrier.name}"
        if not barrier.exits:
            yield f"{path}.exits: nothing leads out of it"
        for name in barrier.exits:
            yield from no_name(f"{path}.exits", name)
        yield from _timeout(barrier, path)


def _timeout(barrier: Barrier[Any], path: str) -> Iterator[str]:
    timeout, decision = barrier.options.timeout, barrier.options.on_timeout
    if timeout is None:
        if decision != Reject():
            yield f"{path}.on_timeout: it never happens without a timeout"
        return
    if not is_time(timeout):
        yield f"{path}.timeout: {timeout!r} is not a number of seconds above 0"
    if not isinstance(cast("object", decision), Exiting | Fail):
        yield f"{path}.on_timeout: {decision!r:.80} is neither a way out of it, as Reject(), nor Fail()"
    elif not isinstance(decision, Fail) and not barrier.takes(decision):
        declared = ", ".join(barrier.exits)
        yield f"{path}.on_timeout: it has no exit {decision.exit!r} (it has {declared})"


def _edges(declared: Declared) -> Iterator[str]:
    for edge in declared.graph.edges:
        path = f"nodes.{edge.source}.edges[{declared.positions[edge.index]}]"
        yield from unknown_place(declared, edge.source, f"{path}.source")
        yield from unknown_place(declared, edge.target, f"{path}.target")
        yield from _leaving(declared.places.get(edge.source), edge, path)
        yield from _limit(edge.max_visits, path)
        if edge.when is not None:
            yield from function_mistakes(edge.when, f"{path}.when", "the predicate", "one argument, the state")
        if edge.fallback and (edge.when is not None or edge.on_error):
            yield f"{path}: a fallback edge has no `when` and no `on_error`: it is taken when nothing else is"


def _leaving(source: Place[Any] | None, edge: Edge[Any], path: str) -> Iterator[str]:
    barrier = as_barrier(source)
    if barrier is not None:
        if not edge.exit:
            yield f"{path}: edges leave a barrier by its exits ({', '.join(barrier.exits)})"
        elif edge.exit not in barrier.exits:
            yield f"{path}: barrier {barrier.name!r} has no exit {edge.exit!r} (it has {', '.join(barrier.exits)})"
        if edge.on_error:
            yield f"{path}: a barrier does not fail, so `on_error` never applies"
    elif source is not None and edge.exit:
        yield f"{path}: node {source.name!r} has no exits; only barriers do"


def _rivals(declared: Declared) -> Iterator[str]:
    kinds = Counter((edge.origin, _kind(edge)) for edge in declared.graph.edges)
    for (origin, kind), count in kinds.items():
        if kind and count > 1:
            hint = " (to run several at once, say parallel)" if kind == "plain" else ""
            yield f"nodes.{origin}: {count} {kind} edges leave it, and only one can be taken{hint}"


def _kind(edge: Edge[Any]) -> str:
    """What there may be only one of, out of one place; empty for edges that have a predicate."""
    if edge.fallback:
        return "fallback"
    if edge.when is not None:
        return ""
    return "unconditional on_error" if edge.on_error else "plain"


def _limit(max_visits: int | None, path: str) -> Iterator[str]:
    if max_visits is not None and max_visits < 1:
        yield f"{path}.max_visits: {max_visits} would never let it be visited"
