"""`terzetto._persistence`: group commit, an answer per sender, and a store that fails or is gone (SEMANTICS 3, 9.6)."""

import msgspec
import pytest
import trio
import trio.testing

from terzetto._persistence import STOPPED, Persistence
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import StoreError, StoreRejected, StoreUnavailable
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import GROUP_COMMITS
from terzetto_protocol.records import Applied, Kind, Rejected, RunHeader, Stale, Write
from terzetto_protocol.statuses import RunStatus

from .runtimes import MUTATIONS, Add, Held, Tally, both, chain, counts, opened, parked, says, settled
from .stores import LOST, FaultyStore, trail

GONE = StoreUnavailable("gone")
SUCCEEDED = RunStatus.SUCCEEDED


class Sender:
    """A sender that notes its answers."""

    def __init__(self, name: str, record: list) -> None:
        self.name, self.record = name, record

    def written(self, write, outcome) -> None:
        self.record.append((self.name, write.seq, outcome))


def write(run_id: str, seq: int = 1, body: bytes = b"body") -> Write:
    header = RunHeader(run_id, "g", "1", "", "", 0.0) if seq == 1 else None
    return Write(run_id, 0, 0, seq, 0.0, RunStatus.QUEUED, seq, body, header=header, kind=Kind.SUBMIT)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


async def opened_actor(nursery: trio.Nursery, store: FaultyStore) -> tuple[Persistence, list]:
    changes: list = []
    persistence = Persistence(store)
    persistence.on_change = lambda: changes.append((trio.current_time(), persistence.available))
    await nursery.start(persistence.run)
    nursery.start_soon(close_at_the_end, persistence)
    return persistence, changes


async def close_at_the_end(persistence: Persistence) -> None:
    """Also when a test fails before it closes the actor, which is shielded: nobody waits for ever."""
    try:
        await trio.sleep_forever()
    finally:
        persistence.close(trio.current_time())


async def test_one_after_the_other_are_one_group(autojump_clock, nursery, store):
    """DESIGN: the writer takes the next group when the last one is answered: group commit without a timer."""
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    store.latency = 1.0
    persistence.send(write("a"), Sender("a", record))
    await trio.sleep(0.5)
    for number in range(2, 6):
        persistence.send(write("a", number), Sender("a", record))
    persistence.send(write("b"), Sender("b", record))
    assert 6 == persistence.statistics().waiting
    await trio.sleep(2)

    assert [1, 5] == [len(group) for group in store.groups]
    assert [("a", n, Applied()) for n in range(1, 6)] + [("b", 1, Applied())] == record
    said = persistence.statistics()
    assert (2, 6, 5, 0, 0, None) == (
        said.transactions, said.commits, said.largest_group, said.waiting, said.failures, said.unavailable_since,
    )  # fmt: skip
    assert 24 == said.bytes
    persistence.close(10)


async def test_a_group_is_bounded(autojump_clock, nursery, store):
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    desk = Sender("a", record)
    for number in range(1, 2 * GROUP_COMMITS + 2):
        persistence.send(write("a", number), desk)
    await settled()

    assert [GROUP_COMMITS, GROUP_COMMITS, 1] == [len(group) for group in store.groups]
    assert [GROUP_COMMITS, 2 * GROUP_COMMITS, 2 * GROUP_COMMITS + 1] == [seq for _, seq, _ in record]
    persistence.close(1)


async def test_of_what_was_stored_together_the_last_is_told_and_what_was_refused_each(autojump_clock, nursery, store):
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    store.verdict = lambda each: Stale(7) if each.run_id == "b" and each.seq == 3 else None
    desks = {run_id: Sender(run_id, record) for run_id in "ab"}
    for number in (1, 2, 3):
        for run_id, desk in desks.items():
            persistence.send(write(run_id, number), desk)
    await settled()

    assert [("b", 2, Applied()), ("a", 3, Applied()), ("b", 3, Stale(7))] == record
    persistence.close(1)


async def test_each_sender_hears_its_own_outcome_in_order(autojump_clock, nursery, store):
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    odd = {"b": Stale(7), "c": Rejected("odd")}
    store.verdict = lambda each: odd.get(each.run_id)
    for run_id in "abcd":
        persistence.send(write(run_id), Sender(run_id, record))
    await settled()

    assert [("a", Applied()), ("b", Stale(7)), ("c", Rejected("odd")), ("d", Applied())] == [
        (name, outcome) for name, _, outcome in record
    ]
    persistence.close(1)


