"""A run goes on under another version of its graph (SEMANTICS 2)."""

import pytest
import trio

from terzetto._loading import load_fold
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.decisions import Approve, Modify, Reject
from terzetto_protocol.events import BarrierOpened, BarrierResolved, RunPaused, told_by
from terzetto_protocol.inputs import Claimed, Decided
from terzetto_protocol.limits import CLAIMS
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.records import Applied, Kind, Migrated

from .runtimes import AWAITING, CANCELLED, FAILED, SUCCEEDED, opened, told
from .stores import FaultyStore, claim_elsewhere, records, trail
from .versions import Bodies, Book, Draft, Paper, first, opens, second, third, waiting

both_stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


async def left_waiting(store, **options):
    """A run of the first version waits at its barrier."""
    async with opened(store, old := first(Bodies(), **options)) as runtime:
        await waiting(runtime, old, Draft())


async def left_running(store):
    """A run of the first version whose process died in `check`, after mutations that no snapshot covers."""
    bodies = Bodies()
    bodies.held = "check"
    async with opened(store, old := first(bodies), shutdown_deadline=0) as runtime:
        await runtime.submit(old, Draft(), run_id="r", auto_approve=True)
        await bodies.begun.wait()
    await claim_elsewhere(store, old, "r")


async def tells_its_log(store, run):
    """D4: what readers see is what the commits tell, with ids that rise."""
    stored = [event for record in await records(store, "r") for event in told_by("r", record)]
    assert stored == [event for event in await told(run) if event.durable]
    assert [event.id for event in stored] == sorted({event.id for event in stored})


async def migrations(store):
    return [record.detail for record in await records(store, "r") if record.kind is Kind.MIGRATE]


# -- going on ----------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_goes_on_under_the_next_version(store):
    """2: otherwise a declared migration; D4: what was told before keeps its ids and bytes."""
    bodies = Bodies()
    async with opened(store, old := first(Bodies())) as runtime:
        run = await waiting(runtime, old, Draft())
        before, seen = await store.records("r"), [event for event in await told(run, BarrierOpened) if event.durable]
    async with opened(store, new := second(bodies)) as runtime:
        run = runtime.get("r")
        (barrier,) = await run.barriers()
        assert Paper(["a", "b"], 2) == await run.state()
        await run.decide(barrier.barrier, Approve())
        result = await run.result()
        assert (SUCCEEDED, Paper(["a", "b"], 3)) == (result.status, result.state)
        assert ["publish"] == bodies.ran

        log = await records(store, "r")
        moved = log[len(before)]
        assert before == (await store.records("r"))[: len(before)]
        assert Migrated("1", "2", new.build().fingerprint) == moved.detail
        assert (Kind.MIGRATE, AWAITING, 2) == (moved.kind, moved.status, moved.epoch)
        assert [Paper([], 0), Paper([], 0), Paper(["a", "b"], 2)] == [await run.state(at=seq) for seq in (1, 2, 3)]
        assert (await run.replay()).holds

        await tells_its_log(store, run)
        events = [event for event in await told(run) if event.durable]
        assert seen == events[: len(seen)]
        assert ["sign-off@3"] * 2 == [e.barrier for e in events if isinstance(e, BarrierOpened | BarrierResolved)]
        assert [] == await run.barriers()
        assert "1" == (await runtime.row("r")).header.version


@pytest.mark.parametrize("by", ["sign-off", "approval", "sign-off@3", ""])
async def test_an_open_barrier_is_known_by_its_id_and_by_both_its_names(autojump_clock, by):
    """6.1: stable over restarts, whatever its place is called; the next visit has an id of its own."""
    store = MemoryStore()
    await left_waiting(store)
    async with opened(store, second(Bodies())) as runtime:
        run = runtime.get("r")
        await run.decide(by, Reject())
        seen = [event.id for event in await told(run, BarrierOpened)]
        await opens(run, after=seen[-1])
        assert ["approval@6"] == [row.barrier for row in await run.barriers()]
        rows = await store.barriers("r", only_open=False)
        assert [("sign-off@3", "reject"), ("approval@6", "")] == [(row.barrier, row.decision) for row in rows]
        already = await run.decide("sign-off@3", Approve())
        assert ("sign-off@3", "reject") == (already.barrier, already.decision)
        assert (await run.replay()).holds


