"""A program that uses the public face as its users do: mypy and pyright, both strict, find nothing in it.

It is checked, never run (`tests/test_typing.py`). `assert_type` holds what has to be inferred.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, assert_type

import trio
from attrs import define, frozen

import terzetto
from terzetto.testing import context, emissions, flow_context, recorded, sent


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
class Cleared:
    def apply(self, draft: Draft) -> None:
        draft.text = ""


class Clients:
    url: str = ""

    async def complete(self, prompt: str) -> str:
        return prompt


graph = terzetto.Graph("article", state=Draft, mutations=[Written, Cleared], deps=Clients)
assert_type(graph, terzetto.Graph[Draft, Clients])
Ctx = terzetto.NodeContext[Draft, Clients]


@graph.node
async def write(ctx: Ctx) -> None:
    """The alias carries state and deps."""
    assert_type(ctx.state, Draft)
    assert_type(ctx.deps, Clients)
    assert_type(ctx.key, str)
    ctx.emit_text(await ctx.deps.complete(ctx.state.text))
    ctx.record(Written("hello"))
    ctx.report("slow today")
    ctx.report(TimeoutError(), level="degraded")
    ctx.emit_tool("call-1", "search", "started")


@graph.node
async def skim(ctx: terzetto.LeafContext[Draft, Clients]) -> None:
    """A node may ask for the small context."""
    ctx.record(Cleared())
    assert_type(ctx.is_cancelled(), bool)


@graph.node
def shrink(ctx: Ctx) -> None:
    """A plain function, which may block."""
    if not ctx.is_cancelled():
        ctx.record(Written(ctx.state.text.strip()))


@graph.node(on_cancel="abandon", run_timeout=5)
def look_up(ctx: terzetto.LeafContext[Draft, Clients]) -> None:
    ctx.heartbeat()


@graph.node(thread=False)
def count(ctx: Ctx) -> None:
    ctx.goto(look_up)


async def was_published(ctx: Ctx) -> bool | None:
    return ctx.state.text in ctx.deps.url


@graph.node(effects="once", probe=was_published, max_visits=3, token_cost=1.5)
async def publish(ctx: Ctx) -> None:
    ctx.goto(sign_off)
    ctx.goto(write)
    ctx.end()


@graph.node
async def illustrate(ctx: Ctx) -> None:
    """A blob is made of bytes, or of pieces of them; a stream of them is one too."""
    picture = await ctx.blob(b"...", media_type="image/png", name="cover")
    assert_type(picture, terzetto.Blob)
    await ctx.blob([b"a", b"b"])
    async with ctx.open_blob(picture) as reader:
        async for chunk in reader:
            assert_type(chunk, bytes)
    await ctx.blob(ctx.open_blob(picture))
    assert_type(await ctx.blob_bytes(picture, limit=1000), bytes)


@graph.node(has_side_effects=True, name="tell-everybody")
async def tell(ctx: Ctx) -> None:
    ctx.pause()


assert_type(write, terzetto.Node[Draft, Clients])
assert_type(skim, terzetto.Node[Draft, Clients])
assert_type(publish, terzetto.Node[Draft, Clients])
assert_type(shrink, terzetto.Node[Draft, Clients, None])
assert_type(look_up, terzetto.Node[Draft, Clients, None])
assert_type(count, terzetto.Node[Draft, Clients, None])


def decided(decision: terzetto.Approve | terzetto.Reject | terzetto.Choose) -> Sequence[Cleared]:
    return [Cleared()] if isinstance(decision, terzetto.Reject) else []


sign_off = graph.barrier("sign-off", timeout=3600, on_timeout=terzetto.Fail(), payload=lambda draft: draft.text)
review = graph.barrier("review", exits=("up", "down"), on_timeout=terzetto.Choose("down"), timeout=60, decided=decided)
assert_type(sign_off, terzetto.Barrier[Draft])
assert_type(sign_off.approved, terzetto.Exit[Draft])

graph.start(write)
graph.edge(write, sign_off)
graph.edge(shrink, look_up)
graph.parallel("together", [write, shrink, "count"])
graph.edge(write, skim, on_error=True)
graph.edge(skim, sign_off, when=lambda draft: draft.revisions > 1, max_visits=2)
graph.edge(skim, "tell-everybody", fallback=True)
graph.edge(sign_off.approved, publish)
graph.edge(sign_off.rejected, write, when=lambda draft: draft.revisions < 3)
graph.edge(review.exit("up"), publish)

plain = terzetto.Graph("plain", state=Draft)
assert_type(plain, terzetto.Graph[Draft, None])


@plain.node(effects="pure")
async def look(ctx: terzetto.NodeContext[Draft]) -> None:
    assert_type(ctx.deps, None)


@plain.node
async def look_again(ctx: terzetto.LeafContext[Draft]) -> None:
    """Both contexts have no deps by default."""


# Branches


@frozen
class Page:
    title: str
    words: int = 0


@define
class Book:
    draft: Draft
    pages: list[Page]


def longest(before: Draft, branches: Sequence[Draft]) -> Sequence[Written]:
    return [Written(max((branch.text for branch in branches), key=len))]


@graph.node
async def proofread(ctx: terzetto.ItemContext[Draft, str, Clients]) -> None:
    """A branch of a map sees its item, and all that other nodes see."""
    assert_type(ctx.item, str)
    assert_type(ctx.index, int)
    assert_type(ctx.state, Draft)
    assert_type(ctx.deps, Clients)
    ctx.record(Written(ctx.item))


@graph.node(effects="pure")
def measure(ctx: terzetto.ItemContext[Draft, str, Clients]) -> None:
    assert_type(ctx.item, str)


nodes: list[terzetto.Node[Draft, Clients, Any]] = [proofread, measure]

both = graph.parallel("both", [write, sign_off], merge=longest, errors="collect", limit=1)
lines_of = graph.map("lines", proofread, over=lambda draft: draft.text.splitlines(), limit=10, merge="replay")
again = graph.map("again", both, over=lambda draft: range(draft.revisions), item=int)
alone = graph.subgraph("alone", plain, deps=lambda clients: None)
assert_type(both, terzetto.Parallel[Draft])
assert_type(lines_of, terzetto.Map[Draft, str])
assert_type(again, terzetto.Map[Draft, int])
assert_type(alone, terzetto.Subgraph[Draft])
graph.edge(both, lines_of, when=lambda draft: bool(draft.text))
graph.edge(lines_of, again, on_error=True)
graph.parallel("nested", [lines_of, again, alone], merge="strict")


def put(book: Book, draft: Draft) -> None:
    book.pages.append(Page(draft.text, draft.revisions))


library = terzetto.Graph("library", state=Book)
inside = library.subgraph("inside", plain, get=lambda book: book.draft, put=put)
assert_type(inside, terzetto.Subgraph[Book])
library.start(inside)


@library.node
async def bind_page(ctx: terzetto.ItemContext[Book, Page]) -> None:
    """Items may be of any type that can be stored; there are no deps by default."""
    assert_type(ctx.item, Page)
    assert_type(ctx.deps, None)


assert_type(library.map("each", bind_page, over=lambda book: book.pages), terzetto.Map[Book, Page])

# Running it

bound = terzetto.bind(graph, Clients())
assert_type(bound, terzetto.Bound[Draft])


@frozen
class Question:
    text: str


@frozen
class Reminder:
    seconds: float


async def actors() -> None:
    """A mailbox of one type infers it; a union is inferred by pyright and given to mypy."""
    address, mailbox = terzetto.open_mailbox("clerk", Question)
    with mailbox:
        await address.tell(Question("where?"))
        address.tell_nowait(Question("when?"))
        async for envelope in mailbox:
            assert_type(envelope.message, Question)
            envelope.slot.answer("here")


class Clerk:
    """An actor keeps both ends under their full types."""

    def __init__(self) -> None:
        self.address: terzetto.Address[Question | Reminder, str]
        self.mailbox: terzetto.Mailbox[Question | Reminder, str]
        self.address, self.mailbox = terzetto.open_mailbox("clerk", Question, Reminder, capacity=8)

    async def ask(self) -> None:
        assert_type(await self.address.ask(Question("where?")), str)
        await self.address.tell(Reminder(3.0))


async def approve(event: terzetto.BarrierOpened) -> terzetto.Decision:
    return terzetto.Approve() if terzetto.payload_of(event) else terzetto.Reject("empty")


async def watch(run: terzetto.Run[Draft], last_event_id: int | None) -> int:
    """Every item of a stream is one of a closed union, so that a match over it can be exhaustive."""
    seen = 0
    async with run.events(last_event_id=last_event_id, heartbeat=5, strict=True) as events:
        assert_type(events, terzetto.Subscription)
        async for item in events:
            assert_type(item, terzetto.StreamItem)
            match item:
                case terzetto.BarrierOpened(barrier=barrier, deadline=deadline):
                    assert_type(barrier, str)
                    assert_type(deadline, float | None)
                    assert_type(await run.decide(barrier, terzetto.Approve(), source="me"), terzetto.Receipt)
                case terzetto.TextChunk() | terzetto.ThinkingChunk():
                    assert_type(item.text, str)
                case terzetto.Gap(missed=missed):
                    assert_type(missed, int | None)
                case terzetto.Cursor() | terzetto.Heartbeat():
                    continue
                case terzetto.RunEnded(status=status):
                    assert_type(status, terzetto.RunStatus)
                case _:
                    seen = item.id
    return seen


async def lines(run: terzetto.Run[Draft]) -> AsyncIterator[str]:
    async with run.events() as events:
        async for batch in events.batches():
            assert_type(batch, list[terzetto.StreamItem])
            yield str(len(batch))


async def main() -> None:
    """From submit to result, the state keeps its type."""
    async with terzetto.open_runtime("sqlite:runs.db", graphs=[bound, plain], signals=True) as runtime:
        assert_type(runtime, terzetto.Runtime)
        run = await runtime.submit(graph, Draft(), run_id="r-1", metadata={"tenant": "a"})
        assert_type(await runtime.submit(graph, Draft(), thread="t"), terzetto.Run[Draft])
        assert_type(await runtime.submit(graph, thread="t", busy="enqueue"), terzetto.Run[Draft])
        assert_type(await runtime.run(graph, thread="t", key="k"), Draft)
        assert_type(await runtime.submit(graph, thread="t", record=[Written("new")]), terzetto.Run[Draft])
        assert_type(await runtime.run(graph, Draft(), record=[Written("new")]), Draft)
        assert_type(await runtime.thread("t").head(), terzetto.RunRow | None)
        assert_type(await run.cancel(mode="rollback", repeat_effects=True), terzetto.CancelReceipt)
        assert_type(run, terzetto.Run[Draft])
        await watch(run, None)
        decisions = run.decisions(sign_off)
        assert_type(decisions, terzetto.DecisionChannel[Draft])
        await decisions.decide(terzetto.Reject("not yet"))
        assert_type(await run.cancel("enough"), terzetto.CancelReceipt)
        assert_type(await run.state(), Draft)
        assert_type(run.statistics(), terzetto.RunStatistics | None)
        assert_type(await run.barriers(), list[terzetto.BarrierRow])
        result = await run.result()
        assert_type(result, terzetto.Result[Draft])
        assert_type(result.state, Draft)
        assert_type(result.unwrap(), Draft)
        assert_type(await runtime.run(plain, Draft()), Draft)
        assert_type(runtime.statistics(), terzetto.RuntimeStatistics)
        cover = await runtime.put_blob(b"...")
        assert_type(await runtime.blob_bytes(cover), bytes)
        assert_type([chunk async for chunk in runtime.open_blob(cover)], list[bytes])
    assert_type(await terzetto.run(bound, Draft(), decider=approve), Draft)
    assert_type(await terzetto.run(plain, Draft(), strict=True, blobs=terzetto.Blobs()), Draft)


async def unit_test() -> None:
    """A decorated node stays a function of a context, which a test may make."""
    ctx = context(Draft(), deps=Clients())
    await write(ctx)
    assert_type(recorded(ctx), list[terzetto.Mutation[Draft]])
    assert emissions(ctx)
    shrink(ctx)
    bare = context(Draft())
    assert_type(bare, terzetto.NodeContext[Draft, None])
    await look(bare)


class Reporter:
    """A sink of two kinds, which says so nowhere."""

    async def emit(self, event: terzetto.Event, /) -> None:
        assert_type(event.run_id, str)

    async def on_checkpoint(self, checkpoint: terzetto.Checkpoint, /) -> None:
        assert_type(checkpoint.seq, int)
        print(await checkpoint.state())


class Gate:
    async def on_barrier_opened(self, event: terzetto.BarrierOpened) -> None: ...
    async def on_barrier_resolved(self, event: terzetto.BarrierResolved) -> None: ...


class Tracer:
    async def on_commits(self, run_id: str, commits: Sequence[terzetto.CommitView], /) -> None: ...


def tracers(run_id: str) -> list[Tracer]:
    return [Tracer()]


def beware(stuck: terzetto.StuckNode) -> None:
    assert_type(stuck.stack, tuple[str, ...])


async def sinks() -> None:
    """Sinks for every run, for one, and without a runtime."""
    stream: terzetto.StreamSink = Reporter()
    async with terzetto.open_runtime("memory:", graphs=[plain], sinks=tracers, on_stuck=beware) as runtime:
        result = await (await runtime.submit(plain, Draft(), sinks=[stream, Gate()])).result()
        assert_type(result.observed, tuple[terzetto.ObservedError, ...])
        await runtime.run(plain, Draft(), sinks=[Reporter()])
        assert_type(runtime.statistics().sinks, tuple[terzetto.SinkStatistics, ...])
    async with terzetto.open_runtime("memory:", graphs=[plain], sinks=[Tracer(), Gate()]):
        await terzetto.run(plain, Draft(), sinks=[Reporter(), Tracer()])


class Broker(terzetto.StreamBridge):
    async def publish(self, run_id: str, event: str, data: terzetto.JSONValue) -> str:
        return ""

    async def publish_end(self, run_id: str) -> str:
        return await self.publish_terminal(run_id, terzetto.StreamStatus.ENDED)

    async def publish_terminal(self, run_id: str, kind: terzetto.StreamStatus, data: terzetto.JSONValue = None) -> str:
        return ""

    async def subscribe(
        self, run_id: str, *, last_event_id: str | None = None, heartbeat_interval: float = 15.0
    ) -> AsyncIterator[terzetto.StreamEvent]:
        yield terzetto.HEARTBEAT_SENTINEL

    async def cleanup(self, run_id: str, *, delay: float = 0) -> None: ...


async def bridges() -> None:
    """A bridge of one's own, and the facade."""
    async with Broker() as broker, terzetto.open_runtime("memory:", graphs=[plain], stream_bridge=broker) as runtime:
        run, events = await runtime.runs.create_and_stream(plain, Draft(), run_id="r", on_disconnect="cancel")
        assert_type(run, terzetto.Run[Draft])
        async for event in events:
            assert_type(event, terzetto.StreamEvent)
            assert_type(terzetto.resume_of(event), terzetto.ResumeResult | None)
        assert_type(await runtime.runs.create_background(plain, thread="t"), terzetto.Run[Draft])
        assert_type(await runtime.runs.create_and_wait(plain, Draft(), key="k"), terzetto.Result[Draft])
        assert_type(await runtime.runs.list(graph="plain", metadata={"n": 1}), list[terzetto.RunRow])
        assert_type(await runtime.runs(limit=None), list[terzetto.RunRow])
        assert_type(await runtime.runs.delete("r"), int)
        await runtime.submit(plain, Draft(), on_completion="delete", sinks=[terzetto.Required(Reporter())])
        bridge: terzetto.StreamBridge = terzetto.RuntimeStreamBridge(runtime)
        await bridge.mark_awaiting_input("r")


