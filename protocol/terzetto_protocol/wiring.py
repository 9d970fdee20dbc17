"""Links, and what they do with a value: pure moves of a dataflow's state.

A visit takes one value from each of its linked pins. The n-th value of a pin goes to the n-th visit; a static
link instead keeps its last value, for every visit that is still to come. All links of one value carry it at once,
so that a visit that it completes has the same value from a static link. A visit whose pins are all filled
gets a ticket, under which its values wait for it. The log holds what was sent and which tickets were used up;
what follows from that is computed anew wherever the log is folded. That is why the log names its links: by others
it is not folded.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, cast

import msgspec
from attrs import frozen
from msgspec import Raw

from .codec import check_plain, pack
from .decisions import Recorded
from .errors import InvalidInput, InvalidRequest, Malformed, NotStorable
from .flow_sent import digest_of, sent_before
from .flow_state import INPUTS, FlowState, Out, Packed, Passed, Pins, Task
from .forms import Form
from .limits import ERROR_LENGTH, MESSAGE_BYTES
from .pins import MISSING, Step, assemble, parse_pin, take
from .records import Failure

OUTPUTS: Final = "outputs"
"""Where links lead whose values come out of the dataflow."""
ERROR: Final = "error"
"""The output that every node has: what went wrong with a visit."""
OTHER_LINKS: Final = (
    "the links of this dataflow are not those that the run began with (give one that links otherwise another version)"
)
"""What is said of a dataflow whose links were changed under the same version, or under a migration."""
_ANYTHING: Final = Form[Any](cast("Any", Any))
_passed: Final = Form(Passed)
_ticket: Final = Form(int)
_mark: Final[Form[str | None]] = Form(cast("Any", str | None))


@frozen
class Link:
    """One way from an output (or a part of what it sends) to a pin."""

    source: str
    output: str
    steps: tuple[Step, ...]
    sink: str
    pin: str
    static: bool = False

    @property
    def source_name(self) -> str:
        """Where it begins, as messages name it."""
        return f"{self.source}.{self.output}"


@frozen
class Pin:
    """What a node takes in under one name."""

    name: str
    type: Any = Any
    default: Any = MISSING

    @property
    def is_needed(self) -> bool:
        """Whether something has to bring a value for it."""
        return self.default is MISSING


@frozen
class Pinned:
    """What a node takes and sends."""

    inputs: Mapping[str, Pin]
    outputs: Mapping[str, Any]
    """Types by names."""
    is_open: bool = False
    """Whether it takes inputs under other names too."""
    sends_any: bool = False
    """Whether it sends outputs under other names too."""
    defaults: Mapping[str, Any] = {}
    """Plain values for pins that no link fills; the names may reach into a value."""

    def check_pin(self, node: str, name: str) -> None:
        """Raise `InvalidInput` for a pin that the node does not have."""
        try:
            base, _ = parse_pin(name)
        except Malformed as error:
            raise InvalidInput(node, name, error.reason) from error
        if base not in self.inputs and not self.is_open:
            known = ", ".join(self.inputs) or "none"
            raise InvalidInput(node, name, f"it has no input of this name; it has {known}")


class Wiring:
    """All nodes and links of one dataflow."""

    def __init__(self, nodes: Mapping[str, Pinned], links: Iterable[Link], *, goes_on: bool, limit: int | None) -> None:
        self.nodes: Final = dict(nodes)
        self.links: Final = tuple(links)
        self.goes_on: Final = goes_on
        """Whether a failed visit whose error nobody takes leaves the run going."""
        self.limit: Final = limit
        """Visits that are under way at once."""
        self._from: Final[dict[tuple[str, str], list[Link]]] = {}
        self._into: Final[dict[str, list[str]]] = {}
        for link in self.links:
            self._from.setdefault((link.source, link.output), []).append(link)
            pins = self._into.setdefault(link.sink, [])
            if link.pin not in pins:
                pins.append(link.pin)
        self._takes: Final = {
            node: {name: Form[Any](pin.type) for name, pin in spec.inputs.items()} for node, spec in self.nodes.items()
        }
        self._sends: Final = {
            node: {name: Form[Any](kind) for name, kind in spec.outputs.items() if kind is not Any}
            for node, spec in self.nodes.items()
        }

    # -- which links they are ----------------------------------------------------------------------------------

    @cached_property
    def mark(self) -> str:
        """Stands for all links, in the log and in the state."""
        return self.mark_as(str)

    def mark_as(self, named: Callable[[str], str]) -> str:
        """What `mark` is where nodes have these names: its first half is about nodes, its second about outputs."""
        ways = [
            [named(link.source), link.output, link.steps, named(link.sink), link.pin, link.static]
            for link in self.links
        ]
        alone = [named(node) for node in self.nodes if node not in self._into]
        between = [way for way in ways if way[3] != OUTPUTS]
        return f"{_digest([between, alone])}-{_digest([way for way in ways if way[3] == OUTPUTS])}"

    def fits(self, state: FlowState) -> bool:
        """Whether these are the links that the values of a run have gone along; so they are where nothing is known."""
        return state.wiring in ("", self.mark)

    # -- what goes into the log --------------------------------------------------------------------------------

    def begun(self, mark: str = "") -> Recorded:
        """The dataflow's inputs go out, and nodes that wait for nothing begin; `mark` says along other links."""
        return Recorded("@begun", Raw(pack(mark or self.mark, "links")))

    def passed(self, ticket: int, node: str, output: str, value: bytes) -> Recorded:
        """A visit sent a value, which is encoded; raises `NotStorable` for one that is too large."""
        body = pack(Packed(ticket, node, output, Raw(value)), f"what {node!r} sends as {output!r}", MESSAGE_BYTES)
        return Recorded("@passed", Raw(body))

    def failed(self, ticket: int, node: str, failure: Failure) -> list[Recorded]:
        """A visit has failed: what went wrong comes out of it, as one text."""
        text = "; ".join(failure.errors) or failure.message
        text = text if len(text) <= ERROR_LENGTH else f"{text[:ERROR_LENGTH]}... ({len(text)} characters)"
        return [self.passed(ticket, node, ERROR, pack(text, ERROR)), self.over(ticket)]

    def confirmed(self, ticket: int, node: str, sent: bytes | bytearray, values: Iterable[Recorded]) -> list[Recorded]:
        """A visit did happen, and sent these in all: encoded values by the names of their outputs.

        Those that are known from `sent` have gone on. Raises `InvalidRequest` for an output that it does not have
        and for a value that was another, `Malformed` or `NotStorable` for one that is none.
        """
        moves: list[Recorded] = []
        for number, each in enumerate(values):
            form = self._sends[node].get(each.name, _ANYTHING)
            data = self.encode(node, each.name, form.unpack(each.body, f"what {node!r} sends as {each.name!r}"))
            if (known := sent_before(sent, number)) is None:
                moves.append(self.passed(ticket, node, each.name, data))
            elif known != digest_of(each.name, data):
                raise InvalidRequest(f"what {node!r} sent as number {number} was another value, which has gone on")
        return [*moves, self.over(ticket)]

    def over(self, ticket: int) -> Recorded:
        """A visit has ended: nobody needs what it took in any more."""
        return Recorded("@over", Raw(msgspec.msgpack.encode(ticket)))

    def moves(self) -> dict[str, "Callable[[Raw], Move]"]:
        """What revives these from the log, by their names."""
        return {
            "@begun": lambda body: Move(self._begin, _mark.unpack(body, "links") or ""),
            "@passed": lambda body: Move(self._pass, _passed.unpack(body, "what a visit sent")),
            "@over": lambda body: Move(self._end, _ticket.unpack(body, "the end of a visit")),
        }

    # -- what they do ------------------------------------------------------------------------------------------

    def _begin(self, state: FlowState, mark: str) -> None:
        state.wiring = mark
        self._check(state)
        for name, value in state.given.items():
            self._deliver(state, INPUTS, name, value)
        for node in self.nodes:
            if node not in (INPUTS, OUTPUTS) and node not in self._into:
                _issue(state, Task(node, {}))

    def _check(self, state: FlowState) -> None:
        if not self.fits(state):
            raise InvalidRequest(OTHER_LINKS)

    def _pass(self, state: FlowState, what: Passed) -> None:
        self._check(state)
        self._deliver(state, what.node, what.output, what.value)

    def _end(self, state: FlowState, ticket: int) -> None:
        state.tasks.pop(ticket, None)

    def _deliver(self, state: FlowState, node: str, output: str, value: Any) -> None:
        """Carry a value along all of its links, and only then look at what is complete."""
        reached: dict[str, bool] = {}
        for link in self._from.get((node, output), ()):
            part = take(value, link.steps)
            if part is MISSING:
                continue  # this value has no such part: there is nothing to bring
            if link.sink == OUTPUTS:
                state.sent.append(Out(link.pin, part))
                continue
            if link.static:
                state.lasting.setdefault(link.sink, {})[link.pin] = part
            else:
                state.waiting.setdefault(link.sink, {}).setdefault(link.pin, []).append(part)
            reached[link.sink] = reached.get(link.sink, False) or link.static
        for sink, fresh in reached.items():
            self._complete(state, sink, fresh=fresh)

    def _complete(self, state: FlowState, sink: str, *, fresh: bool) -> None:
        """Issue a ticket for every visit whose pins are filled; a `fresh` lasting value is one that no visit had."""
        waiting, lasting, pins = state.waiting.get(sink, {}), state.lasting.get(sink, {}), self._into[sink]
        while (fresh or waiting) and all(pin in waiting or pin in lasting for pin in pins):
            _issue(state, Task(sink, {pin: _next(waiting, pin, lasting) for pin in pins}))
            fresh = False
        if not waiting:
            state.waiting.pop(sink, None)

    # -- what a visit gets -------------------------------------------------------------------------------------

    def takes_error(self, node: str) -> bool:
        """Whether anything waits for what goes wrong with this node."""
        return (node, ERROR) in self._from

    def arguments(self, state: FlowState, ticket: int) -> Pins:
        """What a node is called with: defaults, what came in, and over it what the run masks.

        Every value is a copy of its own and of its declared type. Raises `InvalidInput` for what does not fit.
        """
        task = state.tasks[ticket]
        spec = self.nodes[task.node]
        try:
            found = assemble(spec.defaults)
            for layer in task.pins, state.masks.get(task.node, {}):
                found = assemble({**_below(spec, layer), **found, **layer}) if layer else found
        except (InvalidRequest, Malformed, NotStorable) as error:
            raise InvalidInput(task.node, "", str(error)) from error
        return dict(self._checked(task.node, spec, found))

    def _checked(self, node: str, spec: Pinned, found: Pins) -> Iterator[tuple[str, Any]]:
        for name, value in found.items():
            if name not in spec.inputs:
                spec.check_pin(node, name)
            yield name, self._fit(node, name, value)
        for name, pin in spec.inputs.items():
            if name not in found and pin.is_needed:
                raise InvalidInput(node, name, "nothing came in, and it has no default")

    def _fit(self, node: str, name: str, value: Any) -> Any:
        try:
            return self._takes[node].get(name, _ANYTHING).unpack(pack(value, name), name)
        except (Malformed, NotStorable) as error:
            raise InvalidInput(node, name, error.reason) from error

    def encode(self, node: str, output: str, value: Any) -> bytes:
        """A value as it is sent; raises `InvalidRequest` for an unknown output, and `NotStorable`."""
        spec = self.nodes[node]
        if output == ERROR:
            raise InvalidRequest(f"node {node!r}: raise what went wrong, and it comes out as {ERROR!r}")
        if output not in spec.outputs and not spec.sends_any:
            known = ", ".join(spec.outputs) or "none"
            raise InvalidRequest(f"node {node!r} has no output {output!r}; it has {known}")
        what = f"what {node!r} sends as {output!r}"
        form = self._sends[node].get(output)
        data = pack(value, what) if form is None else form.pack(value, what)
        check_plain(data, what)
        return data


