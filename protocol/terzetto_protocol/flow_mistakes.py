"""Everything that is wrong with a declared dataflow, with the path of each mistake and a suggestion."""

import inspect
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from .closest import closest
from .codec import check_text
from .errors import InvalidInput, InvalidRequest, Malformed, NotStorable
from .flow_state import INPUTS
from .forms import Form
from .limits import ID_LENGTH
from .migrations import migration_mistakes
from .mistakes import attempt_mistakes, name_mistakes
from .pins import assemble, parse_pin
from .places import EFFECTS, ON_CANCEL, Node, as_node
from .plain_mistakes import only_begins
from .wiring import ERROR, OUTPUTS, Link, Pinned, as_plain

if TYPE_CHECKING:
    from .dataflow import Dataflow, SubFlow

_SCALARS: Final = frozenset({str, bytes, bool, int, float, list, dict})


def flow_mistakes(flow: "Dataflow[Any]") -> list[str]:
    """All mistakes, in the order in which a reader meets them; empty means that it can run."""
    return list(_mistakes(flow, [flow]))


def _mistakes(flow: "Dataflow[Any]", seen: list["Dataflow[Any]"]) -> Iterator[str]:
    yield from flow.wrong
    for check in _names, _pins, _nodes:
        yield from check(flow)
    yield from _inner(flow, seen)
    for check in _links, _missing:
        yield from check(flow)
    yield from migration_mistakes(flow)


def _names(flow: "Dataflow[Any]") -> Iterator[str]:
    yield from name_mistakes(flow, [name for name, _ in flow.nodes])
    if flow.limit is not None and flow.limit < 1:
        yield f"limit: with {flow.limit} nothing would ever run"
    if flow.on_node_error not in ("continue", "fail"):
        yield f"on_node_error: {flow.on_node_error!r} is neither 'continue' nor 'fail'"
    for name, count in Counter(name for name, _ in flow.nodes).items():
        if count > 1:
            what = "is what the dataflow's own inputs are called" if name == INPUTS else f"{count} nodes have this name"
            yield f"nodes.{name}: {what}"
    if any(name == OUTPUTS for name, _ in flow.nodes):
        yield f"nodes.{OUTPUTS}: is what the dataflow's own outputs are called"


def _pins(flow: "Dataflow[Any]") -> Iterator[str]:
    for name, pin in flow.inputs.items():
        yield from _pin(f"inputs.{name}", name, pin.type)
        if not pin.is_needed:
            yield from _default(f"inputs.{name}", name, pin.type, pin.default)
    for name, kind in flow.outputs.items():
        yield from _pin(f"outputs.{name}", name, kind)
    for node, spec in flow.nodes:
        if node not in flow.inner:  # whose pins are looked at there
            for name, kind in [*((name, pin.type) for name, pin in spec.inputs.items()), *spec.outputs.items()]:
                yield from _pin(f"nodes.{node}.{name}", name, kind)
            if ERROR in spec.outputs:
                yield f"nodes.{node}.{ERROR}: every node has this output, and what it sends is a text"
        for name, value in spec.defaults.items():
            yield from _default(f"nodes.{node}.{name}", name, _wanted(spec, name), value)


def _pin(path: str, name: str, kind: Any) -> Iterator[str]:
    if not _is_whole(name):
        yield f"{path}: {name!r} is not what a pin may be called (1 to {ID_LENGTH} characters, no _$_, _#_ or _@_)"
    try:
        Form(kind)
    except TypeError as error:
        yield f"{path}: {error}"


def _is_whole(name: str) -> bool:
    """Whether this is a pin's name that reaches into nothing; agents of AutoGPT have any text for one."""
    try:
        return 0 < len(check_text(name, "")) <= ID_LENGTH and parse_pin(name) == (name, ())
    except (TypeError, NotStorable, Malformed):
        return False


def _default(path: str, name: str, kind: Any, value: Any) -> Iterator[str]:
    try:
        as_plain("", name, kind, value)
    except InvalidInput as error:
        yield f"{path}: its default does not fit: {error.reason}"
    except TypeError:
        return  # told where the type is


def _wanted(spec: Pinned, name: str) -> Any:
    """The type of what a default gives; anything where it is a part of an input."""
    return spec.inputs[name].type if name in spec.inputs else Any


def _nodes(flow: "Dataflow[Any]") -> Iterator[str]:
    for node in filter(None, map(as_node, flow.places)):
        options, path = node.options, f"nodes.{node.name}"
        if options.effects not in EFFECTS:
            yield f"{path}.effects: {options.effects!r} is none of {', '.join(EFFECTS)}"
        yield from attempt_mistakes(node, path)
        yield from _function(node, path)


def _function(node: Node[Any, Any], path: str) -> Iterator[str]:
    """A function that is called and does nothing, or that cannot keep what was said about it."""
    bare, on_cancel = inspect.unwrap(node.fn), node.options.on_cancel
    waits = inspect.iscoroutinefunction(bare) or inspect.isasyncgenfunction(bare)
    if on_cancel not in (None, *ON_CANCEL):
        yield f"{path}.on_cancel: {on_cancel!r} is none of {', '.join(ON_CANCEL)}"
    elif on_cancel is not None and waits:
        yield f"{path}.on_cancel: only a plain `def` in a thread needs it, and this is an `async def`"
    if not waits and only_begins(node.fn):
        yield f"{path}: its function must be `async def`, which may yield, or a plain `def` that is no generator"


