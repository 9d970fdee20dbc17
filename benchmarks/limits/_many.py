"""The limit of many runs at once: a run's own start and end around its steps, which yield.

A run has an id (1), and a state of its own: what its caller passed stays what it is (`terzetto.run`), which takes an
encoding and a decoding, for nothing else copies whatever a state may hold. It needs no scope, since its caller's is
there. The tasks are not its own either: whoever wants to run many at once makes them, here as there.
"""

from random import getrandbits
from time import perf_counter
from typing import Final

import msgspec
import trio

from .._states import Tally
from ._chain import carry
from ._visit import Node, encode, yielding_step

HOW: Final = (
    "as many tasks in one nursery; each makes an id and a copy of its state (encoded and decoded), and goes through "
    "the loop of G1's limit ten times"
)
_NODES: Final[dict[str, Node]] = {"step": yielding_step}
_decode: Final = msgspec.msgpack.Decoder(Tally).decode


def runs(count: int, steps: int) -> float:
    """Runs per second."""
    return trio.run(_all, count, steps)


async def _all(count: int, steps: int) -> float:
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_run, Tally(), steps)
    return count / (perf_counter() - began)


async def _run(given: Tally, steps: int) -> tuple[str, Tally]:
    run_id, tally = f"{getrandbits(128):032x}", _decode(encode(given))
    await carry(tally, steps, _NODES)
    assert tally.count == steps
    return run_id, tally
