"""Subgraphs through a runtime: what nodes inside see: deps, items, keys (SEMANTICS 5.6, 7.2)."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Confirm
from terzetto_protocol.graph import Graph
from terzetto_protocol.ids import effect_key

from .runtimes import AWAITING, FAILED, MUTATIONS, SUCCEEDED, Held, Say, Tally, both, function, opened, settled, stores
from .subgraphs import around, bare


class Clients:
    def __init__(self, name: str) -> None:
        self.name = name


def introduced(inner_type: type) -> Graph:
    inner = Graph("inner", state=Tally, mutations=MUTATIONS, deps=inner_type)

    @inner.node
    async def leaf(ctx: terzetto.LeafContext[Tally, object]) -> None:
        assert type(ctx) is terzetto.LeafContext
        ctx.record(Say(f"leaf {getattr(ctx.deps, 'name', ctx.deps)}"))

    @inner.node
    async def full(ctx: terzetto.NodeContext[Tally, object]) -> None:
        ctx.record(Say(f"full {getattr(ctx.deps, 'name', ctx.deps)}"))

    inner.start(leaf)
    inner.edge(leaf, full)
    return inner


@both
@stores
@pytest.mark.parametrize("mapped", [False, True])
async def test_deps_inside(autojump_clock, dispatch, store, mapped):
    """The inner nodes get the outer deps, or what `deps=` makes of them, at every level."""
    middle = Graph("middle", state=Tally, mutations=MUTATIONS, deps=Clients)
    deps = (lambda clients: clients.name.upper()) if mapped else None
    middle.start(middle.subgraph("inner", introduced(str if mapped else Clients), deps=deps))
    graph = Graph("outer", state=Tally, mutations=MUTATIONS, deps=Clients)
    graph.start(graph.subgraph("middle", middle))
    bound = terzetto.bind(graph, Clients("ann"))
    name = "ANN" if mapped else "ann"
    async with opened(store(), bound, dispatch=dispatch) as runtime:
        assert [f"leaf {name}", f"full {name}"] == (await runtime.run(graph, Tally())).trail
    assert [f"leaf {name}", f"full {name}"] == (await terzetto.run(bound, Tally())).trail


@both
@stores
async def test_deps_that_cannot_be_made_fail_the_node(autojump_clock, dispatch, store):
    """1: a user's function may raise: that is the failure of the node that wanted it, and nobody else's."""

    def deps(_):
        raise LookupError("no client")

    graph = around(introduced(str), deps=deps)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
        assert 0 == runtime.statistics().restarts
    assert (FAILED, "node 'inner/leaf': LookupError: no client") == (result.status, result.message)


@both
@stores
async def test_a_probe_that_cannot_get_its_deps_leaves_it_to_a_person(autojump_clock, dispatch, store):
    """7: what may have happened is never taken for what did not: where the probe cannot be asked, a person is."""
    held, broken = Held("pay"), []

    def deps(_):
        if broken:
            raise LookupError("no client")
        return "client"

    async def probe(ctx):
        raise AssertionError("it was not asked")

    inner = Graph("inner", state=Tally, mutations=MUTATIONS, deps=str)
    inner.start(inner.node(name="pay", effects="once", probe=probe)(function(held)))
    graph = around(inner, deps=deps)
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    broken.append(True)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await settled()
        assert AWAITING is await runtime.get("r").status()
        await runtime.get("r").decide("inner/pay@2", Confirm())
        assert SUCCEEDED is (await runtime.get("r").result()).status


@both
@stores
async def test_an_item_reaches_the_nodes_inside(autojump_clock, dispatch, store):
    """5.5: each branch sees its own item, through parallel branches and subgraphs below, the innermost first."""
    inner, seen = bare("inner"), []

    @inner.node
    async def deep(ctx: terzetto.ItemContext[Tally, str]) -> None:
        seen.append((ctx.visit.path, ctx.item, ctx.index, ctx.run_id))

    @inner.node
    async def number(ctx: terzetto.ItemContext[Tally, int]) -> None:
        seen.append((ctx.visit.path, ctx.item, ctx.index, ctx.run_id))

    inner.start(inner.parallel("fan", [deep, inner.map("few", number, over=lambda _: [7])]))
    graph = bare()
    each = graph.map("each", graph.subgraph("below", inner), over=lambda _: ["a", "b"], item=str, merge="replay")
    graph.start(each)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        await runtime.run(graph, Tally(), run_id="r")
    expected = [
        found
        for index, item in enumerate("ab")
        for found in (
            (f"each/{index}/below/fan/deep", item, index, "r"),
            (f"each/{index}/below/fan/few/few/0", 7, 0, "r"),
        )
    ]
    assert expected == sorted(seen)


async def test_an_item_context_outside_of_a_map_is_the_nodes_failure(autojump_clock):
    graph = bare()

    @graph.node
    async def lost(ctx: terzetto.ItemContext[Tally, str]) -> None:
        raise AssertionError("never")

    graph.start(lost)
    async with opened(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, "node 'lost': InvalidRequest: it wants an item, and only a branch of a map has one") == (
        result.status,
        result.message,
    )


@both
@stores
async def test_keys_and_fences(autojump_clock, dispatch, store):
    """7.2, 7.7: the key is the visit's own and the same after a restart; the fence rises with the claim."""
    seen: list[tuple[str, str, int]] = []

    async def work(ctx):
        assert effect_key("r", ctx.visit.path, ctx.visit.visit) == ctx.key
        seen.append((f"{ctx.visit.path}/{ctx.visit.node}", ctx.key, ctx.fence))
        await trio.sleep(1 if ctx.fence == 2 else 10)

    inner, graph = bare("inner"), bare()
    inner.start(inner.node(name="deep")(work))
    places = [graph.node(name=name)(work) for name in "ab"]
    graph.start(graph.parallel("fan", [*places, graph.subgraph("below", inner)]))
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(1)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await runtime.get("r").result()
    first, second = sorted(seen[:3]), sorted(seen[3:])
    assert ["fan/a/a", "fan/b/b", "fan/below/below/deep"] == [path for path, _, _ in first]
    assert [(path, key, 1) for path, key, _ in second] == first
    assert [2, 2, 2] == [fence for _, _, fence in second]
    assert 3 == len({key for _, key, _ in first})
