"""What is inside of a run when its graph changes: branches, graphs, dataflows (SEMANTICS 2)."""

from typing import Any

import pytest
import trio
from attrs import define, field, frozen

from terzetto import ItemContext
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import BarrierOpened, OutputSent, payload_of
from terzetto_protocol.graph import Graph
from terzetto_protocol.migrations import Migration

from .runtimes import MUTATIONS, SUCCEEDED, Say, Tally, opened, says, settled, told
from .stores import FaultyStore, claim_elsewhere

stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


# -- branches ----------------------------------------------------------------------------------------------------


def fan(names, left, right, *, version="1", migrations=()) -> Graph[Tally]:
    """A parallel place over two nodes, and a node after it; `names` are those of the four."""
    graph = Graph("fan", state=Tally, mutations=MUTATIONS, version=version, migrations=migrations)
    graph.node(name=names[1])(left)
    graph.node(name=names[2])(right)
    place = graph.parallel(names[0], [names[1], names[2]], merge="replay")
    graph.start(place)
    graph.edge(place, graph.node(name=names[3])(says("end")))
    return graph


OLD = "both", "left", "right", "end"


async def hold(ctx: Any) -> None:
    await trio.sleep_forever()


@stores
@pytest.mark.parametrize("names", [("all", "left", "right", "end"), ("both", "west", "right", "end")])
async def test_branches_that_are_open_keep_their_names(autojump_clock, store, names):
    """2; 7: the keys of their visits are made of their path, and somebody outside knows them. A fork has its own."""
    shelf, old = store(), fan(OLD, says("l"), hold)
    async with opened(shelf, old, shutdown_deadline=0) as runtime:
        await runtime.submit(old, Tally(), run_id="r")
        await settled()
    if names[1] == "west":  # the one that is pending
        names = ("both", "left", "west", "end")
    before = await shelf.run("r")
    new = fan(
        names, says("l"), says("r"), version="2", migrations=[Migration("1", places=dict(zip(OLD, names, strict=True)))]
    )
    async with opened(shelf, new) as runtime:
        moved = next(n for n in names if n not in OLD)
        with pytest.raises(Refused, match=rf"visits in 'both/right' are pending, which is '\S*{moved}\S*' now"):
            await runtime.get("r").result()
        assert Tally() == await runtime.get("r").state()
        fork = await runtime.get("r").fork()
        assert ["l", "r", "end"] == (await fork.result()).state.trail
        assert (await fork.replay()).holds
    assert before == await shelf.run("r")


@stores
async def test_branches_of_a_run_that_rests_keep_their_names(autojump_clock, store):
    """2; 7: also where the log begins with a snapshot of them."""

    async def asks(ctx: Any) -> None:
        await ctx.decision("word")

    shelf, old = store(), fan(OLD, says("l"), asks)
    async with opened(shelf, old) as runtime:
        run = await runtime.submit(old, Tally(), run_id="r")
        await settled()
        await run.pause()
        await settled()
    names = ("all", "left", "right", "end")
    new = fan(
        names, says("l"), says("r"), version="2", migrations=[Migration("1", places=dict(zip(OLD, names, strict=True)))]
    )
    async with opened(shelf, new) as runtime:
        with pytest.raises(Refused, match="visits in 'both/right' are pending, which is 'all/right' now"):
            await runtime.get("r").resume()


@stores
async def test_other_places_get_new_names_while_branches_are_open(autojump_clock, store):
    """2, 5.5: what the branches have recorded is upcast too."""
    shelf, old = store(), fan(OLD, says("l"), hold)
    async with opened(shelf, old, shutdown_deadline=0) as runtime:
        await runtime.submit(old, Tally(), run_id="r")
        await settled()

    def louder(name, plain):
        return name, {"text": plain["text"].upper()}

    migration = Migration("1", places={"end": "last"}, mutation=louder)
    new = fan(("both", "left", "right", "last"), says("l"), says("r"), version="2", migrations=[migration])
    async with opened(shelf, new) as runtime:
        run = runtime.get("r")
        assert ["L", "r", "end"] == (await run.result()).state.trail
        assert (await run.replay()).holds


