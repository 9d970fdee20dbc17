"""Dataflows whose links were changed while a run was under way (SEMANTICS 1, 2, 5.7)."""

from collections.abc import Callable
from typing import Any

import pytest

from terzetto import Result, Run
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow, Output
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import Refused
from terzetto_protocol.graph import Graph
from terzetto_protocol.migrations import Migration
from terzetto_protocol.statuses import RunStatus

from .running_flows import Ctx
from .runtimes import SUCCEEDED, Tally, opened, settled

Change = Callable[[Dataflow[Any], Any], None]


async def fetch(ctx: Ctx, topic: str) -> None:
    for number in range(3):
        await ctx.send("page", f"{topic}{number}")
    await ctx.decision("go-on")


async def show(ctx: Ctx, page: str, more: str = "") -> dict[str, str]:
    return {"text": page + more}


def pages(
    change: Change = lambda flow, nodes: None, names: tuple[str, str] = ("fetch", "show"), **options: Any
) -> Dataflow[Any]:
    """One node fetches pages, the other shows each, and a third waits for what never comes."""
    flow: Dataflow[Any] = Dataflow("pages", **options)
    source = flow.node(name=names[0], outputs=["page", "never"])(fetch)
    sink = flow.node(name=names[1], outputs="text")(show)
    idle = flow.node(name="idle", outputs="text")(show)
    flow.link(flow.input("topic", str), source, "topic")
    flow.link(source.out("page"), sink, "page")
    flow.link(source.out("never"), idle, "page")
    flow.link(source.out("never"), idle, "more")
    flow.output("texts", sink.out("text"))
    change(flow, (source, sink, idle))
    return flow


TEXTS = ["p0", "p1", "p2"]


def one_more(flow: Dataflow[Any], nodes: Any) -> None:
    flow.link(nodes[0].out("page"), nodes[2], "more")


def one_less(flow: Dataflow[Any], nodes: Any) -> None:
    del flow.links[3]


def another_order(flow: Dataflow[Any], nodes: Any) -> None:
    flow.links.reverse()


def static(flow: Dataflow[Any], nodes: Any) -> None:
    del flow.links[1]
    flow.link(nodes[0].out("page"), nodes[1], "page", static=True)


def a_part(flow: Dataflow[Any], nodes: Any) -> None:
    del flow.links[1]
    flow.link(nodes[0].out("page_$_0"), nodes[1], "page")


def another_pin(flow: Dataflow[Any], nodes: Any) -> None:
    del flow.links[2]
    flow.link(nodes[0].out("never"), nodes[2], "more")
    flow.link(Output("inputs", "topic"), nodes[2], "page")


def another_end(flow: Dataflow[Any], nodes: Any) -> None:
    flow.output("idle", nodes[2].out("text"))


def one_alone(flow: Dataflow[Any], nodes: Any) -> None:
    async def alone(ctx: Ctx) -> None: ...

    flow.node(name="alone")(alone)


CHANGES = [one_more, one_less, another_order, static, a_part, another_pin, another_end, one_alone]


async def begun(store: MemoryStore, made: Any, state: Any, *, paused: bool = False) -> None:
    """A run that has sent everything and waits for a person; a paused one has all of it in a snapshot."""
    async with opened(store, made, shutdown_deadline=0) as runtime:
        run = await runtime.submit(made, state, run_id="r")
        await settled()
        if paused:
            await run.pause()
            await settled()


async def goes_on(store: MemoryStore, made: Any) -> Result[Any]:
    """The end of the run under this declaration."""
    async with opened(store, made, strict=False) as runtime:
        run = runtime.get("r")
        if (await run.status()) is RunStatus.PAUSED:
            await run.resume()
        await settled()
        await run.decide("go-on", Approve())
        return await run.result()


async def stays(store: MemoryStore, made: Any) -> None:
    """Nobody goes on with the run under this declaration, and it says why."""
    async with opened(store, made, strict=False) as runtime:
        with pytest.raises(Refused, match="the links of this dataflow are not those that the run began with"):
            await runtime.get("r").result()


both_ways = pytest.mark.parametrize("paused", [False, True])


@both_ways
@pytest.mark.parametrize("change", CHANGES)
async def test_a_run_whose_links_were_changed_stays_as_it_is(autojump_clock, change, paused):
    """2: in an incompatible shape, stays as it is with a reason: what its log means depends on its links."""
    store, old = MemoryStore(), pages()
    await begun(store, old, old.begin({"topic": "p"}), paused=paused)
    await stays(store, pages(change))
    assert sorted((await goes_on(store, old)).state.outputs["texts"]) == TEXTS


@both_ways
async def test_what_its_log_does_not_depend_on_may_change(autojump_clock, paused):
    """1: bodies, defaults and limits are not what a log depends on."""
    store, old = MemoryStore(), pages()
    await begun(store, old, old.begin({"topic": "p"}), paused=paused)

    assert (await goes_on(store, pages(limit=1, on_node_error="fail"))).status is SUCCEEDED


@both_ways
async def test_a_dataflow_inside_is_looked_at_too(autojump_clock, paused):
    """2, 5.6."""

    def around(inner: Dataflow[Any]) -> Graph[Tally]:
        graph = Graph("around", state=Tally, mutations=[])
        graph.start(graph.subgraph("in", inner, get=lambda _: inner.begin({"topic": "p"}), put=lambda *_: None))
        return graph

    store, old = MemoryStore(), around(pages())
    await begun(store, old, Tally(), paused=paused)
    await stays(store, around(pages(one_more)))
    assert (await goes_on(store, old)).status is SUCCEEDED


async def test_what_has_ended_can_be_read_and_what_was_before_can_not(autojump_clock):
    """1: its end is a snapshot; a log that would be folded by other links says so instead."""
    store, old = MemoryStore(), pages()
    await begun(store, old, old.begin({"topic": "p"}))
    await goes_on(store, old)
    async with opened(store, pages(one_more), strict=False) as runtime:
        run: Run[Any] = runtime.get("r")
        assert sorted((await run.result()).state.outputs["texts"]) == TEXTS
        with pytest.raises(Refused, match="not those that the run began with"):
            await run.state(at=5)


# -- under a migration -----------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("change", [change for change in CHANGES if change is not another_end])
async def test_a_migration_does_not_change_links_between_nodes(autojump_clock, change, paused):
    """2: the run stays as it is, and the version that began it may end it."""
    store, old = MemoryStore(), pages()
    await begun(store, old, old.begin({"topic": "p"}), paused=paused)
    await stays(store, pages(change, version="2", migrations=[Migration("1")]))


@both_ways
async def test_a_migration_changes_names_and_outputs(autojump_clock, paused):
    """2: nodes have other names by then, some of them twice, and one more output is declared."""
    store, old = MemoryStore(), pages()
    await begun(store, old, old.begin({"topic": "p"}), paused=paused)
    migrations = [Migration("1", places={"fetch": "show", "show": "draw"}), Migration("2", places={"show": "load"})]
    new = pages(another_end, ("load", "draw"), version="3", migrations=migrations)

    assert sorted((await goes_on(store, new)).state.outputs["texts"]) == TEXTS
