"""A console with graphs that show all there is to see: `page_child.py STORE PORT RUNS [TOKEN=WHO ...]`.

It has so many runs, prints the address of the page, and runs until it is killed.
"""

import sys
from typing import Annotated

import trio
from attrs import Factory, define, field, frozen

import terzetto
from terzetto import console

SECTIONS = ("opening", "body", "closing")


@define
class Sources:
    web: int = 0
    archive: int = 0


@define
class Article:
    topic: str = "Trees of tasks"
    words: int = 300
    urgent: bool = False
    tone: str | None = None
    tags: list[str] = Factory(lambda: ["trio", "actors"])
    sources: Sources = Factory(Sources)
    facts: Annotated[list[str], terzetto.replayed] = field(factory=list[str])
    sections: list[str] = Factory(list[str])
    verdict: str = ""
    published: bool = False


@frozen
class Found:
    fact: str

    def apply(self, article: Article) -> None:
        article.facts.append(self.fact)


@frozen
class Written:
    text: str

    def apply(self, article: Article) -> None:
        article.sections.append(self.text)


@frozen
class Decided:
    verdict: str

    def apply(self, article: Article) -> None:
        article.verdict = self.verdict


@frozen
class Published:
    def apply(self, article: Article) -> None:
        article.published = True


article = terzetto.Graph("article", state=Article, mutations=[Found, Written, Decided, Published])
Ctx = terzetto.NodeContext[Article]


@article.node
async def plan(ctx: Ctx) -> None:
    await trio.sleep(0.02)


@article.node(retry=terzetto.RetryPolicy(max_attempts=3, initial=0.08, factor=1.5))
async def web(ctx: Ctx) -> None:
    await trio.sleep(0.05)
    if ctx.visit.attempt < 3:
        raise OSError(f"connection reset by peer, attempt {ctx.visit.attempt}")
    ctx.record(Found(f"the web knows {ctx.state.topic}"))


@article.node
async def archive(ctx: Ctx) -> None:
    await trio.sleep(0.12)
    ctx.record(Found(f"the archive has {ctx.state.topic}"))


@article.node
async def images(ctx: Ctx) -> None:
    await trio.sleep(0.03)
    ctx.record(Found("there are pictures"))


@article.node
async def write(ctx: Ctx) -> None:
    for word in ("Tasks ", "grow ", "as ", "trees. "):
        ctx.emit_text(word)
        await trio.sleep(0.01)
    ctx.record(Written(f"{SECTIONS[len(ctx.state.sections) % 3]}: {ctx.state.topic}, in {ctx.state.words} words"))


@article.node(effects="once")
async def publish(ctx: Ctx) -> None:
    await trio.sleep(0.02)
    ctx.record(Published())


@article.node
async def legal(ctx: Ctx) -> None:
    ctx.record(Written("No liability is accepted."))


sign_off = article.barrier(
    "sign-off",
    exits=("approved", "rejected", "legal"),
    payload=lambda state: {"title": state.topic, "sections": state.sections, "facts": len(state.facts)},
    decided=lambda decision: [Decided(decision.exit)],
)
research = article.parallel("research", [web, archive, images], merge="replay")
article.start(plan)
article.edge(plan, research)
article.edge(research, write)
article.edge(write, write, when=lambda state: len(state.sections) < 2)
article.edge(write, sign_off)
article.edge(sign_off.approved, publish)
article.edge(sign_off.rejected, write)
article.edge(sign_off.exit("legal"), legal)
article.edge(legal, sign_off)


@define
class Count:
    many: int = 1
    done: int = 0


@frozen
class Counted:
    def apply(self, count: Count) -> None:
        count.done += 1


talk = terzetto.Graph("talk", state=Count, mutations=[Counted])


@talk.node
async def chatter(ctx: terzetto.NodeContext[Count]) -> None:
    """Say as much as it is told to, with a breath now and then."""
    for number in range(ctx.state.many):
        ctx.emit_text(f"word {number} ")
        if number % 50 == 49:
            await trio.sleep(0.005)
    ctx.record(Counted())


@talk.node
async def rest(ctx: terzetto.NodeContext[Count]) -> None:
    await trio.sleep_forever()


go = talk.barrier("go")
talk.start(go)
talk.edge(go.approved, chatter)
talk.edge(chatter, rest)

steps = terzetto.Graph("steps", state=Count, mutations=[Counted], max_steps=1_000_000)


@steps.node
async def step(ctx: terzetto.NodeContext[Count]) -> None:
    await trio.lowlevel.checkpoint()
    ctx.record(Counted())


@steps.node
async def last(ctx: terzetto.NodeContext[Count]) -> None:
    """Where a run goes when it has counted enough."""


steps.start(step)
steps.edge(step, step, when=lambda count: count.done < count.many)
steps.edge(step, last)

charge = terzetto.Graph("charge", state=Count, mutations=[Counted])


@charge.node(effects="once")
async def pay(ctx: terzetto.NodeContext[Count]) -> None:
    """An effect in whose middle the process is killed."""
    await trio.sleep_forever()


charge.start(pay)

ask = terzetto.Graph("ask", state=Article, mutations=[Written])


@ask.node
async def remind(ctx: Ctx) -> None:
    mail = {"to": "ann", "text": "Please pay", "copies": 1}
    answer = await ctx.decision("send", payload=mail, exits=("approved", "rejected", "later"))
    if isinstance(answer, terzetto.Modify):
        mail |= answer.changes
    ctx.record(Written(f"{answer.exit}: {mail['text']}, {mail['copies']} times"))


ask.start(remind)

broken = terzetto.Graph("broken", state=Count, mutations=[Counted])


@broken.node
async def divide(ctx: terzetto.NodeContext[Count]) -> None:
    raise ZeroDivisionError("nothing can be divided by nothing")


broken.start(divide)

GRAPHS = [article, talk, steps, charge, ask, broken]


async def _fill(runtime: terzetto.Runtime, many: int) -> None:
    """Have so many runs that have ended, or failed."""
    async with trio.open_nursery() as nursery:
        for number in range(many):
            graph = broken if number % 10 == 9 else steps
            run = await runtime.submit(graph, Count(1 + number % 3), run_id=f"run-{number:04}")
            nursery.start_soon(run.result)


async def main(store: str, port: int, runs: int, tokens: list[console.Token]) -> None:
    async with terzetto.open_runtime(store, graphs=GRAPHS) as runtime, trio.open_nursery() as nursery:
        await _fill(runtime, runs)
        serving = await nursery.start(
            lambda task_status: console.serve(runtime, port=port, tokens=tokens, task_status=task_status)
        )
        print(serving.url, flush=True)


if __name__ == "__main__":
    _, name, number, runs, *shown = sys.argv
    known = [
        console.Token(secret, scopes={"read", "decide", "control"}, who=who)
        for secret, _, who in (each.rpartition("=") for each in shown)
    ]
    trio.run(main, name, int(number), int(runs), known)
