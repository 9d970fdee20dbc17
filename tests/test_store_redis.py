"""The Redis store and its server: what is refused, what is durable, what is said of it, and what stands where."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from terzetto.stores import RedisStore, open_store
from terzetto.stores._redis_scripts import scripts
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted, started
from terzetto_protocol.errors import (
    InvalidRequest,
    StoreError,
    StoreInUse,
    StoreMissing,
    StoreRejected,
    StoreTooNew,
    StoreUnavailable,
)
from terzetto_protocol.records import Applied, Rejected
from terzetto_protocol.statuses import RunStatus

from .redis_servers import DURABLE, RedisServer, base_of, running
from .sqlite_stores import in_time


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://h:1/2?prefix=a:b:", "redis://h:1/2?prefix=a:b:"),
        ("rediss://ann:se%40cret@h/3", "rediss://ann@h:6379/3"),
        ("redis://:secret@h?ttl=60&lease=2.5", "redis://h:6379/0?ttl=60&lease=2.5"),
        ("redis://[::1]:7/", "redis://[::1]:7/0"),
    ],
)
def test_urls(url, shown) -> None:
    store = open_store(url)
    assert isinstance(store, RedisStore)
    assert (store.url, store.guest, store.shared, store.durable) == (shown, False, True, False)
    assert open_store(url, guest=True).guest
    assert "secret" not in repr(store._place)


def test_what_a_url_says() -> None:
    place = RedisStore("rediss://a%3Ab:p%2Fq@h:1/2?prefix=x&ttl=3&lease=4")._place
    assert (place.host, place.port, place.db, place.user, place.password) == ("h", 1, 2, "a:b", "p/q")
    assert (place.tls, place.prefix, place.ttl, place.lease) == (True, "x", 3.0, 4.0)
    assert RedisStore("redis://h").lease == 15.0


@pytest.mark.parametrize(
    "url, said",
    [
        ("redis:localhost", "did you mean redis://localhost?"),
        ("redis:", "did you mean redis://localhost?"),
        ("redis:/localhost", "did you mean redis://localhost?"),
        ("redis:///3", "it names no host; did you mean redis://localhost/3?"),
        ("redis://h:port/", "its port is no number from 1 to 65535"),
        ("redis://h:99999/", "its port is no number from 1 to 65535"),
        ("redis://h/runs", "a database has a number, as in /0, and not the name 'runs'"),
        ("redis://h/-1", "not the name '-1'"),
        ("redis://h?prefx=a", "there is no option 'prefx'; did you mean prefix?"),
        ("redis://h?prefix=", "without braces and spaces, not ''"),
        ("redis://h?prefix={a}", "without braces and spaces, not '{a}'"),
        ("redis://h?ttl=0", "ttl is a number of seconds above 0, not '0'"),
        ("redis://h?ttl=never", "ttl is a number of seconds above 0, not 'never'"),
        ("redis://h?lease=inf", "lease is a number of seconds above 0, not 'inf'"),
        ("redis://h?lease=1&lease=2", "lease is given more than once"),
        ("redis://h/0#x", "it has a #, which is written %23"),
        ("reddis://h", "did you mean redis:?"),
    ],
)
def test_wrong_urls(url, said) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_store(url)
    assert said in str(caught.value)
    assert "redis://USER:PASSWORD@HOST:PORT/DB?prefix=terzetto:&ttl=SECONDS&lease=15" in str(caught.value)


@pytest.mark.parametrize("url", ["redis://ann:secret@h/runs", "redis:ann:secret@h", "redis://h?password=secret"])
def test_a_wrong_url_does_not_show_its_password(url) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_the_driver_is_loaded_by_who_opens_a_store() -> None:
    check = (
        "import sys; from terzetto.stores import RedisStore; RedisStore('redis://h'); print('coredis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@in_time
async def test_without_the_driver(monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("coredis", "terzetto.stores._redis_"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "coredis", None)
    with pytest.raises(ImportError, match=r"a Redis store needs coredis: pip install 'terzetto\[redis\]'"):
        async with RedisStore("redis://h"):
            pass


# -- what a server must be ---------------------------------------------------------------------------------------------


@in_time
async def test_durable(redis: RedisServer) -> None:
    """SEMANTICS 3: only where the server has it on its disk before it answers."""
    async with RedisStore(redis.url()) as store:
        assert store.durable
        health = await store.health()
        assert (health.durable, health.problems, health.version) == (True, (), 1)
        said = dict(health.details)
        assert (said["appendonly"], said["appendfsync"], said["maxmemory-policy"]) == ("yes", "always", "noeviction")
        assert said["server"].startswith("valkey 9.")
        assert (said["lease"], said["owners"], said["runs"]) == ("15 s", "1", "0")
        assert "durable" not in said


@pytest.fixture
def server(tmp_path):
    """A server that a test may set up and kill as it likes."""
    with running(tmp_path, *DURABLE) as server:
        yield server


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("appendonly", "no", "no: set appendonly yes"),
        ("appendfsync", "everysec", "no: set appendfsync always"),
        ("no-appendfsync-on-rewrite", "yes", "no: set no-appendfsync-on-rewrite no"),
    ],
)
@in_time
async def test_not_durable(server: RedisServer, name, value, said) -> None:
    server.ask("CONFIG", "SET", name, value)
    async with RedisStore(server.url()) as store:
        assert not store.durable
        health = await store.health()
        assert not health.durable
        assert ("durable", said) in health.details


@in_time
async def test_durable_no_more(server: RedisServer) -> None:
    """What was opened as durable never answers for less: it waits until the server is set up again."""
    async with RedisStore(server.url()) as store:
        await started(store)
        server.ask("CONFIG", "SET", "appendfsync", "everysec")
        with pytest.raises(StoreUnavailable, match=r"is no more \(no: set appendfsync always\)"):
            await store.reopen()
        with pytest.raises(StoreUnavailable, match="is no more"):
            await store.commit([follow(seq=3)])
        server.ask("CONFIG", "SET", "appendfsync", "always")
        await applied(store, follow(seq=3))


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
@in_time
async def test_a_server_that_evicts_is_refused(server: RedisServer, policy) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    with pytest.raises(StoreError, match=rf"maxmemory-policy {policy}\), .* set maxmemory-policy to noeviction"):
        async with RedisStore(server.url()):
            pass
    assert server.ask("KEYS", "*") == []


@in_time
async def test_a_server_that_does_not_tell(server: RedisServer) -> None:
    """Where CONFIG is not permitted a store is not durable, and INFO tells of the eviction."""
    server.ask("ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all", "-config")
    url = server.url().replace("//", "//ann:secret@")
    async with RedisStore(url) as store:
        assert not store.durable
        health = await store.health()
        assert "secret" not in health.url
        assert ("durable", "nobody knows: CONFIG GET is not permitted") in health.details
        assert ("maxmemory-policy", "noeviction") in health.details
        await started(store)
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreError, match="set maxmemory-policy to noeviction"):
        async with RedisStore(url):
            pass


@in_time
async def test_a_wrong_password(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "requirepass", "secret")
    for user in ("", ":wrong@"):
        with pytest.raises(StoreUnavailable, match="check the user and the password in its URL"):
            async with RedisStore(server.url().replace("//", f"//{user}")):
                pass


@in_time
async def test_a_replica_is_refused(server: RedisServer) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreError, match="this server is a replica: name the primary"):
        async with RedisStore(server.url()):
            pass


@in_time
async def test_nobody_there(tmp_path) -> None:
    server = RedisServer(tmp_path)
    with pytest.raises(
        StoreUnavailable, match=rf"redis://127.0.0.1:{server.port}/0.* Unable to establish a connection"
    ):
        async with RedisStore(server.url()):
            pass


@in_time
async def test_full_memory(server: RedisServer) -> None:
    """A server that has no room takes nothing of a group; it goes on when it has some."""
    async with RedisStore(server.url()) as store:
        writes = [*await started(store), follow(seq=3), follow(seq=4)]
        server.ask("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(StoreUnavailable, match=r"the server's memory is full: raise its maxmemory"):
            await store.commit(writes[2:])
        server.ask("CONFIG", "SET", "maxmemory", "0")
        assert len(await store.records("r")) == 2
        await applied(store, *writes[2:])


# -- whose keys ----------------------------------------------------------------------------------------------------


@in_time
async def test_a_newer_schema(redis: RedisServer) -> None:
    url = redis.url()
    async with RedisStore(url):
        pass
    redis.ask("HSET", base_of(url), "version", "2")
    with pytest.raises(StoreTooNew, match=r"schema 2, this one knows 1\): update Terzetto"):
        async with RedisStore(url):
            pass


@pytest.mark.parametrize("command", [("SET", "{}", "x"), ("HSET", "{}", "x", "y")])
@in_time
async def test_another_programs_key(redis: RedisServer, command) -> None:
    url = redis.url()
    redis.ask(*(word.format(base_of(url)) for word in command))
    with pytest.raises(StoreError, match="is another program's: choose another prefix"):
        async with RedisStore(url):
            pass


@in_time
async def test_stores_beside_each_other(redis: RedisServer) -> None:
    """A prefix is a store: its runs, ids and keys are its own."""
    async with RedisStore(redis.url()) as one, RedisStore(redis.url()) as other:
        for store in (one, other):
            await applied(store, first(header=header(key="k")))
        assert [len(await store.runs()) for store in (one, other)] == [1, 1]


@in_time
async def test_a_guest(redis: RedisServer) -> None:
    """SEMANTICS 11: it reads and posts; what is an owner's is refused, and it is no owner."""
    url = redis.url()
    with pytest.raises(
        StoreMissing, match=r"there is no store redis://127.0.0.1:.*: check server, database and prefix"
    ):
        async with RedisStore(url, guest=True):
            pass
    assert redis.keys(url) == []
    async with RedisStore(url) as owner:
        await started(owner)
        async with RedisStore(url, guest=True) as guest:
            found = await guest.load("r")
            assert found is not None
            assert found.owner == owner._owner
            await guest.renew()
            await guest.reopen()
            assert len([key for key in redis.keys(url) if key.startswith("owner:")]) == 1
            await guest.post(posted())
            assert await guest.posted() == [posted()]
            assert await owner.posted() == [posted()]
            refused = [
                lambda: guest.commit([follow(seq=3)]),
                lambda: guest.move_head("t", "r", "", 1.0),
                lambda: guest.prune("r", 1, epoch=1),
                lambda: guest.delete("r", epoch=1),
                lambda: guest.answer("c-1", b""),
                lambda: guest.decline("c-1"),
                lambda: guest.put_chunk("u", 0, b""),
                lambda: guest.keep_blob("d", at=1.0),
                lambda: guest.sweep_blobs(before=1.0, live=()),
            ]
            for call in refused:
                with pytest.raises(StoreInUse, match="was opened as a guest"):
                    await call()
            assert dict((await guest.health(deep=True)).details)["owner"] == "no, a guest"


