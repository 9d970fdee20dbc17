"""The node actor of strict runs: what a body (or a probe) was lent is looked at when it has ended, however it has.

It lends the run's own state, as every node actor does, for a body may keep what is transient in it; but a copy of what
branches and nodes of a dataflow share, so that none is blamed for another.
"""

from typing import Any

import msgspec

from terzetto_protocol.context import FlowContext
from terzetto_protocol.errors import InputMutated, describe
from terzetto_protocol.frames import SharedBranch
from terzetto_protocol.inputs import NodeFailed, NodeFinished, Probed
from terzetto_protocol.places import Node
from terzetto_protocol.strict import Watch
from terzetto_protocol.turn import Start

from ._failures import failure_of, label_of
from ._node import Lent, World, handle


class WatchedLent(Lent):
    """Lends, and has an eye on what is lent."""

    __slots__ = ("_watches",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._watches: dict[tuple[int, int], Watch[Any]] = {}
        """By visit and attempt, while its body runs."""

    def context(self, kind: Any, start: Start) -> Any:
        """As every `Lent`."""
        ctx, frame = super().context(kind, start), self.fold.frame(start.path)
        if kind is FlowContext:
            return ctx  # what it was given are copies
        shared = isinstance(frame, SharedBranch) and not frame.has_committed
        if shared or frame.blueprint.flow is not None:
            ctx.state = super().copy(start)
        self._watches[start.visit, start.attempt] = Watch(frame.blueprint.state, ctx.state)
        return ctx

    def copy(self, start: Start) -> Any:
        """As every `Lent`; it is what the body sees instead."""
        state = super().copy(start)
        self._watches[start.visit, start.attempt] = Watch(self.fold.frame(start.path).blueprint.state, state)
        return state

    def changed(self, start: Start) -> tuple[str, ...]:
        """The fields that a body has changed."""
        watch = self._watches.get((start.visit, start.attempt))
        return () if watch is None else watch.changed()

    def forget(self, start: Start) -> None:
        """The body has ended."""
        self._watches.pop((start.visit, start.attempt), None)


async def handle_watched(
    node: Node[Any, Any], start: Start, lent: WatchedLent, world: World
) -> NodeFinished | NodeFailed | Probed:
    """As `handle`; what has changed what it was lent has failed, whatever else it did. A checkpoint as that."""
    try:
        ended = await handle(node, start, lent, world)
        fields = lent.changed(start)
    finally:
        lent.forget(start)
    return _mutated(start, ended, fields, lent) if fields else ended


def _mutated(
    start: Start, ended: NodeFinished | NodeFailed | Probed, fields: tuple[str, ...], lent: Lent
) -> NodeFailed:
    """A failure after which neither an attempt nor an edge follows, and nobody is asked about an effect."""
    label = label_of(start)
    who = f"the probe of node {label!r}" if start.probe else f"node {label!r}"
    error = InputMutated(who, fields, lent.fold.header.run_id)
    failure = failure_of(label, error)
    if isinstance(ended, NodeFailed):
        own = ended.failure
        text = f"{own.message}; and {describe(error)}"
        failure = msgspec.structs.replace(own, message=text, errors=(*own.errors, *failure.errors))
    failure = msgspec.structs.replace(failure, final=True)
    observed = ended.remarks.observed if isinstance(ended, NodeFinished) else ended.observed
    return NodeFailed(start.visit, failure, ended.at, observed=observed)
