"""`terzetto.testing`: programs on a clock that jumps, and steps of it."""

import time

import pytest
import trio
import trio.testing

import terzetto
from terzetto.testing import FaultPlan, advance, run_virtually, settled

from .runtimes import Tally, chain, says


def test_an_hour_takes_no_time():
    async def main(hours, unit):
        await trio.sleep(hours * unit)
        return trio.current_time()

    began = time.monotonic()

    assert 3600 == run_virtually(main, 1, 3600)
    assert time.monotonic() - began < 30


def test_a_program_that_takes_too_long_is_cut_off():
    with pytest.raises(trio.TooSlowError):
        run_virtually(trio.sleep, 11, limit=10)
    run_virtually(trio.sleep, 9, limit=10)


def test_what_threads_do_is_waited_for(tmp_path):
    """A SQLite store works in a thread, and no timeout passes meanwhile."""
    graph = chain(says("a"), "sign-off", says("b"))

    async def main():
        async with terzetto.open_runtime(f"sqlite:{tmp_path / 'runs.db'}", graphs=[graph]) as runtime:
            with trio.fail_after(5):
                return (await runtime.run(graph, Tally(), auto_approve=True)).trail

    assert ["a", "b"] == run_virtually(main)


def clocked(fn, clock):
    return trio.run(fn, clock=clock)


@pytest.mark.parametrize("autojump", [0, float("inf")])
def test_time_advances_step_by_step(autojump):
    """Everything happens at its own time, and what happens last has happened when it returns."""
    seen = []

    async def tick(every):
        while True:
            await trio.sleep(every)
            await trio.lowlevel.checkpoint()
            seen.append((every, trio.current_time()))

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick, 2)
            nursery.start_soon(tick, 3)
            await settled()
            await advance(4)
            seen.append("4 s")
            await advance(2.5)
            seen.append(trio.current_time())
            nursery.cancel_scope.cancel()

    clocked(main, trio.testing.MockClock(autojump_threshold=autojump))

    assert [(2, 2), (3, 3), (2, 4), "4 s"] == seen[:4]
    assert {(2, 6), (3, 6)} == set(seen[4:6])
    assert [6.5] == seen[6:]


@pytest.mark.parametrize("on_cancel", ["wait", "abandon"])
def test_a_thread_that_waits_for_time_is_not_waited_for(on_cancel):
    """It waits for the loop, which waits for the clock."""
    graph = terzetto.Graph("blocking", state=Tally, mutations=[])

    @graph.node(on_cancel=on_cancel)
    def block(ctx):
        pass

    graph.start(block)

    async def main():
        with FaultPlan().on_node("block").delays(500):
            await terzetto.run(graph, Tally())
        return trio.current_time()

    assert 500 == run_virtually(main)
