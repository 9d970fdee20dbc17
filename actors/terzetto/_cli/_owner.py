"""Owning a store for the time of one command, and leaving it in good order, or at all."""

import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from terzetto_protocol.declaration import Declaration
from terzetto_protocol.graph import Bound
from terzetto_protocol.limits import CANCEL_GRACE, SHUTDOWN_DEADLINE

from .._opening import open_runtime
from .._runtime import Runtime
from .._services import STOP_DEADLINE
from ._exits import Exit
from ._output import Output

T = TypeVar("T")

LAST_RESORT: Final = SHUTDOWN_DEADLINE + CANCEL_GRACE + STOP_DEADLINE
"""Seconds after which a command that is leaving ends its process, whatever still hangs in it."""


_PATIENCE: Final = 1.0
"""Seconds of leaving after which a person is told what it waits for."""


class LastResort:
    """Ends the process when leaving takes too long: a node that never returns must not keep a person's terminal.

    Everything that was acknowledged is durable by then; the rest goes on with the next owner, as after a kill.
    """

    def __init__(self, output: Output, seconds: float = LAST_RESORT) -> None:
        self._output, self._seconds = output, seconds
        self._left = threading.Event()

    def arm(self) -> None:
        """Leaving has begun; not a checkpoint."""
        threading.Thread(target=self._watch, name="last resort", daemon=True).start()

    def disarm(self) -> None:
        """The command has left; not a checkpoint."""
        self._left.set()

    def _watch(self) -> None:
        if not self._left.wait(_PATIENCE):
            self._output.note("leaving: steps that run may reach their commits (Ctrl-C once more: at once)")
        if not self._left.wait(self._seconds - _PATIENCE):
            self._output.note(
                f"terzetto: a step has ignored its cancel for {self._seconds:g} s: leaving without it. "
                "What was committed is kept; the run goes on with the same command"
            )
            sys.stdout.flush()
            os._exit(Exit.INTERRUPTED)


async def owning(
    url: str,
    graphs: Sequence[Declaration[Any, Any] | Bound[Any]],
    output: Output,
    body: Callable[[Runtime], Awaitable[T]],
) -> T | None:
    """What `body` gives of a runtime that owns the store; None when Ctrl-C or SIGTERM ended it. A checkpoint.

    Left in good order, or after `LAST_RESORT` seconds at once.
    """
    last_resort, results = LastResort(output), list[T]()
    try:
        async with open_runtime(
            url, graphs, signals=True, on_stuck=lambda stuck: output.note(f"terzetto: {stuck}")
        ) as runtime:
            try:
                results.append(await body(runtime))
            finally:
                last_resort.arm()
    finally:
        last_resort.disarm()
    return results[0] if results else None
