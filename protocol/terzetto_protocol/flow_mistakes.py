"""Everything that is wrong with a declared dataflow, with the path of each mistake and a suggestion."""

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from .errors import InvalidRequest, Malformed
from .forms import Form
from .mistakes import name_mistakes
from .pins import MISSING, assemble, parse_pin
from .places import EFFECTS, as_node
from .wiring import ERROR, INPUTS, OUTPUTS, Link, Pinned

if TYPE_CHECKING:
    from .dataflow import Dataflow

_SCALARS: Final = frozenset({str, bytes, bool, int, float, list, dict})


def flow_mistakes(flow: "Dataflow[Any]") -> list[str]:
    """All mistakes, in the order in which a reader meets them; empty means that it can run."""
    checks = _names, _pins, _nodes, _inner, _links, _missing
    return [*flow.wrong, *(mistake for check in checks for mistake in check(flow))]


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
        yield from _type(f"inputs.{name}", pin.type)
    for node, spec in flow.nodes:
        for name, pin in spec.inputs.items():
            yield from _type(f"nodes.{node}.{name}", pin.type)
        for name, kind in spec.outputs.items():
            yield from _type(f"nodes.{node}.{name}", kind)
            if name == ERROR:
                yield f"nodes.{node}.{ERROR}: every node has this output, and what it sends is a text"


def _type(path: str, kind: Any) -> Iterator[str]:
    try:
        Form(kind)
    except TypeError as error:
        yield f"{path}: {error}"


def _nodes(flow: "Dataflow[Any]") -> Iterator[str]:
    for node in filter(None, map(as_node, flow.places)):
        options = node.options
        if options.effects not in EFFECTS:
            yield f"nodes.{node.name}.effects: {options.effects!r} is none of {', '.join(EFFECTS)}"
        if options.effects == "once" and options.retry is not None:
            yield f"nodes.{node.name}.retry: a once node is never tried again by itself"


def _inner(flow: "Dataflow[Any]") -> Iterator[str]:
    from .dataflow import SubFlow

    for place in flow.places:
        if isinstance(place, SubFlow) and not place.flow.building:  # one that runs itself is looked at already
            place.flow.building = True
            try:
                yield from (f"nodes.{place.name}: {mistake}" for mistake in place.flow.mistakes())
            finally:
                place.flow.building = False


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
    elif link.output != ERROR and not nodes[link.source].sends_any:
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
        close = get_close_matches(name, list(names), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else f" (there are {', '.join(list(names)[:10]) or 'none'})"
        yield f"{text} {name!r}{hint}"


def _fits(flow: "Dataflow[Any]", nodes: dict[str, Pinned], link: Link, path: str) -> Iterator[str]:
    """Types that can never fit, as far as plain ones say it."""
    sink = nodes.get(link.sink)
    if sink is None or link.steps or link.pin not in sink.inputs:
        return
    sent = flow.inputs[link.output].type if link.source == INPUTS and link.output in flow.inputs else None
    if link.source in nodes and link.source != INPUTS:
        sent = str if link.output == ERROR else nodes[link.source].outputs.get(link.output)
    taken = sink.inputs[link.pin].type
    both = sent in _SCALARS and taken in _SCALARS
    if both and sent is not taken and (sent, taken) != (int, float):
        yield f"{path}: {link.source_name} sends {_called(sent)}, and {link.sink}.{link.pin} takes {_called(taken)}"


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
            if name not in filled and pin.default is MISSING:
                yield f"nodes.{node}.{name}: no link leads to it, and it has no default"


def _bad(name: str) -> bool:
    try:
        parse_pin(name)
    except Malformed:
        return True
    return False
