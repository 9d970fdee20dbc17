"""Bodies that leave their task in disorder, and whatever else breaks it (SEMANTICS 9.5): see `zoo.py`."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.events import RunStarted
from terzetto_protocol.limits import CLAIMS

from .cages import PLACES, SHELVES, caged, kept, shelves
from .runtimes import CANCELLED, FAILED, SUCCEEDED, Held, Tally, both, chain, opened, parked, says, told
from .stores import FaultyStore
from .zoo import LEAVERS, forget


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    forget()


@both
@shelves
@pytest.mark.parametrize("place", PLACES)
async def test_nobody_else_pays_for_what_bodies_leave_open(place, dispatch, shelf, tmp_path, caplog):
    """9.5: the run breaks off alone, unless its visit has a task of its own and fails; it ends, and its log holds."""
    cages = [caged(place, body, f"cage-{number}") for number, body in enumerate(LEAVERS.values())]
    async with kept(SHELVES[shelf](tmp_path), *(graph for graph, _ in cages), dispatch=dispatch) as runtime:
        runs = [await runtime.submit(graph, state) for graph, state in cages]
        for run, name in zip(runs, LEAVERS, strict=True):
            result = await run.result()
            assert result.status in (SUCCEEDED, FAILED)
            assert result.code in ("", "node_error")
            assert FAILED is result.status or place in ("chain", "flow") or name.endswith("scope")
            assert (await run.replay()).holds


@both
@pytest.mark.parametrize("name", ["leaves a nursery", "leaves a task", "leaves a task that stays"])
async def test_a_visit_in_its_own_task_fails_and_is_named(name, dispatch, autojump_clock, caplog):
    """9.5: where it can be told whose doing it was, it is."""
    graph, state = caged("flow", LEAVERS[name])
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, state)).result()
    assert "node 'animal': RuntimeError: it has left a nursery open" == result.message
    assert [] == caplog.messages


async def test_in_the_task_of_its_run_it_is_logged(autojump_clock, caplog):
    """9.5: with its traceback; the run itself has ended well."""
    graph, state = caged("chain", LEAVERS["leaves a task"])
    async with kept(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, state, run_id="r")).result()
        assert ["before", "after"] == result.state.trail
    assert ["run 'r' broke off, and is claimed again unless it has ended"] == caplog.messages
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "Cancel scope stack corrupted" in str(record.exc_info[1])


@both
async def test_a_run_whose_body_left_a_scope_can_be_cancelled(dispatch, autojump_clock, caplog):
    """9.1: what a body left open is within the scope of its run."""
    held = Held()
    graph = chain(LEAVERS["leaves a scope"], held)
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        assert "requested" == (await run.cancel()).outcome
        assert CANCELLED is (await run.result()).status
        assert ["cancelled"] == held.ends


# -- what nobody foresaw -----------------------------------------------------------------------------------------


async def breaks(ctx):
    """It stands for a bug of ours: nothing that a body may do by its context has this effect."""
    ctx.remarks = 42


@both
@shelves
@pytest.mark.parametrize("place", PLACES)
async def test_a_run_that_always_breaks_off_is_given_up(place, dispatch, shelf, tmp_path, caplog):
    """9.5, 2.6: it is read anew and claimed again, and not a fourth time."""
    graph, state = caged(place, breaks)
    async with kept(SHELVES[shelf](tmp_path), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state, run_id="r")
        result = await run.result()
        assert (FAILED, "recovery_exhausted") == (result.status, result.code)
        claims = len([event for event in await told(run) if isinstance(event, RunStarted)])
        assert CLAIMS < claims <= 2 * CLAIMS + 1, "what commits beside it counts as progress"
        assert (await run.replay()).holds
    assert ["run 'r' broke off, and is claimed again unless it has ended"] * claims == caplog.messages


@both
async def test_a_run_that_broke_off_goes_on_where_it_was(dispatch, caplog):
    """9.5: law 2: no visit with a durable commit runs again by itself."""
    ran = []

    async def once_broken(ctx):
        ran.append(ctx.fence)
        if len(ran) == 1:
            await breaks(ctx)

    graph = chain(says("before"), once_broken, says("after"))
    async with kept(FaultyStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        assert ["before", "after"] == (await run.result()).state.trail
    assert [1, 2] == ran


@both
async def test_whoever_asked_a_run_that_breaks_off_is_told(dispatch, caplog):
    """Law 5: nobody waits forever unknowingly on the dead."""
    graph = chain("sign-off", says("done"))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        actor = await runtime.supervisor._roster.find("r")
        actor.machine.fold.image.frontier = None
        with pytest.raises(terzetto.Refused, match="run 'r': it broke off: "):
            await run.decide("sign-off@1", terzetto.Approve())
        assert isinstance(await run.decide("sign-off", terzetto.Approve()), terzetto.DecisionTaken)
        assert ["done"] == (await run.result()).state.trail
        assert 0 == runtime.statistics().restarts


async def test_without_a_runtime_the_caller_is_told():
    """9.5: there is nobody else whom it could harm."""
    with pytest.raises(AttributeError):
        await terzetto.run(*caged("chain", breaks))


def test_trio_still_keeps_nurseries_where_they_are_taken_from():
    """A canary: `terzetto._left_open` takes a nursery off the list of its task, which Trio keeps for itself."""

    async def main():
        async with trio.open_nursery() as nursery:
            assert [nursery] == trio.lowlevel.current_task()._child_nurseries

    trio.run(main)
