"""The node actor: handles a `Start`, answers with how the body ended.

It owns nothing: the state is lent, the batch goes with the answer. What kills it is its cancel scope;
then there is no answer, and the run tells its machine so.
"""

import traceback
from collections.abc import Callable
from typing import Any, Final, cast

import trio

from terzetto_protocol.context import LeafContext, NodeContext, Port, Visit
from terzetto_protocol.errors import describe
from terzetto_protocol.fold import Fold
from terzetto_protocol.inputs import NodeFailed, NodeFinished, Probed
from terzetto_protocol.places import Node
from terzetto_protocol.records import Failure
from terzetto_protocol.statuses import FailureCode
from terzetto_protocol.turn import Start

from . import _faults

_FRAMES: Final = 12
"""Innermost frames of a failure that are kept."""


async def handle(
    node: Node[Any, Any], start: Start, lent: "Lent", clock: Callable[[], float]
) -> NodeFinished | NodeFailed | Probed:
    """Run a body (or a probe) to its end and say how it ended. A checkpoint if the body is one.

    Raises `trio.Cancelled` and `KeyboardInterrupt` (alone or in a group): they are not the node's doing.
    """
    if _faults.hook is not None:
        _faults.hook("node_start")
    try:
        if start.probe:
            return await _probe(node, start, lent, clock)
        ctx: Any = (LeafContext if node.leaf else NodeContext)(lent.fold.state, lent.deps, lent.visit(start), lent.port)
        await node.fn(ctx)
        if _faults.hook is not None:
            _pass_points(_faults.hook, ctx)
        return NodeFinished(start.visit, ctx.batch, clock(), ctx.following, ctx.pausing)
    except Exception as error:  # noqa: BLE001 - a node may raise anything, and that is its own failure
        _let_through(error)
        return NodeFailed(start.visit, failure_of(node.name, error), clock())
    except (SystemExit, GeneratorExit) as error:
        return NodeFailed(start.visit, failure_of(node.name, error), clock())
    except BaseExceptionGroup as error:
        rest = _let_through(error)
        return NodeFailed(start.visit, failure_of(node.name, rest), clock())


def _pass_points(hook: Callable[[str], None], ctx: LeafContext[Any, Any]) -> None:
    hook("effect_done")
    if ctx.batch:
        hook("mutation_recorded")


async def _probe(node: Node[Any, Any], start: Start, lent: "Lent", clock: Callable[[], float]) -> Probed:
    ctx: NodeContext[Any, Any] = NodeContext(lent.fold.state, lent.deps, lent.visit(start), lent.port)
    assert node.options.probe is not None
    try:
        happened = await node.options.probe(ctx)
    except (Exception, SystemExit, GeneratorExit, BaseExceptionGroup) as error:  # noqa: BLE001 - then a person is asked
        _let_through(error)
        happened = None
    if happened is not None and not isinstance(happened, bool):
        happened = None
    return Probed(start.visit, happened, tuple(ctx.batch), clock())


class Lent:
    """What a run lends to its nodes; `fold.state` is looked up at each start, for a commit may have replaced it."""

    __slots__ = ("deps", "fold", "port")

    def __init__(self, fold: Fold[Any], deps: Any, port: Port) -> None:
        self.fold = fold
        self.deps = deps
        self.port = port

    def visit(self, start: Start) -> Visit:
        """Which visit this is."""
        fold = self.fold
        return Visit(fold.header.run_id, start.node, start.visit, start.attempt, start.path, fold.image.epoch)


def _let_through(error: BaseException) -> BaseException:
    """Raise the part of a group that is not the node's doing; return the rest, or the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    foreign, rest = group.split((trio.Cancelled, KeyboardInterrupt))
    if foreign is not None:
        raise foreign
    return group if rest is None else rest


def failure_of(node: str, error: BaseException) -> Failure:
    """What is stored and shown of an exception: its leaves and where it came from; no values, no source."""
    leaves = tuple(describe(leaf) for leaf in _leaves(error))
    text = leaves[0] if len(leaves) == 1 else f"{len(leaves)} errors: {'; '.join(leaves)}"
    return Failure(FailureCode.NODE_ERROR, f"node {node!r}: {text}", leaves, _frames(error))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for inner in group.exceptions for leaf in _leaves(inner)]
    return [error]


def _frames(error: BaseException) -> tuple[str, ...]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return tuple(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
