"""What goes on after a runtime has stopped or died (SEMANTICS 2 and 7), without killing anybody: see `test_crash`."""

from contextlib import nullcontext
from random import Random

import msgspec
import pytest
import trio
import trio.testing
from msgspec import Struct

from terzetto._recovery import RECOVERY_INTERVAL
from terzetto.stores import MemoryStore
from terzetto.testing._simulated_luck import Trouble, Weather
from terzetto.testing._simulated_store import SimulatedDisk, SimulatedStore
from terzetto_protocol.backoff import LONGEST
from terzetto_protocol.decisions import Approve, Confirm, Fail, Retry
from terzetto_protocol.errors import Refused, StoreUnavailable
from terzetto_protocol.events import BarrierOpened, NodeStarted, RunInterrupted, RunStarted
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import CLAIMS
from terzetto_protocol.receipts import DecisionTaken
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import RunStatus

from .runtimes import MUTATIONS, Add, Held, Say, Tally, both, chain, once, opened, parked, says, told
from .stores import FaultyStore, claim_elsewhere, trail

AWAITING, INTERRUPTED, SUCCEEDED = RunStatus.AWAITING_INPUT, RunStatus.INTERRUPTED, RunStatus.SUCCEEDED
FAILED, RUNNING = RunStatus.FAILED, RunStatus.RUNNING
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


