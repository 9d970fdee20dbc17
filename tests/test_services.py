"""`terzetto._services`: rest-for-one in order, with a limit, and an orderly end (SEMANTICS 9.5)."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto._services import STOP_DEADLINE, Service, ServiceTree
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import ActorStopped, StoreError
from terzetto_protocol.events import RunStarted
from terzetto_protocol.restart import RESTARTS
from terzetto_protocol.statuses import RunStatus

from .runtimes import Held, Tally, both, chain, once, opened, parked, says, settled, told
from .stores import FaultyStore, trail

SUCCEEDED = RunStatus.SUCCEEDED


class Troupe:
    """Services that note what happens to them, and fail when told to."""

    def __init__(self, *names: str, slow: str = "") -> None:
        self.record: list[str] = []
        self.fail = {name: trio.Event() for name in names}
        self.slow = slow
        self.tree = ServiceTree([Service(name, self.body(name)) for name in names])

    def body(self, name: str):
        async def run(*, task_status) -> None:
            self.record.append(f"start {name}")
            try:
                task_status.started()
                await self.fail[name].wait()
                self.fail[name] = trio.Event()
                raise ZeroDivisionError(name)
            finally:
                if name == self.slow:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(100)
                self.record.append(f"stop {name}")

        return run

    def reset(self) -> list[str]:
        record, self.record = self.record, []
        return record


async def test_started_in_order_and_stopped_in_reverse(autojump_clock, nursery):
    troupe = Troupe("a", "b", "c")
    await nursery.start(troupe.tree.run)
    assert ["start a", "start b", "start c"] == troupe.reset()
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        await settled()
    assert ["stop c", "stop b", "stop a"] == troupe.record


@pytest.mark.parametrize(
    "failed, record",
    [
        ("a", ["stop a", "stop c", "stop b", "start a", "start b", "start c"]),
        ("b", ["stop b", "stop c", "start b", "start c"]),
        ("c", ["stop c", "start c"]),
    ],
)
async def test_rest_for_one(autojump_clock, nursery, failed, record):
    """9.5: system actors: rest-for-one."""
    troupe = Troupe("a", "b", "c")
    await nursery.start(troupe.tree.run)
    troupe.reset()
    troupe.fail[failed].set()
    await settled()
    assert record == troupe.record
    assert len(record) // 2 == troupe.tree.restarts
    nursery.cancel_scope.cancel()


async def test_two_that_fail_together_are_one_restart(autojump_clock, nursery):
    troupe = Troupe("a", "b", "c")
    await nursery.start(troupe.tree.run)
    troupe.reset()
    troupe.fail["b"].set()
    troupe.fail["c"].set()
    await settled()
    assert ["start b", "start c"] == troupe.record[2:]
    nursery.cancel_scope.cancel()


async def test_too_many_restarts_stop_everything_in_order(autojump_clock):
    """9.5: 3 restarts in 5 s, then orderly stop."""
    troupe = Troupe("a", "b")

    async def fail_often() -> None:
        for _ in range(RESTARTS + 1):
            await trio.sleep(1)
            troupe.fail["b"].set()

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True), trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(troupe.tree.run)
            nursery.start_soon(fail_often)
    assert ["start a", *["start b", "stop b"] * 4, "stop a"] == troupe.record
    assert 4 == trio.current_time()


async def test_seldom_failures_never_stop_it(autojump_clock, nursery):
    troupe = Troupe("a")
    await nursery.start(troupe.tree.run)
    for _ in range(10):
        troupe.fail["a"].set()
        await trio.sleep(2)
    assert 11 == troupe.record.count("start a")
    nursery.cancel_scope.cancel()


async def test_a_late_service_keeps_no_other_from_stopping(autojump_clock):
    """Law 5: whoever is started before a service that does not stop is stopped all the same."""
    troupe = Troupe("a", "b", slow="b")
    with trio.fail_after(200):
        async with trio.open_nursery() as nursery:
            await nursery.start(troupe.tree.run)
            troupe.reset()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.sleep(STOP_DEADLINE + 1)
                assert ["stop a"] == troupe.record
    assert ["stop a", "stop b"] == troupe.record


async def test_a_service_that_cannot_start_says_why(autojump_clock):
    async def broken(*, task_status) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreError("the reason")

    troupe = Troupe("a")
    tree = ServiceTree([Service("a", troupe.body("a")), Service("broken", broken)])
    with pytest.RaisesGroup(pytest.RaisesExc(StoreError, match="the reason"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
    assert ["start a", "stop a"] == troupe.record


# -- in a runtime --------------------------------------------------------------------------------------------


class Mad(FaultyStore):
    """A store with a bug: it raises what no store may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.bugs = 0

    async def commit(self, writes):
        if self.bugs:
            self.bugs -= 1
            await trio.lowlevel.checkpoint()
            raise ZeroDivisionError("a bug in the store")
        return await super().commit(writes)