async def test_branches_that_have_ended_may_be_called_otherwise(autojump_clock):
    """2: the whole past is read under the new names."""
    store, names = MemoryStore(), ("all", "west", "east", "last")
    old = fan(OLD, says("l"), says("r"))
    async with opened(store, old) as runtime:
        await (await runtime.submit(old, Tally(), run_id="r")).result()
    places = dict(zip(OLD, names, strict=True))
    new = fan(names, says("l"), says("r"), version="2", migrations=[Migration("1", places=places)])
    async with opened(store, new) as runtime:
        run = runtime.get("r")
        assert ["l", "r", "end"] == (await run.result()).state.trail
        assert (await run.replay()).holds
        for commit in await run.history():
            await run.state(at=commit.seq)
        assert set(names) == set(await run.progress())


def mapped(body, of, name="each", **options) -> Graph[Tally]:
    graph = Graph("mapped", state=Tally, mutations=MUTATIONS, **options)
    graph.node(name="body")(body)
    graph.start(graph.map(name, "body", over=lambda tally: [1, 2], item=of, merge="replay"))
    return graph


async def left_mapped(store) -> None:
    async with opened(store, old := mapped(hold, int), shutdown_deadline=0) as runtime:
        await runtime.submit(old, Tally(), run_id="r")
        await settled()


@pytest.mark.parametrize("item, reason", [(int, None), (list[int], r"an item of each is malformed: Expected `array`")])
async def test_items_that_branches_work_on_are_still_theirs(autojump_clock, item, reason):
    """2: its schemas decode, those of what is decoded later too."""
    store = MemoryStore()
    await left_mapped(store)
    new = mapped(says("x"), item, version="2", migrations=[Migration("1")])
    async with opened(store, new) as runtime:
        if reason is None:
            assert SUCCEEDED is (await runtime.get("r").result()).status
        else:
            with pytest.raises(Refused, match=reason):
                await runtime.get("r").result()


async def says_item(ctx: ItemContext[Tally, Any]) -> None:
    ctx.record(Say(f"{ctx.item}"))


@stores
async def test_items_are_led_on_too(autojump_clock, store):
    """2: otherwise a declared migration; what the log has and what a snapshot has."""
    shelf = store()
    await left_mapped(shelf)
    chain = [
        Migration("1", item=lambda place, item: [place, item]),
        Migration("2", places={"each": "all"}),
        Migration("3", item=lambda place, item: [place, *item]),
    ]
    new = mapped(says_item, list[str | int], "each", version="2", migrations=chain[:1])
    async with opened(shelf, new) as runtime:
        run = runtime.get("r")
        assert ["['each', 1]", "['each', 2]"] == (await run.result()).state.trail
        assert (await run.replay()).holds
    other = store()
    await left_mapped(other)
    async with opened(other, mapped(says_item, list[str | int], "all", version="4", migrations=chain)) as runtime:
        fork = await runtime.get("r").fork(new_id="f")
        assert ["['all', 'each', 1]", "['all', 'each', 2]"] == (await fork.result()).state.trail


@pytest.mark.parametrize(
    "item, reason",
    [
        (lambda place, item: item.name, r"item.*each.*AttributeError"),
        (lambda place, item: object(), r"an item of each"),
        (lambda place, item: "no number", r"an item of each is malformed: Expected `int`"),
    ],
)
async def test_items_that_do_not_become_those_of_the_new_version(autojump_clock, item, reason):
    """2: stays as it is with a reason."""
    store = MemoryStore()
    await left_mapped(store)
    before = await store.run("r")
    async with opened(store, mapped(says("x"), int, version="2", migrations=[Migration("1", item=item)])) as runtime:
        with pytest.raises(Refused, match=reason):
            await runtime.get("r").result()
    assert before == await store.run("r")


# -- graphs inside -------------------------------------------------------------------------------------------------


