"""`terzetto.stores._checksums`: every column of every row that is read is covered by a checksum."""

from zlib import crc32

import apsw
import pytest

from terzetto.stores import SqliteStore
from terzetto.stores._checksums import Damaged, checksum, columns_fit, fits, sum_blob, sum_columns
from terzetto.stores._schema import SUMMED
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted
from terzetto_protocol.errors import StoreDamaged
from terzetto_protocol.records import Rejected
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .sqlite_stores import bodies, in_time, on_thread

WRITES = (
    first(header=header(key="k", thread="t")), claim(),
    follow(seq=3, snapshot=b"snapshot 3", barriers=(barrier(), barrier(name="gone@3", status=BarrierStatus.RESOLVED))),
    follow(seq=4, body=b"4" * 9000), follow(seq=5),
    follow(seq=6, thread="t", moved=True, code="c", message="m", timer=200.5),
)  # fmt: skip
OTHER = (first("other", snapshot=b"1"), claim("other"))


async def filled(store):
    """Two runs, and something of one of them in every table."""
    await applied(store, *WRITES[:3])
    await store.prune("r", 3, epoch=1, keep=(1,))
    await applied(store, *WRITES[3:])
    await applied(store, *OTHER)
    await store.post(posted(receipt=b"done"))
    await store.post(posted("c-2"))


async def all_of(store):
    """What is told of everything that is there, by question; an error is told as its run."""
    asked = {
        "run": lambda: store.run("r"),
        "key": lambda: store.run_by_key("k"),
        "records": lambda: store.records("r"),
        "events": lambda: store.records_by_event("r", after_event=2),
        "first": lambda: store.snapshot("r", at=1),
        "newest": lambda: store.snapshot("r"),
        "barriers": lambda: store.barriers("r", only_open=False),
        "open": lambda: store.barriers("r"),
        "head": lambda: store.head("t"),
        "receipt": lambda: store.receipt("c-1"),
    }
    told = {}
    for name, ask in asked.items():
        try:
            told[name] = await ask()
        except StoreDamaged as error:
            told[name] = error
    return told


COLUMNS = {
    "runs": "header status epoch code message timer",
    "threads": "run moved",
    "commits": "first event epoch at body",
    "snapshots": "body",
    "barriers": "row",
    "inbox": "run body at receipt",
    "alone": "event body",
}
PLACES = [(table, column) for table, columns in COLUMNS.items() for column in columns.split()]


def flip(connection, table, column):
    """Turn one bit of one column, in every row."""
    for key, value in connection.execute(f"select {KEYS.get(table, 'n')}, {column} from {table}").fetchall():
        connection.execute(
            f"update {table} set {column} = ? where {KEYS.get(table, 'n')} = ?", (other_than(value), key)
        )


def other_than(value):
    match value:
        case int():
            return value ^ 1
        case float():
            return value + 0.25
        case str() if value:
            return value[:-1] + chr(ord(value[-1]) ^ 1)
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1])
        case _:
            return value


KEYS = {"threads": "id", "snapshots": "seq", "alone": "seq"}


@pytest.mark.parametrize("table, column", PLACES, ids=[".".join(place) for place in PLACES])
@in_time
async def test_what_was_not_stored_is_never_told(tmp_path, table, column):
    """Issue 4: whatever is asked gets what was stored, or `StoreDamaged`; and a deep check says where it is."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await filled(store)
        truth = await all_of(store)
        assert () == (await store.health(deep=True)).problems
        await on_thread(store, flip, store._connection, table, column)
        told = await all_of(store)
        wrong = {name for name in truth if told[name] != truth[name]}
        assert wrong
        assert all(isinstance(told[name], StoreDamaged) for name in wrong)
        said = (await store.health(deep=True)).problems
        assert any("its bytes are not those that were stored" in problem for problem in said)
        marked = [row.run_id for row in await store.runs() if row.damaged]
        assert ("r" in marked) is (table == "runs" or (table == "commits" and column != "body"))


def test_every_table_with_checksums_is_among_these():
    assert {*SUMMED} == {*COLUMNS}


@in_time
async def test_a_row_that_turns_up_as_another_is_noticed(tmp_path):
    """A checksum covers whose the row is."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await filled(store)
        swap = "update snapshots set (body, crc) = (select body, crc from snapshots where run = 2) where run = 1"
        await on_thread(store, store._connection.execute, swap)
        with pytest.raises(StoreDamaged, match="run 'r': the snapshot of commit 3 in store"):
            await store.snapshot("r")
        assert (1, b"1") == await store.snapshot("other")


@in_time
async def test_a_damaged_run_is_marked_among_the_others(tmp_path):
    """2.7: it is listed, by its id and with the reason, and nothing else is told of it."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await filled(store)
        await on_thread(store, store._connection.execute, "update runs set status = cast(x'ff' as text) where id = 'r'")
        row, other = await store.runs()
        assert ("other", "") == (other.run_id, other.damaged)
        assert ("r", "", RunStatus.INTERRUPTED, 0) == (row.run_id, row.header.graph, row.status, row.seq)
        assert "its row: its bytes are not those that were stored" == row.damaged


@in_time
async def test_a_write_that_meets_damage_is_not_judged(tmp_path):
    """Nobody knows whether it is there; the others of its group are stored."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await applied(store, *WRITES[:3], *OTHER)
        await on_thread(store, store._connection.execute, "update commits set body = x'00' where run = 1 and last = 3")
        refused, fine = await store.commit([WRITES[2], follow("other", 3, body=b"3")])
        assert isinstance(refused, Rejected)
        assert (False, True) == (refused.final, "run 'r', which is damaged" in refused.reason)
        assert [*bodies(*OTHER), b"3"] == await store.records("other"), fine


