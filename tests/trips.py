"""A module with graphs for tests of the command line: a trip with branches and a choice, a bill, and a long wait."""

TRIP = """
from pathlib import Path

import terzetto
import trio
from attrs import define, field, frozen


@define
class Trip:
    stops: list[str] = field(factory=list)


@frozen
class Went:
    to: str

    def apply(self, trip):
        trip.stops.append(self.to)


def declare(name, **options):
    return terzetto.Graph(name, state=Trip, mutations=[Went], **options)


graph = declare("trip")


@graph.node
async def leave(ctx):
    ctx.record(Went(":warning: station"))


@graph.node
async def visit(ctx: terzetto.ItemContext[Trip, int]):
    ctx.record(Went(f"town {ctx.item}"))


@graph.node
async def coast(ctx):
    ctx.record(Went("coast"))


@graph.node
async def hills(ctx):
    if Path("snow").exists():
        raise ValueError("snow")
    ctx.record(Went("hills"))


towns = graph.map("towns", visit, over=lambda trip: [1, 2], item=int, merge="replay", limit=1)
where = graph.barrier("where", exits=["coast", "hills"])
graph.start(leave)
graph.edge(leave, towns)
graph.edge(towns, where)
graph.edge(where.exit("coast"), coast)
graph.edge(where.exit("hills"), hills)

paid = declare("paid")


@paid.node(effects="once")
async def pay(ctx):
    with Path("bills").open("a") as bills:
        bills.write("paid\\n")


paid.start(pay)
paid.edge(pay, paid.barrier("gate"))

slow = declare("slow")


@slow.node
async def hold(ctx):
    while not Path("go").exists():
        await trio.sleep(0.01)
    ctx.record(Went("on"))


@slow.node
async def arrive(ctx):
    ctx.record(Went("home"))


slow.start(hold)
slow.edge(hold, arrive)

later = declare("trip", version="2")
later.start(later.barrier("where"))
"""
