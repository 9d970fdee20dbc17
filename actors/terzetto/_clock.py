"""The time of day for records and deadlines, driven by Trio's clock where that is a virtual one."""

import time
from collections.abc import Callable
from typing import Final

import trio
import trio.lowlevel

_SYSTEM_CLOCK: Final = "SystemClock"
_OFFSET: Final = trio.lowlevel.RunVar[float]("_OFFSET")


def wall_clock() -> Callable[[], float]:
    """A function that gives UNIX time in seconds; under a virtual clock it moves only as that clock moves.

    Must be called inside `trio.run`; raises `RuntimeError` elsewhere.
    """
    try:
        clock = trio.lowlevel.current_clock()
    except RuntimeError:
        raise RuntimeError("Terzetto runs on Trio: begin with trio.run(main), not with asyncio.run(main())") from None
    if type(clock).__name__ == _SYSTEM_CLOCK:
        return time.time
    offset = _OFFSET.get(time.time() - trio.current_time())
    _OFFSET.set(offset)  # every runtime of this trio.run tells the same time, also one that is opened later
    return lambda: offset + trio.current_time()


def set_virtual_clock(at: float) -> None:
    """Have this `trio.run`, whose clock is a virtual one, begin at this UNIX time. Not a checkpoint."""
    _OFFSET.set(at - trio.current_time())
