"""Runs that wait for a person at a barrier, and those that wait inside a node: graphs, and how they get there."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import trio
from attrs import frozen

import terzetto

from ._states import Counted, Tally

_WORKERS = 500
"""Submits under way at once, so that a store can take them in groups."""
SIGN_OFF = "sign-off"


@frozen
class Calls:
    """What the nodes call."""

    began: Callable[[], None] = lambda: None


Waiting = terzetto.Graph[Tally, Calls]
Ctx = terzetto.NodeContext[Tally, Calls]


def parked_graph() -> Waiting:
    """A barrier, and a node behind it."""
    graph = terzetto.Graph("parked", state=Tally, mutations=[Counted], deps=Calls)
    sign_off = graph.barrier(SIGN_OFF)

    @graph.node
    async def after(ctx: Ctx) -> None:
        ctx.deps.began()
        ctx.record(Counted("signed off"))

    graph.start(sign_off)
    graph.edge(sign_off.approved, after)
    return graph


def live_graph() -> Waiting:
    """A node that sleeps until it is cancelled."""
    graph = terzetto.Graph("live", state=Tally, deps=Calls)

    @graph.node
    async def sleep(ctx: Ctx) -> None:
        ctx.deps.began()
        await trio.sleep_forever()

    graph.start(sleep)
    return graph


async def submit_many(runtime: terzetto.Runtime, graph: Waiting, count: int) -> None:
    """Submit as many runs, with the ids of `run_ids`."""
    names = iter(run_ids(count))
    async with trio.open_nursery() as nursery:
        for _ in range(_WORKERS):
            nursery.start_soon(_submit_some, runtime, graph, names)


def run_ids(count: int) -> Sequence[str]:
    """Names of runs."""
    return [f"run-{number}" for number in range(count)]


async def _submit_some(runtime: terzetto.Runtime, graph: Waiting, names: Iterator[str]) -> None:
    for name in names:
        await runtime.submit(graph, Tally(), run_id=name)


async def until_parked(runtime: terzetto.Runtime) -> None:
    """Wait until no run is live."""
    while runtime.statistics().supervisor.live:  # noqa: ASYNC110 - listening to every run would cost what we measure
        await trio.sleep(0.02)


@contextmanager
def store_url(kind: str, folder: str | None) -> Generator[str, None, None]:
    """Of a store of this kind, which is gone afterwards."""
    if kind == "memory":
        yield "memory:"
        return
    with TemporaryDirectory(dir=folder) as place:
        yield f"sqlite://{place}/runs.db?synchronous=normal"
