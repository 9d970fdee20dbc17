"""A program that is killed inside a fan-out: a map, a subgraph, a `once` node and a barrier, side by side.

Effects are written to a file outside, and all that it sees is printed. Started by `test_crash_branches.py` in a process
of its own: `branches_child.py STORE ORACLE [probe]`.
"""

import sys
from pathlib import Path

import attrs
import msgspec
import trio

import terzetto


@attrs.define
class Order:
    steps: list[str] = attrs.Factory(list)


@attrs.frozen
class Did:
    what: str

    def apply(self, order: Order) -> None:
        order.steps.append(self.what)


ORACLE = Path(sys.argv[2])
Ctx = terzetto.NodeContext[Order]
ItemCtx = terzetto.ItemContext[Order, str]


def effect(ctx: Ctx) -> None:
    """Something that the world can see: one line, there for good."""
    with ORACLE.open("a") as file:
        file.write(f"{ctx.visit.path}/{ctx.visit.node} {ctx.visit.visit} {ctx.key}\n")


async def work(ctx: Ctx, note: str = "") -> None:
    """Have an effect, let the branches beside have theirs, and record it."""
    effect(ctx)
    await trio.lowlevel.checkpoint()
    ctx.record(Did(f"{ctx.visit.node}{note}"))


def written(barrier: str) -> bool:
    """Look at the world: whether a visit had its effect."""
    place, _, visit = barrier.rpartition("@")
    return ORACLE.exists() and f"{place} {visit} " in ORACLE.read_text()


async def was_charged(ctx: Ctx) -> bool:
    charged = written(f"{ctx.visit.path}/{ctx.visit.node}@{ctx.visit.visit}")
    if charged:
        ctx.record(Did("charge"))
    return charged


inner = terzetto.Graph("inner", state=Order, mutations=[Did])


@inner.node
async def draw(ctx: Ctx) -> None:
    await work(ctx)


@inner.node
async def paint(ctx: Ctx) -> None:
    await work(ctx)


inner.start(draw)
inner.edge(draw, paint)

graph = terzetto.Graph("order", state=Order, mutations=[Did])


@graph.node
async def fetch(ctx: ItemCtx) -> None:
    ctx.emit_text(ctx.item)
    await work(ctx, f" {ctx.item}")


@graph.node
async def keep(ctx: ItemCtx) -> None:
    await work(ctx, f" {ctx.item}")


@graph.node(effects="once", probe=was_charged if "probe" in sys.argv else None)
async def charge(ctx: Ctx) -> None:
    await work(ctx)


@graph.node
async def notify(ctx: Ctx) -> None:
    await work(ctx)


@graph.node
async def close(ctx: Ctx) -> None:
    await work(ctx)


sign_off = graph.barrier("sign-off")
each = graph.map("each", fetch, over=lambda _: ["a", "b", "c"], limit=2, merge="replay")
below = graph.subgraph("below", inner, put=lambda outer, drawn: outer.steps.extend(drawn.steps))
fan = graph.parallel("fan", [each, below, charge, sign_off], merge="replay")
graph.start(fan)
graph.edge(fetch, keep)
graph.edge(sign_off.approved, notify)
graph.edge(fan, close)


def say(kind: str, what: object) -> None:
    print(kind, msgspec.json.encode(what).decode(), flush=True)


def decide_about(opened: terzetto.BarrierOpened) -> terzetto.Decision:
    """A person who looks at the world before answering."""
    if not opened.reconcile:
        return terzetto.Approve()
    return graph.confirm(Did("charge")) if written(opened.barrier) else terzetto.Retry()


async def answer(run: terzetto.Run[Order], opened: terzetto.BarrierOpened) -> None:
    """Decide what is still open; a barrier may be told of again after a restart."""
    if opened.barrier in [row.barrier for row in await run.barriers()]:
        await run.decide(opened.barrier, decide_about(opened), source="tester")


async def main() -> None:
    with trio.fail_after(20):
        await live()


async def live() -> None:
    async with terzetto.open_runtime(f"sqlite:{sys.argv[1]}", graphs=[graph]) as runtime:
        run = await runtime.submit(graph, Order(), run_id="r-1")
        async with run.events() as events:
            async for event in events:
                if isinstance(event, terzetto.Cursor | terzetto.Gap | terzetto.Heartbeat):
                    continue
                plain = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
                say("durable" if event.durable else "volatile", plain)
                if isinstance(event, terzetto.BarrierOpened):
                    await answer(run, event)
        result = await run.result()
        state = graph.build().state.pack(result.state).hex()
        say("result", {"status": result.status, "steps": result.state.steps, "state": state})


if __name__ == "__main__":
    trio.run(main)
