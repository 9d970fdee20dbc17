"""A program that is killed inside a dataflow: a generator, a function in a thread, a `once` node, one inside.

Effects are written to a file outside, each with what it was about, and all that it sees is printed. Started by
`test_crash_flows.py` in a process of its own: `flows_child.py STORE ORACLE`.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec
import trio

import terzetto

ORACLE = Path(sys.argv[2])
Ctx = terzetto.FlowContext


def effect(ctx: Ctx, what: object) -> None:
    """Something that the world can see: one line, there for good."""
    with ORACLE.open("a") as file:
        file.write(f"{ctx.visit.node}:{what} {ctx.visit.visit} {ctx.key}\n")


def charged() -> bool:
    """Look at the world."""
    return ORACLE.exists() and any(line.startswith("charge:") for line in ORACLE.read_text().splitlines())


inner: terzetto.Dataflow[None] = terzetto.Dataflow("inner")


@inner.node(outputs=["half", "half_again"])
async def halve(ctx: Ctx, n: int):
    effect(ctx, n)
    yield "half", n
    yield "half", n + 100


@inner.node(outputs="told")
async def tell(ctx: Ctx, n: int) -> dict[str, str]:
    effect(ctx, n)
    return {"told": f"told {n}"}


inner.link(inner.input("n", int), halve, "n")
inner.link(halve.out("half"), tell, "n")
inner.output("told", tell.out("told"), str)

flow: terzetto.Dataflow[None] = terzetto.Dataflow("orders", limit=4)


@flow.node(outputs={"n": int, "bill": int})
async def count(ctx: Ctx, to: int):
    for number in range(to):
        effect(ctx, number)
        yield "n", number
    yield "bill", to


@flow.node(outputs={"square": int})
def square(ctx: Ctx, n: int, note: str) -> dict[str, int]:
    effect(ctx, n)
    if n == 2:
        raise ValueError("two is not welcome")
    return {"square": n * n}


@flow.node(outputs={"paid": int}, effects="once")
async def charge(ctx: Ctx, bill: int) -> dict[str, int]:
    effect(ctx, bill)
    await trio.lowlevel.checkpoint()
    return {"paid": bill}


@flow.node(outputs={"why": str})
async def mend(ctx: Ctx, why: str) -> dict[str, str]:
    effect(ctx, "why")
    return {"why": why}


sub = flow.subflow("sub", inner)
flow.link(flow.input("to", int), count, "to")
flow.link(flow.input("note", str), square, "note", static=True)
flow.link(count.out("n"), square, "n")
flow.link(square.out("square"), sub, "n")
flow.link(square.out("error"), mend, "why")
flow.link(count.out("bill"), charge, "bill")
flow.output("told", sub.out("told"), str)
flow.output("paid", charge.out("paid"), int)
flow.output("why", mend.out("why"), str)


def say(kind: str, what: object) -> None:
    print(kind, msgspec.json.encode(what).decode(), flush=True)


async def answer(run: terzetto.Run[Any], opened: terzetto.BarrierOpened) -> None:
    """A person who looks at the world before answering; a barrier may be told of again after a restart."""
    if opened.barrier in [row.barrier for row in await run.barriers()]:
        decision = flow.confirm({"paid": 3}) if charged() else terzetto.Retry()
        await run.decide(opened.barrier, decision, source="tester")


async def main() -> None:
    with trio.fail_after(20):
        await live()


async def live() -> None:
    async with terzetto.open_runtime(f"sqlite:{sys.argv[1]}", graphs=[flow]) as runtime:
        run = await runtime.submit(flow, flow.begin({"to": 3, "note": "x"}), run_id="r-1")
        async with run.events() as events:
            async for event in events:
                if isinstance(event, terzetto.Cursor | terzetto.Gap | terzetto.Heartbeat):
                    continue
                plain = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
                say("durable" if event.durable else "volatile", plain)
                if isinstance(event, terzetto.BarrierOpened):
                    await answer(run, event)
        result = await run.result()
        say("result", {"status": result.status, "outputs": result.state.outputs, "tasks": len(result.state.tasks)})


if __name__ == "__main__":
    trio.run(main)
