"""Graphs with branches in short, and what tests of them look at."""

from collections.abc import Callable
from typing import Annotated, Any

from attrs import define, field
from msgspec import Struct

from terzetto_protocol.events import BranchDiscarded
from terzetto_protocol.fold import Fold
from terzetto_protocol.graph import Graph
from terzetto_protocol.keyed import KeyedState
from terzetto_protocol.reducers import append, replayed
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .machines import Driver, image_of, label_of
from .sketches import MUTATIONS, Add, Say, Tally, body
from .witness import all_of, state_of

_R = RunStatus


@define
class Board:
    """Four fields that one branch may change, and one that all may."""

    w: int = 0
    x: int = 0
    y: int = 0
    z: int = 0
    trail: Annotated[list[str], replayed] = field(factory=list)


class Set(Struct, frozen=True):
    name: str
    value: int

    def apply(self, board):
        setattr(board, self.name, self.value)


class Stranger(Struct, frozen=True):
    def apply(self, tally): ...


class Keys(KeyedState):
    messages: Annotated[list[str], append] = []
    topic: str = ""


class Page(Struct, frozen=True):
    number: int


def declare(graph: Graph[Any], places: str, edges: str = "") -> None:
    """Places and edges as in a sketch."""
    for word in places.split():
        name, _, kind = word.partition(":")
        options: dict[str, Any] = {"effects": kind or "repeatable"}
        if kind == "probed":
            options = {"effects": "once", "probe": body}
        if kind == "tried":
            options = {"retry": RetryPolicy(max_attempts=3)}
        if kind == "barrier":
            graph.barrier(name)
        else:
            graph.node(name=name, **options)(body)
    for way in edges.split():
        graph.edge(*way.split(">"))


def fan(branches: str, edges: str = "", more: str = "", *, of: type[Any] = Tally, **options: Any) -> Graph[Any]:
    """`fan` with these branches, and then `end`."""
    graph: Graph[Any] = Graph("fan", state=of, mutations=[Set, *MUTATIONS])
    declare(graph, f"{branches} {more} end", f"{edges} fan>end")
    graph.parallel("fan", [word.partition(":")[0] for word in branches.split()], **{"merge": "replay", **options})
    graph.start("fan")
    return graph


def each(over: Any, places: str = "b", edges: str = "", *, item: type[Any] = int, **options: Any) -> Graph[Any]:
    """`map` over these items, each branch beginning at the first place, and then `end`."""
    graph: Graph[Any] = Graph("each", state=Tally, mutations=MUTATIONS)
    declare(graph, f"{places} end", f"{edges} map>end")
    items: Callable[[Tally], Any] = over if callable(over) else lambda tally: over
    graph.map("map", graph.places[0], over=items, item=item, **{"merge": "replay", **options})
    graph.start("map")
    return graph


def nested(more: str = "", edges: str = "", inner: Any = (), outer: Any = ()) -> Graph[Any]:
    """`outer` with the branches `inner` (of `o` and `p`) and `q`, and then `end`."""
    graph: Graph[Any] = Graph("nested", state=Tally, mutations=MUTATIONS)
    declare(graph, f"o p q {more} end", f"{edges} outer>end")
    graph.parallel("inner", ["o", "p"], **{"merge": "replay", **dict(inner)})
    graph.parallel("outer", ["inner", "q"], **{"merge": "replay", **dict(outer)})
    graph.start("outer")
    return graph


def gates(names: str, edges: str = "", more: str = "", *, branches: str = "", **options: Any) -> Graph[Any]:
    """`fan` with barriers, which `options` are about, for branches (unless these are said), and then `end`."""
    graph: Graph[Any] = Graph("gates", state=Tally, mutations=MUTATIONS)
    for name in names.split():
        graph.barrier(name, **options)
    declare(graph, f"{more} end", f"{edges} fan>end")
    graph.parallel("fan", (branches or names).split(), merge="replay")
    graph.start("fan")
    return graph


def reads_the_same(driver: Driver) -> None:
    """Law 1: the log folded from its newest snapshot, as another process would, is the live run."""
    snapshot, bodies = driver.disk.log()
    fold = Fold.load(driver.blueprint, driver.header, snapshot, bodies)
    live = driver.machine.fold
    assert (image_of(fold), all_of(fold), state_of(fold)) == (image_of(live), all_of(live), state_of(live))


def recover(driver: Driver, keep: int = 0) -> None:
    """The process dies, and another goes on."""
    driver.crash(keep)
    driver.claim()
    driver.ack()


def discarded(driver: Driver) -> list[str]:
    return [event.branch for event in driver.witness.seen if isinstance(event, BranchDiscarded)]


def running(driver: Driver) -> list[str]:
    """Bodies that run, by their paths."""
    return [label_of(start) for start in driver.running.values()]


def view(driver: Driver, path: str) -> Any:
    return driver.machine.fold.frame(path).view()


def rows(driver: Driver) -> dict[str, BarrierStatus]:
    return {row.barrier: row.status for row in driver.disk.barriers.values()}


def summed(before: Tally, branches: list[Tally]) -> list[Any]:
    told = [Say(f"{before.count}: {' '.join(str(each.count) for each in branches)}")]
    return [*told, Add(10 * sum(each.count - before.count for each in branches))]