@pytest.mark.parametrize("together", [True, False])
async def test_what_a_sender_made_upon_a_refused_write_is_refused(autojump_clock, nursery, store, together):
    """3 D8: a lost owner's commit fits by chance where the new one wrote as many; it is not stored all the same."""
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    begun = [write("r"), msgspec.structs.replace(write("r", 2), expect=0, epoch=1)]
    assert [Applied()] * 2 == await store.inner.commit(begun)
    lost = [msgspec.structs.replace(write("r", 2, b"lost"), epoch=1), write("r", 3, b"made upon it")]
    lost[1] = msgspec.structs.replace(lost[1], expect=1, epoch=1)
    desk = Sender("old", record)
    store.hold()
    persistence.send(lost[0], desk)
    if not together:
        await settled()
    persistence.send(lost[1], desk)
    persistence.send(msgspec.structs.replace(lost[1], run_id="s"), desk)
    await settled()
    store.release()
    await settled()

    assert ["Stale", "Stale" if together else "Rejected", "Rejected"] == [type(each).__name__ for _, _, each in record]
    assert [each.body for each in begun] == await store.inner.records("r")
    persistence.close(1)


async def test_what_is_sent_while_answers_are_handed_over_is_not_lost(autojump_clock, nursery, store):
    persistence, _ = await opened_actor(nursery, store)
    record: list = []

    class Chatty(Sender):
        def written(self, write_, outcome):
            super().written(write_, outcome)
            if write_.seq < 5:
                persistence.send(write("a", write_.seq + 1), self)

    persistence.send(write("a"), Chatty("a", record))
    await settled()
    assert [1, 2, 3, 4, 5] == [seq for _, seq, _ in record]
    persistence.close(1)


# -- failing -------------------------------------------------------------------------------------------------


async def test_a_store_that_is_gone_is_tried_until_it_is_back(autojump_clock, nursery, store):
    """9.6: store gone: runs halt in memory and go on when it is back. Never on the same handle after a failure."""
    persistence, changes = await opened_actor(nursery, store)
    record: list = []
    store.faults = [GONE] * 8
    persistence.send(write("a"), Sender("a", record))
    await trio.sleep(0.01)
    assert not persistence.available
    persistence.send(write("b"), Sender("b", record))
    await trio.sleep(100)

    assert [0.05, 0.15, 0.35, 0.75, 1.55, 3.15, 5.15, 7.15] == pytest.approx(store.reopened)
    assert [(0.0, False), (pytest.approx(7.15), True)] == changes
    assert [*[["a"]] * 9, ["b"]] == [[each.run_id for each in group] for group in store.groups]
    assert ["a", "b"] == [name for name, _, _ in record]
    assert 8 == persistence.statistics().failures
    assert persistence.statistics().unavailable_since is None
    persistence.close(1)


async def test_a_lost_answer_is_one_commit(autojump_clock, nursery, store):
    """Store: writing the same group again answers `Applied` for what was there."""
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    store.faults = [LOST, LOST, None, LOST]
    for number in (1, 2):
        persistence.send(write("a", number), Sender("a", record))
    await trio.sleep(5)
    persistence.send(write("a", 3), Sender("a", record))
    await trio.sleep(5)

    assert [("a", n, Applied()) for n in (1, 2, 3)] == record
    assert 3 == len(await store.records("a"))
    persistence.close(20)


async def test_what_can_never_work_is_not_tried_again(autojump_clock, nursery, store):
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    store.faults = [StoreRejected("it is too large")]
    persistence.send(write("a"), Sender("a", record))
    await settled()

    ((_, _, outcome),) = record
    assert isinstance(outcome, Rejected)
    assert "it is too large" in outcome.reason
    assert persistence.available
    persistence.close(1)


async def test_a_store_with_another_trouble_is_waited_for(autojump_clock, nursery, store):
    """9.6: store gone: runs halt in memory and go on when it is back, whatever was wrong with it."""
    persistence, _ = await opened_actor(nursery, store)
    record: list = []
    store.faults = [StoreError("disk image is malformed")]
    persistence.send(write("a"), Sender("a", record))
    await trio.sleep(5)

    assert [("a", 1, Applied())] == record
    persistence.close(1)


# -- closing -------------------------------------------------------------------------------------------------


async def test_closing_stores_what_waits(autojump_clock, store):
    persistence, record = Persistence(store), []
    store.latency = 1.0
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(persistence.run)
            for run_id in "ab":
                persistence.send(write(run_id), Sender(run_id, record))
            await trio.sleep(0.5)
            persistence.send(write("c"), Sender("c", record))
            persistence.close(trio.current_time() + 5)
            persistence.close(trio.current_time() + 50)
        assert 2 == trio.current_time()
    assert [("a", Applied()), ("b", Applied()), ("c", Applied())] == [(name, outcome) for name, _, outcome in record]


