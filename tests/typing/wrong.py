"""A program full of mistakes: mypy and pyright, both strict, find every one of them, and nothing else.

It is checked, never run (`tests/test_typing.py`). A marked line says which error each of them reports there.
"""

from attrs import frozen
from good import (
    Book,
    Clients,
    Draft,
    Question,
    Reminder,
    Written,
    both,
    graph,
    library,
    plain,
    proofread,
    publish,
    put,
    shrink,
    sign_off,
    write,
)

import terzetto
from terzetto.testing import FaultPlan, FaultStore, ScriptedDecider, context, flow_context, run_virtually, sent


@frozen
class Wrong:
    """A mutation of another state."""

    def apply(self, draft: int) -> None: ...


@frozen
class Lazy:
    """Not a mutation: it has no `apply`."""


# Declaring a graph

terzetto.Graph("x", state=Draft, mutations=[Written, Wrong])  # W1 mypy: list-item / pyright: reportArgumentType
terzetto.Graph("x", state=Draft, mutations=[Lazy])  # W2 mypy: list-item / pyright: reportArgumentType


@graph.node  # W3 mypy: arg-type / pyright: reportArgumentType
async def of_another_state(ctx: terzetto.NodeContext[int, Clients]) -> None: ...


@graph.node  # W4 mypy: arg-type / pyright: reportArgumentType
async def with_other_deps(ctx: terzetto.NodeContext[Draft, int]) -> None: ...


@graph.node  # W5 mypy: arg-type / pyright: reportArgumentType
def plain_and_of_another_state(ctx: terzetto.NodeContext[int, Clients]) -> None: ...


@graph.node  # W6 mypy: type-var / pyright: reportArgumentType
async def returns_what_it_should_record(ctx: terzetto.NodeContext[Draft, Clients]) -> Draft:
    return ctx.state


@graph.node(effects="twice")  # W7 mypy: call-overload / pyright: reportArgumentType
async def has_unheard_of_effects(ctx: terzetto.NodeContext[Draft, Clients]) -> None: ...


async def vague(ctx: terzetto.NodeContext[Draft, Clients]) -> str:
    return "perhaps"


@graph.node(effects="once", probe=vague)  # W8 mypy: call-overload / pyright: reportArgumentType
async def has_a_vague_probe(ctx: terzetto.NodeContext[Draft, Clients]) -> None: ...


graph.edge(write.approved, publish)  # W9 mypy: attr-defined / pyright: reportAttributeAccessIssue
graph.edge(publish, write, when=lambda d: d.nope)  # W10 mypy: attr-defined / pyright: reportAttributeAccessIssue
graph.edge(publish, sign_off.approved)  # W11 mypy: arg-type / pyright: reportArgumentType
graph.start(sign_off.approved)  # W12 mypy: arg-type / pyright: reportArgumentType
graph.barrier("b", timeout="1 h")  # W13 mypy: arg-type / pyright: reportArgumentType
graph.barrier("b", timeout=60, on_timeout=terzetto.Retry())  # W14 mypy: arg-type / pyright: reportArgumentType
graph.barrier("b", payload=lambda draft: draft.nope)  # W15 mypy: attr-defined / pyright: reportAttributeAccessIssue
graph.barrier("b", decided=lambda decision: [Wrong()])  # W16 mypy: list-item / pyright: reportArgumentType
graph.barrier("b", exits=[1])  # W17 mypy: list-item / pyright: reportArgumentType

other = terzetto.Graph("y", state=Lazy)


@other.node
async def stranger(ctx: terzetto.NodeContext[Lazy]) -> None: ...


graph.start(stranger)  # W18 mypy: arg-type / pyright: reportArgumentType
graph.edge(stranger, write)  # W19 mypy: arg-type / pyright: reportArgumentType
graph.edge(write, stranger)  # W20 mypy: arg-type / pyright: reportArgumentType


# Inside a node


