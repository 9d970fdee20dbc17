"""Links, and what they do with a value: pure moves of a dataflow's state.

A visit takes one value from each of its linked pins. The n-th value of a pin goes to the n-th visit; a static
link instead keeps its last value, for every visit that is still to come. A visit whose pins are all filled
gets a ticket, under which its values wait for it. The log holds what was sent and which tickets were used up;
what follows from that is computed anew wherever the log is folded.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from attrs import frozen
from msgspec import Raw

from .codec import pack
from .decisions import Recorded
from .errors import InvalidInput, InvalidRequest, Malformed, NotStorable
from .flow_state import FlowState, Out, Packed, Passed, Pins, Task
from .forms import Form
from .limits import MESSAGE_BYTES
from .pins import MISSING, Step, assemble, take

INPUTS: Final = "inputs"
"""The place where a dataflow begins: its own inputs come out of it."""
OUTPUTS: Final = "outputs"
"""Where links lead whose values come out of the dataflow."""
ERROR: Final = "error"
"""The output that every node has: what went wrong with a visit."""


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
        self._forms: Final[dict[Any, Form[Any]]] = {}

    # -- what goes into the log --------------------------------------------------------------------------------

    def begun(self) -> Recorded:
        """The dataflow's inputs go out, and nodes that wait for nothing begin."""
        return Recorded("@begun", Raw(b"\xc0"))

    def passed(self, ticket: int, node: str, output: str, value: bytes) -> Recorded:
        """A visit sent a value, which is encoded; raises `NotStorable` for one that is too large."""
        body = pack(Packed(ticket, node, output, Raw(value)), f"what {node!r} sends as {output!r}", MESSAGE_BYTES)
        return Recorded("@passed", Raw(body))

    def failed(self, ticket: int, node: str, text: str) -> list[Recorded]:
        """A visit has failed: what went wrong comes out of it."""
        return [self.passed(ticket, node, ERROR, pack(text, ERROR)), self.over(ticket)]

    def over(self, ticket: int) -> Recorded:
        """A visit has ended: nobody needs what it took in any more."""
        return Recorded("@over", Raw(msgspec.msgpack.encode(ticket)))

    def moves(self) -> dict[str, "Callable[[Raw], Move]"]:
        """What revives these from the log, by their names."""
        return {
            "@begun": lambda _: Move(self._begin),
            "@passed": lambda body: Move(self._pass, _decode(body)),
            "@over": lambda body: Move(self._end, msgspec.msgpack.decode(body, type=int)),
        }

    # -- what they do ------------------------------------------------------------------------------------------

    def _begin(self, state: FlowState, _: object) -> None:
        for name, value in state.given.items():
            self._deliver(state, INPUTS, name, value)
        for node in self.nodes:
            if node not in (INPUTS, OUTPUTS) and node not in self._into:
                _issue(state, Task(node, {}))

    def _pass(self, state: FlowState, what: Passed) -> None:
        self._deliver(state, what.node, what.output, what.value)

    def _end(self, state: FlowState, ticket: int) -> None:
        state.tasks.pop(ticket, None)

    def _deliver(self, state: FlowState, node: str, output: str, value: Any) -> None:
        for link in self._from.get((node, output), ()):
            part = take(value, link.steps)
            if part is MISSING:
                continue  # this value has no such part: there is nothing to bring
            if link.sink == OUTPUTS:
                state.sent.append(Out(link.pin, part))
            else:
                self._arrive(state, link, part)

    def _arrive(self, state: FlowState, link: Link, value: Any) -> None:
        if link.static:
            state.lasting.setdefault(link.sink, {})[link.pin] = value
        else:
            state.waiting.setdefault(link.sink, {}).setdefault(link.pin, []).append(value)
        fresh = link.static
        waiting, lasting = state.waiting.get(link.sink, {}), state.lasting.get(link.sink, {})
        pins = self._into[link.sink]
        while (fresh or waiting) and all(pin in waiting or pin in lasting for pin in pins):
            _issue(state, Task(link.sink, {pin: _next(waiting, pin, lasting) for pin in pins}))
            fresh = False
        if not waiting:
            state.waiting.pop(link.sink, None)

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
            found = assemble({**spec.defaults, **task.pins})
            found = assemble({**found, **state.masks.get(task.node, {})}) if task.node in state.masks else found
        except (InvalidRequest, Malformed) as error:
            raise InvalidInput(task.node, "", str(error)) from error
        return dict(self._checked(task.node, spec, found))

    def _checked(self, node: str, spec: Pinned, found: Pins) -> Iterator[tuple[str, Any]]:
        for name, value in found.items():
            pin = spec.inputs.get(name)
            if pin is None and not spec.is_open:
                raise InvalidInput(
                    node, name, f"it has no input of this name; it has {', '.join(spec.inputs) or 'none'}"
                )
            yield name, self._fit(node, name, Any if pin is None else pin.type, value)
        for name, pin in spec.inputs.items():
            if name not in found and pin.default is MISSING:
                raise InvalidInput(node, name, "nothing came in, and it has no default")

    def _fit(self, node: str, name: str, wanted: Any, value: Any) -> Any:
        try:
            return self._form(wanted).unpack(pack(value, name), name)
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
        what, wanted = f"what {node!r} sends as {output!r}", spec.outputs.get(output, Any)
        return pack(value, what) if wanted is Any else self._form(wanted).pack(value, what)

    def _form(self, of: Any) -> Form[Any]:
        if of not in self._forms:
            self._forms[of] = Form(of)
        return self._forms[of]


_decode: Final = msgspec.msgpack.Decoder(Passed).decode


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


DIGEST_BYTES: Final = 16
"""Bytes of what a visit remembers of each value that it has sent."""


def digest_of(output: str, value: bytes) -> bytes:
    """What tells a value that was sent from every other."""
    return hashlib.blake2b(value, digest_size=DIGEST_BYTES, key=output.encode()[:64]).digest()


def sent_before(digests: bytes, number: int) -> bytes | None:
    """The digest of what was sent as this number, if it was."""
    first = number * DIGEST_BYTES
    return digests[first : first + DIGEST_BYTES] or None