@in_time
async def test_what_is_damaged_is_not_pruned(tmp_path):
    """It would get a new checksum."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await applied(store, first(), *(follow(seq=seq, expect=0, epoch=0, snapshot=b"s") for seq in range(2, 6)))
        await on_thread(
            store, store._connection.execute, "update commits set body = zeroblob(length(body)) where first < last"
        )
        with pytest.raises(StoreDamaged, match="run 'r': commits 2 to 5"):
            await store.prune("r", 4, epoch=0)
        assert 1 == (await store.run("r")).first


@in_time
async def test_a_damaged_command_is_not_handed_over(tmp_path):
    """Those behind it are, and whoever waits for its receipt hears it."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await store.post(posted("c-1", body=b"approve"))
        await store.post(posted("c-2"))
        await on_thread(store, store._connection.execute, "update inbox set body = x'00' where command = 'c-1'")
        assert [posted("c-2")] == await store.posted()
        with pytest.raises(StoreDamaged, match="command 'c-1' in store"):
            await store.receipt("c-1")


@in_time
async def test_a_guest_of_a_file_without_checksums_reads_and_posts(tmp_path):
    """And its owner gives checksums to what is stored from then on."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await filled(store)
        told = await all_of(store)
    connection = apsw.Connection(str(tmp_path / "runs.db"))
    for table in SUMMED:
        connection.execute(f"alter table {table} drop column crc")
    connection.execute("pragma user_version=4")
    connection.close()
    async with SqliteStore(tmp_path / "runs.db", guest=True) as guest:
        assert told == await all_of(guest)
        await guest.post(posted("c-3"))
        assert ["c-2", "c-3"] == [command.command_id for command in await guest.posted()]
        async with SqliteStore(tmp_path / "runs.db") as store:
            assert told == await all_of(store)
            await applied(store, follow("other", 3, snapshot=b"3"))
            await guest.post(posted("c-4"))
            found = await on_thread(store, sums, store._connection)
        assert {"runs": 0, "threads": 0, "commits": 1, "snapshots": 1, "barriers": 0, "inbox": 1, "alone": 0} == found
        assert told == await all_of(guest)


def sums(connection):
    return {table: connection.execute(f"select count(crc) from {table}").fetchone()[0] for table in SUMMED}


def test_two_halves():
    """What was not read is not compared; what has no checksum is believed."""
    whole = checksum(b"blob", "a", 1, None)
    assert whole == sum_columns("a", 1, None) | sum_blob(b"blob") < 2**63
    assert fits(whole, b"blob", "a", 1, None)
    assert not fits(whole, b"blob", "a", 2, None)
    assert not fits(whole, b"bloc", "a", 1, None)
    assert columns_fit(whole, "a", 1, None)
    assert not columns_fit(whole, "b", 1, None)
    assert fits(None, b"", "whatever")
    assert columns_fit(None, "whatever")


@pytest.mark.parametrize("length", [0, 1, 5119, 5120, 5121, 20_000])
def test_a_long_blob_is_summed_up_in_pieces(length):
    """And in one they have the same sum."""
    assert crc32(blob := b"0123456789" * (length // 10 + 1)) == sum_blob(blob)


def test_damage_of_nobody_names_no_run():
    assert "the head of thread 't': gone" == str(Damaged("", "the head of thread 't'", "gone"))


@in_time
async def test_what_is_no_column_of_its_type_is_damaged_without_a_checksum_too(tmp_path):
    """The others of the same list are told: those with checksums, and those that can be read."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await filled(store)
        await applied(store, first("third"))
        await on_thread(store, retype, store._connection)
        rows = {row.run_id: row.damaged for row in await store.runs()}
        assert {"r": True, "other": True, "third": False} == {run_id: bool(why) for run_id, why in rows.items()}
        with pytest.raises(StoreDamaged, match="run 'other': its row"):
            await store.run("other")


def retype(connection):
    """Make a number nothing and a text no text, as flipped bits in the middle of a row may."""
    connection.execute("pragma writable_schema=on")
    connection.execute("update sqlite_schema set sql = replace(sql, 'not null', '') where name = 'runs'")
    connection.execute("pragma writable_schema=reset")
    connection.execute("update runs set epoch = null, crc = null where id = 'r'")
    connection.execute("update runs set code = cast(x'ff' as text), crc = null where id = 'other'")


@pytest.mark.parametrize("at", [1753353600.1234567, 1.0 / 3.0, 1e-7, 0.0, 4.0])
@in_time
async def test_moments_come_back_to_their_last_digit(tmp_path, at):
    """D4: what was stored is told, also under a SQLite whose JSON shortens numbers: else all of it seems damaged."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        await applied(store, first(), claim(at=at, timer=at))
        row = await store.run("r")

        assert row is not None
        assert (at, at) == (row.updated, row.timer)
        assert 2 == len(await store.records("r"))
