"""A process that runs a flow of Metaflow as a node: `python -m tests.flow_child FOLDER`."""

import sys
from pathlib import Path

import trio

import terzetto
from terzetto.metaflow import FlowRun, flow_graph

FOLDER = Path(sys.argv[1])
FLOW = Path(__file__).parent / "flows_of_metaflow" / "steps.py"

guest = flow_graph(FLOW, root=FOLDER, artifacts=["words"], grace=0.5)


async def main():
    async with terzetto.open_runtime(f"sqlite:{FOLDER}/runs.db", [guest]) as runtime:
        run = await runtime.submit(guest, FlowRun({"folder": str(FOLDER)}), run_id="r-1")
        print("begun", flush=True)
        result = await run.result()
        print(result.status, result.state.artifacts)


trio.run(main)
