"""Several runtimes on one store: what is whose, what is asked of others, what of theirs is seen (SEMANTICS 11)."""

from contextlib import asynccontextmanager

import pytest
import trio

import terzetto
from terzetto._errands import RECEIPT_POLL, leave, receipt_of
from terzetto.testing import FaultStore
from terzetto.testing._simulated_store import SimulatedDisk, SimulatedStore
from terzetto_protocol.commands import Decide, Submit
from terzetto_protocol.decisions import Approve, Confirm, Reject
from terzetto_protocol.errors import Refused, StoreUnavailable, UnknownGraph, UnknownRun
from terzetto_protocol.events import Gap, RunEnded, RunQueued, RunStarted
from terzetto_protocol.limits import INBOX_POLL
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken, Denied, Submitted

from .runtimes import AWAITING, CANCELLED, RUNNING, SUCCEEDED, Held, Tally, chain, once, opened, says, settled, told

LEASE = 3.0


class House:
    """A disk, and a runtime per name on it."""

    def __init__(self) -> None:
        self.disk = SimulatedDisk()
        self.stores: dict[str, SimulatedStore] = {}

    @asynccontextmanager
    async def opened(self, name, *graphs, **options):
        self.stores[name] = store = SimulatedStore(self.disk, name=name, lease=LEASE)
        async with opened(store, *graphs, **options) as runtime:
            yield runtime

    async def row(self, run_id):
        return await self.disk.run(run_id)


async def test_what_one_carries_the_other_leaves_alone(autojump_clock):
    """11: a run belongs to the owner that began its newest epoch, as long as that lives."""
    house, mine, theirs = House(), Held(), Held()
    graph = chain(mine)
    async with house.opened("a", graph) as a:
        await a.submit(graph, Tally(), run_id="r")
        await mine.begun.wait()
        async with house.opened("b", chain(theirs)):
            await trio.sleep(4 * LEASE)
            assert not theirs.begun.is_set()
            mine.go.set()
            await settled()

    assert (SUCCEEDED, 1) == ((await house.row("r")).status, (await house.row("r")).epoch)


async def test_what_a_dead_one_carried_goes_on_after_its_lease(autojump_clock):
    """11: its runs are anybody's when it has not been heard of for a lease, and nothing finished runs twice."""
    house, mine, theirs = House(), Held(), Held()
    graph = chain(says("one"), mine)
    async with house.opened("b", chain(says("one"), theirs)) as b, trio.open_nursery() as nursery:
        life = trio.CancelScope()

        async def dies():
            with life:
                await lives()

        async def lives():
            async with house.opened("a", graph) as a:
                await a.submit(graph, Tally(), run_id="r")
                await trio.sleep_forever()

        nursery.start_soon(dies)
        await mine.begun.wait()
        house.stores["a"].cut()
        life.cancel()
        await trio.sleep(LEASE / 2)
        assert not theirs.begun.is_set()
        await theirs.begun.wait()
        theirs.go.set()
        assert ["one", "held"] == (await b.get("r").result()).state.trail

    assert 2 == (await house.row("r")).epoch


async def test_what_a_closed_one_left_is_anybodys_at_once(autojump_clock):
    house, graph = House(), chain(says("one"), "gate", says("two"))
    async with house.opened("a", graph) as a:
        run = await a.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.BarrierOpened)
    async with house.opened("b", graph) as b:
        assert DecisionTaken("r", "gate@2", True) == await b.decide("r", "gate", Approve())
        assert ["one", "two"] == (await b.get("r").result()).state.trail