# Dataflows

pages = terzetto.Dataflow("pages", deps=Clients)
assert_type(pages, terzetto.Dataflow[Clients])
FlowCtx = terzetto.FlowContext[Clients]


@pages.node(outputs={"page": str}, effects="once", run_timeout=5.0)
async def fetch(ctx: FlowCtx, url: str, depth: int = 1) -> None:
    """An `async def` sends when it likes."""
    assert_type(ctx.deps, Clients)
    assert_type(ctx.key, str)
    await ctx.send("page", await ctx.deps.complete(url))
    ctx.emit_text(url)


@pages.node(outputs=["part"], name="cut", retry=terzetto.RetryPolicy())
async def split(ctx: FlowCtx, page: str) -> AsyncIterator[tuple[str, object]]:
    """A generator yields what it sends."""
    yield "part", page


@pages.node(outputs="size", defaults={"part": ""}, on_cancel="abandon")
def weigh(ctx: FlowCtx, /, part: str, **others: int) -> dict[str, int]:
    """A plain function returns it."""
    return {"size": len(part)}


@pages.node(outputs=None)
async def anything(ctx: terzetto.FlowContext[Any]) -> None:
    """A node may leave its deps open."""
    await ctx.send("whatever", await ctx.effect("draw", ctx.deps.complete, result=str))