async def test_a_deadline_and_a_decision_that_was_kept_find_a_renamed_barrier(autojump_clock):
    """6.4: the absolute deadline is stored; 6.5: an early decision waits for its barrier."""
    store = MemoryStore()
    async with opened(store, old := first(Bodies(), timeout=10)) as runtime:
        run = await waiting(runtime, old, Draft())
        await run.decide("sign-off@6", Approve(), source="ann", keep="once")
    async with opened(store, second(Bodies(), timeout=10)) as runtime:
        run = runtime.get("r")
        assert SUCCEEDED is (await run.result()).status  # rejected by the deadline, approved before it opened again
        resolved = [event for event in await told(run) if isinstance(event, BarrierResolved)]
        assert [("sign-off@3", "timeout"), ("approval@6", "ann")] == [(e.barrier, e.source) for e in resolved]
        assert (await run.replay()).holds


async def test_three_versions_in_one_step_and_in_two(store):
    """2: a chain of migrations is applied in order, also over what an earlier one wrote."""
    await left_waiting(store)
    async with opened(store, third(Bodies())) as runtime:
        assert Book(["a", "b"], 2) == await runtime.get("r").state()
    async with opened(store, second(Bodies())) as runtime:
        run = runtime.get("r")
        seen = [event.id for event in await told(run, BarrierOpened)]
        await run.decide("sign-off", Reject())
        await opens(run, after=seen[-1])
    async with opened(store, third(Bodies())) as runtime:
        run = runtime.get("r")
        assert Book(["x", "y"], 2) == await run.state()
        assert Book(["x", "y"], 2) == await (await run.fork()).state(at=1)
        await run.decide("approval", Approve())
        assert Book(["x", "y", "the end"], 3) == (await run.result()).state
        assert [("1", "2"), ("2", "3")] == [(made.since, made.to) for made in await migrations(store)]
        assert [Book([], 0), Book(["a", "b"], 2)] == [await run.state(at=seq) for seq in (1, 3)]
        await tells_its_log(store, run)
        assert (await run.replay()).holds


@both_stores
@pytest.mark.parametrize(
    "graph, state", [(second, Paper(["a", "b"], 3)), (third, Book(["a", "b", "the end"], 3))], ids=["second", "third"]
)
async def test_what_no_snapshot_covers_is_upcast_from_the_log(autojump_clock, store, graph, state):
    """2; 4.4: the log is the only write path. Mutations are renamed, retyped, dropped, and become several."""
    shelf = store()
    await left_running(shelf)
    async with opened(shelf, graph(Bodies())) as runtime:
        run = runtime.get("r")
        result = await run.result()
        assert (SUCCEEDED, state) == (result.status, result.state)
        kinds = [record.kind for record in await records(shelf, "r")]
        assert ["visit", "interrupt", "claim", "migrate", "interrupt", "claim", "visit"] == kinds[2:9]
        assert (await run.replay()).holds


@both_stores
async def test_a_pending_node_goes_on_under_its_new_name(autojump_clock, store):
    """2: every pending node is still declared, or a migration says as what; 7: its key is the same."""
    shelf, bodies = store(), Bodies()
    bodies.held = "write"
    async with opened(shelf, old := first(bodies), shutdown_deadline=0) as runtime:
        await runtime.submit(old, Draft("begun"), run_id="r")
        await bodies.begun.wait()
    async with opened(shelf, second(bodies)) as runtime:
        await opens(runtime.get("r"))
        assert Paper(["x", "y"], 2) == await runtime.get("r").state()
    assert ["write", "draft", "check"] == bodies.ran
    assert bodies.keys[0] == bodies.keys[1]
    assert "visit draft@1 SUCCEEDED -> RUNNING" in await trail(shelf, "r")


async def test_a_version_that_is_given_keeps_its_runs(autojump_clock):
    """1: several versions may be live, a run is pinned to one: to its own, and once it was migrated to the new one."""
    store = MemoryStore()
    await left_waiting(store)

    async def rejected(*graphs):
        async with opened(store, *graphs) as runtime:
            seen = (await runtime.row("r")).event_id
            await runtime.get("r").decide("", Reject())
            await opens(runtime.get("r"), after=seen)
            return [made.to for made in await migrations(store)]

    old, new, newer = Bodies(), Bodies(), Bodies()
    assert [] == await rejected(first(old), second(new), third(newer))
    assert ["2"] == await rejected(second(new))
    assert ["2"] == await rejected(first(old), second(new), third(newer))
    assert (["write", "check"], ["draft", "check"] * 2, []) == (old.ran, new.ran, newer.ran)