def _inner(flow: "Dataflow[Any]", seen: list["Dataflow[Any]"]) -> Iterator[str]:
    """Mistakes of what it runs, each told where it is met first: it may run itself."""
    from .dataflow import SubFlow

    for name, inner in flow.inner.items():
        if not any(inner is each for each in seen):
            seen.append(inner)
            yield from (f"nodes.{name}: {mistake}" for mistake in _mistakes(inner, seen))
    for place in flow.places:
        if isinstance(place, SubFlow):
            yield from _masks(place)


def _masks(place: "SubFlow") -> Iterator[str]:
    for node, pins in place.masks.items():
        try:
            place.flow.mask(node, pins)
        except InvalidInput as error:
            yield f"nodes.{place.name}.masks: {error}"


def _links(flow: "Dataflow[Any]") -> Iterator[str]:
    nodes = dict(flow.nodes)
    for number, link in enumerate(flow.links):
        path = f"links[{number}]"
        yield from _source(flow, nodes, link, path)
        if link.sink != OUTPUTS:
            yield from _sink(nodes, link, path)
        yield from _fits(flow, nodes, link, path)


def _source(flow: "Dataflow[Any]", nodes: dict[str, Pinned], link: Link, path: str) -> Iterator[str]:
    if link.source == INPUTS:
        yield from _known(link.output, flow.inputs, f"{path}: the dataflow has no input")
    elif link.source not in nodes:
        yield from _known(link.source, nodes, f"{path}: there is no node")
    elif link.output != ERROR and not (nodes[link.source].sends_any or _bad(link.output)):  # a bad one is told already
        yield from _known(link.output, nodes[link.source].outputs, f"{path}: node {link.source!r} has no output")


def _sink(nodes: dict[str, Pinned], link: Link, path: str) -> Iterator[str]:
    if link.sink not in nodes or link.sink == INPUTS:
        yield from _known(link.sink, [name for name in nodes if name != INPUTS], f"{path}: there is no node")
        return
    try:
        base, _ = parse_pin(link.pin)
    except Malformed as error:
        yield f"{path}: {error}"
        return
    if not nodes[link.sink].is_open:
        yield from _known(base, nodes[link.sink].inputs, f"{path}: node {link.sink!r} has no input")


def _known(name: str, names: Any, text: str) -> Iterator[str]:
    if name not in names:
        close = closest(name, names)
        hint = f" (did you mean {close!r}?)" if close else f" (there are {', '.join(list(names)[:10]) or 'none'})"
        yield f"{text} {name!r}{hint}"


def _fits(flow: "Dataflow[Any]", nodes: dict[str, Pinned], link: Link, path: str) -> Iterator[str]:
    """Types that can never fit, as far as plain ones say it."""
    if link.steps:
        return
    sent, taken = _sent(flow, nodes, link), _taken(flow, nodes, link)
    both = sent in _SCALARS and taken in _SCALARS
    if both and sent is not taken and (sent, taken) != (int, float):
        where = f"output {link.pin!r}" if link.sink == OUTPUTS else f"{link.sink}.{link.pin}"
        yield f"{path}: {link.source_name} sends {_called(sent)}, and {where} takes {_called(taken)}"


def _sent(flow: "Dataflow[Any]", nodes: dict[str, Pinned], link: Link) -> Any:
    if link.source == INPUTS:
        return flow.inputs[link.output].type if link.output in flow.inputs else None
    if link.source not in nodes:
        return None
    return str if link.output == ERROR else nodes[link.source].outputs.get(link.output)


def _taken(flow: "Dataflow[Any]", nodes: dict[str, Pinned], link: Link) -> Any:
    if link.sink == OUTPUTS:
        return flow.outputs.get(link.pin)
    sink = nodes.get(link.sink)
    return sink.inputs[link.pin].type if sink is not None and link.pin in sink.inputs else None


def _called(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _missing(flow: "Dataflow[Any]") -> Iterator[str]:
    """Inputs that nothing can ever fill, and pins that cannot be filled together."""
    linked: dict[str, dict[str, None]] = {}
    for link in flow.links:
        linked.setdefault(link.sink, {})[link.pin] = None
    for node, spec in flow.nodes:
        together = {**spec.defaults, **linked.get(node, {})}
        try:
            filled = assemble(together)
        except (InvalidRequest, Malformed) as error:
            if not any(_bad(name) for name in linked.get(node, ())):
                yield f"nodes.{node}: {error}"
            continue
        for name in spec.defaults:
            if not spec.is_open and parse_pin(name)[0] not in spec.inputs:
                yield f"nodes.{node}: it has no input {name!r} to give a default to"
        for name, pin in spec.inputs.items():
            if name not in filled and pin.is_needed:
                yield f"nodes.{node}.{name}: no link leads to it, and it has no default"


def _bad(name: str) -> bool:
    try:
        parse_pin(name)
    except Malformed:
        return True
    return False
