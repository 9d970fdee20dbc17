"""A program that is killed: a conversation of three runs in one line, which it submits and waits for.

Started by `test_crash_threads.py` in a process of its own: `threads_child.py STORE`.
"""

import sys

import attrs
import msgspec
import trio

import terzetto


@attrs.define
class Talk:
    said: list[str] = attrs.Factory(list)


@attrs.frozen
class Said:
    what: str

    def apply(self, talk: Talk) -> None:
        talk.said.append(self.what)


graph = terzetto.Graph("talk", state=Talk, mutations=[Said])


@graph.node
async def speak(ctx: terzetto.NodeContext[Talk]) -> None:
    ctx.record(Said(ctx.run_id))


graph.start(speak)


def say(kind: str, what: object) -> None:
    print(kind, msgspec.json.encode(what).decode(), flush=True)


async def main() -> None:
    async with terzetto.open_runtime(f"sqlite:{sys.argv[1]}", graphs=[graph]) as runtime:
        runs = [await runtime.submit(graph, Talk(), run_id="c", thread="t", busy="enqueue")]
        say("receipt", "c")
        for run_id in ("b", "a"):
            new = [Said(f"to {run_id}")]
            runs.append(await runtime.submit(graph, run_id=run_id, thread="t", busy="enqueue", record=new))
            say("receipt", run_id)
        for run in runs:
            say("result", {"run": run.run_id, "said": (await run.result()).state.said})
        say("head", (await runtime.thread("t").state()).said)
        receipt = await runs[-1].cancel(mode="rollback")
        say("rolled_back", receipt.head)


if __name__ == "__main__":
    trio.run(main)
