"""Owning a store for the time of one command, and leaving it in good order, or at all."""

import os
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from terzetto_protocol.graph import Bound, Graph
from terzetto_protocol.limits import CANCEL_GRACE, SHUTDOWN_DEADLINE

from .._runtime import Runtime, open_runtime
from .._services import STOP_DEADLINE
from ._exits import Exit
from ._output import Output

LAST_RESORT: Final = SHUTDOWN_DEADLINE + CANCEL_GRACE + STOP_DEADLINE
"""Seconds after which a command that is leaving ends its process, whatever still hangs in it."""


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
        if not self._left.wait(self._seconds):
            self._output.note(
                f"terzetto: a step has ignored its cancel for {self._seconds:g} s: leaving without it. "
                "What was committed is kept; the run goes on with the same command"
            )
            sys.stdout.flush()
            os._exit(Exit.INTERRUPTED)


@asynccontextmanager
async def owning(
    url: str, graphs: Sequence[Graph[Any, Any] | Bound[Any]], output: Output
) -> AsyncGenerator[Runtime, None]:
    """A runtime that Ctrl-C and SIGTERM leave in good order; afterwards `runtime.stopping` tells whether one did."""
    last_resort = LastResort(output)
    try:
        async with open_runtime(url, graphs, signals=True) as runtime:
            try:
                yield runtime
            finally:
                last_resort.arm()
                if runtime.stopping.is_set():
                    output.note("stopping: running steps may reach their commits (once more: at once)")
    finally:
        last_resort.disarm()