# -- crashes and other ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [False, True])
async def test_an_owner_may_die_right_after_the_migration(autojump_clock, running):
    """Law 1, D8: what was written so far is the run, under the new version; nobody migrates it again."""
    store = MemoryStore()
    await (left_running(store) if running else left_waiting(store))
    row = await store.run("r")
    fold = await load_fold(store, row, second(Bodies()).build())
    turn = RunMachine(fold, settled=True).feed(
        Claimed(row.updated) if running else Decided("sign-off@3", Approve(), "", 0)
    )
    migration = turn.commit
    assert Kind.MIGRATE is migration.kind
    assert [Applied()] == await store.commit([migration])
    async with opened(store, new := second(Bodies())) as runtime:
        run = runtime.get("r")
        assert Paper(["a", "b"], 2) == await run.state(at=migration.seq)
        if not running:
            await run.decide("sign-off", Approve())
        assert Paper(["a", "b"], 3) == (await run.result()).state
        assert (await run.replay()).holds
    assert 1 == len(await migrations(store))
    assert new.version == (await load_fold(store, await store.run("r"), second(Bodies()).build())).version


async def test_a_run_that_fell_over_three_times_may_try_again_under_a_new_version(autojump_clock):
    """2: 3 claims without a new commit; a new version is the repair, and has three of its own."""
    store = FaultyStore()
    await left_running(store)
    for _ in range(CLAIMS - 1):
        await claim_elsewhere(store, first(Bodies()), "r")
    async with opened(store, second(Bodies())) as runtime:
        assert SUCCEEDED is (await runtime.get("r").result()).status

    store = FaultyStore()
    await left_running(store)
    for _ in range(CLAIMS):
        await claim_elsewhere(store, second(Bodies()), "r")
    async with opened(store, second(Bodies())) as runtime:
        assert "recovery_exhausted" == (await runtime.get("r").result()).code


@both_stores
async def test_a_paused_run_is_migrated_when_it_is_resumed(autojump_clock, store):
    """8.1: it says once that it is paused."""
    shelf = store()
    await left_waiting(shelf)
    async with opened(shelf, first(Bodies())) as runtime:
        await runtime.get("r").pause()
    async with opened(shelf, second(Bodies())) as runtime:
        run = runtime.get("r")
        await run.resume()
        await opens(run)
        await run.decide("approval", Approve())
        assert SUCCEEDED is (await run.result()).status
        assert 1 == sum(isinstance(event, RunPaused) for event in await told(run))
        await tells_its_log(shelf, run)
        assert (await run.replay()).holds


@both_stores
async def test_a_cancel_is_the_first_that_a_new_version_does(autojump_clock, store):
    """9.1."""
    shelf = store()
    await left_waiting(shelf)
    async with opened(shelf, second(Bodies())) as runtime:
        await runtime.get("r").cancel("no more")
        result = await runtime.get("r").result()
        assert (CANCELLED, Paper(["a", "b"], 2)) == (result.status, result.state)
        assert ["migrate", "cancel"] == [record.kind for record in await records(shelf, "r")][-2:]
        assert [] == await runtime.get("r").barriers()


async def test_a_run_that_has_ended_is_read_and_never_migrated(store):
    """2: terminal and immutable; its past is there under every version."""
    async with opened(store, old := first(Bodies())) as runtime:
        run = await runtime.submit(old, Draft(), run_id="r", auto_approve=True)
        await run.result()
        before = await store.run("r")
    async with opened(store, third(Bodies())) as runtime:
        run = runtime.get("r")
        result = await run.result()
        assert (SUCCEEDED, Book(["a", "b"], 2)) == (result.status, result.state)
        assert Book(["a", "b"], 2) == await run.state(at=3)
        assert (await run.replay()).holds
        assert ["length", "lines[0]", "lines[1]"] == [change.path for change in await run.difference(1, 3)]
        assert {"compose", "check", "approval", "publish"} == set(await run.progress())
        assert "already_terminal" == (await run.cancel()).outcome
        assert before == await store.run("r")


# -- travelling over it --------------------------------------------------------------------------------------------