@in_time
async def test_what_was_declined_is_forgotten(redis: RedisServer) -> None:
    """As soon as it may be looked at again; and what is not there, or was answered, is not noted."""
    url = redis.url()
    async with RedisStore(url) as owner:
        owner.lease = 0.05
        for name in ("a", "b"):
            await owner.post(posted(name))
        await owner.answer("b", b"done")
        for name in ("a", "b", "c"):
            await owner.decline(name)
        assert [key for key in redis.keys(url) if "\0b" in key or "\0c" in key] == []
        while await owner.posted() != [posted("a")]:  # noqa: ASYNC110 - a pause ends without telling
            await trio.sleep(0.01)
        assert [key for key in redis.keys(url) if key.startswith("declined:")] == []


@in_time
async def test_a_bell_wakes_who_waits(redis: RedisServer) -> None:
    """A command is told within milliseconds, also one that was posted between two looks."""
    url = redis.url()
    async with RedisStore(url) as owner, RedisStore(url, guest=True) as guest:
        await owner.wait_posted(0.01)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(owner.wait_posted, 20.0)
            await trio.sleep(0.05)
            await guest.post(posted("a"))
        await guest.post(posted("b"))
        await owner.wait_posted(20.0)
        assert trio.current_time() < start + 5
        with trio.move_on_after(0.05) as scope:
            await owner.wait_posted(20.0)
        assert scope.cancelled_caught, "it has rung for nothing more"
        await guest.post(posted("c"))
        await owner.wait_posted(20.0)
        assert trio.current_time() < start + 10


