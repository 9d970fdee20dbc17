"""What a body opened on its task and never left: nurseries and cancel scopes.

When that task ends, Trio would have all that is around it pay: with an error in the nursery around the task, which
nobody there could tell from a bug of its own, and with tasks that are in no tree. So such nurseries are ended before
their task is.
"""

from typing import Final

import trio

LOOK: Final = 0.1
"""Seconds between two looks for what is left in such a nursery."""
LEFT_OPEN: Final = "it has left a nursery open"
"""What is said of the body."""


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
