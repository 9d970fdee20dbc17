"""A compiled graph of LangGraph inside of Terzetto: as a node's work, or as a whole run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, Literal, cast

import trio
from attrs import define, evolve, field, frozen

from terzetto_protocol.context import NodeContext
from terzetto_protocol.decisions import Answering, Exiting, Fail
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.graph import Graph
from terzetto_protocol.ids import check_choice, check_name

from .._asyncio_thread import AsyncioThread, open_loop
from .._plain import plain, presentable
from ._asking import GuestContext, Questions, resumed
from ._session import Session, Stop, check_modes

STREAMED: Final = ("updates", "custom", "messages")
"""What becomes events unless one says otherwise."""


async def run_graph(
    ctx: GuestContext,
    graph: Any,
    inputs: Any,
    /,
    *,
    thread_id: str | None = None,
    config: Mapping[str, Any] | None = None,
    checkpointer: Any = None,
    stream_mode: Sequence[str] = STREAMED,
    durability: Literal["sync", "async", "exit"] = "sync",
    interrupts: Literal["ask", "return"] = "ask",
    question: str = "interrupt",
    timeout: float | None = None,  # noqa: ASYNC109 - it is stored, and passes also while no process runs
    on_timeout: Exiting | Fail | None = None,
    resume: Callable[[Answering], Any] = resumed,
    loop: AsyncioThread | None = None,
) -> Any:
    """Run a compiled graph of LangGraph within a node, and return what `ainvoke` would. A checkpoint.

    With a checkpointer that outlives the process, a node that runs again after a crash goes on with the graph's last
    checkpoint: nodes in front of it do not run again, and what was decided is not asked again. Without one the graph
    begins anew then, and is told at once what was decided before.

    Cancelled, the graph's async nodes are cancelled, and this waits for their end and for that of plain functions in
    LangGraph's threads, whose effects happen. What takes longer than `CANCEL_GRACE` is stuck, as every such node is.

    Args:
        ctx: of the node.
        graph: a compiled graph, which stays what it is.
        inputs: what `ainvoke` takes.
        thread_id: LangGraph's; by default one that is this call's own, in every attempt.
        config: LangGraph's; its `configurable` may name the thread, too.
        checkpointer: a saver of LangGraph; a URL, for a `terzetto.langgraph.Checkpointer`; or a function without
            arguments that returns one, or an async context manager of one. By default the graph's own, else one in
            memory, which has to be able to encode the graph's state; False for none, and no interrupts then.
        stream_mode: which of LangGraph's streams become events: `CustomChunk`s named `langgraph.MODE`, with `ns` and
            `data`; the text of messages is a `TextChunk`, too.
        durability: when LangGraph's checkpoints are written.
        interrupts: `"ask"` opens a barrier for each `interrupt()`, and for a stop at a breakpoint; `"return"` returns
            where the graph stops.
        question: the barriers' name.
        timeout: seconds until a barrier decides by itself, like `on_timeout` as in `ctx.decision`.
        on_timeout: what it decides.
        resume: what `interrupt()` returns for a decision.
        loop: the loop in which the graph runs, from `open_loop`; by default one of its own. Clients that a node keeps
            for the next call need a loop that is still there then.

    Raises:
        GraphStopped: a stop at a breakpoint was rejected.
        DecisionTimeout: nobody decided in time, and `on_timeout` is `Fail()`.
        InvalidRequest: this is no compiled graph, or there is no such stream mode.
    """
    if not hasattr(graph, "astream") or not hasattr(graph, "aget_state"):
        hint = ": compile it first" if hasattr(graph, "compile") else ""
        raise InvalidRequest(f"a {type(graph).__name__} is no compiled graph of LangGraph{hint}")
    asks = check_choice(interrupts, ("ask", "return"), "interrupts") == "ask"
    session = Session(
        graph,
        _saver(graph, checkpointer),
        _config(config or {}, thread_id),
        check_modes(stream_mode),
        {"durability": durability},
        partial(_tell, ctx, trio.lowlevel.current_trio_token()),
    )
    questions = Questions(ctx, check_name(question), {"timeout": timeout, "on_timeout": on_timeout}, resume)
    async with AsyncExitStack() as stack:
        if loop is None:
            loop = await stack.enter_async_context(open_loop(f"node {ctx.visit.node}"))
        guest = await _Guest(ctx, session, questions, loop).begun()
        return await guest.live(inputs, asks=asks)


@frozen
class _Guest:
    """A graph in a node."""

    ctx: GuestContext
    session: Session
    questions: Questions
    loop: AsyncioThread

    async def live(self, inputs: Any, *, asks: bool) -> Any:
        stop = await (self._walk(inputs) if self.questions.is_fresh else self._go_on())
        while asks and (stop.asks or stop.before):
            stop = await self._told(await self.questions.ask(stop))
        return stop.values

    async def begun(self) -> "_Guest":
        """The guest on its thread, which knows whether this visit has begun with it, as far as the saver knows.

        The thread, and where it was, are stored with the visit: whoever goes on with it finds both.
        """
        if not self.session.is_saved:
            return self._on(self.ctx.key)
        begins: list[list[str]] = []

        async def begin(key: str) -> list[str]:
            begins.append([key, await self.loop.run(self._on(key).session.newest)])
            return begins[0]

        thread, before = await self.ctx.effect(f"{self.questions.name}-thread", begin, result=list[str])
        guest = self._on(thread)
        fresh = bool(begins) or before == await self.loop.run(guest.session.newest)
        return evolve(guest, questions=evolve(self.questions, is_fresh=fresh))

    def _on(self, thread: str) -> "_Guest":
        """The same on this thread, unless it was given one."""
        config = self.session.config
        known = {"thread_id": thread, **config["configurable"]}
        return evolve(self, session=evolve(self.session, config={**config, "configurable": known}))

    async def _go_on(self) -> Stop:
        """Where an earlier life of this visit left the thread, or where that leads to."""
        stop = await self.loop.run(self.session.look)
        graph = self.session.graph
        stays = stop.before and (graph.interrupt_before_nodes or graph.interrupt_after_nodes)
        return stop if stop.asks or stays else await self._walk(None)

    async def _walk(self, given: Any) -> Stop:
        return await self.loop.run(partial(self.session.walk, given))

    async def _told(self, given: Any) -> Stop:
        """Go on with answers; those that the graph does not take are asked for again."""
        try:
            return await self._walk(given)
        except ValueError as error:
            if not _is_invalid_resume(error):
                raise
            self.ctx.report(error)
            return await self.loop.run(self.session.look)


def _is_invalid_resume(error: Exception) -> bool:
    from langgraph.errors import is_invalid_resume

    return is_invalid_resume(error)


def _saver(graph: Any, given: Any) -> Any:
    """The saver to use; None for the graph's own, if it has one."""
    if given is False:
        return None
    if given is not None or graph.checkpointer:
        return given
    from langgraph.checkpoint.memory import InMemorySaver

    return InMemorySaver()


