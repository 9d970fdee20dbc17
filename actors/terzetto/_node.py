"""The node actor: handles a `Start`, answers with how the body ended.

It owns nothing: the state is lent, the batch goes with the answer. What kills it is its cancel scope;
then there is no answer, and the run tells its machine so.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from terzetto_protocol.composites import Subgraph
from terzetto_protocol.context import AnyContext, FlowContext, ItemContext, LeafContext, NodeContext
from terzetto_protocol.errors import InvalidRequest, NodeTimeout
from terzetto_protocol.fold import Fold
from terzetto_protocol.frames import InnerFrame
from terzetto_protocol.inputs import Again, NodeFailed, NodeFinished, Probed
from terzetto_protocol.places import Node
from terzetto_protocol.port import Port, Visit
from terzetto_protocol.retry import RetryPolicy, asked_by
from terzetto_protocol.state import Vocabulary
from terzetto_protocol.turn import Start

from . import _faults
from ._failures import failure_of, label_of, own_part


class World(Protocol):
    """What a node needs of the runtime around it."""

    @property
    def clock(self) -> Callable[[], float]:
        """UNIX time, seconds."""
        ...

    @property
    def chance(self) -> Callable[[], float]:
        """Random numbers, from 0 and below 1."""
        ...


async def handle(node: Node[Any, Any], start: Start, lent: "Lent", world: World) -> NodeFinished | NodeFailed | Probed:
    """Run a body (or a probe) to its end and say how it ended. A checkpoint if the body is one.

    Raises `trio.Cancelled` and `KeyboardInterrupt` (alone or in a group): they are not the node's doing.
    """
    ctx: Any = None
    try:
        if start.probe:
            return await _probe(node, start, lent, world.clock)
        ctx = lent.context(node.asks.context, start)
        if node.is_bare:
            returned: object = await node.fn(ctx)  # type: ignore[func-returns-value]  # whoever has no type checker
            if returned is not None:
                refuse_returned(returned)
        elif node.runs == "as a block":
            from ._blocks import run_block

            await run_block(node, ctx)
            return _sent(start, ctx, world)
        elif node.runs == "on the loop":
            call(node.fn, ctx)  # right here: what leaves another coroutine as StopIteration comes out as something else
        else:
            await _run_otherwise(node, start, lent, ctx)
        if _faults.hook is not None:
            _pass_points(_faults.hook, ctx)
        return NodeFinished(start.visit, ctx.batch, world.clock(), ctx.remarks)
    except BaseException as error:  # noqa: BLE001, ASYNC103 - a node may raise anything, and that is its own failure
        return failed(node, start, own_part(error), world, ctx)  # noqa: ASYNC104 - as above


def call(fn: Callable[[Any], object], ctx: AnyContext) -> None:
    """Call a node's plain function; raises `TypeError` where it returns something."""
    made = fn(ctx)
    if made is not None:
        refuse_returned(made)


def refuse_returned(made: object) -> NoReturn:
    """Raise `TypeError`: what a node returns goes nowhere, and who returns a change means that it is made."""
    if inspect.isawaitable(made):
        if inspect.iscoroutine(made):
            made.close()
        raise TypeError("it returned something to await: make its function an `async def`")
    raise TypeError(
        f"it returned a value ({type(made).__name__}), and a node returns nothing: "
        "what it changes it records, with ctx.record(...)"
    )


async def _run_otherwise(node: Node[Any, Any], start: Start, lent: "Lent", ctx: Any) -> None:
    """Run a body in a thread, or within its timeouts."""
    if node.runs == "in a thread":
        from ._threads import run_in_thread

        if node.options.on_cancel == "abandon":
            ctx.state = lent.copy(start)
        await run_in_thread(node, ctx)
    else:
        from ._timeouts import run_timed

        returned: object = await run_timed(node.fn, node.options, ctx)
        if returned is not None:
            refuse_returned(returned)


def _sent(start: Start, ctx: FlowContext[Any], world: World) -> NodeFinished:
    """A node of a dataflow has said all that it has to say while it ran."""
    if _faults.hook is not None:
        _faults.hook("effect_done", ctx.visit)
    return NodeFinished(start.visit, (), world.clock(), ctx.remarks)


def failed(node: Node[Any, Any], start: Start, error: BaseException, world: World, ctx: Any) -> NodeFailed:
    again, unknown = _again(node.options.retry, error, world), isinstance(error, NodeTimeout)
    observed = None if ctx is None else ctx.remarks.observed
    return NodeFailed(start.visit, failure_of(label_of(start), error), world.clock(), again, unknown, observed)


