"""Files that somebody has damaged: a log that is cut off or flipped ends earlier, and flipped rows are refused."""

import re
import shutil
from random import Random

import msgspec
import pytest
import trio

import terzetto
from terzetto.stores import SqliteStore
from terzetto.stores._schema import SUMMED
from terzetto.testing._store_laws import applied, claim, first, follow
from terzetto_protocol.errors import StoreDamaged, TerzettoError

from .runtimes import chain, counts, parked, says
from .sqlite_stores import bodies, in_time, on_thread

SEED = 4
SOME = 150
"""Bytes that are flipped without `--slow`, one by one."""
GRAPH = chain(says("a"), says("b"), counts(7), "gate", says("c"))

VALUES = msgspec.msgpack.encode({"count": 7, "trail": ["a", "b"]})
"""The state of a run of it that is parked, as a snapshot has it."""


def flipped(data, place, luck):
    """The same with one bit turned."""
    return data[:place] + bytes([data[place] ^ 1 << luck.randrange(8)]) + data[place + 1 :]


WRITES = (first(snapshot=b"1"), claim(), *(follow(seq=seq, body=b"%d" % seq * 900) for seq in range(3, 12)))


@pytest.fixture
async def left(tmp_path):
    """What a process that was killed has left: an almost empty file, and all commits in the log beside it."""
    async with SqliteStore(tmp_path / "owned.db") as store:
        for write in WRITES:
            await applied(store, write)
        shutil.copy(tmp_path / "owned.db", tmp_path / "left.db")
        return tmp_path / "left.db", (tmp_path / "owned.db-wal").read_bytes()


async def commits_of(path, log):
    """How many commits are there with this log; they are the first ones, whole, and the others fit behind them."""
    copy = path.with_name("copy.db")
    copy.with_name("copy.db-shm").unlink(missing_ok=True)
    shutil.copy(path, copy)
    copy.with_name("copy.db-wal").write_bytes(log)
    async with SqliteStore(copy) as store:
        assert () == (await store.health(deep=True)).problems
        there = await store.records("r")
        assert bodies(*WRITES[: len(there)]) == there
        await applied(store, *WRITES)
        assert bodies(*WRITES) == await store.records("r")
    return len(there)


@in_time
async def test_a_log_that_was_cut_off(left):
    """Issue 4: a truncated WAL. What is left of it is a beginning, and no commit is half there."""
    path, log = left
    counts = [await commits_of(path, log[:length]) for length in range(0, len(log), len(log) // 60)]

    assert sorted(counts) == counts
    assert {*range(len(WRITES))} == {*counts}
    assert len(WRITES) == await commits_of(path, log)


@in_time
async def test_a_log_with_a_flipped_byte(left):
    """Issue 4: SQLite sums its log up; what follows a damaged page of it is not believed."""
    (path, log), luck = left, Random(SEED)
    places = sorted(luck.sample(range(len(log)), 60))
    counts = [await commits_of(path, flipped(log, place, luck)) for place in places]

    assert {len(WRITES)} > {*counts} - {*range(len(WRITES))}, "the damage was in it"


async def look(path):
    """What a run is said to be, or which errors are raised in its place."""
    told = None
    try:
        async with terzetto.open_runtime(SqliteStore(path), graphs=[GRAPH]) as runtime:
            run = runtime.get("r")
            told = await run.status(), await run.state()
    except* TerzettoError as errors:
        told = errors
    return told


@pytest.mark.parametrize("some", [SOME, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "all"])
async def test_a_file_with_a_flipped_byte(tmp_path, some):
    """Issue 4: what is told of the run is right, or an error that is typed; inside of its values it is always that."""
    path, luck, errors = tmp_path / "runs.db", Random(SEED), []
    async with terzetto.open_runtime(SqliteStore(path), graphs=[GRAPH]) as runtime:
        await parked(runtime, GRAPH, "r")
    truth, data = await look(path), path.read_bytes()
    values = [place for found in re.finditer(re.escape(VALUES), data) for place in range(*found.span())]
    used = [place for place, byte in enumerate(data) if byte]
    assert values
    for place in dict.fromkeys((*values, *luck.sample(used, some or len(used)))):
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_bytes(flipped(data, place, luck))
        with trio.fail_after(10):
            told = await look(path)
        if isinstance(told, BaseExceptionGroup):
            errors.append(told)
        else:
            assert (truth, False) == (told, place in values), f"byte {place}"

    assert len(errors) > SOME // 4


ROWS = {
    "update runs set header = x'80'": "Object missing required field",
    "update runs set header = x'c1'": "MessagePack data is malformed",
    "update runs set status = 'RUNNINH'": "'RUNNINH' is not a valid RunStatus",
    "update runs set code = cast(x'ff' as text)": "its bytes are not those that were stored",
    "update commits set body = x'93' where first < last": "truncated",
}


@pytest.mark.parametrize("sums", [True, False], ids=["sums", "no sums"])
@pytest.mark.parametrize("damage", ROWS)
@in_time
async def test_a_row_that_cannot_be_read(tmp_path, damage, sums):
    """SQLite notices nothing of it; it is a typed error that says what to do, and other calls work.

    Rows from before there were checksums have none.
    """
    said = "its bytes are not those that were stored" if sums else ROWS[damage]
    async with SqliteStore(tmp_path / "runs.db") as store:
        await applied(store, *WRITES)
        if not sums:
            await on_thread(store, forget_sums, store._connection)
        await on_thread(store, store._connection.execute, damage)
        with pytest.raises(StoreDamaged, match=rf"run 'r': .* is damaged: .*{said}.* \(`terzetto doctor") as caught:
            await (store.run("r") if "runs" in damage else store.records("r"))
        assert ("r", store.path) == (caught.value.run_id, caught.value.store)
        assert [] == await store.posted()
        await applied(store, first("other"))


def forget_sums(connection):
    for table in SUMMED:
        connection.execute(f"update {table} set crc = null")