@plain.node
async def careless(ctx: terzetto.NodeContext[Draft]) -> None:
    ctx.record(Wrong())  # W21 mypy: arg-type / pyright: reportArgumentType
    ctx.record(Draft())  # W22 mypy: arg-type / pyright: reportArgumentType
    ctx.record(Written)  # W23 mypy: arg-type / pyright: reportArgumentType
    ctx.deps.url  # W24 mypy: attr-defined / pyright: reportAttributeAccessIssue
    ctx.state.nope  # W25 mypy: attr-defined / pyright: reportAttributeAccessIssue
    ctx.goto("write")  # W26 mypy: arg-type / pyright: reportArgumentType
    ctx.goto(stranger)  # W27 mypy: arg-type / pyright: reportArgumentType
    ctx.emit_tool("call-1", "search", "flying")  # W28 mypy: arg-type / pyright: reportArgumentType


@plain.node
async def small(ctx: terzetto.LeafContext[Draft]) -> None:
    ctx.goto(careless)  # W29 mypy: attr-defined / pyright: reportAttributeAccessIssue
    await publish(ctx)  # W30 mypy: arg-type / pyright: reportArgumentType


# Running it


def hasty(event: terzetto.BarrierOpened) -> terzetto.Decision:
    """Not async, as a decider has to be."""
    return terzetto.Approve()


async def steer(runtime: terzetto.Runtime, run: terzetto.Run[Draft]) -> None:
    await runtime.submit(graph, Lazy())  # W31 mypy: misc / pyright: reportArgumentType
    await runtime.submit(graph, Draft(), run_id=7)  # W32 mypy: call-overload / pyright: reportArgumentType
    await runtime.submit(graph, Draft(), metadata={"a": []})  # W33 mypy: dict-item / pyright: reportArgumentType
    await runtime.run(plain, Draft(), max_step=3)  # W34 mypy: call-overload / pyright: reportCallIssue
    await run.decide("sign-off", True)  # W35 mypy: arg-type / pyright: reportArgumentType
    await run.decide(sign_off, "approve")  # W36 mypy: arg-type / pyright: reportArgumentType
    await run.decide(sign_off, terzetto.Reject(404))  # W37 mypy: arg-type / pyright: reportArgumentType
    await run.decide(write, terzetto.Approve())  # W38 mypy: arg-type / pyright: reportArgumentType
    run.result()  # W39 mypy: unused-coroutine / pyright: reportUnusedCoroutine
    print((await run.result()).state.nope)  # W40 mypy: attr-defined / pyright: reportAttributeAccessIssue
    print(await run.state().text)  # W41 mypy: attr-defined / pyright: reportAttributeAccessIssue
    terzetto.bind(graph, 3)  # W42 mypy: misc / pyright: reportArgumentType
    terzetto.bind(graph)  # W43 mypy: call-arg / pyright: reportCallIssue
    terzetto.open_runtime("sqlite:x.db", graphs=[graph])  # W44 mypy: list-item / pyright: reportArgumentType
    terzetto.open_runtime("sqlite:x.db", graphs=plain)  # W45 mypy: arg-type / pyright: reportArgumentType
    await terzetto.run(plain, Lazy())  # W46 mypy: misc / pyright: reportArgumentType
    await terzetto.run(plain, Draft(), decider=hasty)  # W47 mypy: arg-type / pyright: reportArgumentType
    await write(context(Draft()))  # W48 mypy: arg-type / pyright: reportArgumentType


# Speaking to actors


async def speak(address: terzetto.Address[Question | Reminder, str]) -> int:
    await address.tell("hello")  # W49 mypy: arg-type / pyright: reportArgumentType
    address.tell_nowait(3)  # W50 mypy: arg-type / pyright: reportArgumentType
    single, _ = terzetto.open_mailbox("clerk", Question)
    await single.tell(Reminder(1.0))  # W51 mypy: arg-type / pyright: reportArgumentType
    return await address.ask(Question("how many?"))  # W52 mypy: return-value / pyright: reportReturnType


