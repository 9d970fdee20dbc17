"""A program that is killed: one run with every kind of node, effects written to a file outside, all it sees printed.

Started by `test_crash.py` in a process of its own: `crash_child.py STORE ORACLE [probe]`.
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
graph = terzetto.Graph("order", state=Order, mutations=[Did])
Ctx = terzetto.NodeContext[Order]


def effect(name: str, ctx: Ctx) -> None:
    """Something that the world can see: one line, there for good."""
    with ORACLE.open("a") as file:
        file.write(f"{name} {ctx.visit.visit} {ctx.key}\n")


def written(line: str) -> bool:
    """Look at the world."""
    return ORACLE.exists() and line in ORACLE.read_text()


@graph.node(effects="pure")
async def plan(ctx: Ctx) -> None:
    ctx.record(Did("plan"))


@graph.node
async def fetch(ctx: Ctx) -> None:
    effect("fetch", ctx)
    ctx.emit_text("fetched")
    ctx.record(Did("fetch"))


async def was_charged(ctx: Ctx) -> bool:
    charged = written(f"charge {ctx.visit.visit} {ctx.key}")
    if charged:
        ctx.record(Did("charge"))
    return charged


@graph.node(effects="once", probe=was_charged if "probe" in sys.argv else None)
async def charge(ctx: Ctx) -> None:
    effect("charge", ctx)
    ctx.record(Did("charge"))


@graph.node
async def notify(ctx: Ctx) -> None:
    effect("notify", ctx)
    ctx.record(Did("notify"))


sign_off = graph.barrier("sign-off")
graph.start(plan)
graph.edge(plan, fetch)
graph.edge(fetch, charge)
graph.edge(charge, sign_off)
graph.edge(sign_off.approved, notify)


def say(kind: str, what: object) -> None:
    print(kind, msgspec.json.encode(what).decode(), flush=True)


def decide_about(opened: terzetto.BarrierOpened) -> terzetto.Decision:
    """A person who looks at the world before answering."""
    if not opened.reconcile:
        return terzetto.Approve()
    visit = opened.barrier.rpartition("@")[2]
    if written(f"charge {visit} "):
        return graph.confirm(Did("charge"))
    return terzetto.Retry()


def show(event: terzetto.StreamItem) -> None:
    if isinstance(event, terzetto.Cursor | terzetto.Gap | terzetto.Heartbeat):
        return
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
    say("durable" if event.durable else "volatile", plain)


async def main() -> None:
    async with terzetto.open_runtime(f"sqlite:{sys.argv[1]}", graphs=[graph]) as runtime:
        run = await runtime.submit(graph, Order(), run_id="r-1")
        say("receipt", {"submitted": run.run_id})
        decided: set[str] = set()
        async with run.events() as events:
            async for event in events:
                show(event)
                if isinstance(event, terzetto.BarrierOpened) and event.barrier not in decided:
                    status = await run.status()
                    if status is terzetto.RunStatus.AWAITING_INPUT:
                        decided.add(event.barrier)
                        receipt = await run.decide(event.barrier, decide_about(event), source="tester")
                        say("receipt", {"decided": event.barrier, "as": type(receipt).__name__})
        result = await run.result()
        say("result", {"status": result.status, "steps": result.state.steps})


if __name__ == "__main__":
    trio.run(main)