def _again(policy: RetryPolicy | None, error: BaseException, world: World) -> Again | None:
    """What a further attempt needs to know, if the error is worth one."""
    try:
        if policy is not None and policy.retries(error):
            return Again(world.chance(), asked_by(error))
    except BaseException as other:  # noqa: BLE001, ASYNC103 - its class may raise anything when it is looked at
        own_part(other)
    return None


def _pass_points(hook: _faults.Hook, ctx: LeafContext[Any, Any]) -> None:
    hook("effect_done", ctx.visit)
    if ctx.batch:
        hook("mutation_recorded", ctx.visit)


async def _probe(node: Node[Any, Any], start: Start, lent: "Lent", clock: Callable[[], float]) -> Probed:
    assert node.options.probe is not None
    batch: list[Any] = []
    ctx: Any = None
    try:
        ctx = lent.context(ItemContext if node.asks.context is ItemContext else NodeContext, start)
        batch = ctx.batch
        happened = await node.options.probe(ctx)
    except BaseException as error:  # noqa: BLE001, ASYNC103 - it may raise anything: then a person is asked
        own_part(error)
        happened = None
    if happened is not None and not isinstance(happened, bool):
        happened = None
    return Probed(start.visit, happened, tuple(batch), clock(), None if ctx is None else ctx.remarks.observed)


class Lent:
    """What a run lends to its nodes; a frame's state is looked up at each start, for a commit may have replaced it."""

    __slots__ = ("_port", "_ports", "deps", "fold", "own")

    def __init__(self, fold: Fold[Any], deps: Any, port: Callable[[Vocabulary[Any]], Port]) -> None:
        self.fold = fold
        self.deps = deps
        """Those of the run's own graph."""
        self._port = port
        self.own: Final = port(fold.blueprint.vocabulary)
        self._ports: Final[dict[Vocabulary[Any], Port]] = {}
        """By those of graphs within the run's own."""

    def context(self, kind: Callable[..., Any], start: Start) -> Any:
        """What a body gets."""
        fold, path = self.fold, start.path
        if kind is FlowContext:
            return self._flow_context(start)
        wants_item = kind is ItemContext
        if not (path or wants_item):
            visit = Visit(fold.header.run_id, start.node, start.visit, start.attempt, "", fold.image.epoch)
            return kind(fold.state, self.deps, visit, self.own)
        graph, state = self._graph_of(path), fold.frame(path).view()
        if graph:
            parts = state, self.deps_of(graph), self._visit(start), self._port_of(graph)
        else:
            parts = state, self.deps, self._visit(start), self.own
        if not wants_item:
            return kind(*parts)
        found = fold.item_of(path)
        if found is None:
            raise InvalidRequest("it wants an item, and only a branch of a map has one")
        return kind(*parts, item=found[0], index=found[1])

    def _flow_context(self, start: Start) -> FlowContext[Any]:
        """What a node of a dataflow gets; raises `InvalidInput` where what came in is not what it takes."""
        frame, graph = self.fold.frame(start.path), self._graph_of(start.path)
        assert frame.blueprint.flow is not None
        inputs = frame.blueprint.flow.arguments(frame.view(), self.fold.image.frontier[start.visit].ticket)
        return FlowContext(inputs, self.deps_of(graph), self._visit(start), self._port_of(graph))

    def copy(self, start: Start) -> Any:
        """A state that stays what it is, for a body that may outlive its visit; raises `NotStorable`."""
        frame = self.fold.frame(start.path)
        return frame.blueprint.state.unpack(frame.pack())

    def _graph_of(self, path: str) -> str:
        """The path of the innermost subgraph around a frame; empty for the run's own graph."""
        branches = self.fold.branches
        while path and not isinstance(branches[path], InnerFrame):
            path = branches[path].fork.rpartition("/")[0]
        return path

    def deps_of(self, graph: str) -> Any:
        """What nodes of a subgraph get as `ctx.deps`; may raise what a user's function raises."""
        if not graph:
            return self.deps
        place = self.fold.composite_of(graph)
        outer = self.deps_of(self._graph_of(graph.rpartition("/")[0]))
        lens = place.lens if isinstance(place, Subgraph) else None
        return outer if lens is None or lens.deps is None else lens.deps(outer)

    def _port_of(self, graph: str) -> Port:
        vocabulary = self.fold.frame(graph).blueprint.vocabulary
        if vocabulary is self.fold.blueprint.vocabulary:
            return self.own
        if vocabulary not in self._ports:
            self._ports[vocabulary] = self._port(vocabulary)
        return self._ports[vocabulary]

    def _visit(self, start: Start) -> Visit:
        """Which visit this is."""
        fold = self.fold
        return Visit(fold.header.run_id, start.node, start.visit, start.attempt, start.path, fold.image.epoch)