async def test_closing_has_a_deadline_and_answers_the_rest(autojump_clock, store):
    """9.1, 9.5: final writes are shielded with a deadline; a dying actor answers everyone who waits for it."""
    persistence, record = Persistence(store), []
    store.down = True
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(persistence.run)
            for run_id in "abc":
                persistence.send(write(run_id), Sender(run_id, record))
            persistence.close(trio.current_time() + 3)
        assert 3 == trio.current_time()
    late = Sender("late", record)
    persistence.send(write("d"), late)  # the answer comes inside the call
    assert [Rejected(STOPPED, final=False)] * 4 == [outcome for _, _, outcome in record]
    assert ["a", "b", "c", "late"] == [name for name, _, _ in record]


async def test_cancelled_from_outside_it_waits_for_its_close(autojump_clock, store):
    """DESIGN: workers are cancelled before the persistence actor, so the last commits still land."""
    persistence, record = Persistence(store), []
    store.latency = 1.0
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(persistence.run)
            persistence.send(write("a"), Sender("a", record))
            nursery.cancel_scope.cancel()
            persistence.close(trio.current_time() + 5)
    assert [("a", 1, Applied())] == record


async def test_it_may_be_run_again(autojump_clock, store):
    """9.5: a restarted actor knows nothing of the last one, and takes writes again."""
    persistence, record = Persistence(store), []
    for run_id in "ab":
        async with trio.open_nursery() as nursery:
            await nursery.start(persistence.run)
            persistence.send(write(run_id), Sender(run_id, record))
            persistence.close(trio.current_time() + 5)
    assert ["a", "b"] == [name for name, _, _ in record]


# -- in a runtime --------------------------------------------------------------------------------------------


@both
async def test_runs_halt_while_the_store_is_gone_and_go_on_by_themselves(autojump_clock, dispatch):
    """9.6: store gone: runs halt in memory and go on when it is back; new work is refused meanwhile."""
    store, held, visits = FaultyStore(), Held(), []

    async def after(ctx):
        visits.append(trio.current_time())

    graph, other = chain(held, after, name="gone"), chain("sign-off", counts(), name="other")
    async with opened(store, graph, other, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        waiting = await parked(runtime, other, "p")
        await held.begun.wait()
        store.down = True
        held.go.set()
        await trio.sleep(10)
        assert [] == visits
        for call in (
            lambda: runtime.submit(graph, Tally()),
            lambda: runtime.submit(other, Tally(), run_id="x"),
            lambda: waiting.decide("", Approve()),
            waiting.cancel,
            waiting.status,
        ):
            with pytest.raises(StoreUnavailable):
                await call()
        assert runtime.statistics().persistence.unavailable_since is not None
        store.down = False
        assert ["held"] == (await run.result()).state.trail
        assert 10 <= visits[0] <= 12
        await waiting.decide("", Approve())
        assert 1 == (await waiting.result()).state.count
        assert 0 == runtime.statistics().restarts
    assert 1 == sum("held@1" in line for line in await trail(store, "r"))


@both
async def test_a_flaky_store_shows_nothing_twice(autojump_clock, dispatch):
    """3: one commit per visit, whatever became of its answers."""
    store, visits = FaultyStore(), []

    async def step(ctx):
        visits.append(ctx.visit.visit)
        ctx.record(Add())
        if ctx.state.count == 19:
            ctx.end()

    graph = Graph("loop", state=Tally, mutations=MUTATIONS)
    loop = graph.node(name="step")(step)
    graph.start(loop)
    graph.edge(loop, loop)
    store.faults = [None if number % 3 else (LOST if number % 2 else GONE) for number in range(60)]
    async with opened(store, graph, dispatch=dispatch, limit=100) as runtime:
        assert 20 == (await runtime.run(graph, Tally(), run_id="r")).count
    assert list(range(1, 21)) == visits
    assert 22 == len(await trail(store, "r"))


async def test_a_store_that_is_gone_when_the_runtime_is_left(autojump_clock):
    """9.6: shutdown has an end, also without a store; what was not stored goes on from where it was."""
    store, held = FaultyStore(), Held()
    graph = chain(says("first"), held)
    async with opened(store, graph, limit=60) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        store.down = True
    assert trio.current_time() <= 30
    store.down = False
    assert RunStatus.RUNNING is (await store.run("r")).status
    held.go.set()
    async with opened(store, graph) as runtime:
        assert ["first", "held"] == (await runtime.get("r").result()).state.trail


async def test_a_store_that_is_not_there_yet(autojump_clock):
    """Recovery at start waits for a store that opens and then fails, like any other look."""
    store, held = FaultyStore(MemoryStore()), Held()
    graph = chain(held)
    async with opened(store, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    held.go.set()
    store.down = True
    async with opened(store, graph, limit=60) as runtime:
        await trio.sleep(3)
        store.down = False
        assert SUCCEEDED is (await runtime.get("r").result()).status
