"""Graphs inside of graphs for the machine, and what tests of them look at."""

from typing import Any

from attrs import define, field
from msgspec import Struct

from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .machines import Driver
from .sketches import Tally, body, sketch

_R = RunStatus


@define
class Words:
    """The state of an inner graph that has one of its own."""

    words: list[str] = field(factory=list)


class Word(Struct, frozen=True):
    text: str

    def apply(self, words: Words) -> None:
        words.words.append(self.text)


class Only(Struct, frozen=True):
    text: str

    def apply(self, words: Words) -> None:
        words.words = [self.text]


def words_of(tally: Tally) -> Words:
    return Words([*tally.trail])


def put_words(tally: Tally, words: Words) -> None:
    tally.trail = [" ".join(words.words)]
    tally.count += len(words.words)


LENS: dict[str, Any] = {"get": words_of, "put": put_words}


def speech(places: str = "i j", edges: str = "i>j", **options: Any) -> Graph[Any]:
    """An inner graph with a state of its own."""
    graph: Graph[Any] = Graph("speech", state=Words, mutations=[Word, Only], **options)
    for name in places.split():
        graph.node(name=name)(body)
    graph.start(graph.places[0])
    for way in edges.split():
        graph.edge(*way.split(">"))
    return graph


def around(inner: Graph[Any], places: str = "", edges: str = "", *, first: str = "sub", **lens: Any) -> Graph[Tally]:
    """`sub`, which is this graph, and then `end`."""
    graph = sketch(f"end {places}", f"sub>end {edges}")
    graph.subgraph("sub", inner, **lens)
    graph.starts[:] = [first]
    return graph


def two() -> Graph[Tally]:
    """An inner graph with the outer one's type of state."""
    return sketch("i j", "i>j")


def view(driver: Driver, path: str = "sub") -> Any:
    return driver.machine.fold.frame(path).view()


def told(driver: Driver, kind: type[Any]) -> list[Any]:
    return [event for event in driver.witness.seen if isinstance(event, kind)]
