"""A program whose node ends the process: `zoo_child.py STORE HOW DISPATCH`, again and again until it does no more.

Beside it is a run that only needs one life that lasts long enough for its step.
"""

import os
import signal
import sys
from pathlib import Path

import attrs
import trio

import terzetto

store, how, dispatch = sys.argv[1:]


@attrs.define
class Empty:
    pass


Ctx = terzetto.NodeContext[Empty]
bad, good = terzetto.Graph("bad", state=Empty), terzetto.Graph("good", state=Empty)


def tell() -> None:
    with Path(f"{store}.log").open("a") as file:
        file.write("begun\n")


@bad.start
@bad.node
async def animal(ctx: Ctx) -> None:
    tell()
    if how == "exits":
        os._exit(7)
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "aborts":
        os.abort()
    os.execv("/bin/true", ["/bin/true"])


@good.start
@good.node
async def step(ctx: Ctx) -> None:
    await trio.lowlevel.checkpoint()


async def main() -> None:
    async with terzetto.open_runtime(f"sqlite:{store}", graphs=[bad, good], dispatch=dispatch) as runtime:
        other = await runtime.submit(good, Empty(), run_id="good")
        run = await runtime.submit(bad, Empty(), run_id="bad")
        print("good", f'"{(await other.result()).status}"')
        result = await run.result()
        print("bad", f'["{result.status}", "{result.code}"]', flush=True)


trio.run(main)
