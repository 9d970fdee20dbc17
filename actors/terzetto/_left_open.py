"""What a body opened on its task and never left: nurseries and cancel scopes.

When that task ends, Trio would have all that is around it pay: with an error in the nursery around the task, which
nobody there could tell from a bug of its own, and with tasks that are in no tree. So such nurseries are ended before
their task is.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import trio

from terzetto_protocol.inputs import Ended, NodeFailed
from terzetto_protocol.places import Node
from terzetto_protocol.turn import Start

from ._failures import failure_of, label_of
from ._node import World

LOOK: Final = 0.1
"""Seconds between two looks for what is left in such a nursery."""

Handle: TypeAlias = Callable[..., Awaitable[Ended]]
"""A node actor."""


async def close_left_open() -> None:
    """Cancel what is in nurseries of this task, and wait until it has left, as their own end would. A checkpoint.

    No cancel ends the wait, as none ends that for a nursery.
    """
    task = trio.lowlevel.current_task()
    for nursery in reversed(task.child_nurseries):
        nursery.cancel_scope.cancel(reason="the body that opened it has ended")
        while nursery.child_tasks:
            with trio.CancelScope(shield=True):
                await trio.sleep(LOOK)  # who would be told when they have gone is gone
        task._child_nurseries.remove(nursery)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - there is no other way


async def close_after(handle: Handle, node: Node[Any, Any], start: Start, lent: Any, world: World) -> Ended:
    """As `handle`, in a task of the visit's own: a body that leaves a nursery open on it has failed."""
    try:
        ended = await handle(node, start, lent, world)
    except BaseException:
        if trio.lowlevel.current_task().child_nurseries:
            await close_left_open()  # noqa: ASYNC102 - shielded inside
        raise
    if not trio.lowlevel.current_task().child_nurseries:
        return ended
    await close_left_open()
    return NodeFailed(
        start.visit, failure_of(label_of(start), RuntimeError("it has left a nursery open")), world.clock()
    )
