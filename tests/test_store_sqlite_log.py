"""The write path of the SQLite store: few statements, and one judgement."""

import re
import tempfile
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest
from apsw.ext import query_info
from hypothesis import HealthCheck, given, settings, strategies as st

from terzetto.stores import MemoryStore, SqliteStore
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted, started
from terzetto_protocol.errors import Refused, StaleEpoch, StoreRejected, UnknownRun
from terzetto_protocol.records import Applied, Rejected, Write
from terzetto_protocol.statuses import RunStatus

from .sqlite_stores import bodies, in_time, on_thread, traced


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@in_time
async def test_an_everyday_commit_is_one_statement(path) -> None:
    """It checks the epoch and the order in the write itself, and writes of one group share rows and statements."""
    async with SqliteStore(path) as store:
        names = [f"run-{n:02}" for n in range(22)]
        await applied(store, *map(first, names), *map(claim, names))
        with traced(store) as statements:
            await applied(store, follow(names[0], 3))
            assert statements == ["begin", "append 1", "commit"]
            statements.clear()
            await applied(store, *(follow(names[0], seq) for seq in range(4, 100)))
            assert statements == ["begin", "append 1", "commit"]
            statements.clear()
            await applied(store, *(follow(name, seq) for seq in (3, 4, 5) for name in names[1:]))
            assert statements == ["begin", "append 16", "append 4", "append 1", "commit"]
            statements.clear()
            await applied(store, follow("run-05", 6), follow("run-05", 7), follow("run-05", 8, moved=True))
            assert statements == ["begin", "append 1", "append 1", "update", "commit"]


@in_time
async def test_no_statement_walks_through_a_table(path) -> None:
    """What a commit costs, or a look, does not depend on how much there is already."""
    async with SqliteStore(path) as store:
        await started(store)
        statements: list[str] = []
        store._connection.exec_trace = lambda cursor, statement, values: statements.append(statement) or True
        await applied(store, follow(seq=3), follow(seq=4, moved=True, snapshot=b"s", barriers=(barrier(),), thread="t"))
        await applied(
            store, follow(seq=4, moved=True, snapshot=b"s", barriers=(barrier(),), thread="t")
        )  # judged one by one
        for call in (
            store.records("r", after=2), store.records_by_event("r", after_event=20), store.snapshot("r"),
            store.run("r"), store.run_by_key("k"), store.runs(), store.runs(before="r"), store.posted(),
            store.runs(statuses=[RunStatus.QUEUED]), store.barriers("r"), store.barriers(), store.receipt("c"),
            store.runs(thread="t"), store.runs(thread="t", statuses=list(RunStatus)), store.head("t"),
            store.move_head("t", "r", "r", 9.0), store.move_head("t", "r", "", 9.0),
            store.checkpoints("r"), store.prune("r", 4, epoch=1, keep=(1,), closed_before=1.0),
        ):  # fmt: skip
            await call
        await applied(store, follow(seq=5, moved=True, status=RunStatus.SUCCEEDED))
        await store.delete("r", epoch=1)
        store._connection.exec_trace = None
        plans = [
            str(query_info(store._connection, statement, explain_query_plan=True).query_plan)
            for statement in statements
            if statement.split()[0] in ("with", "insert", "update", "select", "delete")
        ]
    assert len(plans) > 18
    tables = "commits|alone|runs|snapshots|barriers|inbox|threads|r|c|t"
    walks = [plan for plan in plans if re.search(rf"SCAN ({tables})\b(?! USING INDEX)", plan)]
    assert walks == []
    assert any("SEARCH r USING INDEX runs_status" in plan for plan in plans)
    assert 2 == sum("SEARCH r USING INDEX runs_thread" in plan for plan in plans), "of one thread, not of all"


@in_time
async def test_segments_are_cut_at_a_size(path) -> None:
    """A group of large commits does not become one row that every read of one commit would have to load."""
    async with SqliteStore(path) as store:
        await started(store)
        group = [follow(seq=seq, body=b"x" * 100_000) for seq in range(3, 13)]
        await applied(store, *group)
        sizes = store._connection.execute("select length(body) from commits where first <> last").fetchall()
        assert len(sizes) == 5
        assert await store.records("r", after=2) == bodies(*group)
        await applied(store, *group)


# Writes that can never be stored.


