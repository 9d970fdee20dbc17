"""One graph in three versions, as its author would change it, for tests of migrations.

`write` and `check`, then the barrier `sign-off`, then `publish`. The second version has the text in lines, a title, and
other names for a mutation and the barrier; the third counts the lines, and has no `Touched` any more.
"""

from typing import Any

import trio
from attrs import define, field, frozen

import terzetto
from terzetto_protocol.graph import Graph
from terzetto_protocol.migrations import Migration


@define
class Draft:
    text: str = ""
    revisions: int = 0


@frozen
class Written:
    text: str

    def apply(self, draft: Draft) -> None:
        draft.text, draft.revisions = self.text, draft.revisions + 1


@frozen
class Touched:
    def apply(self, draft: Draft) -> None:
        draft.revisions += 1


@define
class Paper:
    lines: list[str] = field(factory=list)
    revisions: int = 0
    title: str = "untitled"


@frozen
class Wrote:
    lines: list[str]

    def apply(self, paper: Paper) -> None:
        paper.lines, paper.revisions = list(self.lines), paper.revisions + 1


class _Touched:
    def apply(self, paper: Paper) -> None:
        paper.revisions += 1


PaperTouched = frozen(type("Touched", (_Touched,), {"__annotations__": {}}))
"""The same mutation in the next version: it has the same name in the store."""


@define
class Book:
    lines: list[str] = field(factory=list)
    length: int = 0
    title: str = "untitled"


@frozen
class Added:
    line: str

    def apply(self, book: Book) -> None:
        book.lines.append(self.line)
        book.length += 1


@frozen
class Cleared:
    def apply(self, book: Book) -> None:
        book.lines, book.length = [], 0


def lines_of(plain: dict[str, Any]) -> dict[str, Any]:
    """A state or a mutation of the first version in the second."""
    text = plain.pop("text")
    return {**plain, "lines": text.splitlines()}


def mutation_of(name: str, plain: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if name == "Written":
        return "Wrote", lines_of(plain)
    return name, lines_of(plain) if "text" in plain else plain


def counted(plain: dict[str, Any]) -> dict[str, Any]:
    """A state of the second version in the third."""
    del plain["revisions"]
    return {**plain, "length": len(plain["lines"])}


def added(name: str, plain: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    if name == "Touched":
        return []
    if name != "Wrote":
        return [(name, plain)]
    return [("Cleared", {}), *(("Added", {"line": line}) for line in plain["lines"])]


FIRST = Migration(since="1", state=lines_of, mutation=mutation_of, places={"sign-off": "approval", "write": "draft"})
SECOND = Migration(since="2", state=counted, mutation=added, places={"draft": "compose"})


class Bodies:
    """What the nodes of all versions do, and a place where they can be held."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.keys: list[str] = []
        self.held = ""
        """The node that waits to be let go."""
        self.fails = ""
        """The node that fails."""
        self.begun = trio.Event()
        self.go = trio.Event()

    def of(self, name: str, *mutations: Any) -> Any:
        async def body(ctx: Any) -> None:
            self.ran.append(name)
            self.keys.append(ctx.key)
            if self.held == name:
                self.begun.set()
                await self.go.wait()
            if self.fails == name:
                raise RuntimeError(f"{name} is broken")
            for mutation in mutations:
                ctx.record(mutation)

        return body


def first(bodies: Bodies, **options: Any) -> Graph[Draft]:
    graph = Graph("article", state=Draft, mutations=[Written, Touched])
    return _wired(graph, bodies, ("write", "sign-off", "publish"), (Written("a\nb"), Touched()), Touched(), **options)


def second(bodies: Bodies, *, migrations: Any = (FIRST,), **options: Any) -> Graph[Paper]:
    graph = Graph("article", state=Paper, mutations=[Wrote, PaperTouched], version="2", migrations=migrations)
    recorded = Wrote(["x", "y"]), PaperTouched()
    return _wired(graph, bodies, ("draft", "approval", "publish"), recorded, PaperTouched(), **options)


def third(bodies: Bodies, *, migrations: Any = (FIRST, SECOND), **options: Any) -> Graph[Book]:
    graph = Graph("article", state=Book, mutations=[Added, Cleared], version="3", migrations=migrations)
    return _wired(graph, bodies, ("compose", "approval", "publish"), (Added("z"),), Added("the end"), **options)


def _wired(graph: Any, bodies: Bodies, names: tuple[str, str, str], recorded: Any, last: Any, **options: Any) -> Any:
    write = graph.node(name=names[0])(bodies.of(names[0], *recorded))
    check = graph.node(name="check")(bodies.of("check"))
    gate = graph.barrier(names[1], **options)
    publish = graph.node(name=names[2])(bodies.of(names[2], last))
    graph.start(write)
    graph.edge(write, check)
    graph.edge(check, gate)
    graph.edge(gate.approved, publish)
    graph.edge(gate.rejected, write)
    return graph


async def waiting(runtime: terzetto.Runtime, graph: Any, state: Any, **options: Any) -> terzetto.Run[Any]:
    """A run that waits at its barrier."""
    run = await runtime.submit(graph, state, run_id="r", **options)
    await opens(run)
    return run


async def opens(run: terzetto.Run[Any], after: int | None = None) -> int:
    """Wait until the run has opened a barrier; gives the event's id."""
    async with run.events(last_event_id=after) as events:
        async for event in events:
            if isinstance(event, terzetto.BarrierOpened):
                break
    assert isinstance(event, terzetto.BarrierOpened)
    return event.id