@define
class Search:
    topic: str = ""
    found: list[str] = field(factory=list)


@frozen
class Found:
    what: str

    def apply(self, search: Search) -> None:
        search.found.append(self.what)


@define
class Lookup:
    """The next version of `Search`."""

    topic: str = ""
    hits: dict[str, int] = field(factory=dict)


@frozen
class Hit:
    what: str

    def apply(self, lookup: Lookup) -> None:
        lookup.hits[self.what] = lookup.hits.get(self.what, 0) + 1


def hits(plain):
    found = plain.pop("found")
    return {**plain, "hits": {what: found.count(what) for what in found}}


HITS = Migration("1", state=hits, mutation=lambda name, plain: ("Hit", plain), places={"s": "look", "gate": "ok"})


def search(body: Any) -> Graph[Search]:
    graph = Graph("search", state=Search, mutations=[Found])
    graph.node(name="begin")(finds(Found("a")))
    graph.node(name="s")(body)
    gate = graph.barrier("gate")
    graph.start("begin")
    graph.edge("begin", "s")
    graph.edge("s", gate)
    return graph


def lookup(body: Any) -> Graph[Lookup]:
    graph = Graph("search", state=Lookup, mutations=[Hit], version="2", migrations=[HITS])
    graph.node(name="begin")(finds(Hit("a")))
    graph.node(name="look")(body)
    gate = graph.barrier("ok")
    graph.start("begin")
    graph.edge("begin", "look")
    graph.edge("look", gate)
    return graph


def finds(mutation: Any) -> Any:
    async def body(ctx: Any) -> None:
        ctx.record(mutation)

    return body


def put_search(tally: Tally, inner: Search) -> None:
    tally.trail.extend(inner.found)


def put_lookup(tally: Tally, inner: Lookup) -> None:
    tally.trail.extend(f"{what}={count}" for what, count in inner.hits.items())


def around(inner: Any, put: Any, *, place: str = "sub", **options: Any) -> Graph[Tally]:
    graph = Graph("outer", state=Tally, mutations=MUTATIONS, **options)
    first = graph.subgraph(place, inner, get=lambda tally: inner.state("t"), put=put)
    graph.start(first)
    graph.edge(first, graph.node(name="done")(says("done")))
    return graph


@stores
@pytest.mark.parametrize("at", ["node", "barrier"])
async def test_a_subgraph_goes_on_under_the_next_version_of_its_graph(autojump_clock, store, at):
    """2, 5.6: the migrations of the graph inside lead on what it has stored; the outer ones say what version it was."""
    shelf = store()
    old = around(search(hold if at == "node" else finds(Found("b"))), put_search)
    async with opened(shelf, old, shutdown_deadline=0) as runtime:
        await runtime.submit(old, Tally(), run_id="r")
        await settled()
    new = around(lookup(finds(Hit("a"))), put_lookup, version="2", migrations=[Migration("1", inner={"sub": "1"})])
    async with opened(shelf, new) as runtime:
        run = runtime.get("r")
        if at == "node":
            await told(run, until=BarrierOpened)
        (barrier,) = await run.barriers()
        assert ("sub/ok@4" if at == "node" else "sub/gate@4") == barrier.barrier
        await run.decide("ok", Approve())
        result = await run.result()
        assert (SUCCEEDED, ["a=2", "done"] if at == "node" else ["a=1", "b=1", "done"]) == (
            result.status,
            result.state.trail,
        )
        assert (await run.replay()).holds


async def test_a_subgraph_that_has_ended_left_its_state_in_the_log(autojump_clock):
    """2: read when the log is folded anew, by the next version's lens; its place may be called otherwise."""
    store = MemoryStore()
    async with opened(store, old := around(search(finds(Found("b"))), put_search)) as runtime:
        run = await runtime.submit(old, Tally(), run_id="r", auto_approve=True)
        assert ["a", "b", "done"] == (await run.result()).state.trail
    migration = Migration("1", places={"sub": "part"}, inner={"sub": "1"})
    new = around(lookup(hold), put_lookup, place="part", version="2", migrations=[migration])
    async with opened(store, new) as runtime:
        run = runtime.get("r")
        seq = next(commit.seq for commit in await run.history() if commit.kind == "join")
        assert ["a=1", "b=1"] == (await run.state(at=seq)).trail
        assert ["a", "b", "done"] == (await run.state()).trail  # the last snapshot is what it was
        assert {"part", "done"} == set(await run.progress())


