"""A program that is killed while it talks: one run, shown over a stream bridge.

Started by `test_crash_bridge.py` in a process of its own: `bridge_child.py STORE [LAST_EVENT_ID]`. Without an id it
kills itself when a reader has seen the chunks of its second node; with one it goes on from there.
"""

import os
import signal
import sys

import attrs
import msgspec
import trio

import terzetto


@attrs.define
class Talk:
    said: int = 0


@attrs.frozen
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
    for number in range(3):
        ctx.emit_text(f"second {number}")
    if len(sys.argv) == 2:
        await trio.sleep_forever()
    ctx.record(Said())


graph.start(first)
graph.edge(first, second)


def say(kind: str, what: object) -> None:
    print(kind, msgspec.json.encode(what).decode(), flush=True)


async def main() -> None:
    store, *cursor = sys.argv[1:]
    async with terzetto.open_runtime(f"sqlite:{store}", graphs=[graph]) as runtime:
        await runtime.submit(graph, Talk(), run_id="r")
        events = terzetto.RuntimeStreamBridge(runtime).subscribe("r", last_event_id=cursor[0] if cursor else None)
        async for item in events:
            say("item", [item.id, item.event, item.data])
            if not cursor and "second 2" in str(item.data):
                os.kill(os.getpid(), signal.SIGKILL)


trio.run(main)