@frozen
class Move:
    """One move of a dataflow's state, as the log has it."""

    do: Callable[[FlowState, Any], None]
    what: Any = None

    def apply(self, state: FlowState) -> None:
        """Make it."""
        self.do(state, self.what)


def _issue(state: FlowState, task: Task) -> None:
    state.issued += 1
    state.tasks[state.issued] = task


def _next(waiting: dict[str, list[Any]], pin: str, lasting: Pins) -> Any:
    """The next value of a pin: what waits goes before what lasts."""
    queue = waiting.get(pin)
    if queue is None:
        return lasting[pin]
    value = queue.pop(0)
    if not queue:
        del waiting[pin]
    return value


def _below(spec: Pinned, pins: Iterable[str]) -> Pins:
    """The declared defaults, as plain data, of those inputs of which these pins bring parts only."""
    bases = {parse_pin(name)[0] for name in pins}.difference(pins)
    found = {name: spec.inputs[name].default for name in bases if name in spec.inputs}
    plain = {name: pack(value, name) for name, value in found.items() if value is not MISSING}
    return {name: msgspec.msgpack.decode(data) for name, data in plain.items()}


def as_plain(node: str, name: str, kind: Any, value: Any) -> Any:
    """A value of a type, or plain data that fits it, as plain data; raises `InvalidInput`."""
    form = Form[Any](kind)
    try:
        data = _packed(form, value, name)
        check_plain(data, name)
    except (NotStorable, Malformed) as error:
        raise InvalidInput(node, name, error.reason) from error
    return msgspec.msgpack.decode(data)


def _packed(form: Form[Any], value: Any, name: str) -> bytes:
    try:
        return form.pack(value, name)
    except NotStorable:  # it may be what such a value is stored as
        data = pack(value, name)
        form.unpack(data, name)
        return data


def began_with(entry: Recorded) -> str:
    """The mark of the links by which a dataflow began; empty in a log that does not say."""
    return _mark.unpack(entry.body, "links") or ""


def same_between(mark: str, other: str) -> bool:
    """Whether two marks are of the same links between nodes; where they lead out of the dataflow may differ."""
    return mark.partition("-")[0] == other.partition("-")[0]


def _digest(ways: Any) -> str:
    return hashlib.blake2b(msgspec.msgpack.encode(ways), digest_size=8).hexdigest()
