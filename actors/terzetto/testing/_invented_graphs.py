"""Graphs that nobody would write, made of every kind of place, with bodies that take time, fail, talk and pause."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import trio
from attrs import frozen

from terzetto_protocol.context import FlowContext, NodeContext
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.decisions import Approve, Fail
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.graph import Graph
from terzetto_protocol.migrations import Migration
from terzetto_protocol.places import Barrier, Effects, Exit, Place
from terzetto_protocol.retry import RetryPolicy

from ._invented_states import ROUNDS, Came, Journey, Kept, Voyage, Went, add, few, fresh, three
from ._world import World

Shape: TypeAlias = Literal["node", "barrier", "parallel", "map", "subgraph"]
_SECOND: Final[Mapping[str, Any]] = {"version": "2", "migrations": (Migration("1"),)}


@frozen
class Temper:
    """How a body behaves; each number that is no time is a share of its attempts."""

    effects: Effects = "repeatable"
    slow: float = 0.0
    """Seconds that it takes at most."""
    fails: float = 0.0
    talks: bool = False
    pauses: float = 0.0
    asks: bool = False
    """Whether it asks for a decision in the middle of its work."""
    tries: int = 1
    """Attempts in all."""
    run_timeout: float | None = None
    keeps: bool = False
    """Whether it puts a blob, and reads those that are there."""
    probed: bool = False
    """Whether it can look what became of its effect."""


@frozen
class Section:
    """A part of a graph; one follows the other."""

    shape: Shape
    name: str
    tempers: tuple[Temper, ...] = ()
    """Of its nodes: one, or one for each branch, or for each node of the inner graph."""
    loops: bool = False
    """Whether the way leads back to it, as often as `ROUNDS` says."""
    timeout: float | None = None
    """Of a barrier, seconds."""
    fails: bool = False
    """Whether that fails the run."""
    errors: Literal["fail_fast", "collect"] = "fail_fast"
    limit: int | None = None


@frozen
class Plan:
    """A graph as data."""

    name: str
    sections: tuple[Section, ...]
    flow: tuple[Temper, ...] = ()
    """Nodes of a dataflow, if it is one."""

    def build(self, world: World, *, newer: bool = False) -> Declaration[Any, Any]:
        """The graph, or its second version; what its nodes do outside, they do in this world."""
        if self.flow:
            return _flow(self, world, newer=newer)
        return _Builder(self.name, world, self.sections if newer else ()).graph(self.sections)


class _Builder:
    """Builds a graph, or its second version: that gets the sections of the first, whose nodes have other names."""

    def __init__(self, name: str, world: World, since: tuple[Section, ...] = ()) -> None:
        self._newer: Final = bool(since)
        self._went: Final[type[Went | Came]] = Came if since else Went
        self._graph: Graph[Any] = (
            Graph(name, state=Voyage, mutations=[Came, Kept], max_steps=200, version="2", migrations=[_lead_on(since)])
            if since
            else Graph(name, state=Journey, mutations=[Went, Kept], max_steps=200)
        )
        self._world: Final = world

    def graph(self, sections: tuple[Section, ...]) -> Graph[Journey]:
        """One section after the other, with a place to end at when something fails."""
        graph, ways = self._graph, list[tuple[Section, Place[Journey]]]()
        for section in sections:
            ways.append((section, self._place(section)))
        graph.start(ways[0][1])
        for number, (section, place) in enumerate(ways):
            source = place.approved if isinstance(place, Barrier) else place
            if section.loops:
                back: Exit[Journey] | Place[Journey] = place.rejected if isinstance(place, Barrier) else place
                graph.edge(back, place, when=few, max_visits=ROUNDS)
            if number + 1 < len(ways):
                graph.edge(source, ways[number + 1][1])
                if isinstance(place, Barrier):
                    graph.edge(place.rejected, ways[number + 1][1])
        return graph

    def _place(self, section: Section) -> Place[Journey]:
        graph, name = self._graph, section.name
        if section.shape == "barrier":
            reacts: Mapping[str, Any] = {}
            if section.timeout is not None:
                reacts = {"timeout": section.timeout, "on_timeout": Fail() if section.fails else Approve()}
            return graph.barrier(name, **reacts)
        if section.shape == "subgraph":
            within = tuple(
                Section("node", f"{name}-{number}", (temper,)) for number, temper in enumerate(section.tempers)
            )
            return graph.subgraph(name, _Builder(f"{graph.name}-{name}", self._world).graph(within), get=fresh, put=add)
        named = _renamed(name) if self._newer and section.shape == "node" else name
        nodes = [self._node(f"{named}-{number}", temper) for number, temper in enumerate(section.tempers)]
        options: dict[str, Any] = {"merge": "replay", "errors": section.errors, "limit": section.limit}
        if section.shape == "parallel":
            return graph.parallel(name, nodes, **options)
        if section.shape == "map":
            return graph.map(name, nodes[0], over=three, item=int, **options)
        return nodes[0]

    def _node(self, name: str, temper: Temper) -> Place[Journey]:
        world, went, options = self._world, self._went, _options(temper)

        async def body(ctx: NodeContext[Journey]) -> None:
            await _behave(world, ctx, temper)
            if temper.keeps:
                await world.reads(ctx, ctx.state.blobs)
                ctx.record(Kept(await ctx.blob(b"%d" % world.dice.randrange(3))))
            if world.dice.random() < temper.pauses:
                ctx.pause()
            ctx.record(went(f"{ctx.visit.run_id} {name}@{ctx.visit.visit}"))

        async def probe(ctx: NodeContext[Journey]) -> bool:
            await trio.lowlevel.checkpoint()
            happened = world.happened(ctx)
            if happened:
                ctx.record(went(f"{ctx.visit.run_id} {name}@{ctx.visit.visit}"))
            return happened

        return self._graph.node(name=name, probe=probe if temper.probed else None, **options)(body)


def _lead_on(sections: tuple[Section, ...]) -> Migration:
    """What leads from the first version of a graph to the second."""
    names = [f"{section.name}-0" for section in sections if section.shape == "node"]
    return Migration(
        "1",
        state=lambda state: {**state, "calm": False},
        mutation=lambda name, fields: ("Came", {"place": fields["where"]}) if name == "Went" else (name, fields),
        places={name: _renamed(name) for name in names},
    )


def _renamed(name: str) -> str:
    return f"new-{name}"


def _options(temper: Temper) -> dict[str, Any]:
    options: dict[str, Any] = {"effects": temper.effects, "run_timeout": temper.run_timeout}
    if temper.tries > 1:
        options["retry"] = RetryPolicy(max_attempts=temper.tries, initial=0.3, jitter=0.5)
    return options


async def _behave(world: World, ctx: NodeContext[Journey] | FlowContext, temper: Temper) -> None:
    world.effect(ctx, temper.effects)
    if temper.talks:
        ctx.emit_text("well")
    if temper.slow:
        await trio.sleep(temper.slow * world.dice.random())
    if temper.asks:
        await ctx.decision("sure")
    if world.dice.random() < temper.fails:
        raise OSError("bad luck")


def _flow(plan: Plan, world: World, *, newer: bool) -> Dataflow[Any]:
    """One node after the other; the first sends several values on."""
    flow = Dataflow(plan.name, max_steps=100, **(_SECOND if newer else {}))
    source = flow.input("count", int)
    for number, temper in enumerate(plan.flow):
        body = _first(world, temper) if not number else _next(world, temper)
        node = flow.node(name=f"n{number}", outputs={"out": int}, **_options(temper))(body)
        flow.link(source, node, "value")
        source = node.out("out")
    flow.output("out", source)
    return flow


def _first(world: World, temper: Temper) -> Callable[..., Awaitable[None]]:
    async def body(ctx: FlowContext, value: int) -> None:
        await _behave(world, ctx, temper)
        for number in range(value):
            await ctx.send("out", number)

    return body


def _next(world: World, temper: Temper) -> Callable[..., Awaitable[dict[str, int]]]:
    async def body(ctx: FlowContext, value: int) -> dict[str, int]:
        await _behave(world, ctx, temper)
        return {"out": value + 1}

    return body
