"""A program that is asked to stop: one run with a node that ends soon after that, or (`stays`) never.

Started by `test_shutdown.py` in a process of its own: `shutdown_child.py STORE [stays]`.
"""

import sys

import attrs
import trio

import terzetto


@attrs.define
class Log:
    steps: list[str] = attrs.Factory(list)


@attrs.frozen
class Did:
    what: str

    def apply(self, log: Log) -> None:
        log.steps.append(self.what)


asked = trio.Event()
graph = terzetto.Graph("slow", state=Log, mutations=[Did])


@graph.node
async def slow(ctx: terzetto.NodeContext[Log]) -> None:
    print("begun", flush=True)
    await asked.wait()
    if "stays" in sys.argv:
        await trio.sleep_forever()
    await trio.sleep(0.1)
    ctx.record(Did("slow"))


@graph.node
async def after(ctx: terzetto.NodeContext[Log]) -> None:
    print("after", flush=True)


graph.start(slow)
graph.edge(slow, after)


async def main() -> None:
    async with terzetto.open_runtime(f"sqlite:{sys.argv[1]}", graphs=[graph], signals=True) as runtime:
        await runtime.submit(graph, Log(), run_id="r")
        try:
            await trio.sleep_forever()
        finally:
            print("leaving", flush=True)
            asked.set()
    print("left", flush=True)


if __name__ == "__main__":
    trio.run(main)
