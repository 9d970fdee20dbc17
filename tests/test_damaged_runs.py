"""A run whose rows are damaged: it stays as it is with a reason, and keeps nobody from anything (SEMANTICS 2.7)."""

import apsw
import pytest
import trio
import trio.testing

import terzetto
from terzetto._inbox import COMMANDS
from terzetto._recovery import RECOVERY_INTERVAL
from terzetto.stores import MemoryStore, SqliteStore
from terzetto.testing import FaultPlan
from terzetto_protocol.commands import Decide
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import StoreDamaged
from terzetto_protocol.records import Posted
from terzetto_protocol.statuses import RunStatus

from .runtimes import Say, Tally, chain, counts, opened, parked, says
from .sqlite_stores import in_time

SUCCEEDED = RunStatus.SUCCEEDED
GRAPH = chain(says("a"), counts(7), "gate", says("b"))

DAMAGE = {
    "its row": "update runs set message = 'all is well' where id = 'bad'",
    "its status": "update runs set status = 'SUCCEEDED' where id = 'bad'",
    "its newest commit": "update commits set event = event + 1 where run = 1",
    "its commits": "update commits set body = zeroblob(length(body)) where run = 1",
    "its snapshots": "update snapshots set body = zeroblob(length(body)) where run = 1",
    "its barrier": "update barriers set row = zeroblob(length(row)) where run = 1",
}


def damage(path, *statements):
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.fixture
async def path(tmp_path):
    """A store in which two runs wait for a decision, of which one is to be damaged."""
    path = tmp_path / "runs.db"
    async with opened(SqliteStore(path), GRAPH) as runtime:
        await parked(runtime, GRAPH, "bad")
        await parked(runtime, GRAPH, "good")
    return path


@pytest.mark.parametrize("place", DAMAGE)
@in_time
async def test_who_asks_for_a_damaged_run_hears_it_and_nobody_else_does(path, place):
    """Issue 4: a typed error for this run; the others are told, decided and submitted as ever."""
    damage(path, DAMAGE[place])
    async with opened(SqliteStore(path), GRAPH) as runtime:
        with pytest.raises(StoreDamaged, match="run 'bad'") as caught:
            await runtime.get("bad").decide("gate", Approve())
        assert "bad" == caught.value.run_id
        with pytest.raises(StoreDamaged):
            await runtime.get("bad").result()
        assert {"bad", "good"} == {row.run_id for row in await runtime.runs()}
        good = runtime.get("good")
        await good.decide("gate", Approve())
        assert SUCCEEDED is (await good.result()).status
        await (await parked(runtime, GRAPH, "new")).decide("gate", Approve())
        assert (True, 0) == (runtime.statistics().persistence.unavailable_since is None, runtime.statistics().restarts)


@pytest.mark.parametrize("place", [place for place in DAMAGE if place not in ("its status", "its barrier")])
@in_time
async def test_a_damaged_run_that_would_go_on_is_listed_with_the_reason(tmp_path, place, caplog):
    """2.7: as a run of a graph that is not there; it holds nobody's slot, and is not tried again and again."""
    path, may_end = tmp_path / "runs.db", []
    graph = chain(says("a"), counts(7), holds(may_end))
    async with opened(SqliteStore(path), graph, shutdown_deadline=0) as runtime:
        for run_id in ("bad", "good"):
            await runtime.submit(graph, Tally(), run_id=run_id)
        await trio.testing.wait_all_tasks_blocked(0.05)
    damage(path, DAMAGE[place])
    may_end.append(True)
    async with opened(store := Counted(path), graph, pool_size=1, strict=False) as runtime:
        assert SUCCEEDED is (await runtime.get("good").result()).status
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
        [(run_id, reason)] = runtime.statistics().supervisor.unclaimed
        assert ("bad", True) == (run_id, "is damaged" in reason)
        assert 1 == store.tries
        assert (0, 0) == (runtime.statistics().supervisor.waiting, runtime.statistics().persistence.failures)
        with pytest.raises(StoreDamaged):
            await runtime.get("bad").result()
    assert ["ERROR"] == [record.levelname for record in caplog.records if "'bad'" in record.message]


def holds(may_end):
    async def held(ctx):
        if not may_end:
            await trio.sleep_forever()
        ctx.record(Say("held"))

    return held


class Counted(SqliteStore):
    """Counts how often the damaged run is loaded."""

    tries = 0

    async def load(self, run_id):
        self.tries += run_id == "bad"
        return await super().load(run_id)


@in_time
async def test_a_parked_run_whose_row_is_damaged_is_listed_too(path):
    """Its time limits cannot be kept."""
    damage(path, DAMAGE["its row"])
    async with opened(SqliteStore(path), GRAPH) as runtime:
        while not runtime.statistics().supervisor.unclaimed:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)
        [(run_id, reason)] = runtime.statistics().supervisor.unclaimed
        assert ("bad", True) == (run_id, "its row in store" in reason)


