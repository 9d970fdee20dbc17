"""`Runtime` and its handles: what is refused at the door, finding and listing runs, statistics."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import (
    ActorStopped,
    GraphError,
    InvalidRequest,
    NotStorable,
    QueueFull,
    RunFailed,
    UnknownRun,
)
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .runtimes import MUTATIONS, Held, Tally, both, chain, counts, opened, parked, says
from .stores import FaultyStore


@pytest.mark.parametrize("run_id", ["", ".hidden", "-x", "a b", "a/b", "ä", "x" * 129, "a\n"])
async def test_ids_are_checked_before_anything_happens(autojump_clock, run_id):
    """1: an id is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, else refused."""
    store, graph = MemoryStore(), chain(says("one"))
    async with opened(store, graph) as runtime:
        with pytest.raises(InvalidRequest):
            await runtime.submit(graph, Tally(), run_id=run_id)
        with pytest.raises(InvalidRequest):
            runtime.get(run_id)
    assert [] == await store.runs()


@pytest.mark.parametrize("run_id", ["r", "0", "A.b_c-d", "x" * 128])
async def test_ids_that_are_allowed(autojump_clock, run_id):
    graph = chain(says("one"))
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id=run_id)
        assert run_id == run.run_id == runtime.get(run_id).run_id
        assert f"<run {run_id}>" == repr(run)


@pytest.mark.parametrize(
    "metadata",
    [{"": 1}, {"a-b": 1}, {"1a": 1}, {"x" * 65: 1}, {"a": None}, {"a": [1]}, {"a": float("nan")}, {"a": "\ud800"}],
    ids=repr,
)
async def test_metadata_are_checked(autojump_clock, metadata):
    """12: metadata keys `[A-Za-z_][A-Za-z0-9_]{0,63}`."""
    store, graph = MemoryStore(), chain(says("one"))
    async with opened(store, graph) as runtime:
        with pytest.raises((InvalidRequest, NotStorable)):
            await runtime.submit(graph, Tally(), metadata=metadata)
        fine = {"_": True, "x" * 64: 1.5, "who": "me", "n": -3}
        run = await runtime.submit(graph, Tally(), metadata=fine)
        assert fine == (await runtime.row(run.run_id)).header.metadata


async def test_what_cannot_be_stored_is_refused(autojump_clock):
    graph = chain(says("one"))
    async with opened(MemoryStore(), graph) as runtime:
        with pytest.raises(InvalidRequest):
            await runtime.submit(graph, {"count": 1})
        with pytest.raises(NotStorable):
            await runtime.submit(graph, Tally(trail=["\ud800"]))
        with pytest.raises(InvalidRequest):
            await runtime.submit(graph, Tally(), max_steps=0)
        assert [] == await runtime.runs()
        assert 0 == runtime.statistics().supervisor.live


async def test_a_graph_that_was_not_given_is_refused(autojump_clock):
    graph, twin = chain(says("one")), chain(says("one"))
    async with opened(MemoryStore(), graph) as runtime:
        for stranger in (twin, chain(says("x"), name="other")):
            with pytest.raises(InvalidRequest, match="was not given"):
                await runtime.submit(stranger, Tally())


async def test_mistakes_of_graphs_are_told_before_the_store_is_opened(autojump_clock):
    class Untouched(MemoryStore):
        async def __aenter__(self):
            raise AssertionError("opened")

    broken = Graph("broken", state=Tally)
    with pytest.raises(GraphError, match="broken"):
        async with opened(Untouched(), broken):
            raise AssertionError
    with pytest.raises(GraphError, match="twice"):
        async with opened(Untouched(), chain(says("a")), chain(says("b"))):
            raise AssertionError
    needs = Graph("needs", state=Tally, deps=int)
    needs.start(needs.node(name="n")(says("n")))
    with pytest.raises(GraphError, match="need deps"):
        async with opened(Untouched(), needs):
            raise AssertionError


async def test_a_store_that_does_not_open_is_the_callers_error(autojump_clock):
    class Locked(MemoryStore):
        async def __aenter__(self):
            raise terzetto.StoreInUse("process 7 owns it")

    with pytest.raises(terzetto.StoreInUse, match="process 7"):
        async with opened(Locked(), chain(says("one"))):
            raise AssertionError


@both
async def test_deps_reach_the_nodes(autojump_clock, dispatch):
    graph = Graph("greets", state=Tally, mutations=MUTATIONS, deps=list)

    @graph.node
    async def greet(ctx):
        ctx.deps.append(ctx.run_id)

    graph.start(greet)
    seen: list[str] = []
    async with opened(MemoryStore(), terzetto.bind(graph, seen), dispatch=dispatch) as runtime:
        await runtime.run(graph, Tally(), run_id="r")
    assert ["r"] == seen


# -- results -------------------------------------------------------------------------------------------------


@both
async def test_result_never_raises_for_an_outcome(autojump_clock, dispatch):
    """9.3: `run.result()` never raises for an outcome; `runtime.run()` raises `RunFailed`."""

    async def explode(ctx):
        raise ValueError("boom")

    graph = chain(counts(), explode)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        for _ in range(2):
            result = await run.result()
            assert (RunStatus.FAILED, "node_error", 1) == (result.status, result.code, result.state.count)
            assert "node 'explode': ValueError: boom" == result.message
            with pytest.raises(RunFailed, match="boom"):
                result.unwrap()
        with pytest.raises(RunFailed) as caught:
            await runtime.run(graph, Tally())
        assert ("node_error", RunStatus.FAILED) == (caught.value.code, caught.value.status)


async def test_results_are_waited_for_by_any_number(autojump_clock):
    held, results = Held(), []
    graph = chain(held)

    async def wait() -> None:
        results.append(await runtime.get("r").result())

    async with opened(MemoryStore(), graph) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(1) as scope:
                await wait()
            assert scope.cancelled_caught
            held.go.set()
    assert 10 == len(results)
    assert 1 == len({id(result) for result in results})


async def test_a_wait_outlives_a_parked_run(autojump_clock):
    graph, results = chain("sign-off", says("done")), []
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait():
                results.append(await run.result())

            await trio.testing.wait_all_tasks_blocked()
            assert 0 == runtime.statistics().supervisor.live
            await run.decide("", terzetto.Approve())
    assert [RunStatus.SUCCEEDED] == [result.status for result in results]


async def test_unknown_runs_are_unknown_and_are_not_created(autojump_clock):
    """8.3: an unknown run is not found and creates nothing."""
    store, graph = MemoryStore(), chain(says("one"))
    async with opened(store, graph) as runtime:
        run = runtime.get("nobody")
        for ask in (run.result, run.status, run.state, run.resume, lambda: run.decide("b", terzetto.Approve())):
            with pytest.raises(UnknownRun, match="nobody"):
                await ask()
        with pytest.raises(UnknownRun):
            async with run.events():
                raise AssertionError
        assert "unknown" == (await run.cancel()).outcome
        assert 0 == runtime.statistics().supervisor.live
    assert [] == await store.runs()


async def test_a_result_whose_question_was_only_refused_is_not_waited_for(autojump_clock):
    """Nobody waits forever: a run that ended is not kept in memory by a command that came too late."""
    graph = chain("sign-off", says("done"))
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("", terzetto.Approve())
        first = await run.result()
        for late in ("", "no-such-barrier"):
            with pytest.raises(terzetto.Refused):
                await run.decide(late, terzetto.Approve())
            assert first == await run.result()
        with pytest.raises(terzetto.Refused):
            await run.resume()
        assert first == await run.result()
        assert 0 == runtime.statistics().supervisor.live


async def test_a_result_asked_for_beside_a_late_command(autojump_clock):
    """As above, at the same moment: asking while the command has the run in memory."""
    graph, got = chain(says("done")), []
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await run.result()

        async def late() -> None:
            with pytest.raises(terzetto.Refused):
                await run.resume()

        async def ask(delay: int) -> None:
            for _ in range(delay):
                await trio.lowlevel.checkpoint()
            got.append((await run.result()).status)

        async with trio.open_nursery() as nursery:
            for delay in range(12):
                nursery.start_soon(late)
                nursery.start_soon(ask, delay)
    assert [RunStatus.SUCCEEDED] * 12 == got


# -- lists and numbers ---------------------------------------------------------------------------------------


async def test_runs_are_listed_newest_first(autojump_clock):
    """12: `limit=0` means none, `None` means all."""
    graph = chain(says("one"))
    async with opened(MemoryStore(), graph) as runtime:
        for number in range(5):
            await (await runtime.submit(graph, Tally(), run_id=f"r{number}")).result()
            await trio.sleep(1)

        ids = [row.run_id for row in await runtime.runs(limit=None)]
        assert ["r4", "r3", "r2", "r1", "r0"] == ids
        assert ["r4", "r3"] == [row.run_id for row in await runtime.runs(limit=2)]
        assert ["r1", "r0"] == [row.run_id for row in await runtime.runs(before="r2")]
        assert [] == await runtime.runs(limit=0)
        assert [] == await runtime.runs(statuses=[RunStatus.FAILED])
        assert 5 == len(await runtime.runs(statuses=[RunStatus.SUCCEEDED]))


async def test_the_state_is_a_copy_of_the_durable_one(autojump_clock):
    held = Held()
    graph = chain(counts(3), held)
    async with opened(FaultyStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        state = await run.state()
        assert 3 == state.count
        state.count = 99
        held.go.set()
        assert 3 == (await run.result()).state.count
        assert 3 == (await run.state()).count


async def test_every_actor_has_statistics(autojump_clock):
    """10: every actor has `statistics()`."""
    held = Held()
    graph = chain(held, "sign-off")
    async with opened(store := FaultyStore(), graph, pool_size=1) as runtime:
        await runtime.submit(graph, Tally(), run_id="a")
        await held.begun.wait()
        await runtime.submit(graph, Tally(), run_id="b")
        said = runtime.statistics()
        assert (2, 1, 1, 1) == (
            said.supervisor.live, said.supervisor.carried, said.supervisor.waiting, said.supervisor.pool_size,
        )  # fmt: skip
        assert (3, 0, None) == (
            said.persistence.commits, said.persistence.waiting, said.persistence.unavailable_since,
        )  # fmt: skip
        assert said.store == store.statistics()
        assert 2 == said.hub.streams
        assert 0 == said.restarts
        held.go.set()
        for run_id in "ab":
            await trio.testing.wait_all_tasks_blocked()
            await runtime.get(run_id).decide("", terzetto.Approve())
            await runtime.get(run_id).result()
        await trio.testing.wait_all_tasks_blocked()
        said = runtime.statistics().supervisor
        assert (0, 0, 0, 2, ()) == (said.live, said.carried, said.waiting, said.ended, said.unclaimed)


async def test_a_pool_of_nothing_is_refused(autojump_clock):
    async with opened(MemoryStore(), chain(says("one"))) as runtime:
        with pytest.raises(InvalidRequest):
            runtime.pool_size = 0
        assert 1000 == runtime.pool_size


async def test_a_closed_runtime_says_so(autojump_clock):
    """5 (laws): nobody waits for the dead: every question to a runtime that was left is answered."""
    graph = chain("sign-off", says("done"))
    store = MemoryStore()
    async with opened(store, graph) as runtime:
        run = await parked(runtime, graph, "r")
    asked = [
        lambda: runtime.submit(graph, Tally()),
        lambda: runtime.submit(graph, Tally(), run_id="r"),
        lambda: run.decide("sign-off", terzetto.Approve()),
        lambda: run.decide("", terzetto.Approve()),
        run.cancel,
        run.resume,
        run.result,
    ]
    with trio.fail_after(20):
        for ask in asked:
            with pytest.raises(ActorStopped):
                await ask()
        with pytest.raises(ActorStopped):
            async with run.events():
                raise AssertionError
    assert RunStatus.AWAITING_INPUT is (await store.run("r")).status
    assert 3 == (await store.run("r")).seq


async def test_what_is_submitted_while_the_queue_is_full(autojump_clock):
    graph = chain(hold := Held())
    async with opened(MemoryStore(), graph, pool_size=1, queue_size=2) as runtime:
        runs = [await runtime.submit(graph, Tally(), run_id=f"r{number}") for number in range(3)]
        with pytest.raises(QueueFull):
            await runtime.submit(graph, Tally(), run_id="r3")
        assert (await runtime.submit(graph, Tally(), run_id="r2")).reused  # it needs no place
        hold.go.set()
        for run in runs:
            await run.result()
        assert not (await runtime.submit(graph, Tally(), run_id="r3")).reused
