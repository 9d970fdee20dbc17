"""`terzetto_protocol.step_commit`: an everyday commit that is encoded when somebody reads it is like any other."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.records import Applied, Outcome, Rejected, Stale
from terzetto_protocol.step_commit import StepCommit

from .machines import Driver
from .runtimes import Step, Tally, chain, opened
from .sketches import Add, sketch


def steps_of(monkeypatch) -> tuple[Driver, list[StepCommit]]:
    """A chain after three of its steps, and what its machine made of them."""
    driver, found = Driver(sketch("a b c d", "a>b>c>d"), acks="settled").claim(), list[StepCommit]()
    commit = type(driver.machine).commit_step

    def noting(*args):
        found.append(commit(*args))
        return found[-1]

    monkeypatch.setattr(type(driver.machine), "commit_step", noting)
    for _ in range(3):
        driver.finish(Add(1))
    return driver, found


async def test_a_store_that_has_not_encoded_it_yet_gives_the_same_as_any_other(monkeypatch, autojump_clock):
    driver, steps = steps_of(monkeypatch)
    lazy, eager = MemoryStore(), MemoryStore()
    for store in (lazy, eager):
        await store.commit([write for write in driver.disk.writes if write.seq < steps[0].seq])
    assert [Applied()] * 3 == [lazy.settle_step(step) for step in steps] == [eager.settle(each.write) for each in steps]
    assert await lazy.load("r") == await eager.load("r")
    assert await lazy.records("r", after=2) == await eager.records("r", after=2) == [step.body for step in steps]
    assert await lazy.records_by_event("r", after_event=0) == await eager.records_by_event("r", after_event=0)
    again = steps[-1]
    assert Applied() == lazy.settle_step(again) == eager.settle(again.write), "it is there already"


@pytest.mark.parametrize("limit", [0, 1, 2, 100])
async def test_the_first_ones_of_many_are_those_that_are_encoded(monkeypatch, autojump_clock, limit):
    """What is read in pages is not made again for each of them."""
    driver, steps = steps_of(monkeypatch)
    store, made = MemoryStore(), []
    await store.commit([write for write in driver.disk.writes if write.seq < steps[0].seq])
    for step in steps:
        store.settle_step(step)
    kept = StepCommit.kept.fget
    monkeypatch.setattr(StepCommit, "kept", property(lambda step: made.append(step.seq) or kept(step)))

    told = await store.records_by_event("r", after_event=steps[0].id, limit=limit)

    assert told == [step.body for step in steps[1:]][:limit]
    assert made == [step.seq for step in steps[1:]][:limit]
    assert await store.records("r", after=steps[0].seq, limit=limit) == told
    assert made == [step.seq for step in steps[1:]][:limit], "once for all who read"


async def test_what_does_not_fit_is_refused_as_a_write_is(monkeypatch, autojump_clock):
    driver, steps = steps_of(monkeypatch)
    store = MemoryStore()
    await store.commit([write for write in driver.disk.writes if write.seq < steps[0].seq])
    assert isinstance(store.settle_step(steps[1]), Rejected), "it does not follow"
    claim = next(write for write in driver.disk.writes if write.epoch > write.expect)
    await store.commit([claim.__class__(**{**_fields(claim), "expect": 1, "epoch": 2, "seq": steps[0].seq})])
    assert isinstance(store.settle_step(steps[0]), Stale)
    assert isinstance(MemoryStore().settle_step(steps[0]), Rejected), "nobody has submitted it"


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


class Refusing(MemoryStore):
    """Refuses the second step."""

    asked = 0

    def settle_step(self, step: StepCommit) -> Outcome:
        self.asked += 1
        return Stale(9) if self.asked == 2 else super().settle_step(step)


async def test_after_a_refused_step_no_body_begins_and_nothing_is_told(autojump_clock):
    """SEMANTICS 3 D8: a stale writer cancels its run and publishes nothing."""
    begun, told, store = list[str](), list[str](), Refusing()

    def noting(name: str) -> Step:
        async def body(ctx: terzetto.NodeContext[Tally]) -> None:
            begun.append(name)

        return Step(body, {"name": name})

    graph = chain(*map(noting, "abcde"))
    async with opened(store, graph, strict=False) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        async with run.events() as events:
            with trio.move_on_after(1):
                async for event in events:
                    told.append(type(event).__name__)
    assert (2, ["a", "b"]) == (store.asked, begun)
    assert 1 == told.count("NodeFinished")