echo: terzetto.Dataflow[None] = terzetto.Dataflow("echo")
echo.output("line", echo.input("text", str, default="text"), str)
within = pages.subflow("inside", echo, defaults={"text": ""}, deps=lambda clients: None)
assert_type(within, terzetto.SubFlow)
pages.link(pages.input("url", str), fetch, "url")
pages.link(fetch.out("page"), split, "page")
pages.link(split.out("part"), weigh, "part", static=True)
pages.link(split.out("error"), within, "text")
pages.output("sizes", weigh.out("size"), int)
pages.output("lines", within.out("line"))


async def flows() -> None:
    """Nodes are functions still; a dataflow is a graph like any other."""
    ctx = flow_context(deps=Clients())
    assert_type(ctx, FlowCtx)
    await fetch(ctx, "a")
    await fetch(ctx, url="a", depth=2)
    assert_type(weigh(ctx, "part"), dict[str, int])
    async for pair in split(ctx, "page"):
        assert_type(pair, tuple[str, object])
    assert_type(sent(ctx), list[tuple[str, Any]])
    state = pages.begin({"url": "a"}, masks={"fetch": {"depth": 3}})
    assert_type(state, terzetto.FlowState)
    async with terzetto.open_runtime("memory:", graphs=[terzetto.bind(pages, Clients()), echo]) as runtime:
        run = await runtime.submit(pages, state)
        assert_type(run, terzetto.Run[terzetto.FlowState])
        await run.decide("fetch@2", pages.confirm({"page": ""}, note="seen"))
        assert_type((await run.result()).state.outputs, dict[str, list[Any]])
        await terzetto.run(echo, echo.begin())


trio.run(main)
