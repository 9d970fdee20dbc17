"""Promises about processes that share a store: the inbox of an owner, and the one owner of a file (SEMANTICS 11)."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto._inbox import COMMANDS, RECEIPTS
from terzetto.stores import SqliteStore, Store, open_store
from terzetto_protocol.commands import Cancel, Command, Decide, Submit
from terzetto_protocol.decisions import Approve, Reject
from terzetto_protocol.errors import StoreInUse
from terzetto_protocol.events import BarrierOpened
from terzetto_protocol.receipts import AlreadyResolved, CancelReceipt, DecisionTaken, Denied, Receipt, Submitted
from terzetto_protocol.records import Posted
from terzetto_protocol.statuses import RunStatus

from .runtimes import Held, Tally, chain, opened, parked, says, told
from .stores import FaultyStore, trail

SUCCEEDED = RunStatus.SUCCEEDED


class SharedStore(FaultyStore):
    """As a store that other processes see: its owner looks into the inbox."""

    shared = True


async def post(store: Store, command: Command) -> None:
    """As a guest does, in another process."""
    await store.post(Posted(command.command_id, command.run_id, COMMANDS.pack(command), 0.0))


async def answered(store: Store, command_id: str) -> Receipt:
    while (receipt := await store.receipt(command_id)) is None:  # noqa: ASYNC110 - a guest can only look
        await trio.sleep(0.01)
    return RECEIPTS.unpack(receipt)


async def said(store: Store, command: Command) -> Receipt:
    await post(store, command)
    return await answered(store, command.command_id)


async def test_commands_of_others_are_carried_out_within_a_quarter_of_a_second(autojump_clock):
    """11: others may put commands (decide, cancel, submit) into an inbox table that the owner notices within 250 ms."""
    store, held = SharedStore(), Held()
    graph = chain("ask", held)
    async with opened(store, graph) as runtime:
        commands = [
            (Submit("s1", "r", "chain", b'{"count": 3}'), Submitted("r", durable=True)),
            (Submit("s2", "r", "chain", b'{"count": 3}'), Submitted("r", durable=True, reused=True)),
            (Decide("d1", "r", "ask", Approve(), "ann"), DecisionTaken("r", "ask@1", durable=True)),
            (Decide("d2", "r", "ask", Reject(), "bob"), AlreadyResolved("r", "ask@1", "approve", "ann")),
            (Cancel("c1", "r"), CancelReceipt("r", "requested", RunStatus.CANCELLING, durable=True)),
            (Cancel("c2", "nobody"), CancelReceipt("nobody", "unknown", None, durable=True)),
        ]
        for command, receipt in commands:
            begin = trio.current_time()
            assert receipt == await said(store, command)
            assert trio.current_time() - begin <= 0.25
            await trio.testing.wait_all_tasks_blocked()
        result = await runtime.get("r").result()
        assert (RunStatus.CANCELLED, 3) == (result.status, result.state.count)


@pytest.mark.parametrize(
    "command, reason",
    [
        (Submit("c", "r/1", "chain", b"{}"), "'r/1' is not a run id"),
        (Submit("c", "r", "chian", b"{}"), "no graph 'chian' is known here; known: chain"),
        (Submit("c", "r", "chain", b"{}", version="99"), "graph 'chain' '99' is not known here"),
        (Submit("c", "r", "chain", b'{"count": "x"}'), "at `$.count`"),
        (Submit("c", "r", "chain", b"[" * 1000), "deeper than 64"),
        (Submit("c", "taken", "chain", b'{"count": 1}'), "another input"),
        (Decide("c", "nobody", "ask", Approve()), "no run 'nobody'"),
        (Decide("c", "taken", "aks", Approve()), "'aks' is not open"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_commands_that_are_refused_change_nothing(autojump_clock, command, reason):
    """11, 1: refused: a typed answer that names the value, and nothing changed; a run is pinned to one version, so that
    no other one stands in for it."""
    store, graph = SharedStore(), chain("ask")
    async with opened(store, graph) as runtime:
        await parked(runtime, graph, "taken")
        before = await store.run("taken")
        receipt = await said(store, command)
        assert isinstance(receipt, Denied)
        assert reason in receipt.reason
        assert [before] == await runtime.runs()
        assert 0 == runtime.statistics().restarts


async def test_bytes_that_are_no_command_are_refused(autojump_clock):
    """11, 9.5: what a guest may write cannot end the owner."""
    store, graph = SharedStore(), chain("ask")
    async with opened(store, graph) as runtime:
        await store.post(Posted("c", "r", b"\xff\x00 garbage", 0.0))
        assert isinstance(await answered(store, "c"), Denied)
        assert 0 == runtime.statistics().restarts


async def test_a_command_that_comes_while_the_owner_leaves_waits_for_the_next(autojump_clock):
    """11: without an owner they are recorded and the next owner goes on, also with what the last one left."""
    store, held = SharedStore(), Held()
    graph = chain(held)
    with trio.fail_after(20):
        async with terzetto.open_runtime(store, graphs=[graph], shutdown_deadline=5) as runtime:
            await runtime.submit(graph, Tally(), run_id="r")
            await held.begun.wait()

            async def guest() -> None:
                await trio.sleep(1)  # the owner is closing by then, and still looks into its inbox
                await post(store, Submit("late", "s", "chain", b"{}"))

            trio.lowlevel.spawn_system_task(guest)
        assert 5 == trio.current_time()
        assert await store.receipt("late") is None
    held.go.set()
    async with opened(store, graph) as runtime:
        assert Submitted("s", durable=True) == await answered(store, "late")
        assert SUCCEEDED is (await runtime.get("s").result()).status


async def test_a_store_that_is_gone_keeps_commands_waiting(autojump_clock):
    """9.6: store gone: new work is refused meanwhile; what others left in the inbox waits until it is back."""
    store, graph = SharedStore(), chain("ask")
    async with opened(store, graph, limit=60) as runtime:
        await parked(runtime, graph, "r")
        store.down = True
        await store.inner.post(Posted("s", "s", COMMANDS.pack(Submit("s", "s", "chain", b"{}")), 0.0))
        await trio.sleep(5)
        assert await store.inner.receipt("s") is None
        store.down = False
        assert Submitted("s", durable=True) == await answered(store, "s")
        assert 0 == runtime.statistics().restarts


# -- SQLite ---------------------------------------------------------------------------------------------------


async def test_a_second_owner_is_told_what_to_do(tmp_path):
    """11: a second would-be owner is refused with a sentence that says what to do; the first one goes on."""
    url, graph = f"sqlite:{tmp_path / 'runs.db'}", chain("ask")
    with trio.fail_after(30):
        async with terzetto.open_runtime(url, graphs=[graph]) as runtime:
            with pytest.raises(StoreInUse, match="stop that owner first, or let it do the work"):
                async with terzetto.open_runtime(url, graphs=[graph]):
                    raise AssertionError
            assert SUCCEEDED is (await (await runtime.submit(graph, Tally(), auto_approve=True)).result()).status
        async with terzetto.open_runtime(url, graphs=[graph]) as runtime:
            assert 1 == len(await runtime.runs())


async def test_a_file_and_its_guests(tmp_path):
    """11: others may read, and put commands into an inbox table; without an owner they are recorded and the next owner
    goes on. 1: an id counts with the case of its letters. 3: SQLite receipts say durable."""
    url, graph = f"sqlite:{tmp_path / 'runs.db'}", chain("ask", says("done"))
    with trio.fail_after(60):
        async with terzetto.open_runtime(url, graphs=[graph]) as runtime:
            await runtime.submit(graph, Tally(), run_id="Run")
            async with open_store(url, guest=True) as guest:
                assert Submitted("rUN", durable=True) == await said(guest, Submit("s", "rUN", "chain", b"{}"))
                for run_id in ("Run", "rUN"):
                    await told(runtime.get(run_id), until=BarrierOpened)
                assert ["ask@1", "ask@1"] == [row.barrier for row in await guest.barriers()]
                receipt = await said(guest, Decide("d", "Run", "ask", Approve(), "ann"))
                assert DecisionTaken("Run", "ask@1", durable=True) == receipt
            assert ["done"] == (await runtime.get("Run").result()).state.trail
        async with open_store(url, guest=True) as guest:
            assert ["ask@1"] == [row.barrier for row in await guest.barriers("rUN")]
            await post(guest, Decide("e", "rUN", "ask", Reject("no"), "bob"))
            await post(guest, Cancel("c", "rUN"))
            assert await guest.receipt("e") is None
        async with terzetto.open_runtime(url, graphs=[graph]) as runtime:
            assert (await runtime.get("rUN").result()).status in (SUCCEEDED, RunStatus.CANCELLED)
            receipts = [await answered(runtime.store, command) for command in "ec"]
            assert isinstance(receipts[1], CancelReceipt)
            assert 1 == sum(
                "-> CANCELLED" in line or "-> SUCCEEDED" in line for line in await trail(runtime.store, "rUN")
            )


@pytest.mark.parametrize("query, level", [("", "FULL"), ("?synchronous=normal", "NORMAL")])
async def test_the_url_says_how_durable(tmp_path, query, level):
    """3: SQLite WAL `synchronous=FULL` (a user may lower it by URL, `?synchronous=normal`)."""
    with trio.fail_after(30):
        async with open_store(f"sqlite:{tmp_path / 'runs.db'}{query}") as store:
            assert isinstance(store, SqliteStore)
            health = await store.health()
    assert ("wal", level) == (dict(health.details)["journal_mode"], dict(health.details)["synchronous"])