# Reading a stream


def read(event: terzetto.Event) -> None:
    match event:
        case terzetto.TextChunk():
            print(event.txt)  # W53 mypy: attr-defined / pyright: reportAttributeAccessIssue
        case _:
            print(event.node)  # W54 mypy: union-attr / pyright: reportAttributeAccessIssue


# Plain functions


@graph.node  # W55 mypy: type-var / pyright: reportArgumentType
def returns_what_it_should_record_too(ctx: terzetto.NodeContext[Draft, Clients]) -> Draft:
    return ctx.state


@graph.node(on_cancel="abandon")  # W56 mypy: arg-type / pyright: reportArgumentType
def declared_and_of_another_state(ctx: terzetto.NodeContext[int, Clients]) -> None: ...


@graph.node(on_cancel="forget")  # W57 mypy: call-overload / pyright: reportArgumentType
def is_cancelled_in_an_unheard_of_way(ctx: terzetto.NodeContext[Draft, Clients]) -> None: ...


async def awaits_what_is_none() -> None:
    await shrink(context(Draft(), deps=Clients()))  # W58 mypy: misc / pyright: reportGeneralTypeIssues


# Branches


graph.parallel("p", [write, stranger])  # W59 mypy: list-item / pyright: reportArgumentType
graph.parallel("p", [sign_off.approved])  # W60 mypy: list-item / pyright: reportArgumentType
graph.parallel("p", [write], merge="loose")  # W61 mypy: arg-type / pyright: reportArgumentType
graph.parallel("p", [write], merge=lambda _, after: [Wrong()])  # W62 mypy: list-item / pyright: reportArgumentType
graph.parallel("p", [write], errors="ignore")  # W63 mypy: arg-type / pyright: reportArgumentType
graph.parallel("p", [write], limit="10")  # W64 mypy: arg-type / pyright: reportArgumentType
graph.edge(both.approved, write)  # W65 mypy: attr-defined / pyright: reportAttributeAccessIssue
graph.map("m", proofread, over=lambda draft: draft.nope)  # W66 mypy: attr-defined / pyright: reportAttributeAccessIssue
graph.map("m", proofread, over=lambda draft: [1, 2])  # W67 mypy: list-item / pyright: reportArgumentType
graph.map("m", proofread, over=lambda draft: draft.revisions)  # W68 mypy: arg-type / pyright: reportArgumentType
graph.map("m", write, over=lambda draft: [1, 2])  # W69 mypy: call-overload / pyright: reportArgumentType
graph.map("m", both, over=lambda draft: ["a"], item="str")  # W70 mypy: call-overload / pyright: reportArgumentType
graph.map("m", proofread)  # W71 mypy: call-overload / pyright: reportCallIssue


@graph.node
async def on_an_item_of_another_type(ctx: terzetto.ItemContext[Draft, str, Clients]) -> None:
    ctx.item.words  # W72 mypy: attr-defined / pyright: reportAttributeAccessIssue
    ctx.record(ctx.item)  # W73 mypy: arg-type / pyright: reportArgumentType


@graph.node  # W74 mypy: arg-type / pyright: reportArgumentType
async def on_an_item_of_another_state(ctx: terzetto.ItemContext[Book, str, Clients]) -> None: ...


@plain.node
async def without_an_item(ctx: terzetto.NodeContext[Draft]) -> None:
    ctx.item  # W75 mypy: attr-defined / pyright: reportAttributeAccessIssue


library.subgraph("s", plain, get=lambda book: book.pages, put=put)  # W76 mypy: arg-type / pyright: reportArgumentType
library.subgraph("s", plain, get=lambda book: book.draft, put=len)  # W77 mypy: arg-type / pyright: reportArgumentType
library.subgraph("s", plain, get=lambda b: b.nope)  # W78 mypy: attr-defined / pyright: reportAttributeAccessIssue
library.subgraph("s", write)  # W79 mypy: arg-type / pyright: reportArgumentType


