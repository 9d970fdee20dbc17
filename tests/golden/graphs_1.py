"""The graphs of the golden logs of format 1. They stay as they are: their logs are read with them for ever."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import trio
from attrs import define, field, frozen
from msgspec import Struct

import terzetto
from terzetto.reducers import append

HOLD: set[tuple[str, str]] = set()
"""Nodes that never return, by run and name: only who makes the logs holds anything."""
FAIL: dict[tuple[str, str], int] = {}
"""How often nodes fail from now on."""


async def pass_by(ctx: Any, name: str) -> None:
    """Where a body may be held, or fail."""
    await trio.lowlevel.checkpoint()
    if (ctx.run_id, name) in HOLD:
        await trio.sleep_forever()
    if FAIL.get((ctx.run_id, name), 0):
        FAIL[ctx.run_id, name] -= 1
        await trio.sleep(1)
        raise RuntimeError(f"{name} is broken")


# -- one state with everything in it -----------------------------------------------------------------------------


@define
class Notes:
    count: int = 0
    trail: list[str] = field(factory=list)
    since: datetime | None = None
    price: Decimal = Decimal(0)
    raw: bytes = b""
    shares: dict[int, float] = field(factory=dict)
    cache: Annotated[Any, terzetto.transient] = None


@frozen
class Added:
    n: int

    def apply(self, notes: Notes) -> None:
        notes.count += self.n


@dataclass(frozen=True)
class Said:
    text: str

    def apply(self, notes: Notes) -> None:
        notes.trail.append(self.text)


class Told(Struct, frozen=True):
    since: datetime
    price: Decimal
    raw: bytes
    shares: dict[int, float]

    def apply(self, notes: Notes) -> None:
        notes.since, notes.price, notes.raw, notes.shares = self.since, self.price, self.raw, self.shares


MUTATIONS = [Added, Said, Told]
TOLD = Told(datetime(2026, 5, 1, 12, tzinfo=UTC), Decimal("9.99"), b"\x00\xff", {1: 0.5, 2: -1e300})


def notes(name: str, **options: Any) -> terzetto.Graph[Notes, None]:
    return terzetto.Graph(name, state=Notes, mutations=MUTATIONS, **options)


def step(name: str, *mutations: Any) -> Any:
    async def body(ctx: Any) -> None:
        ctx.record(Said(name))
        for mutation in mutations:
            ctx.record(mutation)
        await pass_by(ctx, name)

    return body


def chain() -> terzetto.Graph[Notes, None]:
    """Three nodes: pure, on the loop, and counted."""
    graph = notes("chain")
    last = graph.node(name="last")(step("last"))

    def middle(ctx: terzetto.LeafContext[Notes]) -> None:
        ctx.record(TOLD)
        ctx.report("the second price is a guess", level="degraded")

    first = graph.node(name="first", effects="pure")(step("first", Added(1)))
    second = graph.node(name="second", thread=False)(middle)
    third = graph.node(name="third", token_cost=1.5, max_visits=2)(step("third"))
    graph.start(first)
    graph.edge(first, second)
    graph.edge(second, third)
    graph.edge(third, third, when=lambda state: state.trail.count("third") < 2, max_visits=1)
    graph.edge(third, last, fallback=True)
    return graph


def review(name: str, **timeout: Any) -> terzetto.Graph[Notes, None]:
    """`write`, a barrier with three exits, and ways back that are counted."""
    graph = notes(name)
    write = graph.node(name="write")(step("write", Added(1)))
    publish = graph.node(name="publish")(step("publish"))
    archive = graph.node(name="archive")(step("archive"))
    gate = graph.barrier(
        "sign-off",
        exits=["approved", "rejected", "later"],
        payload=lambda state: {"trail": state.trail, "count": state.count},
        decided=lambda decision: [Said(decision.exit)],
        **timeout,
    )
    graph.start(write)
    graph.edge(write, gate)
    graph.edge(gate.approved, publish)
    graph.edge(gate.rejected, write, max_visits=3)
    graph.edge(gate.exit("later"), archive)
    return graph


def effects() -> terzetto.Graph[Notes, None]:
    """A `once` node that nobody can ask, then one with a probe."""
    graph = notes("effects")

    async def shipped(ctx: Any) -> bool:
        ctx.record(Said("probed"))
        return True

    charge = graph.node(name="charge", effects="once")(step("charge", Added(5)))
    ship = graph.node(name="ship", effects="once", probe=shipped)(step("ship"))
    graph.start(charge)
    graph.edge(charge, ship)
    return graph


def tries() -> terzetto.Graph[Notes, None]:
    """A node that is tried three times, a node for when it failed, and one that nothing saves."""
    graph = notes("tries")
    policy = terzetto.RetryPolicy(max_attempts=3, initial=10.0, jitter=0.0)
    flaky = graph.node(name="flaky", retry=policy)(step("flaky"))
    rescue = graph.node(name="rescue")(step("rescue"))
    last = graph.node(name="last")(step("last"))
    graph.start(flaky)
    graph.edge(flaky, last)
    graph.edge(flaky, rescue, on_error=True)
    graph.edge(rescue, last)
    return graph


# -- branches ----------------------------------------------------------------------------------------------------


class Item(Struct, frozen=True):
    name: str
    size: int = 1


def wide() -> terzetto.Graph[Notes, None]:
    """Branches of every kind, one after the other, with a barrier in one of them."""
    graph = notes("wide")
    for name in ("left", "right", "east", "west", "last"):
        graph.node(name=name)(step(name))
    graph.node(name="counts")(_adds)
    gate = graph.barrier("inside")

    @graph.node
    async def each(ctx: terzetto.ItemContext[Notes, Item]) -> None:
        ctx.record(Said(f"{ctx.index}: {ctx.item.name}"))
        await pass_by(ctx, f"each{ctx.index}")

    strict = graph.parallel("strict", ["left", "counts"])
    replay = graph.parallel("replay", ["east", "right"], merge="replay")
    mapped = graph.map("mapped", each, over=_items, merge="replay", limit=2)
    merged = graph.parallel("merged", ["west", gate], merge=lambda before, after: [Said(f"of {len(after)}")])
    graph.start(strict)
    graph.edge(strict, replay)
    graph.edge(replay, mapped)
    graph.edge(mapped, merged)
    graph.edge(merged, "last")
    return graph


async def _adds(ctx: Any) -> None:
    ctx.record(Added(3))


def _items(state: Notes) -> Sequence[Item]:
    return [Item("a"), Item("b", 2), Item("c")]


def broken(errors: Any) -> terzetto.Graph[Notes, None]:
    """Two branches, of which the second fails when the first has committed; a third has an effect."""
    graph = notes(f"broken-{errors.replace('_', '-')}")
    good = graph.node(name="good")(step("good"))
    more = graph.node(name="more")(step("more"))
    graph.edge(good, more)
    graph.node(name="bad")(step("bad"))
    graph.node(name="pays", effects="once")(step("pays"))
    fan = graph.parallel("fan", ["good", "bad", "pays"], merge="replay", errors=errors)
    rescue = graph.node(name="rescue")(step("rescue"))
    graph.start(fan)
    graph.edge(fan, rescue, on_error=True)
    return graph


def twice() -> terzetto.Graph[Notes, None]:
    """Two `once` nodes side by side."""
    graph = notes("twice")
    for name in ("one", "two"):
        graph.node(name=name, effects="once")(step(name))
    graph.start(graph.parallel("both", ["one", "two"], merge="replay"))
    return graph


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


def searching() -> terzetto.Graph[Search, None]:
    graph = terzetto.Graph("search", state=Search, mutations=[Found])

    @graph.node
    async def look(ctx: terzetto.NodeContext[Search]) -> None:
        ctx.record(Found(f"{ctx.state.topic} 1"))

    @graph.node
    async def again(ctx: terzetto.NodeContext[Search]) -> None:
        ctx.record(Found(f"{ctx.state.topic} 2"))
        await pass_by(ctx, "again")

    gate = graph.barrier("good-enough")
    graph.start(look)
    graph.edge(look, gate)
    graph.edge(gate.approved, again)
    return graph


SEARCH = searching()


def _put(outer: Notes, inner: Search) -> None:
    outer.trail.extend(inner.found)


def nested() -> terzetto.Graph[Notes, None]:
    """A subgraph, and a body that runs the same graph twice, asks and keeps a result."""
    graph = notes("nested")
    lens = terzetto.Lens[Notes, Search](SEARCH, get=lambda state: Search("lens"), put=_put)
    sub = graph.subgraph("sub", SEARCH, get=lambda state: Search("sub"), put=_put)

    @graph.node(runs=[lens])
    async def asks(ctx: terzetto.NodeContext[Notes]) -> None:
        drawn = await ctx.effect("drawn", _draws)
        ended = await ctx.run(SEARCH, lens=lens)
        said = await ctx.decision(
            "enough", payload={"found": ended.found}, timeout=100, exits=("approved", "rejected", "more")
        )
        ctx.record(Said(f"{drawn} {type(said).__name__}"))
        await pass_by(ctx, "asks")

    graph.start(sub)
    graph.edge(sub, asks)
    return graph


def paying() -> terzetto.Graph[Search, None]:
    """Something long, and then an effect."""
    graph = terzetto.Graph("paying", state=Search, mutations=[Found])

    @graph.node
    async def fills(ctx: terzetto.NodeContext[Search]) -> None:
        ctx.record(Found("x" * 50_000))

    @graph.node(effects="once")
    async def pays(ctx: terzetto.NodeContext[Search]) -> None:
        await pass_by(ctx, "pays")

    graph.start(fills)
    graph.edge(fills, pays)
    return graph


def hasty() -> terzetto.Graph[Notes, None]:
    """A body that does not wait for the end of a graph that it runs, and says a lot."""
    graph = notes("hasty")
    lens = terzetto.Lens[Notes, Search](paying(), get=lambda state: Search())

    @graph.node(runs=[lens])
    async def asks(ctx: terzetto.NodeContext[Notes]) -> None:
        with trio.move_on_after(1):
            await ctx.run(lens.graph, lens=lens)
        for number in range(20):
            ctx.report(f"warning {number}")
        await pass_by(ctx, "asks")

    graph.start(asks)
    return graph


async def _draws(key: str) -> int:
    return 4


# -- dataflows -----------------------------------------------------------------------------------------------------


def shouting() -> terzetto.Dataflow[None]:
    flow = terzetto.Dataflow("shouting")
    word = flow.input("word", str)

    @flow.node(outputs={"loud": str})
    async def shout(ctx: terzetto.FlowContext, word: str, sign: str = "!") -> None:
        await ctx.send("loud", word.upper() + sign)

    flow.link(word, shout, "word")
    flow.output("loud", shout.out("loud"))
    return flow


def flow() -> terzetto.Dataflow[None]:
    """A node that sends three words, one of which breaks the next; a static link; a dataflow inside."""
    flow = terzetto.Dataflow("flow")
    text, sign = flow.input("text", str), flow.input("sign", str, default="?")

    @flow.node(outputs={"word": str})
    async def split(ctx: terzetto.FlowContext, text: str) -> None:
        for word in text.split():
            await ctx.send("word", word)
        await pass_by(ctx, "split")

    @flow.node(outputs={"said": str})
    async def say(ctx: terzetto.FlowContext, word: str, sign: str) -> None:
        if word == "bad":
            raise ValueError("a bad word")
        await ctx.send("said", word + sign)

    loud = flow.subflow("loud", shouting())
    flow.link(text, split, "text")
    flow.link(split.out("word"), say, "word")
    flow.link(sign, say, "sign", static=True)
    flow.link(say.out("said"), loud, "word")
    flow.output("loud", loud.out("loud"))
    flow.output("errors", say.out("error"))
    return flow


def cut_off() -> terzetto.Dataflow[None]:
    """Where one node fails for good when another has sent something, and still runs."""
    flow = terzetto.Dataflow("cut-off", on_node_error="fail")
    text = flow.input("text", str)

    @flow.node(outputs={"word": str})
    async def goes_on(ctx: terzetto.FlowContext, text: str) -> None:
        await ctx.send("word", text)
        await pass_by(ctx, "goes-on")

    @flow.node(outputs={"word": str})
    async def breaks(ctx: terzetto.FlowContext, text: str) -> None:
        await pass_by(ctx, "breaks")

    for node in (goes_on, breaks):
        flow.link(text, node, "text")
    flow.output("word", goes_on.out("word"))
    return flow


# -- blobs and checkpoints -----------------------------------------------------------------------------------------


@define
class Album:
    cover: terzetto.Blob | None = None
    pages: list[terzetto.Blob] = field(factory=list)


@frozen
class Covered:
    by: terzetto.Blob

    def apply(self, album: Album) -> None:
        album.cover = self.by


@frozen
class Bound:
    page: terzetto.Blob

    def apply(self, album: Album) -> None:
        album.pages.append(self.page)


def album() -> terzetto.Graph[Album, None]:
    """Blobs in the state, checkpoints by a policy and by a node, and a map in a map."""
    policy = terzetto.CheckpointPolicy(every=3, seconds=3600.0, barriers=True)
    graph = terzetto.Graph("album", state=Album, mutations=[Covered, Bound], checkpoints=policy)

    @graph.node
    async def cover(ctx: terzetto.NodeContext[Album]) -> None:
        ctx.record(Covered(await ctx.blob(b"cover", media_type="image/png", name="cover.png")))
        ctx.checkpoint("covered")

    @graph.node
    async def paint(ctx: terzetto.ItemContext[Album, str]) -> None:
        ctx.record(Bound(await ctx.blob(ctx.item.encode())))
        await pass_by(ctx, f"paint{ctx.item}")

    inner = graph.map("pages", paint, over=lambda album: ["1", "2"], merge="replay")
    fan = graph.parallel("parts", [inner, "end"], merge="replay", limit=1)
    gate = graph.barrier("good")

    @graph.node
    async def end(ctx: terzetto.NodeContext[Album]) -> None:
        ctx.checkpoint()

    graph.start(cover)
    graph.edge(cover, fan)
    graph.edge(fan, gate)
    return graph


# -- keys, threads, versions ---------------------------------------------------------------------------------------


class Board(terzetto.KeyedState):
    topic: str = "none"
    lines: Annotated[list[str], append] = []


def keyed() -> terzetto.Graph[Board, None]:
    graph = terzetto.Graph("keyed", state=Board)

    @graph.node
    async def put(ctx: terzetto.NodeContext[Board]) -> None:
        ctx.record(Board.put(topic="tea", lines=["a"]))
        ctx.record(Board.put(lines=["b"]))
        await pass_by(ctx, "put")

    @graph.node
    async def reset(ctx: terzetto.NodeContext[Board]) -> None:
        ctx.record(Board.reset("topic"))

    graph.start(put)
    graph.edge(put, reset)
    return graph


def moved(version: str) -> terzetto.Graph[Notes, None]:
    """In its second version a node and a barrier have other names, and everything counts twice."""
    migration = terzetto.Migration("1", state=_twice, mutation=_doubled, places={"write": "draft", "gate": "door"})
    options: dict[str, Any] = {} if version == "1" else {"migrations": [migration]}
    names = ("write", "gate") if version == "1" else ("draft", "door")
    graph = notes("moved", version=version, **options)
    write = graph.node(name=names[0])(step(names[0], Added(1)))
    gate = graph.barrier(names[1])
    graph.start(write)
    graph.edge(write, gate)
    graph.edge(gate.approved, graph.node(name="end")(step("end")))
    graph.edge(gate.rejected, write)
    return graph


def _twice(plain: dict[str, Any]) -> dict[str, Any]:
    return {**plain, "count": 2 * plain["count"]}


def _doubled(name: str, plain: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, plain)] * (2 if name == "Added" else 1)


OLD = moved("1")
"""Only for who makes the logs: whoever reads them has the next version."""


def graphs() -> Iterable[Any]:
    """What reads these logs, and goes on with their runs."""
    return [
        chain(),
        review("review", timeout=60.0),
        review("stern", timeout=60.0, on_timeout=terzetto.Fail("nobody came")),
        effects(),
        tries(),
        wide(),
        broken("fail_fast"),
        broken("collect"),
        twice(),
        nested(),
        hasty(),
        flow(),
        cut_off(),
        album(),
        keyed(),
        moved("2"),
    ]