@in_time
async def test_all_keys_are_in_one_slot(redis: RedisServer) -> None:
    """So one script may touch all that a commit touches, also where the server is a node of a cluster."""
    url = redis.url("&ttl=1000")
    async with RedisStore(url) as store:
        await store.put_chunk("half", 0, b"x")
        await store.put_chunk("u", 0, b"x")
        await store.keep_blob("blob:1", upload="u", at=1.0)
        await applied(
            store,
            first("a", header=header("a", key="k", thread="t"), barriers=(barrier("a"),), timer=3.0, blobs=("blob:1",)),
            follow("a", 2, epoch=1, expect=0, moved=True, status=RunStatus.SUCCEEDED, thread="t"),
            first("b"),
            follow("b", 2, epoch=1, expect=0, moved=True, status=RunStatus.FAILED),
            first("c", header=header("c", thread="t", line=1), timer=3.0),
        )
        await store.post(posted())
        there = redis.keys(url)
        names = {key.partition(":")[0] for key in there}
        assert names == {
            "", "barriers", "bell", "blob", "blobs", "command", "commands", "expiring", "heads", "inbox", "is", "keys",
            "kept", "left", "line", "log", "on", "open", "owner", "owners", "run", "runs", "snapshots", "timers",
            "upload", "uploads", "waiting",
        }  # fmt: skip
        prefix = base_of(url).partition("{")[0]
        assert all(key.decode().startswith(prefix) for key in redis.ask("KEYS", f"{prefix}*"))
        slots = {_slot(base_of(url) + key) for key in there}
        assert len(slots) == 1
        assert _slot("123456789") == 12739, "as the specification of Redis says"


