"""Conversations for tests: runs that say their id when they are let go, fail when told to, and tell who has begun."""

from collections import defaultdict

import trio

import terzetto
from terzetto_protocol.graph import Graph

from .runtimes import MUTATIONS, Say, Tally, settled


class Talk:
    """A graph with one node, whose runs do what they are told."""

    def __init__(self, name="talk", *, effects="repeatable", state: type = Tally, mutations=MUTATIONS, **options):
        self.begun: list[str] = []
        """Runs whose body has begun, in order."""
        self.fails: set[str] = set()
        self.go: defaultdict[str, trio.Event] = defaultdict(trio.Event)
        self.graph = Graph(name, state=state, mutations=mutations, **options)
        self.graph.start(self.graph.node(name="speak", effects=effects)(self.speak))

    async def speak(self, ctx):
        self.begun.append(ctx.run_id)
        await self.go[ctx.run_id].wait()
        if ctx.run_id in self.fails:
            raise ValueError("nothing to say")
        ctx.record(Say(ctx.run_id))

    def free(self, *run_ids: str) -> None:
        """Let these runs go as soon as they begin."""
        for run_id in run_ids:
            self.go[run_id].set()

    async def said(self, runtime: terzetto.Runtime, run_id: str, *state: Tally, thread: str = "t", **options):
        """Submit a run, let it go, and wait for its end."""
        self.free(run_id)
        run = await runtime.submit(self.graph, *state, run_id=run_id, thread=thread, **options)
        result = await run.result()
        await settled()
        return result


async def where(runtime: terzetto.Runtime, thread: str = "t") -> tuple[str, list[str]]:
    """The head of a thread, and who is under way on it, in order."""
    head, busy = await runtime.thread(thread).head(), await runtime.thread(thread).busy()
    return "" if head is None else head.run_id, [row.run_id for row in busy]