@both
@stores
async def test_a_run_goes_on_where_it_was(autojump_clock, dispatch, store):
    """9.6: INTERRUPTED (resumable); 3: no visit with a durable commit runs again by itself."""
    shelf, visits, held = store(), [], Held()

    async def first(ctx):
        visits.append((ctx.visit.node, ctx.key, ctx.fence))

    async def second(ctx):
        visits.append((ctx.visit.node, ctx.key, ctx.fence))
        ctx.record(Add())
        await held(ctx)

    graph = chain(first, second, says("third"))
    async with opened(shelf, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    assert INTERRUPTED is (await shelf.run("r")).status
    held.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        result = await runtime.get("r").result()
        events = await told(runtime.get("r"))

    assert (1, ["held", "third"]) == (result.state.count, result.state.trail)
    (one, two, again) = visits
    assert ("first", "second", "second") == (one[0], two[0], again[0])
    assert two[1] == again[1] != one[1]  # 7: the same key on every attempt
    assert (1, 1, 2) == (one[2], two[2], again[2])  # and a fence that rises with every claim
    assert [
        "submit -> QUEUED",
        "claim -> RUNNING",
        "visit first@1 SUCCEEDED -> RUNNING",
        "interrupt -> INTERRUPTED",
        "claim -> RUNNING",
        "visit second@2 SUCCEEDED -> RUNNING",
        "visit third@3 SUCCEEDED -> SUCCEEDED",
    ] == await trail(shelf, "r")
    assert [1, 2] == [event.epoch for event in events if isinstance(event, RunStarted)]
    assert sorted({event.id for event in events}) == [event.id for event in events]


@both
@stores
async def test_a_dead_owners_run_goes_on_too(autojump_clock, dispatch, store):
    """2: RUNNING without an owner -> INTERRUPTED -> RUNNING under the next epoch."""
    shelf, graph = store(), chain(says("one"), says("two"))
    held = Held()
    graph = chain(held, says("two"))
    async with opened(shelf, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    await claim_elsewhere(shelf, graph, "r")
    held.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        assert ["held", "two"] == (await runtime.get("r").result()).state.trail
        reasons = [event.reason for event in await told(runtime.get("r")) if isinstance(event, RunInterrupted)]
    assert ["the runtime is shutting down", "the owner was lost"] == reasons
    assert 3 == (await shelf.run("r")).epoch


async def test_graceful_stops_do_not_count_as_deaths(autojump_clock):
    """2: recovery_exhausted: 3 claims without a new commit; an owner that says goodbye gives its claim back."""
    store, held = MemoryStore(), Held()
    graph = chain(held)
    for _ in range(3 * CLAIMS):
        held.begun = trio.Event()
        async with opened(store, graph, shutdown_deadline=0) as runtime:
            await runtime.submit(graph, Tally(), run_id="r")
            await held.begun.wait()
    held.go.set()
    async with opened(store, graph) as runtime:
        assert SUCCEEDED is (await runtime.get("r").result()).status


@stores
async def test_what_ends_every_owner_is_given_up(autojump_clock, store):
    """2: FAILED(recovery_exhausted: 3 claims without a new commit; a claim is durable before its user code)."""
    shelf, began, held = store(), [], Held()

    async def node(ctx):
        began.append(ctx.fence)

    graph, busy = chain(node), chain(held, name="busy")
    async with opened(shelf, graph, busy, pool_size=1, shutdown_deadline=0) as runtime:
        await runtime.submit(busy, Tally(), run_id="busy")
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    for _ in range(CLAIMS):
        await claim_elsewhere(shelf, graph, "r")
    async with opened(shelf, graph) as runtime:
        result = await runtime.get("r").result()
    assert (FAILED, "recovery_exhausted") == (result.status, result.code)
    assert [] == began


# -- effects that nobody knows -------------------------------------------------------------------------------


def paying(pay, **options) -> Graph[Tally]:
    return chain(says("order"), once(pay, **options), says("thanks"), name="paying")


async def interrupted_in_pay(shelf, graph, held: Held) -> None:
    """A process that died in the body of the `once` node."""
    async with opened(shelf, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    assert "intent pay@2 RUNNING -> RUNNING" in await trail(shelf, "r")


@both
@stores
@pytest.mark.parametrize("answer", ["confirm", "retry", "fail"])
async def test_an_unknown_effect_is_asked_about(autojump_clock, dispatch, store, answer):
    """7: visit UNKNOWN, run AWAITING_INPUT with a reconcile barrier: confirm(result), retry, fail."""
    shelf, held = store(), Held("pay")
    graph = paying(held)
    await interrupted_in_pay(shelf, graph, held)
    held.begun = trio.Event()
    held.go.set()
    async with opened(shelf, graph, dispatch=dispatch, pool_size=1) as runtime:
        run = runtime.get("r")
        await trio.testing.wait_all_tasks_blocked()
        (row,) = await run.barriers()
        assert (True, "pay@2", AWAITING) == (row.reconcile, row.barrier, await run.status())
        assert 0 == runtime.statistics().supervisor.carried
        with pytest.raises(Refused, match="confirm, retry or fail"):
            await run.decide("pay@2", Approve())

        paid = graph.build().vocabulary.note(Say("paid by hand"))
        decision = {"confirm": Confirm((paid,)), "retry": Retry(), "fail": Fail("not paid")}[answer]
        assert isinstance(await run.decide("pay@2", decision, source="ann"), DecisionTaken)
        result = await run.result()
        assert held.begun.is_set() == (answer == "retry")
        expected = {
            "confirm": (SUCCEEDED, ["order", "paid by hand", "thanks"]),
            "retry": (SUCCEEDED, ["order", "pay", "thanks"]),
            "fail": (FAILED, ["order"]),
        }
        assert expected[answer] == (result.status, result.state.trail)
        starts = [event for event in await told(run) if isinstance(event, NodeStarted) and event.node == "pay"]
    if answer == "retry":
        assert [2] == [event.attempt for event in starts]


@both
@stores
@pytest.mark.parametrize("happened", [True, False, None])
async def test_a_probe_decides_by_itself(autojump_clock, dispatch, store, happened):
    """7: or the node's `probe(key)` decides."""
    shelf, held, asked = store(), Held("pay"), []

    async def probe(ctx):
        asked.append((ctx.key, ctx.visit.attempt))
        await trio.lowlevel.checkpoint()
        if happened:
            ctx.record(Say("found"))
        return happened

    graph = paying(held, probe=probe)
    await interrupted_in_pay(shelf, graph, held)
    held.begun = trio.Event()
    held.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = runtime.get("r")
        if happened is None:
            barrier = (await told(run, until=BarrierOpened))[-1]
            assert barrier.reconcile
            await run.decide("", Retry())
        result = await run.result()
        assert (happened is not True) == held.begun.is_set()
        assert ["order", "found" if happened else "pay", "thanks"] == result.state.trail
    assert [1] == [attempt for _, attempt in asked]


@both
@pytest.mark.parametrize("answer", ["yes", 1, ValueError("no idea"), SystemExit(1)], ids=repr)
async def test_a_probe_that_cannot_tell_leaves_it_to_a_person(autojump_clock, dispatch, answer):
    shelf, held = MemoryStore(), Held("pay")

    async def probe(ctx):
        ctx.record(Say("guess"))
        if isinstance(answer, BaseException):
            raise answer
        return answer

    graph = paying(held, probe=probe)
    await interrupted_in_pay(shelf, graph, held)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await trio.testing.wait_all_tasks_blocked()
        assert AWAITING is await runtime.get("r").status()
        await runtime.get("r").decide("", Confirm())
        assert ["order", "thanks"] == (await runtime.get("r").result()).state.trail


# -- graphs that changed -------------------------------------------------------------------------------------


@stores
async def test_a_graph_that_is_not_known_here(autojump_clock, store):
    """2: a run whose graph this runtime does not know stays as it is with a reason; others go on."""
    shelf, held = store(), Held()
    old, new = chain(held, version="1"), chain(says("new"), version="2")
    async with opened(shelf, old, shutdown_deadline=0) as runtime:
        await runtime.submit(old, Tally(), run_id="old")
        await held.begun.wait()
    before = await shelf.run("old")
    async with opened(shelf, new, pool_size=1) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(new, Tally())).result()).status
        ((run_id, reason),) = runtime.statistics().supervisor.unclaimed
        assert "old" == run_id
        assert "'chain' '1' is not known here" in reason
        with pytest.raises(Refused, match="not known here"):
            await runtime.get("old").cancel()
    assert before == await shelf.run("old")
    held.go.set()
    async with opened(shelf, new, old) as runtime:
        assert SUCCEEDED is (await runtime.get("old").result()).status
        assert () == runtime.statistics().supervisor.unclaimed


class Wide(Struct):
    count: str
    extra: int


class Refusing(Struct, frozen=True, tag=False):
    """`Say` as somebody else understands it."""

    text: str

    def apply(self, tally: Tally) -> None:
        raise ArithmeticError("not today")


Refusing.__name__ = "Say"


@stores
@pytest.mark.parametrize("change", ["state", "mutation gone", "mutation refuses", "node gone"])
async def test_a_graph_in_an_incompatible_shape(autojump_clock, store, change):
    """2: compatible = its schemas decode and every pending node and open barrier is still declared; otherwise it stays
    as it is with a reason, and holds nobody's slot."""
    shelf, held = store(), Held()
    graph = chain(says("first"), held)
    async with opened(shelf, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    await claim_elsewhere(shelf, graph, "r")  # so that no snapshot hides the log
    before = await shelf.run("r")

    state = Wide if change == "state" else Tally
    mutations = {"mutation gone": (Add,), "mutation refuses": (Add, Refusing), "state": ()}.get(change, MUTATIONS)
    other = Graph("chain", state=state, mutations=mutations)
    first = other.node(name="first")(says("first"))
    other.start(first)
    if change != "node gone":
        other.edge(first, other.node(name="held")(says("held")))
    fine = chain(says("fine"), name="fine")
    async with opened(shelf, other, fine, pool_size=1) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(fine, Tally())).result()).status
        ((run_id, reason),) = runtime.statistics().supervisor.unclaimed
        assert ("r", True) == (run_id, "stays as it is" in reason)
        with pytest.raises(Refused):
            await runtime.get("r").cancel()
        with nullcontext() if change == "node gone" else pytest.raises(Refused):  # looking at it takes no node
            assert ["first"] == (await runtime.get("r").state()).trail
        assert 0 == runtime.statistics().restarts
    assert before == await shelf.run("r")


