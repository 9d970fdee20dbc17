"""A process with a graph of LangGraph as a guest: `python -m tests.guest_child FOLDER DIES_AT`."""

import os
import sys
from pathlib import Path

import trio
from langgraph.types import interrupt

import terzetto
from terzetto.langgraph import Guest, guest_graph

from .asyncio_guests import FileSaver, chain

FOLDER, DIES_AT = Path(sys.argv[1]), sys.argv[2]


def note(name):
    with (FOLDER / "ran.txt").open("a") as file:
        file.write(f"{name}\n")
    if DIES_AT == name:
        os.kill(os.getpid(), 9)


async def first(state):
    note("first")
    return {"log": ["first"]}


async def asks(state):
    answers = [interrupt("one?")]
    note("asked one")
    answers.append(interrupt("two?"))
    note("asked two")
    return {"log": answers}


async def last(state):
    note("last")
    return {"log": ["last"]}


async def main():
    graph = chain(first, asks, last)
    guest = guest_graph(graph, checkpointer=lambda: FileSaver(FOLDER / "saver"))
    async with terzetto.open_runtime(f"sqlite:{FOLDER}/runs.db", [guest]) as runtime:
        run = await runtime.submit(guest, Guest({"log": []}), run_id="r-1")
        async with run.events() as events:
            async for event in events:
                if isinstance(event, terzetto.BarrierOpened):
                    shown = terzetto.payload_of(event)["interrupt"]
                    note(f"shows {shown}")
                    await run.decide(event.barrier, terzetto.Modify({"resume": f"{shown} yes"}))
        print((await run.result()).unwrap().output)


trio.run(main)