def _config(config: Mapping[str, Any], thread_id: str | None) -> dict[str, Any]:
    known: Mapping[str, Any] = config.get("configurable") or {}
    return {**config, "configurable": {**known, "thread_id": thread_id} if thread_id else dict(known)}


def _tell(ctx: GuestContext, token: trio.lowlevel.TrioToken, place: Sequence[str], mode: str, chunk: Any) -> None:
    """Show what LangGraph streams; called in the guest's thread, and waits until it is shown."""
    data = {"ns": list(place), "data": presentable(chunk)}
    text = getattr(chunk[0], "content", None) if mode == "messages" else None
    trio.from_thread.run_sync(_show, ctx, mode, data, text if isinstance(text, str) else "", trio_token=token)


def _show(ctx: GuestContext, mode: str, data: dict[str, Any], text: str) -> None:
    if text:
        ctx.emit_text(text)
    ctx.emit(f"langgraph.{mode}", data)


@define
class Guest:
    """The state of a run that is a graph of LangGraph."""

    inputs: Any
    """Plain data: what `ainvoke` takes."""
    thread_id: str = ""
    """LangGraph's; empty for one of the run's own."""
    output: Any = None
    """Plain data: what it returned."""
    config: dict[str, Any] = field(factory=dict[str, Any])
    """LangGraph's, plain data."""


@frozen
class Returned:
    """The graph has ended."""

    output: Any

    def apply(self, guest: Guest) -> None:
        """Keep what it returned."""
        guest.output = self.output


def guest_graph(graph: Any, /, name: str = "guest", *, version: str = "1", **options: Any) -> Graph[Guest, None]:
    """A graph whose runs are runs of a compiled graph of LangGraph: `runtime.submit(guest, Guest({...}))`.

    Its one node does what `run_graph` does. The output is stored as plain data; messages become dicts.

    Args:
        graph: a compiled graph.
        name: the name of the graph, which finds it again after a restart.
        version: its version.
        options: further arguments of `run_graph`.
    """
    made: Graph[Guest, None] = Graph(name, state=Guest, mutations=[Returned], version=version)

    async def guest(ctx: NodeContext[Guest]) -> None:
        """Run the graph, and keep what it returns."""
        state = ctx.state
        told: dict[str, Any] = {"config": state.config, "thread_id": state.thread_id or None, **options}
        output = await run_graph(ctx, graph, state.inputs, **told)
        ctx.record(Returned(plain(output, "what the graph returned")))

    made.start(cast("Any", made.node(guest)))
    return made
