"""Contests: calls that begin at once, in an order and after as many checkpoints as a seed says."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore, Store
from terzetto_protocol.errors import TerzettoError
from terzetto_protocol.records import Kind, Record
from terzetto_protocol.statuses import TERMINAL

from .runtimes import opened
from .stores import FaultyStore, records

CHECKPOINTS = 12
"""More than any call here makes before it has its way."""

Call = Callable[[], Awaitable[Any]]

seeds = pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 125), marks=pytest.mark.slow)], ids=["some", "many"]
)
shelves = pytest.mark.parametrize("shelf", [MemoryStore, FaultyStore], ids=["memory", "writer"])


async def contend(seed: int, **calls: Call) -> dict[str, Any]:
    """What each of them returned or raised; only errors of ours are answers."""
    chance, answers = random.Random(seed), dict[str, Any]()

    async def call(name: str, count: int) -> None:
        for _ in range(count):
            await trio.lowlevel.checkpoint()
        try:
            answers[name] = await calls[name]()
        except TerzettoError as error:
            answers[name] = error

    async with trio.open_nursery() as nursery:
        for name in chance.sample(sorted(calls), len(calls)):
            nursery.start_soon(call, name, chance.randrange(CHECKPOINTS))
    return answers


async def lasting(shelf: Store, run_id: str, *graphs: Any) -> tuple[str, list[Record]]:
    """The end of a run and its log, read by the next owner; they agree, and the log holds."""
    async with opened(shelf, *graphs) as runtime:
        run = runtime.get(run_id)
        result = await run.result()
        assert (await run.replay()).holds
        log = await records(shelf, run_id)
        assert result.status == log[-1].status
        assert 1 == sum(record.status in TERMINAL for record in log), "one end"
    return result.status, log


def count(log: list[Record], kind: Kind) -> int:
    return sum(record.kind is kind for record in log)


def refused(answer: Any) -> bool:
    return isinstance(answer, terzetto.Refused)
