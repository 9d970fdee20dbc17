"""Where ids and jitter come from."""

from random import Random

import trio

import terzetto
from terzetto._chance import chance, load_dice, new_id
from terzetto.stores import MemoryStore

from .runtimes import Tally, chain, counts


def drawn(seed: int | None) -> tuple[str, float]:
    async def main() -> tuple[str, float]:
        if seed is not None:
            load_dice(Random(seed))
        return new_id(), chance()

    return trio.run(main)


def test_dice_decide_everything_for_one_trio_run():
    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(None) != drawn(None)
    assert 32 == len(drawn(1)[0]) == len(drawn(None)[0])
    assert 0 <= drawn(None)[1] < 1


def test_ids_of_runs_come_from_them():
    """Law 6."""

    async def main() -> str:
        load_dice(Random(7))
        graph = chain(counts())
        async with terzetto.open_runtime(MemoryStore(), graphs=[graph]) as runtime:
            return (await runtime.submit(graph, Tally())).run_id

    assert trio.run(main) == trio.run(main)
