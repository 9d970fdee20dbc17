"""`terzetto.testing.FaultStore`: keeps the contract where no rule applies, and breaks it as it is told elsewhere."""

import pytest
import trio
import trio.testing

from terzetto.stores import MemoryStore, SqliteStore, Store
from terzetto.testing import STORE_LAWS, FaultPlan, FaultStore, StoreKit
from terzetto.testing._places import BYTES, CALLS, READING, WRITING
from terzetto.testing._store_laws import claim, first, follow
from terzetto_protocol.errors import StoreInUse, StoreUnavailable
from terzetto_protocol.records import Applied, Posted, Rejected

from .runtimes import SUCCEEDED, Tally, both, chain, opened, says
from .stores import trail

FIRST, CLAIM, THIRD, FOURTH = first(), claim(), follow(seq=3), follow(seq=4)


@pytest.fixture
async def store():
    async with FaultStore(MemoryStore()) as store:
        yield store


@pytest.mark.parametrize("law", STORE_LAWS, ids=StoreKit.name)
@pytest.mark.parametrize("durable", [False, True], ids=["memory", "sqlite"])
async def test_law(law, durable, tmp_path):
    """11: a store around a store keeps the whole contract where no rule applies."""
    inner = MemoryStore()
    await StoreKit(lambda: FaultStore(SqliteStore(tmp_path / "runs.db") if durable else inner)).check(law)


def test_every_call_of_the_contract_has_a_name():
    with_a_default = {"decline", "foreign", "load", "renew", "timers", "unfinished", "wait_posted"}
    assert Store.__abstractmethods__ - {"__aexit__"} | with_a_default | {"open"} == set(CALLS)
    assert len({*WRITING, *READING}) == len(CALLS) - 3


def test_it_is_what_the_store_inside_is(tmp_path):
    inner = SqliteStore(tmp_path / "runs.db")
    store = FaultStore(inner)

    assert (inner.durable, inner.shared, inner) == (store.durable, store.shared, store.inner)
    assert MemoryStore().statistics() == FaultStore(MemoryStore()).statistics()


