"""Declaring a dataflow: nodes with named inputs and outputs, and links that carry values from one to the next.

A node runs whenever a value has come in for each of its linked inputs; what it sends goes on at once. Nobody
says what comes next: the values do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Final, Generic, Literal, ParamSpec, Protocol, TypeAlias, cast

from attrs import frozen
from msgspec import Raw
from typing_extensions import TypeVar

from .checkpoints import CheckpointPolicy
from .codec import check_json, pack
from .composites import Lens, Opened, Subgraph
from .context import FlowContext, LeafContext
from .decisions import Confirm, Recorded
from .declaration import Declaration
from .errors import InvalidInput, InvalidRequest, Malformed
from .flow_mistakes import flow_mistakes
from .flow_state import INPUTS, FlowState, Pins
from .forms import Form
from .limits import FLOW_LIMIT, MAX_STEPS
from .migrations import Migration
from .pins import MISSING, parse_pin
from .places import Asks, Edge, Effects, Node, NodeOptions, OnCancel, Place
from .retry import RetryPolicy
from .signatures import inputs_of
from .wiring import OUTPUTS, Link, Pin, Pinned, Wiring, as_plain

D = TypeVar("D", default=None)
E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R")

OnNodeError: TypeAlias = Literal["continue", "fail"]
Outputs: TypeAlias = str | Mapping[str, Any] | Iterable[str]
"""Names of outputs, with the types of what they send or without; a text is one name."""
_inputs: Final = Form(dict[str, Raw])


@frozen
class Output:
    """One output of a node, or one input of the whole dataflow: where a link begins."""

    node: str
    name: str
    """With the part of a value that the link takes, if it takes a part: `rows_$_0`, `user_#_name`."""


class FlowNode(Generic[E, P, R]):
    """A declared node: the decorated function, still callable, and its outputs to link from."""

    def __init__(self, name: str, fn: Callable[Concatenate[FlowContext[E], P], R]) -> None:
        self.name: Final = name
        self.fn: Final = fn
        self.__doc__ = fn.__doc__

    def __repr__(self) -> str:
        return f"<flow node {self.name}>"

    def __call__(self, ctx: FlowContext[E], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body alone: `await fetch(terzetto.testing.flow_context(), url="...")` is a unit test."""
        return self.fn(ctx, *args, **kwargs)

    def out(self, name: str) -> Output:
        """One of its outputs; `error` is there without being declared."""
        return Output(self.name, name)