def _slot(key: str) -> int:
    _, _, behind = key.partition("{")
    tag = behind.partition("}")[0]
    crc = 0
    for byte in (tag or key).encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc % 16384


@in_time
async def test_what_cannot_be_stored(redis: RedisServer) -> None:
    """Is refused by itself, and so is what follows it; the others of its group are applied."""
    async with RedisStore(redis.url()) as store:
        await applied(store, first("a"), first("b"))
        group = [
            claim("a", message="\udc80"), follow("a", 3), claim("b"),
            first("c", header=header("c", at=float("nan"))), first("d", header=header("d", metadata={"n": 2**80})),
            follow("b", 3),
        ]  # fmt: skip
        kinds = [type(outcome) for outcome in await store.commit(group)]
        assert kinds == [Rejected, Rejected, Applied, Rejected, Rejected, Applied]
        [outcome] = await store.commit([claim("a", message="\udc80")])
        assert isinstance(outcome, Rejected)
        assert "cannot be stored: UnicodeEncodeError" in outcome.reason
        assert outcome.final
        with pytest.raises(StoreRejected, match="will never take this: UnicodeEncodeError"):
            await store.post(posted(run_id="\udc80"))
        assert (await store.health(deep=True)).problems == ()


@in_time
async def test_scripts_are_said_again_to_a_server_that_forgot_them(redis: RedisServer) -> None:
    async with RedisStore(redis.url()) as store:
        await started(store)
        redis.ask("SCRIPT", "FLUSH", "SYNC")
        await applied(store, follow(seq=3))


def test_every_script_is_a_file_that_says_what_it_is_for() -> None:
    folder = Path(sys.modules["terzetto.stores._redis_scripts"].__file__ or "").with_name("_lua")
    files = sorted(folder.glob("*.lua"))
    assert {path.stem for path in files} == {*scripts(), "common"}
    assert [path.name for path in files if not path.read_text().startswith("-- ")] == []


@in_time
async def test_opening_twice(redis: RedisServer) -> None:
    store = RedisStore(redis.url())
    with pytest.raises(StoreError, match="is not open: use `async with`"):
        await store.runs()
    async with store:
        with pytest.raises(StoreError, match="is open already"):
            async with store:
                pass
        await started(store)
    async with store:
        assert len(await store.runs()) == 1