async def test_a_decision_goes_to_whoever_carries_the_run(autojump_clock):
    """11: both sides are told the same, and the run goes on where it lives."""
    house, graph = House(), chain(says("one"), "gate", says("two"))
    async with house.opened("a", graph) as a, house.opened("b", graph) as b:
        run = await a.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.BarrierOpened)

        assert DecisionTaken("r", "gate@2", True) == await b.get("r").decide("gate", Approve(), source="ann")
        late = await b.decide("r", "gate", Reject())
        assert isinstance(late, AlreadyResolved)
        assert "ann" == late.source
        assert late == await a.decide("r", "gate", Reject())
        with pytest.raises(Refused, match=r"^run 'r': .*nowhere"):
            await b.decide("r", "nowhere", Approve())
        assert ["one", "two"] == (await a.get("r").result()).state.trail

    assert 2 == (await house.row("r")).epoch


async def test_a_cancel_reaches_what_another_one_runs(autojump_clock):
    house, held = House(), Held()
    graph = chain(held)
    async with house.opened("a", graph) as a, house.opened("b", graph) as b:
        await a.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        assert "requested" == (await b.cancel("r", "enough")).outcome
        assert CANCELLED is (await b.get("r").result()).status
        assert ["cancelled"] == held.ends
        assert "already_terminal" == (await b.cancel("r")).outcome


async def test_what_another_one_ends_is_heard_of(autojump_clock):
    """8: a reader beside another owner sees what is durable, in order, and the end; so does who waits for a result."""
    house, held = House(), Held()
    graph = chain(says("one"), held, says("two"))
    async with house.opened("a", graph) as a, house.opened("b", graph) as b, trio.open_nursery() as nursery:
        ends: list[object] = []

        async def waits():
            ends.append((await b.get("r").result()).state.trail)

        await a.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        nursery.start_soon(waits)
        seen: list[object] = []
        async with b.get("r").events() as events:
            async for event in events:
                seen.append(type(event).__name__)
                if len(seen) == 4:
                    held.go.set()
        durable = [event.id for event in await told(b.get("r")) if not isinstance(event, Gap)]
        everything = [event.id for event in await told(a.get("r"))]

    assert ("RunEnded", [["one", "held", "two"]]) == (seen[-1], ends)
    assert sorted(durable) == durable
    assert set(durable) < set(everything)


async def test_one_that_stood_still_is_told_and_lets_go(autojump_clock):
    """2, 11: a claim by another owner fences it: nothing of it is stored any more, and it goes on with what is its."""
    house, mine, theirs = House(), Held(), Held()
    graph = chain(mine)
    async with house.opened("a", graph) as a, house.opened("b", chain(theirs)):
        await a.submit(graph, Tally(), run_id="r")
        await mine.begun.wait()
        house.stores["a"].freeze(2 * LEASE)
        await theirs.begun.wait()
        await trio.sleep(2 * LEASE)
        assert ["cancelled"] == mine.ends  # it would have written nothing for long
        assert (RUNNING, 2) == ((await house.row("r")).status, (await house.row("r")).epoch)
        theirs.go.set()
        assert SUCCEEDED is (await a.get("r").result()).status
        assert (await told(a.get("r"), until=RunEnded))[-1].status is SUCCEEDED


async def test_a_barriers_time_is_over_once(autojump_clock):
    """6.4: the owner's timer fires, and nobody else's."""
    house = House()
    graph = terzetto.Graph("timed", state=Tally, mutations=())
    gate = graph.barrier("gate", timeout=LEASE, on_timeout=Approve())
    graph.start(gate)
    async with house.opened("a", graph) as a, house.opened("b", graph) as b:
        run = await a.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.BarrierOpened)
        assert AWAITING is (await house.row("r")).status
        assert SUCCEEDED is (await b.get("r").result()).status

    assert 1 == len([each for each in await house.disk.barriers("r", only_open=False) if each.resolved])


class Late(SimulatedStore):
    """Stores an intent at once, and says so when our lease has ended; so do its renewals until then."""

    until = 0.0

    async def commit(self, writes):
        outcomes = await super().commit(writes)
        if any(write.kind == "intent" for write in writes) and not self.until:
            self.until = trio.current_time() + 3 * LEASE
            await trio.sleep_until(self.until)
        return outcomes

    async def renew(self):
        await trio.sleep_until(self.until)
        await super().renew()


