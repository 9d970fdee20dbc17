"""`terzetto.stores._memory_rest`: nobody notices that a run in memory rests, but by what it weighs."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from terzetto.stores import MemoryStore
from terzetto.stores._memory_rest import PACKED_BYTES, PACKED_PIECES, RestingRuns
from terzetto.stores._memory_run import KeptRun
from terzetto.testing._store_laws import barrier, first, follow, header, row_after
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Recorded
from terzetto_protocol.errors import StaleEpoch
from terzetto_protocol.records import Applied, Exists, Rejected, Stale, Write
from terzetto_protocol.statuses import BarrierStatus, RunStatus

AWAITING, RUNNING, FAILED = RunStatus.AWAITING_INPUT, RunStatus.RUNNING, RunStatus.FAILED
FULL = header(
    "r", key="k", metadata={"a": 1, "b": 2.5, "c": True, "d": "x"}, deadline=5.0, thread="t", durability="exit",
    checkpoints=CheckpointPolicy(every=3), recorded=(Recorded("m", msgspec.Raw(b"\x01")),),
)  # fmt: skip


class Awake(MemoryStore):
    """A store in which no run ever rests."""

    def _rest(self, run: KeptRun) -> None:
        pass


def parks(seq: int, **changes: object) -> Write:
    return follow("r", seq, status=AWAITING, moved=True, snapshot=b"snapshot %d" % seq, **changes)


def is_resting(store: MemoryStore, run_id: str = "r") -> bool:
    return run_id in store._resting and run_id not in store._runs


def stored(*writes: Write) -> MemoryStore:
    store = MemoryStore()
    assert [store.settle(write) for write in writes] == [Applied()] * len(writes)
    return store


async def everything(store: MemoryStore, run_id: str) -> list[object]:
    """All that can be asked about a run, read back from what is packed."""
    store._resting._last = None
    return [
        await store.run(run_id),
        await store.load(run_id),
        await store.run_by_key(f"key {run_id}"),
        [await store.runs(statuses=[status]) for status in RunStatus],
        await store.runs(thread="t"),
        sorted(await store.timers()),
        await store.barriers(run_id),
        await store.barriers(only_open=False),
        [(await store.records(run_id, after=seq), await store.snapshot(run_id, at=seq)) for seq in range(6)],
        await store.checkpoints(run_id),
        [await store.records_by_event(run_id, after_event=event) for event in range(0, 70, 10)],
        store.statistics(),
    ]


def _write(run_id: str, seq: int, act: str) -> Write:
    if seq == 1:
        return first(run_id, header=header(run_id, key=f"key {run_id}", thread="t" if run_id == "b" else "", at=7.0))
    row = barrier(run_id, f"gate@{seq // 2}", opened=float(seq))
    if act == "closes":
        row = msgspec.structs.replace(row, status=BarrierStatus.RESOLVED, resolved=float(seq), decision="approve")
    rests = {"parks": AWAITING, "fails": FAILED}.get(act)
    return follow(
        run_id, seq, epoch=1, expect=int(seq > 2), moved=True, status=rests or RUNNING, barriers=(row,) * (seq % 2),
        snapshot=None if rests is None else b"snapshot %d" % seq, code="c" * (act == "fails"), timer=float(seq),
    )  # fmt: skip


acts = st.sampled_from(["goes on", "parks", "closes", "fails"])


@given(st.lists(st.tuples(st.sampled_from("abc"), acts), max_size=20))
async def test_whoever_asks_hears_the_same(history):
    packs, awake = MemoryStore(), Awake()
    for run_id, act in history:
        row = await awake.run(run_id)
        write = _write(run_id, 1 if row is None else row.seq + 1, act)
        assert packs.settle(write) == awake.settle(write) == Applied()
        assert packs.settle(write) == awake.settle(write) == Applied(), "written again"
        assert await packs.load(run_id) == await awake.load(run_id), "as it was looked at last"
    for run_id in "abc":
        assert await everything(packs, run_id) == await everything(awake, run_id)
    assert await packs.barriers() == await awake.barriers()
    assert await packs.runs(limit=2) == await awake.runs(limit=2)


async def test_a_run_comes_back_with_all_that_was_said_about_it():
    given_ = first(header=FULL), parks(2, expect=0, timer=9.5, barriers=(barrier(deadline=9.5, payload=b"\x2a"),))
    store = stored(*given_)
    assert is_resting(store)
    store._resting._last = None
    assert await store.run("r") == row_after(*given_)
    assert await store.barriers() == [barrier(deadline=9.5, payload=b"\x2a")]
    assert is_resting(store), "asking wakes nobody"


async def test_who_writes_to_a_resting_run_hears_what_the_store_always_says():
    store = stored(first(), parks(2, expect=0))
    assert isinstance(store.settle(first(body=b"another")), Exists)
    assert store.settle(parks(3, expect=0, epoch=7)) == Stale(1)
    assert isinstance(store.settle(parks(4)), Rejected)
    assert store.settle(parks(2, expect=0)) == Applied(), "written again"
    assert is_resting(store)
    assert store.settle(follow(seq=3, moved=True)) == Applied()
    assert not is_resting(store)


async def test_a_resting_run_is_pruned_and_deleted():
    store = stored(first(), parks(2, expect=0), parks(3), follow(seq=4, moved=True, status=FAILED, snapshot=b"end"))
    assert is_resting(store)
    with pytest.raises(StaleEpoch):
        await store.prune("r", 3, epoch=9)
    assert (await store.prune("r", 3, epoch=1), await store.records("r")) == (2, [parks(3).body, follow(seq=4).body])
    assert is_resting(store)
    assert store.statistics()["commits"] == 2
    assert await store.delete("r", epoch=1) == 2
    assert (await store.run("r"), await store.runs(), store.statistics()["commits"]) == (None, [], 0)


async def test_what_is_heavy_or_long_stays_as_it_is():
    heavy = stored(first(snapshot=b"x" * PACKED_BYTES), parks(2, expect=0))
    steps = [follow(seq=seq) for seq in range(3, PACKED_PIECES)]
    long = stored(first(), parks(2, expect=0), *steps, parks(PACKED_PIECES))
    shown = stored(first(), parks(2, expect=0, barriers=(barrier(payload=b"x" * 2 * PACKED_BYTES),)))
    assert not any(map(is_resting, [heavy, long, shown]))
    assert [len(await store.records("r")) for store in (heavy, long, shown)] == [2, PACKED_PIECES, 2]


def test_runs_that_are_alike_weigh_next_to_nothing():
    resting = RestingRuns()
    for number in range(3):
        run = KeptRun(header(f"run-{number}"), first(f"run-{number}", body=b"\x00\xff" * 500))
        run.status = AWAITING
        assert resting.add(run)
    assert sum(map(len, resting._runs[AWAITING].values())) < 300
