"""Runs that are forgotten some time after their end: whole, and never before it."""

import pytest
import trio

from terzetto.stores import RedisStore
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted
from terzetto_protocol.blobs import Hasher
from terzetto_protocol.errors import StoreDamaged, StoreRejected, UnknownRun
from terzetto_protocol.records import Write
from terzetto_protocol.statuses import RunStatus

from .redis_servers import RedisServer, base_of
from .sqlite_stores import in_time

PARTS = ("run:", "log:", "snapshots:", "barriers:")


def _end(run_id: str, seq: int = 3, status: RunStatus = RunStatus.SUCCEEDED, **changes) -> Write:
    return follow(run_id, seq, moved=True, status=status, **changes)


def _ttls(redis: RedisServer, url: str, run_id: str) -> list[int]:
    """Milliseconds that the keys of a run have left; -1 for those that have no such time, -2 for those that are not."""
    return [redis.ask("PTTL", f"{base_of(url)}{part}{run_id}") for part in PARTS]


async def _gone(redis: RedisServer, url: str, run_id: str) -> None:
    with trio.fail_after(10):
        while _ttls(redis, url, run_id) != [-2] * 4:  # noqa: ASYNC110 - nobody tells when a key expires
            await trio.sleep(0.01)


@in_time
async def test_without_a_time_nothing_expires(redis: RedisServer) -> None:
    url = redis.url()
    async with RedisStore(url) as store:
        await applied(store, first("r", barriers=(barrier(),)), claim("r"), _end("r"))
        assert _ttls(redis, url, "r") == [-1] * 4


@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED])
@in_time
async def test_a_run_that_has_ended_expires(redis: RedisServer, status) -> None:
    """All its keys at the same moment, counted from the end; what has not ended has no such time."""
    url = redis.url("&ttl=1000")
    async with RedisStore(url) as store:
        await applied(
            store, first("r", barriers=(barrier(),)), claim("r"), first("other", barriers=(barrier("other"),))
        )
        assert _ttls(redis, url, "r") == [-1] * 4
        await applied(store, _end("r", status=status), follow("other", 2, expect=0, epoch=0, moved=True))
        left = _ttls(redis, url, "r")
        assert all(990_000 < each <= 1_000_000 for each in left)
        assert _ttls(redis, url, "other") == [-1] * 4
        assert [row.run_id for row in await store.runs()] == ["r", "other"]


@in_time
async def test_what_has_expired_was_never_there(redis: RedisServer) -> None:
    """Readers, lists, keys, blobs: nothing is missed, nothing is damaged, and the id and the key are free."""
    url = redis.url("&ttl=0.05")
    hasher = Hasher()
    hasher.add(b"x")
    async with RedisStore(url) as store:
        await store.put_chunk("u", 0, b"x")
        await store.keep_blob(hasher.digest, upload="u", at=0.0)
        await applied(
            store,
            first("r", header=header("r", key="k", thread="t"), blobs=(hasher.digest,)), claim("r"), first("other"),
        )  # fmt: skip
        await store.post(posted("done"))
        await store.answer("done", b"x")
        end = _end("r", status=RunStatus.FAILED)
        await applied(store, end)
        async with RedisStore(url, guest=True) as guest:
            await _gone(redis, url, "r")
            for reader in (guest, store, store):
                assert [row.run_id for row in await reader.runs()] == ["other"]
                assert await reader.runs(statuses=[RunStatus.FAILED]) == []
                assert await reader.runs(thread="t") == []
                assert await reader.run("r") is None
                assert await reader.load("r") is None
                assert await reader.run_by_key("k") is None
                assert await reader.records("r") == []
                assert await reader.barriers(only_open=False) == []
                with pytest.raises(UnknownRun):
                    await reader.runs(before="r")
        assert await store.receipt("done") is None
        assert (await store.health(deep=True)).problems == ()
        there = redis.keys(url)
        assert [key for key in there if key.endswith(":r") or key in ("expiring", "left", "keys", "on:t")] == []
        while await store.sweep_blobs(before=1.0, live=()):
            pass
        assert await store.blob_chunk(hasher.digest, 0) is None
        again = [first("r", header=header("r", key="k", at=500.0)), claim("r")]
        await applied(store, *again)
        assert len(await store.records("r")) == 2


@in_time
async def test_an_expired_key_is_free_before_its_list_was_cleaned(redis: RedisServer) -> None:
    url = redis.url("&ttl=0.03")
    async with RedisStore(url) as store:
        await applied(store, first("r", header=header("r", key="k")), claim("r"), _end("r"))
        await _gone(redis, url, "r")
        await applied(store, first("s", header=header("s", key="k")))
        assert [row.run_id for row in await store.runs()] == ["s"]


@in_time
async def test_a_head_does_not_expire(redis: RedisServer) -> None:
    """The next run of its thread begins with it; it expires after another is the head, and comes back as one."""
    url = redis.url("&ttl=1000")
    async with RedisStore(url) as store:
        for name in "ab":
            await applied(store, first(name, header=header(name, thread="t")), claim(name), _end(name, thread="t"))
            assert _ttls(redis, url, name)[0] == -1
        assert _ttls(redis, url, "a")[0] > 0
        assert await store.move_head("t", "b", "a", 9.0)
        assert [_ttls(redis, url, name)[0] > 0 for name in "ab"] == [False, True]
        assert await store.move_head("t", "a", "", 9.0)
        assert [_ttls(redis, url, name)[0] > 0 for name in "ab"] == [True, True]
        assert (await store.health(deep=True)).problems == ()


@in_time
async def test_a_head_cannot_go_back_to_what_has_expired(redis: RedisServer) -> None:
    url = redis.url("&ttl=0.03")
    async with RedisStore(url) as store:
        for name in "ab":
            await applied(store, first(name, header=header(name, thread="t")), claim(name), _end(name, thread="t"))
        await _gone(redis, url, "a")
        with pytest.raises(StoreRejected, match="there is no run 'a'"):
            await store.move_head("t", "b", "a", 9.0)
        found = await store.head("t")
        assert found is not None
        assert found.run_id == "b"


@in_time
async def test_what_vanishes_before_its_time_is_damaged(redis: RedisServer) -> None:
    url = redis.url("&ttl=1000")
    async with RedisStore(url) as store:
        await applied(store, first("r"), claim("r"), _end("r"))
        redis.ask("DEL", base_of(url) + "run:r")
        with pytest.raises(StoreDamaged):
            await store.run("r")
        [row] = await store.runs()
        assert (row.run_id, row.status) == ("r", RunStatus.INTERRUPTED)
        assert row.damaged
