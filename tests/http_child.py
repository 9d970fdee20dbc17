"""A server over HTTP that is killed while it is read: started by `test_crash_http.py`, as `http_child.py STORE PORT`.

It says `url` when it listens. Its run waits at a barrier between what it says before and after.
"""

import sys
from functools import partial

import trio
from attrs import define, frozen

import terzetto
import terzetto.http


@define
class Talk:
    said: int = 0


@frozen
class Said:
    def apply(self, talk: Talk) -> None:
        talk.said += 1


graph = terzetto.Graph("talk", state=Talk, mutations=[Said])
Ctx = terzetto.NodeContext[Talk]


@graph.node
async def first(ctx: Ctx) -> None:
    ctx.emit_text("first")
    ctx.record(Said())


@graph.node
async def second(ctx: Ctx) -> None:
    ctx.emit_text("second")
    ctx.record(Said())


sign_off = graph.barrier("sign-off")
graph.start(first)
graph.edge(first, sign_off)
graph.edge(sign_off.approved, second)


async def main() -> None:
    store, port = sys.argv[1:]
    async with terzetto.open_runtime(f"sqlite:{store}", graphs=[graph], signals=True) as runtime:
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(partial(terzetto.http.serve, runtime, port=int(port)))
            print(urls[0], flush=True)


trio.run(main)