@both
async def test_all_runs_go_on_after_the_persistence_actor_died(autojump_clock, dispatch):
    """9.5: restarting the persistence actor restarts the supervisor, and all runs go on by themselves."""
    store, held, ran = Mad(), [Held(f"held-{number}") for number in range(4)], []

    async def after(ctx):
        ran.append(ctx.run_id)

    graphs = [chain(each, after, name=f"g{number}") for number, each in enumerate(held)]
    waiting = chain("sign-off", says("done"), name="waiting")
    async with opened(store, *graphs, waiting, dispatch=dispatch, pool_size=2) as runtime:
        await parked(runtime, waiting, "p")
        for graph in graphs:
            await runtime.submit(graph, Tally(), run_id=graph.name)
        await settled()
        assert [True, True, False, False] == [each.begun.is_set() for each in held]
        store.bugs = 1
        for each in held:
            each.go.set()
        for graph in graphs:
            await until_answered(runtime, graph.name)
        assert sorted(graph.name for graph in graphs) == sorted(ran)
        assert isinstance(await runtime.get("p").decide("", Approve()), terzetto.DecisionTaken)
        assert SUCCEEDED is (await runtime.get("p").result()).status
        assert runtime.statistics().restarts >= 2
        assert set() == runtime.supervisor.admission.holders
    for graph in graphs:
        assert 1 == sum("SUCCEEDED -> SUCCEEDED" in line for line in await trail(store, graph.name))


async def until_answered(runtime, run_id: str) -> None:
    """Its result, asked for again when the one who was asked has died."""
    while True:
        try:
            assert SUCCEEDED is (await runtime.get(run_id).result()).status
        except ActorStopped:
            await trio.sleep(0.1)
        else:
            return


async def test_askers_of_a_dying_actor_are_told(autojump_clock):
    """9.5: a dying actor answers everyone who waits for it (`ActorStopped`)."""
    store, held, heard = Mad(), Held(), []
    graph, waiting = chain(held, "sign-off"), chain("sign-off", says("done"), name="waiting")

    async def ask(call, *args, **kwargs) -> None:
        with pytest.raises(ActorStopped):
            await call(*args, **kwargs)
        heard.append(call.__name__)

    async with opened(store, graph, waiting) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        store.hold()
        store.bugs = 1
        other = runtime.get("r")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, run.result)
            await settled()
            nursery.start_soon(ask, other.cancel)
            nursery.start_soon(lambda: ask(runtime.submit, waiting, Tally(), run_id="s"))
        assert ["cancel", "result", "submit"] == sorted(heard)
        store.release()
        await settled()
        assert ["cancelled"] == held.ends[:1]


@both
async def test_all_runs_go_on_after_the_supervisor_died(autojump_clock, dispatch):
    """9.5: also with commits on their way to the store, which the next supervisor finds there."""
    store, held, pay = FaultyStore(), Held(), Held("pay")
    graph, paying = chain(held, once(says("after"))), chain(once(pay), name="paying")
    async with opened(store, graph, paying, dispatch=dispatch, limit=100) as runtime:
        for number in range(3):
            await runtime.submit(graph, Tally(), run_id=f"r{number}")
        await runtime.submit(paying, Tally(), run_id="p")
        await held.begun.wait()
        await pay.begun.wait()
        store.latency = 1.0
        held.go.set()
        await trio.sleep(0.5)

        async def bug() -> None:
            raise ZeroDivisionError("a bug in the supervisor")

        runtime.supervisor._nursery.start_soon(bug)
        for number in range(3):
            await until_answered(runtime, f"r{number}")
            assert ["held", "after"] == (await runtime.get(f"r{number}").result()).state.trail
        barrier = (await runtime.get("p").barriers())[0]
        assert barrier.reconcile
        await runtime.get("p").decide("", terzetto.Confirm())
        assert SUCCEEDED is (await runtime.get("p").result()).status
        assert 1 <= runtime.statistics().restarts


@both
async def test_a_turn_that_fails_on_the_persistence_task_breaks_off_its_run_alone(autojump_clock, dispatch, caplog):
    """9.5: its neighbours in the group go on, and it is claimed again."""
    store, held = FaultyStore(), Held()
    graph, bugs = chain(held, says("after")), ["r1"]

    def publish_step(step) -> None:
        if step.run_id in bugs:
            bugs.clear()
            raise ZeroDivisionError("a bug in the hub")
        shown(step)

    async with opened(store, graph, dispatch=dispatch) as runtime:
        for number in range(3):
            await runtime.submit(graph, Tally(), run_id=f"r{number}")
        await settled()
        shown, runtime.hub.publish_step = runtime.hub.publish_step, publish_step
        held.go.set()
        for number in range(3):
            await until_answered(runtime, f"r{number}")
            assert ["held", "after"] == (await runtime.get(f"r{number}").result()).state.trail
        assert 0 == runtime.statistics().restarts
        assert {1, 2} == {event.epoch for event in await told(runtime.get("r1")) if isinstance(event, RunStarted)}


async def test_a_runtime_that_cannot_go_on_lets_the_failure_out(autojump_clock):
    """9.5: after the third restart everything stops in order, and the failure comes out of the block."""
    store, graph, closed = Mad(), chain("sign-off"), []

    class Closing(Mad):
        async def __aexit__(self, *error):
            closed.append(trio.current_time())

    store = Closing()
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError, match="a bug in the store"), flatten_subgroups=True):
        async with opened(store, graph) as runtime:
            await parked(runtime, graph, "r")
            store.bugs = 1000
            while True:
                try:
                    await runtime.get("r").cancel()
                except ActorStopped:
                    await trio.sleep(0.1)
    assert 1 == len(closed)
    assert RunStatus.AWAITING_INPUT is (await store.run("r")).status


async def test_a_store_that_cannot_list_its_runs_is_told_at_once(autojump_clock):
    class Blind(MemoryStore):
        async def runs(self, **options):
            raise StoreError("no such table: runs")

    with pytest.RaisesGroup(pytest.RaisesExc(StoreError, match="no such table"), flatten_subgroups=True):
        async with opened(Blind(), chain(says("one"))):
            raise AssertionError("it is not open")