async def talk(runtime: terzetto.Runtime, run: terzetto.Run[Draft]) -> None:
    await runtime.submit(graph)  # W80 mypy: call-overload / pyright: reportCallIssue
    await runtime.submit(graph, busy="enqueue")  # W81 mypy: call-overload / pyright: reportCallIssue
    await runtime.submit(graph, thread=7)  # W82 mypy: call-overload / pyright: reportArgumentType
    await runtime.submit(graph, thread="t", busy="wait")  # W83 mypy: call-overload / pyright: reportArgumentType
    await runtime.run(graph)  # W84 mypy: call-overload / pyright: reportCallIssue
    await run.cancel(mode="rewind")  # W85 mypy: arg-type / pyright: reportArgumentType


# Hearing of runs


class Deaf:
    """Of no kind: its method takes something else."""

    async def emit(self, event: int, /) -> None: ...


class Hurried:
    """Of no kind: nobody can wait for it."""

    def on_checkpoint(self, checkpoint: terzetto.Checkpoint, /) -> None: ...


async def is_heard_by_nobody(runtime: terzetto.Runtime, ctx: terzetto.NodeContext[Draft]) -> None:
    await runtime.submit(graph, Draft(), sinks=[Deaf()])  # W86 mypy: list-item / pyright: reportArgumentType
    await terzetto.run(plain, Draft(), sinks=[Hurried()])  # W87 mypy: list-item / pyright: reportArgumentType
    terzetto.open_runtime("memory:", graphs=[plain], sinks=Deaf())  # W88 mypy: arg-type / pyright: reportArgumentType
    ctx.report("no", level="fatal")  # W89 mypy: arg-type / pyright: reportArgumentType


# Blobs


async def stores_what_is_not_bytes(ctx: terzetto.NodeContext[Draft, Clients]) -> terzetto.Blob:
    await ctx.blob("text")  # W90 mypy: arg-type / pyright: reportArgumentType
    await ctx.blob(["text"])  # W91 mypy: list-item / pyright: reportArgumentType
    ctx.record(await ctx.blob(b""))  # W92 mypy: arg-type / pyright: reportArgumentType
    return await ctx.blob_bytes(b"")  # W93 mypy: arg-type / pyright: reportArgumentType


# Dataflows

pages = terzetto.Dataflow("pages", deps=Clients)


@pages.node(outputs=["page"])
async def fetch(ctx: terzetto.FlowContext[Clients], url: str, depth: int = 1) -> None:
    ctx.state  # W94 mypy: attr-defined / pyright: reportAttributeAccessIssue
    ctx.record(Written("hello"))  # W95 mypy: attr-defined / pyright: reportAttributeAccessIssue
    ctx.end()  # W96 mypy: attr-defined / pyright: reportAttributeAccessIssue
    ctx.deps.nope  # W97 mypy: attr-defined / pyright: reportAttributeAccessIssue
    await ctx.send("page")  # W98 mypy: call-arg / pyright: reportCallIssue
    await ctx.send(url=url)  # W99 mypy: call-arg / pyright: reportCallIssue


@pages.node(outputs=["part"])  # W100 mypy: arg-type / pyright: reportArgumentType
async def of_other_deps(ctx: terzetto.FlowContext[int], page: str) -> None: ...


@pages.node(outputs=["part"])  # W101 mypy: arg-type / pyright: reportArgumentType
async def of_a_graph(ctx: terzetto.NodeContext[Draft, Clients], page: str) -> None: ...


@pages.node  # W102 mypy: call-arg / pyright: reportCallIssue
async def without_a_call(ctx: terzetto.FlowContext[Clients]) -> None: ...