async def test_a_subgraph_whose_version_nobody_said_leaves_the_run_as_it_is(autojump_clock):
    """2: its schemas decode."""
    store = MemoryStore()
    async with opened(store, old := around(search(hold), put_search), shutdown_deadline=0) as runtime:
        await runtime.submit(old, Tally(), run_id="r")
        await settled()
    new = around(lookup(hold), put_lookup, version="2", migrations=[Migration("1")])
    async with opened(store, new) as runtime:
        with pytest.raises(Refused, match="mutation Found is malformed: the graph does not list it"):
            await runtime.get("r").result()


def asking(inner: Any, body: Any, *, name: str = "ask", **options: Any) -> Graph[Tally]:
    graph = Graph("asking", state=Tally, mutations=MUTATIONS, **options)
    ask = graph.node(name=name, runs=[inner])(body)
    graph.start(ask)
    graph.edge(ask, graph.node(name="done")(says("done")))
    return graph


@stores
async def test_graphs_that_a_body_runs_go_on_and_have_ended_under_the_next_version(autojump_clock, store):
    """2, 5.6: a body that runs again is told the end of the first as the next version has it; the second goes on."""
    shelf, again = store(), list[str]()

    async def twice(ctx):
        one = await ctx.run(inner, Search("one"))
        two = await ctx.run(inner, Search("two"))
        ctx.record(Say(f"{one.found} {two.found}"))

    inner = search(finds(Found("b")))
    old = asking(inner, twice)
    async with opened(shelf, old, shutdown_deadline=0) as runtime:
        run = await runtime.submit(old, Tally(), run_id="r")
        await told(run, until=BarrierOpened)
        await run.decide("gate", Approve())
        await settled()
        assert ["ask.search.1/gate@7"] == [row.barrier for row in await run.barriers()]
    await claim_elsewhere(shelf, old, "r")

    async def twice_again(ctx):
        one = await ctx.run(inner, Lookup("one"))
        two = await ctx.run(inner, Lookup("two"))
        ctx.record(Say(f"{one.hits} {two.hits}"))

    async def never(ctx):
        again.append("what has a commit runs again")

    inner = lookup(never)
    migration = Migration("1", inner={"ask.search": "1"})
    new = asking(inner, twice_again, version="2", migrations=[migration])
    async with opened(shelf, new) as runtime:
        run = runtime.get("r")
        await settled()
        await run.decide("ok", Approve())
        assert ["{'a': 1, 'b': 1} {'a': 1, 'b': 1}", "done"] == (await run.result()).state.trail
        assert (await run.replay()).holds
    assert [] == again


async def test_a_node_that_runs_a_graph_keeps_its_name_while_that_goes_on(autojump_clock):
    """2, 7: the path of what runs inside begins with the node."""

    async def asks(ctx):
        await ctx.run(inner, Search("one"))

    store, inner = MemoryStore(), search(hold)
    async with opened(store, old := asking(inner, asks), shutdown_deadline=0) as runtime:
        await runtime.submit(old, Tally(), run_id="r")
        await settled()
    new = asking(inner, asks, name="query", version="2", migrations=[Migration("1", places={"ask": "query"})])
    async with opened(store, new) as runtime:
        with pytest.raises(Refused, match=r"visits in 'ask.search' are pending, which is 'query.search' now"):
            await runtime.get("r").result()


# -- dataflows -----------------------------------------------------------------------------------------------------


