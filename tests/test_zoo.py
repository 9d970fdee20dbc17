"""Whatever a body raises is its own failure, and nobody else's (SEMANTICS 9.4): see `zoo.py`."""

import re

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import describe
from terzetto_protocol.limits import ERROR_LEAVES, MESSAGE_BYTES
from terzetto_protocol.retry import RetryPolicy

from .cages import LABELS, PLACES, SHELVES, caged, kept, shelves
from .runtimes import FAILED, Tally, both
from .zoo import ERRORS, RAISERS, Own, Says, nested, raising, throw


def fits(result, label: str, text: str) -> None:
    """It failed there, and says of what."""
    assert (FAILED, "node_error") == (result.status, result.code)
    assert re.search(f"node '{label}': ", result.message)
    assert text in result.message
    result.message.encode()
    assert len(result.message) < MESSAGE_BYTES / 2
    assert all(frame.isprintable() for frame in result.failure.trace)


@both
@pytest.mark.parametrize("name", RAISERS)
async def test_it_is_the_nodes_own_failure(name, dispatch):
    """9.4: in a chain; the run beside it ends well, and the log holds."""
    body, text = RAISERS[name]
    graph, state = caged("chain", body)
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state, run_id="r")
        result = await run.result()
        fits(result, "animal", text)
        assert ["before"] == result.state.trail
        assert (await run.replay()).holds


@both
@shelves
@pytest.mark.parametrize("place", PLACES)
async def test_all_of_them_at_once(place, dispatch, shelf, tmp_path):
    """9.4: in every place of a graph, over every store."""
    cages = [(*caged(place, body, f"cage-{n}"), text) for n, (body, text) in enumerate(RAISERS.values())]
    async with kept(SHELVES[shelf](tmp_path), *(graph for graph, _, _ in cages), dispatch=dispatch) as runtime:
        runs = [await runtime.submit(graph, state) for graph, state, _ in cages]
        for run, (_, _, text) in zip(runs, cages, strict=True):
            fits(await run.result(), LABELS[place], text)
            assert (await run.replay()).holds


@pytest.mark.parametrize("name", RAISERS)
async def test_without_a_runtime(name):
    """9.4: `terzetto.run` raises its `RunFailed`, and not what the node has raised."""
    body, text = RAISERS[name]
    with pytest.raises(terzetto.RunFailed) as caught:
        await terzetto.run(*caged("chain", body))
    assert text in str(caught.value)


@both
@pytest.mark.parametrize("name", ["no name", "deep", "unopened", "not to be asked", "wide"])
async def test_whether_it_is_worth_another_attempt_is_found_out_or_not(name, dispatch):
    """9.8: what cannot be looked at is not tried again."""
    graph, state = caged("chain", RAISERS[name][0], retry=RetryPolicy(max_attempts=2, initial=0, never_on=()))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        fits(await (await runtime.submit(graph, state)).result(), "animal", RAISERS[name][1])


@both
@pytest.mark.parametrize("name", ERRORS)
async def test_it_may_be_reported_too(name, dispatch):
    """9.9: an error that ends nothing is as odd."""

    async def animal(ctx):
        ctx.report(ERRORS[name][0]())

    graph, state = caged("chain", animal)
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, state)).result()
        assert ["before", "after"] == result.state.trail
        assert 1 == len(result.observed)


async def test_of_a_wide_group_the_first_are_told_and_the_others_counted():
    graph, state = caged("chain", RAISERS["wide"][0])
    async with kept(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, state)).result()
    assert ERROR_LEAVES == len(result.failure.errors)
    assert result.message.endswith(f"; and {2_000 - ERROR_LEAVES} more")


@both
async def test_what_a_probe_raises_leaves_it_to_a_person(dispatch):
    """7: the node's `probe(key)` decides, unless it cannot."""
    probed = []

    async def probe(ctx):
        probed.append(ctx.key)
        raise Own("a probe")

    async def dies(ctx):
        raise KeyboardInterrupt

    graph, state = caged("chain", dies, effects="once", probe=probe)
    store = MemoryStore()
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with terzetto.open_runtime(store, graphs=[graph]) as runtime:
            await runtime.submit(graph, state, run_id="r")
            await trio.sleep_forever()
    async with kept(store, graph, dispatch=dispatch) as runtime:
        (row,) = await runtime.get("r").barriers()
        assert (True, 1) == (row.reconcile, len(probed))


def test_keyboard_interrupt_is_let_through_while_an_error_is_described():
    """9.4: KeyboardInterrupt is re-raised."""
    with pytest.raises(KeyboardInterrupt):
        describe(Says(lambda: throw(KeyboardInterrupt())))


@both
async def test_an_interrupt_deep_in_a_group_is_let_through(dispatch):
    """9.4: the run is INTERRUPTED."""
    graph, _ = caged("chain", raising(lambda: BaseExceptionGroup("g", [nested(2000), KeyboardInterrupt()])))
    store = MemoryStore()
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with terzetto.open_runtime(store, graphs=[graph], dispatch=dispatch) as runtime:
            await runtime.submit(graph, Tally(), run_id="r")
            await trio.sleep_forever()
    row = await store.run("r")
    assert row is not None
    assert "INTERRUPTED" == row.status
