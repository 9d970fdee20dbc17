"""A child process: have runs (or raw Trio tasks) wait, and print what that takes of memory.

`python -m benchmarks._resident memory|sqlite|live|raw COUNT [FOLDER]` prints how many bytes its resident memory has
grown, and how many it has in all.
"""

import sys

import trio
import trio.testing

import terzetto

from ._pages import resident
from ._states import Tally
from ._waiting import Calls, live_graph, parked_graph, store_url, submit_many, until_parked

LIVE, RAW = "live", "raw"


def main(kind: str, count: str, folder: str | None = None) -> None:
    """Wait and print."""
    print(*_figures(kind, int(count), folder))


def _figures(kind: str, count: int, folder: str | None) -> tuple[int, int]:
    if kind == RAW:
        return trio.run(_sleep, count)
    if kind == LIVE:
        return trio.run(_live, count)
    with store_url(kind, folder) as url:
        return trio.run(_park, url, count)


def _since(before: int) -> tuple[int, int]:
    now = resident()
    return now - before, now


async def _park(url: str, count: int) -> tuple[int, int]:
    graph = parked_graph()
    async with terzetto.open_runtime(url, [terzetto.bind(graph, Calls())]) as runtime:
        before = resident()
        await submit_many(runtime, graph, count)
        await until_parked(runtime)
        figures = _since(before)
        assert len(await runtime.runs(statuses=[terzetto.RunStatus.AWAITING_INPUT], limit=None)) == count
        return figures


async def _live(count: int) -> tuple[int, int]:
    graph, began, figures = live_graph(), list[None](), (0, 0)
    with trio.CancelScope() as scope:
        bound = terzetto.bind(graph, Calls(lambda: began.append(None)))
        async with terzetto.open_runtime("memory:", [bound], pool_size=count) as runtime:
            before = resident()
            await submit_many(runtime, graph, count)
            await trio.testing.wait_all_tasks_blocked()
            figures = _since(before)
            assert len(began) == count
            scope.cancel()
    return figures


async def _sleep(count: int) -> tuple[int, int]:
    before = resident()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_sleep_with, Tally())
        await trio.testing.wait_all_tasks_blocked()
        figures = _since(before)
        nursery.cancel_scope.cancel()
    return figures


async def _sleep_with(tally: Tally) -> None:
    await trio.sleep_forever()
    assert tally


if __name__ == "__main__":
    main(*sys.argv[1:])
