"""`terzetto._inbox`: commands that other processes left in a shared store (SEMANTICS 11)."""

import pytest
import trio

import terzetto
from terzetto._inbox import COMMANDS, RECEIPTS, Inbox
from terzetto_protocol.commands import Cancel, Decide, Resume, Submit
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import StoreUnavailable
from terzetto_protocol.limits import INBOX_POLL
from terzetto_protocol.receipts import AlreadyResolved, CancelReceipt, DecisionTaken, Denied, Resumed, Submitted
from terzetto_protocol.records import Posted
from terzetto_protocol.statuses import RunStatus

from .runtimes import chain, opened, parked, says
from .stores import FaultyStore

NOTICED = 0.25
"""Seconds within which an owner notices a command."""


class Shared(FaultyStore):
    """A store that others reach too, and whose receipts may be lost."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    async def answer(self, command_id, receipt):
        if self.lost:
            self.lost -= 1
            raise StoreUnavailable("the receipt was lost")
        await self.inner.answer(command_id, receipt)

    async def leave(self, command, body: bytes | None = None) -> None:
        """What another process does."""
        await self.inner.post(Posted(command.command_id, command.run_id, body or COMMANDS.pack(command), 0.0))

    async def answered(self, command):
        receipt = await self.inner.receipt(command.command_id)
        return None if receipt is None else RECEIPTS.unpack(receipt)


@pytest.fixture
def store() -> Shared:
    return Shared()


GRAPH = chain("sign-off", says("done"))


async def test_a_command_is_noticed_and_answered(autojump_clock, store):
    """11: the owner notices within 250 ms."""
    async with opened(store, GRAPH) as runtime:
        run = await parked(runtime, GRAPH, "r")
        await trio.sleep(0.03)
        await store.leave(command := Decide("c-1", "r", "sign-off", Approve(), "ann"))
        await trio.sleep(NOTICED)
        assert DecisionTaken("r", "sign-off@1", durable=True) == await store.answered(command)
        assert RunStatus.SUCCEEDED is (await run.result()).status
        assert INBOX_POLL < NOTICED


async def test_without_an_owner_the_next_one_goes_on(autojump_clock, store):
    """11: without an owner they are recorded and the next owner goes on."""
    async with opened(store, GRAPH) as runtime:
        await parked(runtime, GRAPH, "r")
    submit = Submit("c-1", "new", "chain", b'{"count": 4, "trail": []}')
    await store.leave(submit)
    await store.leave(decide := Decide("c-2", "r", "", Approve()))
    async with opened(store, GRAPH) as runtime:
        await trio.sleep(NOTICED)
        assert Submitted("new", durable=True) == await store.answered(submit)
        assert isinstance(await store.answered(decide), DecisionTaken)
        assert 4 == (await runtime.get("new").state()).count
        assert [] == await store.posted()


async def test_a_submit_says_everything_that_the_owner_is_told(autojump_clock, store):
    options = {
        "metadata": {"who": "ann"},
        "max_steps": 7,
        "deadline": 60.0,
        "deadline_parked": True,
        "durability": "barriers",
        "on_completion": "delete",
    }
    submit = Submit("c-1", "new", "chain", b'{"count": 4, "trail": []}', **options)
    async with opened(store, GRAPH) as runtime:
        await store.leave(submit)
        await trio.sleep(NOTICED)
        assert Submitted("new", durable=True) == await store.answered(submit)
        header = (await runtime.row("new")).header
    assert options == {name: getattr(header, name) for name in options}


@pytest.mark.parametrize(
    "command, reason",
    [
        (Decide("c", "r", "else", Approve()), "not open"),
        (Decide("c", "nobody", "x", Approve()), "no run 'nobody'"),
        (Resume("c", "r"), "only a paused run"),
        (Submit("c", "new", "strange", b"{}"), "no graph 'strange'"),
        (Submit("c", "new", "chain", b'{"count": "many"}'), "count"),
        (Submit("c", "new", "chain", b"{}", version="9"), "'9' is not known"),
        (Submit("c", "", "chain", b"{}"), "not a run id"),
        (Submit("c", "r", "chain", b'{"count": 1}'), "another input"),
    ],
    ids=repr,
)
async def test_what_is_refused_is_denied_with_the_reason(autojump_clock, store, command, reason):
    """1: refused names the run and the value, and nothing changed."""
    async with opened(store, GRAPH) as runtime:
        await parked(runtime, GRAPH, "r")
        await store.leave(command)
        await trio.sleep(NOTICED)
        receipt = await store.answered(command)
        assert isinstance(receipt, Denied)
        assert reason in receipt.reason
        assert [RunStatus.AWAITING_INPUT] == [row.status for row in await runtime.runs()]
        assert 0 == runtime.statistics().restarts


async def test_what_is_asked_of_a_run_of_another_graph_is_denied_where_there_is_one_owner(autojump_clock, store):
    """11.3: nobody else could carry it out."""
    async with opened(store, other := chain("sign-off", name="other")) as runtime:
        await parked(runtime, other, "r")
    async with opened(store, GRAPH):
        await store.leave(command := Decide("c", "r", "sign-off", Approve()))
        await trio.sleep(NOTICED)
        assert "graph 'other' '1' is not known here" in (await store.answered(command)).reason


async def test_what_is_no_command_is_denied(autojump_clock, store):
    async with opened(store, GRAPH) as runtime:
        for number, body in enumerate((b"\xc1", b"", b"\x81\xa4type\xa4fire", b"\x00" * 2_000_000)):
            command = Cancel(f"c-{number}", "r")
            await store.leave(command, body or b"\xc0")
        await trio.sleep(NOTICED)
        for number in range(4):
            assert isinstance(await store.answered(Cancel(f"c-{number}", "r")), Denied)
        assert 0 == runtime.statistics().restarts


async def test_a_lost_receipt_is_given_again(autojump_clock, store):
    """6.4: a command that was carried out while its receipt was lost is carried out again, and hears who won."""
    async with opened(store, GRAPH) as runtime:
        run = await parked(runtime, GRAPH, "r")
        await parked(runtime, GRAPH, "s")
        store.lost = 3
        await store.leave(decide := Decide("c-1", "r", "sign-off", Approve(), "ann"))
        await store.leave(cancel := Cancel("c-2", "s"))
        await trio.sleep(3)
        assert AlreadyResolved("r", "sign-off@1", "approve", "ann") == await store.answered(decide)
        assert CancelReceipt("s", "already_terminal", RunStatus.CANCELLED, durable=True) == await store.answered(cancel)
        assert RunStatus.SUCCEEDED is (await run.result()).status


async def test_commands_wait_for_a_store_that_is_gone(autojump_clock, store):
    async with opened(store, GRAPH) as runtime:
        await parked(runtime, GRAPH, "r")
        store.down = True
        await store.leave(command := Decide("c-1", "r", "", Approve()))
        await trio.sleep(5)
        assert await store.answered(command) is None
        store.down = False
        await trio.sleep(3)
        assert isinstance(await store.answered(command), terzetto.DecisionTaken)
        assert 0 == runtime.statistics().restarts


async def test_many_commands_at_once(autojump_clock, store):
    async with opened(store, GRAPH, limit=60) as runtime:
        commands = []
        for number in range(250):
            await parked(runtime, GRAPH, f"r{number}")
            commands.append(Decide(f"c-{number}", f"r{number}", "", Approve()))
            await store.leave(commands[-1])
        await trio.sleep(3)
        assert all([isinstance(await store.answered(command), DecisionTaken) for command in commands])


async def test_a_command_that_nobody_answers_in_time_is_carried_out_again(autojump_clock, nursery, store):
    """11.3: who claimed its run meanwhile may have died before he answered."""
    store.lease, told = 30.0, []

    async def carry_out(command):
        told.append((command.command_id, trio.current_time()))
        if len(told) == 1:
            await trio.sleep_forever()
        return Resumed("r", durable=True)

    await store.leave(command := Resume("c-1", "r"))
    await nursery.start(Inbox(store, carry_out).run)
    await trio.sleep(29)
    assert await store.answered(command) is None
    await trio.sleep(2)
    assert Resumed("r", durable=True) == await store.answered(command)
    assert ["c-1", "c-1"] == [command_id for command_id, _ in told]