pages.node(effects="twice")  # W103 mypy: arg-type / pyright: reportArgumentType
pages.node(outputs=5)  # W104 mypy: arg-type / pyright: reportArgumentType
pages.link(fetch, fetch, "url")  # W105 mypy: arg-type / pyright: reportArgumentType
pages.link(fetch.out("page"), fetch.out("page"), "url")  # W106 mypy: arg-type / pyright: reportArgumentType
pages.link(fetch.out("page"), "fetch", "url")  # W107 mypy: arg-type / pyright: reportArgumentType
pages.link(fetch.out("page"), fetch)  # W108 mypy: call-arg / pyright: reportCallIssue
pages.output("pages", fetch)  # W109 mypy: arg-type / pyright: reportArgumentType
pages.subflow("sub", graph)  # W110 mypy: arg-type / pyright: reportArgumentType
pages.begin({"url": "a"}, masks={"fetch": 5})  # W111 mypy: dict-item / pyright: reportArgumentType
pages.begin(url="a")  # W112 mypy: call-arg / pyright: reportCallIssue
graph.subgraph("s", pages, get=len, put=put)  # W113 mypy: arg-type / pyright: reportArgumentType


async def calls_a_node_wrongly() -> None:
    ctx = flow_context(deps=Clients())
    await fetch(ctx)  # W114 mypy: call-arg / pyright: reportCallIssue
    await fetch(ctx, url=5)  # W115 mypy: arg-type / pyright: reportArgumentType
    await fetch(flow_context(), "a")  # W116 mypy: arg-type / pyright: reportArgumentType
    await fetch(context(Draft(), deps=Clients()), "a")  # W117 mypy: arg-type / pyright: reportArgumentType
    fetch.out(5)  # W118 mypy: arg-type / pyright: reportArgumentType
    sent(context(Draft()))  # W119 mypy: arg-type / pyright: reportArgumentType


async def begins_with_something_else(runtime: terzetto.Runtime) -> None:
    await runtime.submit(pages, {"url": "a"})  # W120 mypy: misc / pyright: reportArgumentType
    await runtime.submit(pages, Draft())  # W121 mypy: misc / pyright: reportArgumentType
    await terzetto.run(pages, pages.begin())  # W122 mypy: arg-type / pyright: reportArgumentType


async def brings_along_what_is_of_another_state(runtime: terzetto.Runtime) -> None:
    await runtime.submit(library, thread="t", record=[Written("a")])  # W123 mypy: misc / pyright: reportArgumentType
    await runtime.run(graph, thread="t", record=["a"])  # W124 mypy: list-item / pyright: reportArgumentType


def plans_what_cannot_be(plan: FaultPlan) -> None:
    plan.at("commit_sent").delays(1.5)  # W125 mypy: attr-defined / pyright: reportAttributeAccessIssue
    plan.on_node("charge").drops()  # W126 mypy: attr-defined / pyright: reportAttributeAccessIssue
    plan.on_dispatch().duplicates()  # W127 mypy: attr-defined / pyright: reportAttributeAccessIssue
    plan.on_mailbox("m").tears()  # W128 mypy: attr-defined / pyright: reportAttributeAccessIssue
    plan.on_store("commit").calls(print)  # W129 mypy: attr-defined / pyright: reportAttributeAccessIssue
    plan.on_pass(3)  # W130 mypy: attr-defined / pyright: reportAttributeAccessIssue
    plan.on_node("charge").raises("an error")  # W131 mypy: arg-type / pyright: reportArgumentType
    plan.on_node("charge").when(lambda ctx: ctx.nome)  # W132 mypy: attr-defined / pyright: reportAttributeAccessIssue
    plan.on_store().when(lambda call: call.kind)  # W133 mypy: attr-defined / pyright: reportAttributeAccessIssue
    FaultStore("memory:")  # W134 mypy: arg-type / pyright: reportArgumentType
    ScriptedDecider({"sign-off": ["yes"]})  # W135 mypy: list-item / pyright: reportArgumentType
    run_virtually(begins_with_something_else, 5)  # W136 mypy: arg-type / pyright: reportArgumentType
