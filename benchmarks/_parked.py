"""A child process: park runs (or raw Trio tasks) and print how much resident memory they take, in bytes.

`python -m benchmarks._parked memory|sqlite|raw COUNT [FOLDER]`
"""

import gc
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
import trio.testing

import terzetto

from ._work import Chain, Counted, Tally

RAW = "raw"
_WORKERS = 500
"""Submits under way at once, so that a store can take them in groups."""


def main(kind: str, count: str, folder: str | None = None) -> None:
    """Park and print."""
    if kind == RAW:
        print(trio.run(_sleep, int(count)))
        return
    with _url(kind, folder) as url:
        print(trio.run(_park, url, int(count)))


@contextmanager
def _url(kind: str, folder: str | None) -> Generator[str, None, None]:
    if kind == "memory":
        yield "memory:"
        return
    with TemporaryDirectory(dir=folder) as place:
        yield f"sqlite://{place}/runs.db?synchronous=normal"


def resident() -> int:
    """Bytes of this process that are in memory now, without what waits to be collected."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def waiting_graph() -> Chain:
    """A barrier, and a node behind it."""
    graph = terzetto.Graph("waiting", state=Tally, mutations=[Counted], deps=int)
    sign_off = graph.barrier("sign-off")

    @graph.node
    async def after(ctx: terzetto.NodeContext[Tally, int]) -> None:
        ctx.record(Counted("signed off"))

    graph.start(sign_off)
    graph.edge(sign_off.approved, after)
    return graph


async def _park(url: str, count: int) -> int:
    graph = waiting_graph()
    async with terzetto.open_runtime(url, [terzetto.bind(graph, 0)]) as runtime:
        before, numbers = resident(), iter(range(count))
        async with trio.open_nursery() as nursery:
            for _ in range(_WORKERS):
                nursery.start_soon(_submit_some, runtime, graph, numbers)
        await _until_parked(runtime)
        grown = resident() - before
        assert len(await runtime.runs(statuses=[terzetto.RunStatus.AWAITING_INPUT], limit=None)) == count
        return grown


async def _submit_some(runtime: terzetto.Runtime, graph: Chain, numbers: Iterator[int]) -> None:
    for number in numbers:
        await runtime.submit(graph, Tally(), run_id=f"run-{number}")


async def _until_parked(runtime: terzetto.Runtime) -> None:
    while runtime.statistics().supervisor.live:  # noqa: ASYNC110 - listening to every run would cost what we measure
        await trio.sleep(0.02)


async def _sleep(count: int) -> int:
    before = resident()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_sleep_with, Tally())
        await trio.testing.wait_all_tasks_blocked()
        grown = resident() - before
        nursery.cancel_scope.cancel()
    return grown


async def _sleep_with(tally: Tally) -> None:
    await trio.sleep_forever()
    assert tally


if __name__ == "__main__":
    main(*sys.argv[1:])
