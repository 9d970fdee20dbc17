"""A program with a console, to be killed: `console_child.py STORE PORT STEPS`.

It says `ready` when its console listens. The run `r` goes on as fast as a client asks for it: a step ends when there is
a file `go-N` beside the store, so that whoever kills knows where it is.
"""

import sys
from pathlib import Path

import attrs
import trio

import terzetto
from terzetto.console import serve


@attrs.define
class Walk:
    steps: int = 0


@attrs.frozen
class Stepped:
    def apply(self, walk: Walk) -> None:
        walk.steps += 1


STORE, PORT, STEPS = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
graph = terzetto.Graph("walk", state=Walk, mutations=[Stepped])


@graph.node
async def step(ctx: terzetto.NodeContext[Walk]) -> None:
    number = ctx.state.steps
    ctx.emit_text(f"step {number}")
    while not STORE.with_name(f"go-{number}").exists():  # noqa: ASYNC110 - told by another process
        await trio.sleep(0.005)
    ctx.record(Stepped())


@graph.node
async def arrive(ctx: terzetto.NodeContext[Walk]) -> None:
    ctx.emit_text("there")


graph.start(step)
graph.edge(step, arrive, when=lambda walk: walk.steps >= STEPS)
graph.edge(step, step, when=lambda walk: walk.steps < STEPS)


async def main() -> None:
    async with terzetto.open_runtime(f"sqlite:{STORE}", graphs=[graph]) as runtime, trio.open_nursery() as nursery:
        await runtime.submit(graph, Walk(), run_id="r")

        async def start(*, task_status: trio.TaskStatus[object]) -> None:
            await serve(runtime, port=PORT, task_status=task_status)

        await nursery.start(start)
        print("ready", flush=True)
        await trio.sleep_forever()


trio.run(main)