async def test_what_is_heard_after_the_lease_begins_nothing_that_others_have_decided(autojump_clock):
    """2, 11.2: an effect whose intent was acknowledged too late is somebody else's to settle."""
    disk, bodies = SimulatedDisk(), []

    async def pays(ctx):
        bodies.append(ctx.run_id)

    graph, theirs = chain(once(pays)), chain(once(pays))
    async with opened(Late(disk, name="a", lease=LEASE), graph) as a:
        await a.submit(graph, Tally(), run_id="r")
        await trio.sleep(LEASE / 2)
        async with opened(SimulatedStore(disk, name="b", lease=LEASE), theirs) as b:
            await told(b.get("r"), until=terzetto.BarrierOpened)
            await b.get("r").decide("", Confirm())
            assert SUCCEEDED is (await b.get("r").result()).status
            await trio.sleep(3 * LEASE)
        assert SUCCEEDED is (await a.get("r").result()).status

    assert [] == bodies


async def test_what_is_heard_after_the_lease_goes_on_where_nobody_has_claimed_it(autojump_clock):
    """11.2: late is not lost."""
    disk, bodies = SimulatedDisk(), []

    async def pays(ctx):
        bodies.append(ctx.run_id)

    graph = chain(once(pays))
    async with opened(Late(disk, name="a", lease=LEASE), graph) as a:
        await a.submit(graph, Tally(), run_id="r")
        assert SUCCEEDED is (await a.get("r").result()).status

    assert (["r"], 1) == (bodies, (await disk.run("r")).epoch)


async def test_who_decides_at_the_same_time_hears_who_won(autojump_clock):
    """2, 6.4: of two who claim a run that nobody carries the second one asks the first, and is told the same."""
    house, graph, said = House(), chain("gate", says("two")), []
    async with house.opened("a", graph) as a:
        await told(await a.submit(graph, Tally(), run_id="r"), until=terzetto.BarrierOpened)

    async def decides(runtime, decision):
        said.append(await runtime.decide("r", "gate", decision))

    async with house.opened("b", graph) as b, house.opened("c", graph) as c:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(decides, b, Approve())
            nursery.start_soon(decides, c, Reject())

    assert [AlreadyResolved, DecisionTaken] == sorted(map(type, said), key=str)


@pytest.mark.parametrize("later", [0.0, LEASE + 0.1], ids=["at once", "after a look"])
async def test_the_next_one_in_line_begins_as_soon_as_somebody_elses_end_is_heard_of(autojump_clock, later):
    """11.3: a thread goes on as quickly as its reader is shown that, whoever carries what was before."""
    house, held = House(), Held()
    graph = chain(held)
    async with house.opened("a", graph) as a, house.opened("b", graph) as b:
        await a.submit(graph, Tally(), run_id="r", thread="t")
        await held.begun.wait()
        await b.submit(graph, Tally(), run_id="s", thread="t", busy="enqueue")
        await a.submit(graph, Tally(), run_id="q", thread="t", busy="enqueue")
        await trio.sleep(later)
        begun = trio.current_time()
        held.go.set()
        assert SUCCEEDED is (await b.get("q").result()).status
        assert trio.current_time() - begun < LEASE / 3


@pytest.mark.parametrize("reads", ["a", "b"])
async def test_a_run_that_another_one_deleted_is_forgotten_and_its_id_is_free(autojump_clock, reads):
    """8.3, 11.3: what comes under its id is another run, whoever showed the one before to its readers."""
    house, held = House(), Held()
    graph = chain(held)
    async with house.opened("a", graph) as a, house.opened("b", graph) as b:
        mine, other = (a, b) if reads == "a" else (b, a)
        await a.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        async with mine.get("r").events() as events:
            async for event in events:
                if isinstance(event, RunStarted):
                    held.go.set()
        await other.delete("r")
        with pytest.raises(UnknownRun):
            await told(mine.get("r"))

        held.go = trio.Event()
        await other.submit(graph, Tally(2), run_id="r")
        assert RunQueued is type((await told(mine.get("r"), until=RunQueued))[-1])
        held.go.set()
        assert 2 == (await mine.get("r").result()).state.count
        await other.delete("r")
        await mine.submit(graph, Tally(3), run_id="r")
        assert 3 == (await mine.get("r").result()).state.count
        assert RunEnded is type((await told(other.get("r")))[-1])


