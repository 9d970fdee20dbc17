"""Graphs in short, over one small state, for tests that care about where a run goes and not about what it does."""

from itertools import pairwise

from attrs import define, field
from msgspec import Struct

from terzetto_protocol.graph import Graph


@define
class Tally:
    """The state of every graph here."""

    count: int = 0
    trail: list[str] = field(factory=list)
    ratio: float = 0.0


class Add(Struct, frozen=True):
    n: int = 1

    def apply(self, tally: Tally) -> None:
        tally.count += self.n


class Say(Struct, frozen=True):
    text: str

    def apply(self, tally: Tally) -> None:
        tally.trail.append(self.text)


class Burst(Struct, frozen=True):
    """Breaks off when half of it is done."""

    def apply(self, tally: Tally) -> None:
        tally.count += 1000
        raise ArithmeticError("burst")


class Tip(Struct, frozen=True):
    """Can be done once, but not twice."""

    def apply(self, tally: Tally) -> None:
        if "tip" in tally.trail:
            raise ValueError("tipped already")
        tally.trail.append("tip")


class Spoil(Struct, frozen=True):
    """Makes a state that cannot be stored."""

    def apply(self, tally: Tally) -> None:
        tally.ratio = float("nan")


MUTATIONS = (Add, Say, Burst, Tip, Spoil)


async def body(ctx):
    """Never run: the driver plays the nodes."""


def sketch(places: str, edges: str = "", **options) -> Graph[Tally]:
    """A graph in short: places as `a b:pure c:once d:probed e:barrier` (the first is the start), edges as `a>b>c`."""
    graph = Graph("sketch", state=Tally, mutations=MUTATIONS, **options)
    for word in places.split():
        name, _, kind = word.partition(":")
        if kind == "barrier":
            graph.barrier(name)
        elif kind == "probed":
            graph.node(name=name, effects="once", probe=body)(body)
        else:
            graph.node(name=name, effects=kind or "repeatable")(body)
    graph.start(graph.places[0])
    for way in edges.split():
        stops = way.split(">")
        for source, target in pairwise(stops):
            graph.edge(source, target)
    return graph


def gated(**options) -> Graph[Tally]:
    """`a`, then the barrier `gate`, then `yes` or `no`."""
    graph = Graph("gated", state=Tally, mutations=MUTATIONS)
    for name in ("a", "yes", "no"):
        graph.node(name=name)(body)
    gate = graph.barrier("gate", **options)
    graph.start("a")
    graph.edge("a", gate)
    for name, target in (("approved", "yes"), ("rejected", "no")):
        if name in gate.exits:
            graph.edge(gate.exit(name), target)
    return graph