def pages(fetch: Any, names=("fetch", "show"), *, output="texts", **options: Any) -> Dataflow[Any]:
    """One node fetches pages, the other shows each."""
    flow: Dataflow[Any] = Dataflow("pages", **options)
    topic = flow.input("topic", str)
    source = flow.node(name=names[0], outputs={"page": str})(fetch)

    async def show(ctx: Any, page: str) -> None:
        await ctx.send("text", f"[{page}]")

    sink = flow.node(name=names[1], outputs={"text": str})(show)
    flow.link(topic, source, "topic")
    flow.link(source.out("page"), sink, "page")
    flow.output(output, sink.out("text"))
    return flow


def sends(count: int, *, hangs: bool = False) -> Any:
    async def fetch(ctx: Any, topic: str) -> None:
        for number in range(count):
            await ctx.send("page", f"{topic}{number}")
        if hangs:
            await trio.sleep_forever()

    return fetch


NAMES = {"fetch": "load", "show": "draw"}


@stores
async def test_nodes_of_a_dataflow_get_new_names(autojump_clock, store):
    """2, 5.7: what waits, what was taken in and what is under way is theirs; what was sent is passed over."""
    shelf, old = store(), pages(sends(2, hangs=True))
    async with opened(shelf, old, shutdown_deadline=0) as runtime:
        state = old.begin({"topic": "p"}, masks={"show": {"page": "masked"}})
        await runtime.submit(old, state, run_id="r")
        await settled()
    await claim_elsewhere(shelf, old, "r")
    new = pages(sends(3), ("load", "draw"), version="2", migrations=[Migration("1", places=NAMES)])
    async with opened(shelf, new) as runtime:
        run = runtime.get("r")
        result = await run.result()
        assert (SUCCEEDED, {"texts": ["[masked]"] * 3}) == (result.status, result.state.outputs)
        sent = [event for event in await told(run) if isinstance(event, OutputSent)]
        assert ["p0", "p1", "p2"] == [payload_of(event) for event in sent if event.output == "page"]
        assert (await run.replay()).holds
        assert {"inputs", "load", "draw"} == set(await run.progress())


@stores
async def test_a_dataflow_inside_a_dataflow_goes_on_under_its_next_version(autojump_clock, store):
    """2, 5.7."""

    def outer(inner: Dataflow[Any], **options: Any) -> Dataflow[Any]:
        flow: Dataflow[Any] = Dataflow("outer", **options)
        sub = flow.subflow("sub", inner)
        flow.link(flow.input("topic", str), sub, "topic")
        flow.output("texts", sub.out("texts"))
        return flow

    shelf, old = store(), outer(pages(sends(2, hangs=True)))
    async with opened(shelf, old, shutdown_deadline=0) as runtime:
        await runtime.submit(old, old.begin({"topic": "p"}), run_id="r")
        await settled()
    await claim_elsewhere(shelf, old, "r")
    inner = pages(sends(3), ("load", "draw"), version="2", migrations=[Migration("1", places=NAMES)])
    new = outer(inner, version="2", migrations=[Migration("1", inner={"sub": "1"})])
    async with opened(shelf, new) as runtime:
        run = runtime.get("r")
        assert ["[p0]", "[p1]", "[p2]"] == sorted((await run.result()).state.outputs["texts"])
        assert (await run.replay()).holds


async def test_what_came_out_of_a_dataflow_gets_another_name(autojump_clock):
    """2: the state of a dataflow is data like any other."""
    store, old = MemoryStore(), pages(sends(2))
    async with opened(store, old) as runtime:
        await (await runtime.submit(old, old.begin({"topic": "p"}), run_id="r")).result()

    def renamed(plain):
        return {**plain, "sent": [["shown", value] for _, value in plain["sent"]]}

    new = pages(sends(2), output="shown", version="2", migrations=[Migration("1", state=renamed)])
    async with opened(store, new) as runtime:
        run = runtime.get("r")
        assert ["[p0]", "[p1]"] == sorted((await run.result()).state.outputs["shown"])
        assert (await run.replay()).holds