async def test_forks_and_reruns_of_what_an_older_version_wrote(store):
    """2: a fork is a new run that names its parent; it is of the version that made it."""
    await left_waiting(store)
    async with opened(store, new := third(bodies := Bodies())) as runtime:
        run = runtime.get("r")
        other = await run.fork(new_id="fork")
        await opens(other)
        await other.decide("approval", Approve())
        assert Book(["a", "b", "the end"], 3) == (await other.result()).state
        early = await run.fork(at=2, new_id="early")
        await opens(early)
        assert Book(["z"], 1) == await early.state()
        again = await run.rerun("publish", new_id="again")
        assert Book(["a", "b", "the end"], 3) == (await again.result()).state
        for run_id in ("fork", "early", "again"):
            header = (await runtime.row(run_id)).header
            assert ("3", new.build().fingerprint) == (header.version, header.fingerprint)
            assert (await runtime.get(run_id).replay()).holds
        assert ["publish", "compose", "check", "publish"] == bodies.ran
        assert [] == await migrations(store)


async def test_a_run_that_failed_is_tried_again_under_the_version_that_repairs_it(autojump_clock):
    """2: retry makes a new run."""
    store, old = MemoryStore(), first(bodies := Bodies())
    bodies.fails = "publish"
    async with opened(store, old) as runtime:
        run = await runtime.submit(old, Draft(), run_id="r", auto_approve=True)
        assert FAILED is (await run.result()).status
    async with opened(store, second(Bodies())) as runtime:
        result = await (await runtime.get("r").retry()).result()
        assert (SUCCEEDED, Paper(["a", "b"], 3)) == (result.status, result.state)


@pytest.mark.parametrize("migrated", [False, True])
async def test_an_undo_goes_back_over_the_migration(autojump_clock, migrated):
    """2; 1: visit numbers are never reused, also not after undo."""
    store = MemoryStore()
    await left_waiting(store)
    async with opened(store, second(Bodies())) as runtime:
        run = runtime.get("r")
        if migrated:
            await run.decide("approval", Reject())
            await opens(run, after=(await told(run, BarrierOpened))[-1].id)
        await run.undo(5 if migrated else 2)
        await trio.testing.wait_all_tasks_blocked()
        assert Paper(["x", "y"], 2) == await run.state()  # `draft` was undone, and ran again
        (barrier,) = await run.barriers()
        assert f"approval@{9 if migrated else 6}" == barrier.barrier
        assert (await run.replay()).holds
    async with opened(store, third(Bodies())) as runtime:
        run = runtime.get("r")
        await run.decide("approval", Approve())
        assert Book(["x", "y", "the end"], 3) == (await run.result()).state
        assert (await run.replay()).holds


async def test_what_a_person_changed_is_upcast_too(autojump_clock):
    """6.3: Modify; its values come to the migration as `@changes`."""
    store = MemoryStore()
    async with opened(store, old := first(Bodies())) as runtime:
        run = await waiting(runtime, old, Draft())
        await run.decide("sign-off", Modify({"text": "by\nhand"}))
        await run.result()
    async with opened(store, second(Bodies())) as runtime:
        run = runtime.get("r")
        change = next(c for c in await run.history() if c.kind == "decide")
        assert Paper(["by", "hand"], 2) == await run.state(at=change.seq)
        assert (await run.replay()).holds


async def test_a_thread_goes_on_with_a_head_of_an_older_version(store):
    """1: a run on a thread starts from the head's final state, upcast where an older version of its graph made it."""
    async with opened(store, old := first(Bodies())) as runtime:
        await (await runtime.submit(old, Draft(), thread="talk", auto_approve=True)).result()
    async with opened(store, new := second(Bodies())) as runtime:
        run = await runtime.submit(new, thread="talk", run_id="r", auto_approve=True)
        assert Paper(["a", "b"], 3) == await run.state(at=1)
        assert Paper(["x", "y"], 6) == (await run.result()).state


async def test_a_thread_goes_on_with_a_head_that_was_migrated_on_its_way(store):
    """1: a head that began under an older version and ended under this one has this one's state."""
    async with opened(store, old := first(Bodies())) as runtime:
        await waiting(runtime, old, Draft(), thread="talk")
    async with opened(store, new := second(Bodies())) as runtime:
        run = runtime.get("r")
        (barrier,) = await run.barriers()
        await run.decide(barrier.barrier, Approve())
        ended = (await run.result()).state
        run = await runtime.submit(new, thread="talk", run_id="s", auto_approve=True)
        assert ended == await run.state(at=1)
        assert SUCCEEDED is (await run.result()).status
