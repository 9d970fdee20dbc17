"""Run a flow of Metaflow from Terzetto: watch it, cancel it in the middle, and resume it in another run.

`python examples/metaflow/squares.py FOLDER`; everything that it makes is in that folder.
"""

import sys
from pathlib import Path

import trio

import terzetto
from terzetto.metaflow import FlowRun, flow_graph

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "squares")
squares = flow_graph(Path(__file__).with_name("flow.py"), name="squares", root=FOLDER, artifacts=["total"])


async def watch(run: terzetto.Run[FlowRun], *, until: str = "") -> str:
    """Say what the flow does, until this step begins or the run ends, and return Metaflow's id of its run."""
    known = ""
    async with run.events() as events:
        async for event in events:
            if not isinstance(event, terzetto.CustomChunk):
                continue
            told = terzetto.payload_of(event)
            if event.name == "metaflow.log" and told["task"]:
                print(f"    {told['step']}: {told['text']}")
            if event.name == "metaflow.step":
                known = told["run"]
                print(f"{told['step']} {told['status']}")
                if told["step"] == until:
                    break
    return known


async def main() -> None:
    async with terzetto.open_runtime(f"sqlite:{FOLDER}/runs.db", graphs=[squares]) as runtime:
        first = await runtime.submit(squares, FlowRun({"seconds": 3.0}))
        flow_run = await watch(first, until="check")
        await first.cancel("that is enough for today")
        print((await first.result()).status)

        second = await runtime.submit(squares, FlowRun(origin=flow_run))
        await watch(second)
        print((await second.result()).unwrap().artifacts)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    trio.run(main)