async def test_who_waits_for_a_run_that_is_deleted_as_soon_as_it_has_ended_is_told_so(autojump_clock):
    """8.3, 9.5, 11.3: nobody waits for ever."""
    house, held, said = House(), Held(), []
    graph = chain(held)

    async def hears(ask):
        with pytest.raises(UnknownRun):
            await ask()
        said.append(ask)

    async with house.opened("a", graph) as a, house.opened("b", graph) as b:
        run = await a.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hears, b.get("r").result)
            nursery.start_soon(hears, lambda: told(b.get("r")))
            await trio.sleep(1.01)
            held.go.set()
            await run.result()
            await a.delete("r")

    assert 2 == len(said)


async def test_who_waits_for_the_end_of_a_run_that_cannot_be_read_here_is_told_so(autojump_clock):
    """9.5, 11.3: a runtime without the graph hears that it has ended, and says that it cannot tell how."""
    house, held = House(), Held()
    graph = chain(held)
    async with house.opened("a", graph) as a, house.opened("b") as b, trio.open_nursery() as nursery:

        async def waits():
            with pytest.raises(Refused, match="not known here"):
                await b.get("r").result()

        await a.submit(graph, Tally(), run_id="r")
        nursery.start_soon(waits)
        await trio.sleep(1)
        held.go.set()


class Choosy(SimulatedStore):
    """Notes when a command is given back."""

    def __init__(self, disk, name):
        super().__init__(disk, name=name, lease=LEASE)
        self.declined = []

    async def decline(self, command_id):
        self.declined.append(trio.current_time())
        await super().decline(command_id)


ELSE = chain(says("else"), name="else")


async def asked(disk, command):
    """Leave a command, as a guest does; the time at which it was left."""
    await leave(disk, command, command.run_id, 0.0)
    return trio.current_time()


@pytest.mark.parametrize("failures", [0, 3])
async def test_a_command_waits_for_an_owner_that_has_the_graph(autojump_clock, failures):
    """11.3: who does not have it gives it back, and asks once a lease; who comes with it finds it at once."""
    house, graph = House(), chain("gate", says("two"))
    b, c = FaultStore(Choosy(house.disk, "b")), FaultStore(Choosy(house.disk, "c"))
    for store in (b, c):
        store.on("decline").first(failures).raises(StoreUnavailable) if failures else None
    async with house.opened("a", graph) as a:
        await told(await a.submit(graph, Tally(), run_id="r"), until=terzetto.BarrierOpened)
    async with opened(b, ELSE, limit=60 * LEASE) as first, opened(c, ELSE, limit=60 * LEASE) as second:
        await asked(house.disk, Decide("c-1", "r", "gate", Approve()))
        await trio.sleep(20 * LEASE)
        assert None is await house.disk.receipt("c-1")
        for store in (b, c):
            assert 15 <= len(store.inner.declined) <= 21
        async with house.opened("d", graph) as d:
            begun = trio.current_time()
            assert DecisionTaken("r", "gate@1", True) == await receipt_of(house.disk, "c-1")
            assert trio.current_time() - begun <= INBOX_POLL + RECEIPT_POLL
            assert ["two"] == (await d.get("r").result()).state.trail
        assert (0, 0) == (first.statistics().restarts, second.statistics().restarts)