class SubFlow(Subgraph[FlowState]):
    """A dataflow inside a dataflow: its inputs are inputs of this node, and its outputs come out of it."""

    def __init__(
        self,
        name: str,
        flow: "Dataflow[Any]",
        wiring: Callable[[], Wiring],
        masks: Mapping[str, Mapping[str, Any]],
        deps: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(name, Lens[FlowState, FlowState](flow, deps=deps))
        self.flow: Final = flow
        self.masks: Final = masks
        self._wiring = wiring

    def out(self, name: str) -> Output:
        """One of its outputs; `error` is there without being declared."""
        return Output(self.name, name)

    def open(self, state: FlowState, ticket: int = 0) -> Opened:
        """One branch, with the inputs that came in; raises `InvalidInput`."""
        prefix = f"{self.name}/"
        masks = {node: dict(pins) for node, pins in self.masks.items()}
        for node, pins in state.masks.items():
            if node.startswith(prefix):
                masks.setdefault(node[len(prefix) :], {}).update(pins)
        inner = self.flow.begin(self._wiring().arguments(state, ticket), masks=masks)
        return Opened(1, state=self.lens.blueprint.state.pack(inner))

    @property
    def shape(self) -> tuple[str, ...]:
        """Which one it is; not what is in it, for that may be this very dataflow."""
        return ("subflow", self.flow.name, self.flow.version)

    def leaving(self, ticket: int, inner: FlowState) -> list[Recorded]:
        """What its success does outside: all that it sent comes out, in the same order."""
        wiring = self._wiring()
        sent = [wiring.passed(ticket, self.name, each.name, pack(each.value, each.name)) for each in inner.sent]
        return [*sent, wiring.over(ticket)]


class Dataflow(Declaration[FlowState, D]):
    """A declaration that any number of runs share.

    Args:
        name: stored with every run; `(name, version)` finds the code again after a restart.
        deps: type of what nodes get as `ctx.deps`; see `terzetto.bind`.
        version: several versions may be live; a run stays with the one it was submitted under.
        max_steps: visits that a run may make unless its submit says otherwise.
        on_node_error: what a failed visit means whose `error` output nobody takes: `"continue"` without it, or
            `"fail"` the run.
        limit: visits that are under way at once; the others wait, in the order in which they became complete.
        migrations: what leads runs of older versions on to this one, oldest first.
        checkpoints: which commits of its runs carry a snapshot, unless their submit says otherwise.
    """

    def __init__(
        self,
        name: str,
        *,
        deps: type[D] | None = None,
        version: str = "1",
        max_steps: int = MAX_STEPS,
        on_node_error: OnNodeError = "continue",
        limit: int | None = FLOW_LIMIT,
        migrations: Sequence[Migration] = (),
        checkpoints: CheckpointPolicy | None = None,
    ) -> None:
        super().__init__(
            name,
            state=FlowState,
            mutations=(),
            deps=deps,
            version=version,
            max_steps=max_steps,
            restore=None,
            migrations=migrations,
            checkpoints=checkpoints,
        )
        self.starts.append(INPUTS)
        self.on_node_error: Final = on_node_error
        self.limit: Final = limit
        self.places.append(Node(_nothing, INPUTS, NodeOptions("pure", thread=False), Asks(LeafContext)))
        self.nodes: Final[list[tuple[str, Pinned]]] = [(INPUTS, Pinned({}, {}))]
        self.links: Final[list[Link]] = []
        self.inputs: Final[dict[str, Pin]] = {}
        self.outputs: Final[dict[str, Any]] = {}
        self.wrong: Final[list[str]] = []
        """Mistakes that were seen when something was declared."""
        self._wiring: Wiring | None = None

    def input(self, name: str, kind: Any = Any, /, *, default: Any = MISSING) -> Output:
        """Declare an input of the whole dataflow: `begin` gives its value, and links carry it on."""
        if name in self._open().inputs:
            self.wrong.append(f"inputs.{name}: two inputs have this name")
        self.inputs[name] = Pin(name, kind, default)
        return Output(INPUTS, name)

    def output(self, name: str, source: Output, kind: Any = Any, /) -> None:
        """Declare an output of the whole dataflow: what comes in from there is in `state.outputs[name]`, in order."""
        known = self._open().outputs.setdefault(name, kind)
        if known is Any:
            self.outputs[name] = kind
        elif kind not in (Any, known):
            self.wrong.append(f"outputs.{name}: two types are declared for it")
        self._join(source, OUTPUTS, name, static=False)

    def node(
        self,
        *,
        outputs: Outputs | None = (),
        name: str = "",
        defaults: Mapping[str, Any] | None = None,
        effects: Effects = "repeatable",
        retry: RetryPolicy | None = None,
        run_timeout: float | None = None,
        idle_timeout: float | None = None,
        on_cancel: OnCancel | None = None,
        token_cost: float = 0.0,
        max_visits: int | None = None,
    ) -> "DeclareFlow[D]":
        """Declare a node; its inputs are the function's parameters after the context, with their types and defaults.

        One that takes `ctx, /, **others` has inputs of every other name too.

        An `async def` sends with `await ctx.send(output, value)`; an async generator yields `(output, value)`; a plain
        `def` runs in a thread. Whatever returns a mapping sends what is in it at its end.

        Args:
            outputs: their names, or their names with types; None: it may send anything under any name.
            name: how the node is stored and shown; default: the function's name.
            defaults: values for inputs that no link fills; a name may reach into a value (`values_#_town`).
            effects, retry, run_timeout, idle_timeout, on_cancel, token_cost, max_visits: as for `Graph.node`.
        """
        options = NodeOptions[FlowState, D](
            effects, None, max_visits, token_cost, False, retry, run_timeout, idle_timeout, on_cancel, None
        )

        def add(fn: Callable[Concatenate[FlowContext[D], P], R]) -> FlowNode[D, P, R]:
            found = FlowNode(name or getattr(fn, "__name__", ""), fn)
            self._add(found.name, fn, options, outputs, defaults or {})
            return found

        return add

    def subflow(
        self,
        name: str,
        flow: "Dataflow[Any]",
        /,
        *,
        defaults: Mapping[str, Any] | None = None,
        masks: Mapping[str, Mapping[str, Any]] | None = None,
        deps: Callable[[D], Any] | None = None,
    ) -> SubFlow:
        """Declare a node that runs another dataflow; its outputs come out when it has ended well, and only then.

        Args:
            name: how the node is stored and shown; also the first part of the inner paths.
            flow: the inner dataflow; it may be this one, or one that runs this one.
            defaults: values for inputs that no link fills.
            masks: as for `begin`; those that a run is given go before these.
            deps: what its nodes get as `ctx.deps`, made from what the outer ones get; by default the same.
        """
        place = SubFlow(
            name, flow, lambda: self.wiring, {node: dict(pins) for node, pins in (masks or {}).items()}, deps
        )
        self._open().places.append(place)
        self.nodes.append((name, Pinned(flow.inputs, flow.outputs, defaults=dict(defaults or {}))))
        return place

    def link(
        self, source: Output, sink: "FlowNode[Any, ..., Any] | SubFlow", pin: str, /, *, static: bool = False
    ) -> None:
        """Carry what comes out there to an input of a node.

        Args:
            source: an output of a node, or an input of the dataflow.
            sink: the node, or the dataflow inside.
            pin: its input; a name may reach into a value: `values_#_town` fills one key of the input `values`.
            static: keep the last value for every later visit, and for those that wait, instead of using it once.
        """
        if not isinstance(sink, FlowNode | Place):
            raise TypeError(f"a link leads to a node, or to what `flow.subflow` gave, not to {sink!r}")
        self._join(source, sink.name, pin, static=static)

    def begin(
        self, inputs: Mapping[str, Any] | None = None, /, *, masks: Mapping[str, Mapping[str, Any]] | None = None
    ) -> FlowState:
        """The state that a run begins with: `await runtime.submit(flow, flow.begin({"topic": "rain"}))`.

        Args:
            inputs: values of the dataflow's inputs.
            masks: by nodes (`"outer/inner"` for one inside) and inputs: values that this run uses whatever comes in.

        Raises:
            InvalidInput: an input is unknown, missing, or not of its type; or a mask is for a node that is not there.
        """
        given = {name: pin.default for name, pin in self.inputs.items() if not pin.is_needed}
        given.update(inputs or {})
        for name in (*given, *self.inputs):
            if name not in self.inputs:
                raise InvalidInput(
                    self.name, name, f"there is no such input; there are {', '.join(self.inputs) or 'none'}"
                )
            if name not in given:
                raise InvalidInput(self.name, name, "it was not given, and has no default")
        plain = {name: as_plain(self.name, name, pin.type, given[name]) for name, pin in self.inputs.items()}
        return FlowState(plain, {node: self.mask(node, pins) for node, pins in (masks or {}).items()})

    def first(self, state: FlowState) -> tuple[bytes, FlowState]:
        """As for every graph, with its inputs and masks checked; raises `InvalidInput` too."""
        if isinstance(state, FlowState):  # whatever else it is, the copy refuses
            if state.issued or state.sent:
                text = f"dataflow {self.name!r} begins with what `begin` makes, and this is the state of a run"
                raise InvalidRequest(text)
            state = self.begin(state.given, masks=state.masks)
        return super().first(state)

    def again(self, state: FlowState) -> FlowState:
        """The same inputs and masks."""
        return FlowState(state.given, state.masks)

    def from_json(self, data: bytes) -> FlowState:
        """What a run is to begin with, from its inputs as JSON; raises `Malformed` and `InvalidInput`."""
        check_json(data, "input")
        given = _inputs.from_json(data, "input")
        types: dict[str, Any] = {name: pin.type for name, pin in self.inputs.items()}
        forms = {name: Form[Any](types.get(name, Any)) for name in given}
        return self.begin({name: forms[name].from_json(bytes(each), f"input {name!r}") for name, each in given.items()})

    @staticmethod
    def confirm(sent: "Mapping[str, Any] | Iterable[tuple[str, Any]]" = (), /, note: str = "") -> Confirm:
        """The answer to "what became of this effect?": it happened, and these are the values that it sends in all.

        What the visit had sent before its process died has gone on, and is passed over; it must be the same.

        Args:
            sent: values by outputs, or pairs of them where an output sends several, in the order of sending.
            note: for whoever reads it later.

        Raises:
            NotStorable: a value would not come back from the store.
        """
        pairs = cast("Mapping[str, Any]", sent).items() if isinstance(sent, Mapping) else sent
        return Confirm(tuple(Recorded(output, Raw(pack(value, output))) for output, value in pairs), note)

    @property
    def wiring(self) -> Wiring:
        """Its links, as runs use them; made anew while more may be declared."""
        if self._wiring is not None:
            return self._wiring
        made = Wiring(dict(self.nodes), self.links, goes_on=self.on_node_error == "continue", limit=self.limit)
        self._wiring = made if self._built else None
        return made

    @property
    def inner(self) -> "dict[str, Dataflow[Any]]":
        """The dataflows that it runs, by the names of the nodes that do."""
        return {place.name: place.flow for place in self.places if isinstance(place, SubFlow)}

    def mistakes(self) -> list[str]:
        """Everything that is wrong with it, with paths; empty means that it can run."""
        return flow_mistakes(self)

    def mask(self, node: str, pins: Mapping[str, Any]) -> Pins:
        """Values for a node (`"outer/inner"` for one inside), as they are stored; raises `InvalidInput`."""
        first, _, rest = node.partition("/")
        place = next((place for place in self.places if place.name == first), None)
        if place is None or first == INPUTS:
            raise InvalidInput(node, "", f"a mask is for a node, and dataflow {self.name!r} has none of this name")
        if rest:
            if not isinstance(place, SubFlow):
                raise InvalidInput(node, "", f"a mask leads into {first!r}, which is no dataflow")
            return place.flow.mask(rest, pins)
        spec = dict(self.nodes)[first]
        for name in pins:
            spec.check_pin(first, name)
        return {name: as_plain(node, name, Any, value) for name, value in pins.items()}

    def freeze(self) -> None:
        """With it whatever it runs."""
        if not self._built:
            self._built = True
            for inner in self.inner.values():
                inner.freeze()

    def _add(
        self,
        name: str,
        fn: Callable[..., Any],
        options: NodeOptions[FlowState, D],
        outputs: Outputs | None,
        defaults: Mapping[str, Any],
    ) -> None:
        asks = Asks(FlowContext, block=True)
        self._open().places.append(Node[FlowState, D, Any](fn, name, options, asks))
        names = _names(outputs or ())
        types = dict.fromkeys(names, Any) | dict(
            cast("Mapping[str, Any]", outputs if isinstance(outputs, Mapping) else {})
        )
        inputs, is_open, wrong = inputs_of(fn)
        self.wrong.extend(f"nodes.{name}: {each}" for each in wrong)
        self.wrong.extend(f"nodes.{name}.{each}: two outputs have this name" for each in types if names.count(each) > 1)
        self.nodes.append((name, Pinned(inputs, types, is_open, outputs is None, dict(defaults))))

    def _join(self, source: Output, sink: str, pin: str, *, static: bool) -> None:
        if not isinstance(source, Output):  # a person without a type checker writes link(fetch, ...)
            raise TypeError(f"a link begins at an output, `node.out(name)` or `flow.input(name)`, not at {source!r}")
        try:
            output, steps = parse_pin(source.name)
        except Malformed as error:
            self.wrong.append(f"links[{len(self.links)}]: {error}")
            output, steps = source.name, ()
        self._open().links.append(Link(source.node, output, steps, sink, pin, static))
        if sink != OUTPUTS and not any((edge.source, edge.target) == (source.node, sink) for edge in self.edges):
            self.edges.append(Edge(len(self.edges), source.node, "", sink))


class DeclareFlow(Protocol[D]):
    """What `@flow.node(...)` gives: a decorator."""

    def __call__(self, fn: Callable[Concatenate[FlowContext[D], P], R], /) -> FlowNode[D, P, R]:
        """Declare the function as a node."""
        ...


def _names(outputs: Outputs) -> tuple[str, ...]:
    return (outputs,) if isinstance(outputs, str) else tuple(outputs)


def _nothing(ctx: Any) -> None:
    """The inputs go out when this has returned."""
