"""Mailboxes under a fault plan: those of `open_mailbox`, and the one by which writes come to the store."""

import pytest
import trio
import trio.testing
from msgspec import Struct

import terzetto
from terzetto.stores import MemoryStore
from terzetto.testing import FaultPlan
from terzetto.testing._store_laws import follow
from terzetto_protocol.commands import Cancel
from terzetto_protocol.records import Kind

from .runtimes import SUCCEEDED, Tally, both, chain, opened, says, told

ERROR = ConnectionError("gone")


class Ping(Struct, frozen=True):
    number: int


async def taken(plan, *numbers, behind=()):
    """What an actor takes of some pings, within ten seconds; those `behind` come a second later."""
    address, mailbox = terzetto.open_mailbox("echo", Ping)
    found = []

    async def send():
        await trio.sleep(1)
        for number in behind:
            await address.tell(Ping(number))

    for number in numbers:
        await address.tell(Ping(number))
    with mailbox, plan, trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while True:
                found.append((await mailbox.receive()).message.number)
    return found


def on_echo():
    return FaultPlan().on_mailbox("echo")


@pytest.mark.parametrize(
    "plan, expected",
    [
        (FaultPlan(), [1, 2, 3]),
        (on_echo().on_pass(2).drops(), [1, 3]),
        (on_echo().duplicates(), [1, 1, 2, 2, 3, 3]),
        (on_echo().on_pass(1).reorders(), [2, 1, 3]),
        (on_echo().first(2).reorders(), [3, 2, 1]),
        (on_echo().on_pass(3).reorders(), [1, 2, 3]),
        (on_echo().corrupts(lambda ping: Ping(-ping.number)), [-1, -2, -3]),
        (on_echo().when(lambda ping: ping.number == 2).duplicates(), [1, 2, 2, 3]),
        (on_echo().on_pass(1).delays(4), [1, 2, 3]),
        (on_echo().on_pass(2).hangs(), [1]),
        (FaultPlan().on_mailbox("another").drops(), [1, 2, 3]),
        (on_echo().on_pass(1).duplicates().on_mailbox("echo").on_pass(1).corrupts(lambda ping: Ping(9)), [9, 9, 2, 3]),
        (on_echo().on_pass(1).drops().on_mailbox("echo").on_pass(1).duplicates(), [2, 3]),
    ],
    ids=repr,
)
async def test_an_actor_takes_what_the_plan_says(autojump_clock, plan, expected):
    assert expected == await taken(plan, 1, 2, 3)
    assert ["mailbox echo"] * 3 == plan.passed or plan.unused or [1] == expected


async def test_a_message_changes_places_with_one_that_is_on_its_way(autojump_clock):
    """What is sent as long as anything moves; not what comes a second later."""
    assert [2, 1] == await taken(on_echo().on_pass(1).reorders(), 1, 2)
    assert [1, 2] == await taken(on_echo().on_pass(1).reorders(), 1, behind=[2])


async def test_an_actor_may_die_of_a_message(autojump_clock):
    with pytest.RaisesGroup(ConnectionError):
        await taken(on_echo().on_pass(2).raises(ERROR), 1, 2)


async def test_a_cancelled_receive_puts_it_back(autojump_clock):
    address, mailbox = terzetto.open_mailbox("echo", Ping)
    await address.tell(Ping(1))
    with FaultPlan().on_mailbox("echo").delays(5), trio.move_on_after(1):
        await mailbox.receive()

    assert Ping(1) == (await mailbox.receive()).message
    mailbox.close()


async def test_an_actor_that_waits_already_takes_what_the_plan_says(autojump_clock):
    """The plan may begin after its actor has."""
    address, mailbox = terzetto.open_mailbox("echo", Ping)
    found = []

    async def take():
        async for envelope in mailbox:
            found.append(envelope.message.number)  # noqa: PERF401 - it is cancelled when it has found all

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        with mailbox, FaultPlan().on_mailbox("echo").duplicates():
            await address.tell(Ping(1))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    assert [1, 1] == found


async def test_a_lost_question_is_not_answered(autojump_clock):
    graph = chain(says("a"))
    with FaultPlan().on_mailbox("the desk").drops() as plan:
        async with opened(MemoryStore(), graph) as runtime:
            with trio.move_on_after(5) as scope:
                await runtime.ask(Cancel("c-1", "r"))

    assert scope.cancelled_caught
    assert [] == plan.unused


# -- writes on their way to the store --------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "plan",
    [
        lambda place: place.duplicates(),
        lambda place: place.reorders(),
        lambda place: place.delays(0.25),
    ],
    ids=["duplicates", "reorders", "delays"],
)
async def test_runs_survive_what_happens_to_their_writes(autojump_clock, dispatch, plan):
    """3: a write that is there already is recognised; those of one run keep their order."""
    graph = chain(says("a"), says("b"), says("c"))
    with plan(FaultPlan().on_mailbox("persistence")) as planned:
        async with opened(MemoryStore(), graph, dispatch=dispatch, limit=500) as runtime:
            runs = [await runtime.submit(graph, Tally(), run_id=f"r{number}") for number in range(3)]
            async with trio.open_nursery() as nursery:
                for run in runs:
                    nursery.start_soon(told, run)
            assert [["a", "b", "c"]] * 3 == [(await run.state()).trail for run in runs]
            assert [SUCCEEDED] * 3 == [await run.status() for run in runs]
            for run in runs:
                assert 3 == [commit.kind for commit in await run.history()].count(Kind.VISIT)

    assert [] == planned.unused


@both
async def test_an_actor_that_dies_of_a_write_is_started_again(autojump_clock, dispatch):
    graph = chain(says("a"), says("b"), says("c"))
    with FaultPlan().on_mailbox("persistence").on_pass(4).raises(ERROR) as plan:
        async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
            run = await runtime.submit(graph, Tally(), run_id="r")
            await told(run)
            assert ["a", "b", "c"] == (await run.state()).trail

    assert [] == plan.unused


async def test_nothing_is_told_of_a_write_that_is_lost(autojump_clock):
    """3, D3: and what would follow it is refused, for it leaves a hole."""
    store, graph = MemoryStore(), chain(says("a"), says("b"))
    plan = FaultPlan().on_mailbox("persistence").when(lambda write: write.kind is Kind.VISIT).on_pass(1).drops()
    with plan:
        async with opened(store, graph, shutdown_deadline=1, limit=60) as runtime:
            run = await runtime.submit(graph, Tally(), run_id="r")
            with trio.move_on_after(5):
                await run.result()
            assert [] == (await run.state()).trail
    async with opened(store, graph) as runtime:
        result = await runtime.get("r").result()

    assert ("store_rejected", []) == (result.code, result.state.trail)


async def test_writes_of_one_run_keep_their_order(autojump_clock):
    """3: as every channel keeps it; and no write passes twice."""
    waiting = [(follow(run_id, seq), None) for run_id, seq in [("a", 3), ("a", 4), ("b", 3), ("a", 5), ("b", 4)]]
    plan = FaultPlan().on_mailbox("persistence").on_pass(1).reorders()
    await plan.writes(waiting, 4)

    assert [("b", 3), ("a", 3), ("a", 4), ("a", 5), ("b", 4)] == [(write.run_id, write.seq) for write, _ in waiting]
    assert 4 == len(plan.passed)
