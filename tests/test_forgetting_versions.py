"""Logs whose beginning was pruned, read by a newer version of their graph, and compared before they go on."""

import pytest

from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Approve, Reject
from terzetto_protocol.errors import CommitPruned
from terzetto_protocol.migrations import Migration

from .runtimes import SUCCEEDED, chain, opened, says, settled
from .stores import FaultyStore
from .versions import Bodies, Book, Draft, Paper, first, opens, second, third, waiting
from .walks import EVERY, at_gate, walk

ALL_OF_THEM = CheckpointPolicy(every=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


@pytest.mark.parametrize("keep_from", [1, 2, 3, 4])
async def test_what_is_left_is_read_by_the_next_version(store, keep_from):
    """2: what an older version wrote is upcast, from whichever commit on it is left."""
    async with opened(store, old := first(Bodies())) as runtime:
        run = await waiting(runtime, old, Draft(), checkpoints=ALL_OF_THEM)
        assert keep_from - 1 == await run.truncate(keep_from)
    async with opened(store, second(Bodies())) as runtime:
        run = runtime.get("r")
        was = [Paper(), Paper(), Paper(["a", "b"], 2), Paper(["a", "b"], 2)]
        assert was[keep_from - 1 :] == [await run.state(at=seq) for seq in range(keep_from, 5)]
        shown = {name: each.status for name, each in (await run.progress()).items()}
        assert "AWAITING_INPUT" == shown["approval"]
        assert ("draft" in shown, "write" in shown) == (keep_from < 3, False)
        await run.decide("sign-off", Approve())
        assert Paper(["a", "b"], 3) == (await run.result()).state
        assert (await run.replay()).holds
        assert "SUCCEEDED" == (await run.progress())["publish"].status


async def test_a_log_is_cut_behind_its_migration(store):
    """What is left may begin with any version."""
    async with opened(store, old := first(Bodies())) as runtime:
        await waiting(runtime, old, Draft(), checkpoints=ALL_OF_THEM)
    async with opened(store, second(Bodies())) as runtime:
        run = runtime.get("r")
        last = (await run.history())[0].events[-1]["id"]
        await run.decide("sign-off", Reject())
        await opens(run, after=last)
        assert 6 < (await runtime.row("r")).seq
        assert 5 == await run.truncate(6)
    async with opened(store, third(Bodies())) as runtime:
        run = runtime.get("r")
        with pytest.raises(CommitPruned):
            await run.state(at=5)
        assert "AWAITING_INPUT" == (await run.progress())["approval"].status
        await run.decide("approval", Approve())
        result = await run.result()
        assert (SUCCEEDED, Book(["x", "y", "the end"], 3)) == (result.status, result.state)
        assert (await run.replay()).holds
        assert await run.truncate((await runtime.row("r")).seq)
        assert {} == await run.progress()


def line(one, other, **options):
    """Two places in a line, and a barrier that leads back to the first."""
    graph = chain(says(one), says(other), "gate", name="line", **options)
    graph.edge("gate.rejected", one)
    return graph


async def test_places_that_changed_their_names_with_each_other(autojump_clock):
    """What the new version wrote is left as it is."""
    store, swapped = MemoryStore(), Migration("1", places={"a": "b", "b": "a"})
    async with opened(store, old := line("a", "b")) as runtime:
        await at_gate(runtime, old, checkpoints=ALL_OF_THEM)
    async with opened(store, line("b", "a", version="2", migrations=[swapped])) as runtime:
        run = runtime.get("r")
        await run.decide("gate", Reject())
        await settled()
        last = (await run.history())[0]
        assert ["gate"] == [step.node for step in last.steps]
        assert last.seq - 3 == await run.truncate(last.seq - 2)
        assert {"b", "a", "gate"} == set(await run.progress())


async def test_a_hole_in_front_of_the_newest_checkpoint_proves_nothing(autojump_clock):
    """4.5: a strict runtime compares the newest snapshot with what the log made of the one before, if that is left."""
    graph, store = walk(checkpoints=EVERY), FaultyStore()
    async with opened(store, graph) as runtime:
        await at_gate(runtime, graph)
    assert 5 == await store.prune("r", 7, epoch=1, keep=(3,))
    async with opened(store, graph, strict=True) as runtime:
        run = runtime.get("r")
        await run.decide("", Approve())
        assert SUCCEEDED is (await run.result()).status
        await settled()
        assert (await run.replay()).holds
