"""A program that is killed: an owner among others, whose run holds at its second node.

Started by `test_runtime_postgres.py` in a process of its own: `postgres_child.py STORE`.
"""

import sys

import attrs
import trio

import terzetto


@attrs.define
class Walk:
    steps: list[str] = attrs.Factory(list)


@attrs.frozen
class Stepped:
    where: str

    def apply(self, walk: Walk) -> None:
        walk.steps.append(self.where)


def walk(hold: bool) -> terzetto.Graph[Walk]:
    graph = terzetto.Graph("walk", state=Walk, mutations=[Stepped])

    @graph.node
    async def out(ctx: terzetto.NodeContext[Walk]) -> None:
        ctx.record(Stepped("out"))

    @graph.node
    async def back(ctx: terzetto.NodeContext[Walk]) -> None:
        if hold:
            print("holds", flush=True)
            await trio.sleep_forever()
        ctx.record(Stepped("back"))

    graph.start(out)
    graph.edge(out, back)
    return graph


async def main() -> None:
    graph = walk(hold=True)
    async with terzetto.open_runtime(sys.argv[1], graphs=[graph]) as runtime:
        await (await runtime.submit(graph, Walk(), run_id="r")).result()


if __name__ == "__main__":
    trio.run(main)