@in_time
async def test_a_write_that_is_too_big_is_rejected_alone(path) -> None:
    """The others of its group are applied, and those of its run that come after it are not."""
    async with SqliteStore(path) as store:
        await applied(store, first("a"), first("b"), first("c"))
        await on_thread(store, store._connection.limit, apsw.SQLITE_LIMIT_LENGTH, 100_000)
        big = Random(1).randbytes(200_000)  # cannot be pressed
        old = {"expect": 0, "epoch": 0}
        group = [
            follow("a", 2, **old), follow("b", 2, **old, body=big), follow("b", 3, **old), first("d", snapshot=big),
            follow("c", 2, **old, moved=True, barriers=(barrier("c", payload=big),)), follow("c", 2, **old), first("e"),
        ]  # fmt: skip
        outcomes = await store.commit(group)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [Applied, Rejected, Rejected, Rejected, Rejected, Applied, Applied]
        assert "commit 2 of run 'b' cannot be stored: TooBigError" in outcomes[1].reason
        assert [row.run_id for row in await store.runs()] == ["e", "c", "b", "a"]
        assert len(await store.records("b")) == 1
        assert await store.barriers() == []
        with pytest.raises(StoreRejected, match="will never take this: TooBigError"):
            await store.post(posted(body=big))


@pytest.mark.parametrize(
    "write",
    [
        first(header=header(metadata={"n": 1 << 70})),
        first(message="\ud800"),
        msgspec.structs.replace(first(), run_id="\ud800"),
        first(body=None),
        first(at=float("nan")),
        first(event_id=1 << 70),
        first(body="text"),
    ],
    ids=["metadata", "message", "id", "none", "nan", "number", "text"],
)
@in_time
async def test_an_odd_write_is_rejected_alone(path, write) -> None:
    async with SqliteStore(path) as store:
        outcomes = await store.commit([first("a"), write, first("b")])
        assert [type(outcome) for outcome in outcomes] == [Applied, Rejected, Applied]
        assert [row.run_id for row in await store.runs()] == ["b", "a"]


# Every store decides alike.


def next_write(draw, store: MemoryStore, applied):
    name = draw(st.sampled_from("abc"))
    run = store._find(name)
    last, epoch = (len(run.log), run.epoch) if run else (0, 0)
    kind = draw(st.sampled_from(["everyday"] * 6 + ["claim", "move", "create", "again", "stale", "hole", "other"]))
    seq = draw(st.integers(1, last + 1)) if kind in ("again", "other") else last + 1 + (kind == "hole")
    if run is None or kind == "create":
        key = draw(st.sampled_from(["", "k1", "k2"]))
        return first(name, header=header(name, key=key, at=draw(st.sampled_from([1.0, 2.0]))))
    if kind == "again" and seq <= last:
        return applied[name][seq - 1]
    changes = {"expect": epoch, "epoch": epoch, "moved": kind in ("claim", "move"), "event_id": seq * 10}
    if kind in ("claim", "stale"):
        changes["epoch" if kind == "claim" else "expect"] = epoch + 1
    if draw(st.integers(0, 5)) == 0:
        changes["snapshot"] = b"snapshot %d" % seq
        changes["barriers"] = (barrier(name, draw(st.sampled_from(["x@1", "y@1"]))),)
    return follow(name, seq, body=draw(st.sampled_from([b"", b"one", b"two"])), **changes)


async def everything(store):
    rows = await store.runs(limit=None)
    return (
        rows,
        [await store.records(row.run_id) for row in rows],
        [await store.records_by_event(row.run_id, after_event=20) for row in rows],
        [await store.records(row.run_id, after=2, limit=3) for row in rows],
        [await store.snapshot(row.run_id) for row in rows],
        [await store.checkpoints(row.run_id) for row in rows],
        await store.barriers(only_open=False),
    )


async def forgotten(store, name, before, keep, *, delete):
    try:
        if delete:
            return await store.delete(name, epoch=1)
        row = await store.run(name)
        return await store.prune(name, before, epoch=0 if row is None else row.epoch, keep=keep)
    except (UnknownRun, Refused, StaleEpoch) as error:
        return str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@in_time
async def test_memory_and_sqlite_decide_alike(data) -> None:
    """Any groups, on any history: the same outcomes, the same answers, and nothing wrong on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteStore(Path(folder) / "runs.db", synchronous="normal") as sqlite, MemoryStore() as memory:
            applied: dict[str, list[Write]] = {}
            for _ in range(data.draw(st.integers(1, 6))):
                size = data.draw(st.integers(1, 8))
                group = []
                scratch = MemoryStore()
                scratch.commit_now([write for log in applied.values() for write in log])
                for _ in range(size):
                    write = next_write(data.draw, scratch, applied)
                    group.append(write)
                    log = applied.setdefault(write.run_id, [])
                    if scratch.settle(write) == Applied() and write.seq == len(log) + 1:
                        log.append(write)
                assert await sqlite.commit(group) == await memory.commit(group)
                assert await everything(sqlite) == await everything(memory)
                name, before = data.draw(st.sampled_from("abc")), data.draw(st.integers(0, 20))
                keep, delete = data.draw(st.sets(st.integers(1, 12))), data.draw(st.integers(0, 5)) == 0
                gone = [await forgotten(store, name, before, keep, delete=delete) for store in (sqlite, memory)]
                assert gone[0] == gone[1]
                assert await everything(sqlite) == await everything(memory)
            assert (await sqlite.health(deep=True)).problems == ()