async def test_the_next_calls_fail(store):
    store.on("commit").first(2).raises(StoreUnavailable("gone"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="gone"):
            await store.commit([FIRST])

    assert [Applied()] == await store.commit([FIRST])
    assert ["store commit #1: raises StoreUnavailable('gone')", "store commit #2: raises StoreUnavailable('gone')"] == [
        str(fault) for fault in store.plan.done
    ]


async def test_a_write_is_rejected(store):
    store.on("commit").on_pass(2).rejects("too odd")

    assert [Applied()] == await store.commit([FIRST])
    assert [Rejected("too odd")] * 2 == await store.commit([CLAIM, THIRD])
    assert [FIRST.body] == await store.records("r")


async def test_a_write_is_lost_and_success_is_answered(store):
    store.on("commit").on_pass(1).drops()
    store.on("post").drops()

    assert [Applied()] * 2 == await store.commit([FIRST, CLAIM])
    assert [] == await store.records("r")
    assert None is await store.post(Posted("c-1", "r", b"x", 1.0))
    assert [] == await store.posted()


async def test_an_answer_is_lost(store):
    store.on("commit").first(1).loses_answer()
    with pytest.raises(StoreUnavailable, match="the answer was lost"):
        await store.commit([FIRST])

    assert [FIRST.body] == await store.records("r")
    assert [Applied()] == await store.commit([FIRST])


@pytest.mark.parametrize("count, kept", [(1, 0), (2, 1), (3, 1), (4, 2)])
async def test_a_group_is_torn(store, count, kept):
    group = [FIRST, CLAIM, THIRD, FOURTH][:count]
    store.on("commit").first(1).tears()
    with pytest.raises(StoreUnavailable, match="torn"):
        await store.commit(group)

    assert [write.body for write in group[:kept]] == await store.records("r")
    assert [Applied()] * count == await store.commit(group)


async def test_a_call_is_made_twice(store):
    store.on("commit").duplicates()

    assert [Applied()] == await store.commit([FIRST])
    assert 2 == store.statistics()["transactions"]


async def test_a_slow_store_and_one_that_hangs(store, autojump_clock):
    store.on("commit").on_pass(1).delays(3)
    store.on("commit").on_pass(2).hangs()
    await store.commit([FIRST])

    assert 3 == trio.current_time()
    with trio.move_on_after(5) as scope:
        await store.commit([CLAIM])
    assert scope.cancelled_caught
    assert [FIRST.body] == await store.records("r")


async def test_a_store_waits_for_what_the_test_says(store, autojump_clock):
    order, go = [], trio.Event()
    store.on("commit").waits_for(go)

    async def write():
        await store.commit([FIRST])
        order.append("stored")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        order.append("let go")
        go.set()

    assert ["let go", "stored"] == order


@pytest.mark.parametrize("call", BYTES)
async def test_a_bit_of_what_is_read_is_turned(store, call):
    await store.commit([FIRST, CLAIM])
    await store.post(Posted("c-1", "r", b"x", 1.0))
    await store.answer("c-1", b"receipt")
    await store.put_chunk("u", 0, b"chunk")
    await store.keep_blob("blob:" + 64 * "0", upload="u", at=1.0)
    asked = {
        "records": lambda: store.records("r"),
        "records_by_event": lambda: store.records_by_event("r", after_event=0),
        "snapshot": lambda: store.snapshot("r"),
        "blob_chunk": lambda: store.blob_chunk("blob:" + 64 * "0", 0),
        "receipt": lambda: store.receipt("c-1"),
    }
    right = await asked[call]()
    store.on(call).corrupts()
    wrong = await asked[call]()

    assert type(right) is type(wrong)
    one, other = (right, wrong) if isinstance(right, bytes) else (right[-1], wrong[-1])
    assert (len(one), one[:-1], one[-1] ^ 1) == (len(other), other[:-1], other[-1])


async def test_an_answer_is_changed(store):
    await store.commit([FIRST, CLAIM])
    store.on("records").corrupts(lambda bodies: bodies[:-1])

    assert [FIRST.body] == await store.records("r")


async def test_nothing_is_changed_where_there_is_nothing(store):
    store.on("records").corrupts()
    store.on("snapshot").corrupts()

    assert [] == await store.records("r")
    assert None is await store.snapshot("r")


async def test_opening_fails():
    store = FaultStore(MemoryStore())
    store.on("open").first(1).raises(StoreInUse("somebody has it"))
    with pytest.raises(StoreInUse):
        await store.__aenter__()
    async with store:
        assert [] == await store.runs()


async def test_every_call_may_fail(store):
    store.on().raises(StoreUnavailable)
    for call in (store.reopen, store.runs, store.health):
        with pytest.raises(StoreUnavailable):
            await call()


async def test_its_own_plan_and_the_one_in_force_hold_both(store, autojump_clock):
    store.on("commit").delays(1)
    with FaultPlan().on_store("commit").delays(2) as plan:
        await store.commit([FIRST])

        assert 3 == trio.current_time()
    await store.commit([CLAIM])

    assert 4 == trio.current_time()
    assert ["store commit"] == plan.passed


async def test_a_plan_may_be_handed_over(autojump_clock):
    """The same plan in force counts once."""
    with FaultPlan().on_store("commit").delays(2) as plan:
        async with FaultStore(MemoryStore(), plan) as store:
            await store.commit([FIRST])

    assert ["store open", "store commit"] == plan.passed


async def test_a_rule_looks_at_the_call(store):
    store.on("commit").when(lambda call: call.arguments[0][0].seq > 1).raises(StoreUnavailable)
    store.on("runs").when(lambda call: call.options["limit"] == 7).raises(StoreUnavailable)
    await store.commit([FIRST])
    await store.runs()
    with pytest.raises(StoreUnavailable):
        await store.commit([CLAIM])
    with pytest.raises(StoreUnavailable):
        await store.runs(limit=7)


# -- under a runtime -------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("fault", ["raises", "loses_answer", "tears", "duplicates", "delays"])
async def test_a_run_survives_whatever_the_store_does_now_and_then(autojump_clock, dispatch, fault):
    """3: writes that were in doubt are written again, and nothing is there twice."""
    graph = chain(says("a"), says("b"), says("c"))
    store = FaultStore(MemoryStore())
    details = {"raises": [StoreUnavailable], "delays": [3]}
    getattr(store.on("commit").with_probability(0.5), fault)(*details.get(fault, []))
    async with opened(store, graph, dispatch=dispatch, limit=500) as runtime:
        result = await (await runtime.submit(graph, Tally(), run_id="r")).result()

    assert (SUCCEEDED, ["a", "b", "c"]) == (result.status, result.state.trail)
    assert store.plan.done
    assert 5 == len(await trail(store.inner, "r"))


async def test_a_store_that_lies_is_found_out(autojump_clock):
    """A write that was answered and is not there leaves a hole that the next one does not fit behind."""
    graph = chain(says("a"), says("b"))
    store = FaultStore(MemoryStore())
    store.on("commit").on_pass(3).drops()
    async with opened(store, graph) as runtime:
        result = await (await runtime.submit(graph, Tally(), run_id="r")).result()

    assert "store_rejected" == result.code


class _Finding(MemoryStore):
    """Knows how durable it is when it has looked."""

    async def __aenter__(self):
        self.durable, self.seen = True, self.lease
        return self


async def test_what_a_store_finds_out_is_known_outside():
    inner = _Finding()
    outer = FaultStore(inner)
    outer.lease = 0.5
    assert not outer.durable
    async with outer:
        assert (outer.durable, inner.seen) == (True, 0.5)