async def test_who_has_the_graph_answers_whoever_is_asked_first(autojump_clock):
    """11.3: within 250 ms after another one has given it back; what is begun by a message is begun where it can be."""
    house, graph, limit = House(), chain("gate", says("two")), 60 * LEASE
    async with house.opened("b", ELSE, limit=limit), house.opened("d", graph, limit=limit) as d:
        for number in range(4):
            await trio.sleep(INBOX_POLL * number / 4)
            begun = await asked(house.disk, Submit(f"s-{number}", f"r-{number}", "chain", b"{}", version="1"))
            assert Submitted(f"r-{number}", True) == await receipt_of(house.disk, f"s-{number}")
            assert trio.current_time() - begun <= 2 * INBOX_POLL + RECEIPT_POLL
        for number, command in enumerate((Submit("x", "x", "gone", b"{}"), Submit("y", "y", "chain", b"{}", "9"))):
            await asked(house.disk, command)
            with trio.move_on_after(5 * LEASE) as scope:
                await receipt_of(house.disk, command.command_id)
            assert scope.cancelled_caught, number
        assert 4 == len(await d.runs())


async def test_more_commands_than_are_looked_at_at_once_keep_nobody_from_the_next(autojump_clock):
    """11.3: what nobody here can carry out is in nobody's way."""
    house, graph = House(), chain("gate", says("two"))
    async with house.opened("b", graph):
        for number in range(250):
            await asked(house.disk, Submit(f"x-{number}", f"x-{number}", "gone", b"{}"))
        begun = await asked(house.disk, Submit("s", "r", "chain", b"{}"))
        assert Submitted("r", True) == await receipt_of(house.disk, "s")
        assert trio.current_time() - begun <= 4 * INBOX_POLL


async def test_what_is_asked_of_a_runtime_that_does_not_have_the_graph_is_refused_at_once(autojump_clock):
    """11.3, 2.7: nobody was left a command, so nobody waits."""
    house, graph = House(), chain("gate", says("two"))
    async with house.opened("a", graph) as a:
        await told(await a.submit(graph, Tally(), run_id="r"), until=terzetto.BarrierOpened)
    async with house.opened("b", ELSE) as b, house.opened("d", graph):
        with pytest.raises(UnknownGraph, match=r"^run 'r': graph 'chain' '1' is not known here") as caught:
            await b.decide("r", "gate", Approve())
        assert ("chain", "1", "r") == (caught.value.graph, caught.value.version, caught.value.run_id)


@pytest.mark.parametrize(
    "command, reason",
    [
        (Decide("c", "r", "nowhere", Approve()), "not open"),
        (Decide("c", "nobody", "gate", Approve()), "no run 'nobody'"),
        (Submit("c", "s", "chain", b'{"count": "many"}'), "count"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_nobody_could_do_is_denied_at_once(autojump_clock, command, reason):
    """11.3, 1: only a graph that is somewhere else is waited for."""
    house, graph = House(), chain("gate", says("two"))
    async with house.opened("a", graph) as a:
        await told(await a.submit(graph, Tally(), run_id="r"), until=terzetto.BarrierOpened)
        await asked(house.disk, command)
        receipt = await receipt_of(house.disk, "c")
    assert isinstance(receipt, Denied)
    assert reason in receipt.reason


async def test_a_reader_who_cannot_be_told_what_others_have_stored_is_no_reader(autojump_clock):
    """8.2, 11.3: he hears that the store is gone, and may come again."""
    house, graph = House(), chain("gate", says("two"))
    store = FaultStore(SimulatedStore(house.disk, name="b", lease=LEASE))
    async with house.opened("a", graph) as a, opened(store, graph) as b:
        await told(await a.submit(graph, Tally(), run_id="r"), until=terzetto.BarrierOpened)
        await told(b.get("r"), until=terzetto.BarrierOpened)
        async with b.get("r").events():
            store.on("run").first(1).raises(StoreUnavailable)
            with pytest.raises(StoreUnavailable):
                await b.get("r").events().__aenter__()
            assert 1 == b.hub.statistics().readers
            async with b.get("r").events():
                assert 2 == b.hub.statistics().readers
