"""A program full of mistakes: mypy and pyright, both strict, find every one of them, and nothing else.

It is checked, never run (`tests/test_typing.py`). A marked line says which error each of them reports there.
"""

from attrs import frozen
from good import Clients, Draft, Question, Reminder, Written, graph, plain, publish, sign_off, write
from terzetto.testing import context

import terzetto


@frozen
class Wrong:
    def apply(self, draft: int) -> None: ...


@frozen
class Lazy:
    """Not a mutation: it has no `apply`."""


terzetto.Graph("x", state=Draft, mutations=[Written, Wrong])  # W1: a mutation of another state
terzetto.Graph("x", state=Draft, mutations=[Lazy])  # W2: not a mutation


@graph.node  # W3: a node of another state
async def a(ctx: terzetto.NodeContext[int, Clients]) -> None: ...


@graph.node  # W4: a node that asks for other deps
async def b(ctx: terzetto.NodeContext[Draft, int]) -> None: ...


@graph.node  # W5: not an async function
def c(ctx: terzetto.NodeContext[Draft, Clients]) -> None: ...


@graph.node  # W6: a node returns nothing; what it found is recorded
async def d(ctx: terzetto.NodeContext[Draft, Clients]) -> Draft:
    return ctx.state


@graph.node(effects="twice")  # W7: no such effects
async def e(ctx: terzetto.NodeContext[Draft, Clients]) -> None: ...


async def probe(ctx: terzetto.NodeContext[Draft, Clients]) -> str:
    return "yes"


@graph.node(effects="once", probe=probe)  # W8: a probe says True, False or None
async def f(ctx: terzetto.NodeContext[Draft, Clients]) -> None: ...


@plain.node
async def g(ctx: terzetto.NodeContext[Draft]) -> None:
    ctx.record(Wrong())  # W9: a mutation of another state
    ctx.record(Draft())  # W10: a state is no mutation
    ctx.record(Written)  # W11: the class instead of an instance
    ctx.deps.url  # W12: no deps were declared
    ctx.state.nope  # W13: no such field
    ctx.goto("write")  # W14: the node itself, not its name
    ctx.emit_tool("call", "search", "flying")  # W15: no such phase


@plain.node
async def h(ctx: terzetto.LeafContext[Draft]) -> None:
    ctx.goto(g)  # W16: the small context has no control
    await publish(ctx)  # W17: nor is it enough for a node that asks for more


graph.edge(write.approved, publish)  # W18: nodes have no exits
graph.edge(publish, write, when=lambda draft: draft.nope)  # W19: a predicate on a missing field
graph.edge(publish, sign_off.approved)  # W20: an exit is where edges start
graph.barrier("again", on_timeout=terzetto.Retry())  # W21: answers a reconcile barrier only
graph.barrier("again", payload=lambda draft: draft.nope)  # W22
graph.barrier("again", exits=[1, 2])  # W23

other = terzetto.Graph("y", state=Lazy)


@other.node
async def i(ctx: terzetto.NodeContext[Lazy]) -> None: ...


graph.edge(i, write)  # W24: a node of another state
graph.start(i)  # W25
graph.start(sign_off.approved)  # W26


async def steer(runtime: terzetto.Runtime, run: terzetto.Run[Draft]) -> None:
    await runtime.submit(graph, Lazy())  # W27: wrong input
    await runtime.submit(graph, Draft(), run_id=7)  # W28
    await runtime.submit(graph, Draft(), metadata={"made": object()})  # W29
    await run.decide("sign-off", True)  # W30: not a decision
    await run.decide(sign_off, "approve")  # W31
    await run.decide(write, terzetto.Approve())  # W32: not a barrier
    run.result()  # W33: not awaited
    print((await run.result()).state.nope)  # W34
    await run.state().text  # W35
    terzetto.bind(graph, 3)  # W36: wrong deps
    terzetto.bind(graph)  # W37: no deps
    terzetto.open_runtime("sqlite:x", graphs=[graph])  # W38: deps not bound
    terzetto.open_runtime("sqlite:x", graphs=graph)  # W39: not a list
    await terzetto.run(graph, Draft())  # W40: deps not bound
    await terzetto.run(plain, Lazy())  # W41: wrong input
    await terzetto.run(plain, Draft(), decider=lambda event: terzetto.Approve())  # W42: a decider is async
    await write(context(Draft()))  # W43: a test gives deps, too


async def speak(address: terzetto.Address[Question | Reminder, str]) -> None:
    await address.tell("hello")  # W44: not a message of this actor
    address.tell_nowait(3)  # W45
    number: int = await address.ask(Question("how many?"))  # W46: its answers are texts
    single, _ = terzetto.open_mailbox("clerk", Question)
    await single.tell(Reminder(1.0))  # W47
    double, _ = terzetto.open_mailbox("clerk", Question, Reminder)
    await double.tell("hello")  # W48
    print(number)


def read(event: terzetto.Event) -> str:
    match event:
        case terzetto.TextChunk():
            return event.txt  # W49: no such field
        case _:
            return event.node  # W50: not every event has one