async def test_a_run_is_loaded_with_one_question_to_the_store(autojump_clock):
    """Whoever decides waits for that: it is one way there and back, wherever the store is."""

    class Counting(MemoryStore):
        looks = 0

        async def load(self, run_id):
            self.looks += 1
            return await super().load(run_id)

        async def snapshot(self, run_id, *, at=None):
            raise AssertionError("it was read with the rest")

        records = run = barriers = snapshot

    store, graph = Counting(), chain(says("a"), "gate", says("b"))
    async with opened(store, graph, strict=False) as runtime:
        run = await parked(runtime, graph, "r")
        store.looks = 0
        await run.decide("", Approve())
        assert 1 == store.looks
        assert SUCCEEDED is (await run.result()).status


async def test_a_read_that_failed_is_noticed_where_nobody_writes(autojump_clock):
    """Law 5: a handle that is worth nothing since a read is replaced, and time limits of parked runs are kept."""
    shelf = SimulatedStore(SimulatedDisk(), Weather(Random(1), trio.current_time, troubles=[Trouble(5, 1, fails=1)]))
    graph = Graph("gated", state=Tally)
    graph.start(graph.barrier("gate", timeout=5.5, on_timeout=Fail()))
    async with opened(shelf, graph, limit=60) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(5.2)
        with pytest.raises(StoreUnavailable):
            await run.status()  # nothing works on this handle any more
        await trio.sleep(RECOVERY_INTERVAL + 2 * LONGEST)
        assert "barrier_timeout" == (await run.result()).failure.code
        assert 2 <= runtime.statistics().persistence.failures


async def test_a_store_that_cannot_be_read_does_not_keep_the_runtime_open(autojump_clock):
    """9.6: nothing waits to be written, so nobody waits for the store."""
    shelf = SimulatedStore(SimulatedDisk(), Weather(Random(1), trio.current_time, troubles=[Trouble(1, 99, fails=1)]))
    async with opened(shelf, chain(says("a")), limit=60):
        await trio.sleep(RECOVERY_INTERVAL + 1)
        left = trio.current_time()
    assert trio.current_time() <= left + LONGEST


async def test_a_run_that_has_ended_since_it_was_looked_for_is_let_go(autojump_clock):
    """Law 5: whoever asks for its end later is told, and does not wait for an actor that has nothing to do."""

    class Late(MemoryStore):
        before: tuple[RunRow, ...] = ()

        async def runs(self, **options):
            found, self.before = [*await super().runs(**options), *self.before], ()
            return found

    store, graph = Late(), chain(says("a"))
    async with opened(store, graph, limit=300) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally(), run_id="r")).result()).status
        row = await store.run("r")
        assert row is not None
        store.before = (msgspec.structs.replace(row, status=RunStatus.RUNNING),)
        await trio.sleep(RECOVERY_INTERVAL + 1)
        assert 0 == runtime.statistics().supervisor.live
        assert SUCCEEDED is (await runtime.get("r").result()).status