@in_time
async def test_a_damaged_head_keeps_its_thread_and_no_other_from_going_on(tmp_path):
    """10: where a thread is decides what its next run begins with."""
    path, graph = tmp_path / "runs.db", chain(counts())
    async with opened(SqliteStore(path), graph) as runtime:
        for thread in ("bad", "good"):
            await (await runtime.submit(graph, Tally(), thread=thread)).result()
    damage(path, "update threads set run = 3 - run where id = 'bad'")
    async with opened(SqliteStore(path), graph) as runtime:
        with pytest.raises(StoreDamaged, match="the head of thread 'bad' in store"):
            await runtime.submit(graph, thread="bad")
        assert 2 == (await (await runtime.submit(graph, thread="good")).result()).unwrap().count


class Damaged(MemoryStore):
    """Cannot tell of some runs."""

    def __init__(self):
        super().__init__()
        self.damaged, self.tries = set(), []

    async def run(self, run_id):
        self.check(run_id)
        return await super().run(run_id)

    async def load(self, run_id):
        self.tries.append(trio.current_time())
        self.check(run_id)
        return await super().load(run_id)

    def check(self, run_id):
        if run_id in self.damaged:
            raise StoreDamaged("here", run_id, "its row", "its bytes are not those that were stored")


async def test_a_damaged_run_is_tried_once_a_look(autojump_clock, caplog):
    """7.6: each time it is told; the store is not opened anew for it, and a restored copy is gone on with."""
    store, may_end = Damaged(), []
    graph = chain(holds(may_end))
    async with opened(store, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="bad")
    store.damaged.add("bad")
    async with opened(store, graph, limit=1000, shutdown_deadline=0) as runtime:
        begun = trio.current_time()
        await trio.sleep(4.5 * RECOVERY_INTERVAL)
        assert [begun + look * RECOVERY_INTERVAL for look in range(5)] == pytest.approx(store.tries)
        assert 0 == runtime.statistics().persistence.failures
        assert 5 == sum("'bad'" in record.message for record in caplog.records)
        store.damaged.clear()  # a copy was restored
        may_end.append(True)
        assert SUCCEEDED is (await runtime.get("bad").result()).status
        assert () == runtime.statistics().supervisor.unclaimed


async def test_who_waited_before_hears_it(autojump_clock):
    """2.7: also where the damage shows while somebody waits."""
    store, graph = Damaged(), terzetto.Graph("gated", state=Tally)
    graph.start(graph.barrier("gate", timeout=50, on_timeout=terzetto.Fail()))
    async with opened(store, graph, limit=1000) as runtime:
        run, told = await parked(runtime, graph, "bad"), []

        async def wait():
            with pytest.raises(StoreDamaged, match="run 'bad': its row in store here is damaged") as caught:
                await run.result()
            told.append(caught.value.place)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            store.damaged.add("bad")
        assert ["its row", "its row"] == told


async def test_what_was_stored_and_not_told_is_shown_beside_a_damaged_run(autojump_clock):
    """9.5: the persistence actor dies when it has stored; a damaged run keeps the readers of others from nothing."""
    store, graph = Damaged(), terzetto.Graph("gate", state=Tally)
    graph.start(graph.barrier("ask"))
    with FaultPlan().at("decision_durable").on_pass(1).raises(ConnectionError):
        async with opened(store, graph) as runtime:
            bad, good = await parked(runtime, graph, "bad"), await parked(runtime, graph, "good")
            async with bad.events(), good.events() as events:
                store.damaged.add("bad")
                with pytest.raises(terzetto.ActorStopped):
                    await good.decide("ask", Approve())
                shown = [event async for event in events if isinstance(event, terzetto.RunEnded)]
            assert [SUCCEEDED] == [event.status for event in shown]
            with pytest.raises(StoreDamaged):
                await bad.status()


async def test_a_damaged_run_is_not_cleaned_and_the_others_are(autojump_clock):
    """3.3: counted as one that could not be."""
    store, graph = Damaged(), chain(counts())
    retention = terzetto.Retention(finished=terzetto.Keep(latest=0))
    async with opened(store, graph) as runtime:
        for run_id in ("bad", "good"):
            await (await runtime.submit(graph, Tally(), run_id=run_id)).result()
    store.damaged.add("bad")
    async with opened(store, graph, limit=1000, retention=retention) as runtime:
        await trio.sleep(100)
        cleaner = runtime.statistics().cleaner
        assert (1, 1) == (cleaner.runs, cleaner.failures)
        assert 0 == runtime.statistics().restarts
    assert ["bad"] == [row.run_id for row in await store.runs()]


@in_time
async def test_a_damaged_command_is_not_carried_out(path):
    """11: whoever posted it hears that, and those behind it are carried out."""
    async with SqliteStore(path) as store:
        for number, run_id in enumerate(("bad", "good")):
            command = Decide(f"c-{number}", run_id, "gate", Approve())
            await store.post(Posted(command.command_id, run_id, COMMANDS.pack(command), 0.0))
    damage(path, "update inbox set body = cast(replace(cast(body as text), 'gate', 'gatf') as blob) where run = 'bad'")
    async with opened(store := SqliteStore(path), GRAPH) as runtime:
        assert SUCCEEDED is (await runtime.get("good").result()).status
        assert RunStatus.AWAITING_INPUT is await runtime.get("bad").status()
        with pytest.raises(StoreDamaged, match="command 'c-0' in store"):
            await store.receipt("c-0")
