"""A Redis server that dies, hangs, comes back, or answers nobody: real servers, in real time."""

import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from coredis.connection import TCPConnection

import terzetto
from terzetto.stores import RedisStore
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted, started
from terzetto_protocol.errors import StoreUnavailable
from terzetto_protocol.records import Applied, Head
from terzetto_protocol.statuses import RunStatus

from .redis_servers import DURABLE, Cut, RedisServer, running
from .runtimes import SUCCEEDED, Tally, chain, counts, once, says
from .sqlite_stores import bodies, in_time

CERTIFICATE = Path(__file__).parent / "tls" / "cert.pem"


@pytest.fixture
def server(tmp_path):
    """A server that a test may kill."""
    with running(tmp_path, *DURABLE) as server:
        yield server


@in_time
async def test_killed_and_started_again(server: RedisServer) -> None:
    """What was acknowledged is there; what is asked meanwhile is told that nobody is; and it goes on by itself."""
    async with RedisStore(server.url()) as store:
        writes = [*await started(store), follow(seq=3)]
        await applied(store, writes[2])
        server.kill()
        for call in (
            lambda: store.commit([follow(seq=4)]),
            lambda: store.run("r"),
            store.reopen,
            store.renew,
            store.posted,
        ):
            with pytest.raises(StoreUnavailable, match=r"redis://127\.0\.0\.1"):
                await call()
        health = await store.health(deep=True)
        assert len(health.problems) == 1
        await store.wait_posted(0.05)
        server.start()
        writes.append(follow(seq=4))
        await applied(store, writes[3])
        assert await store.records("r") == bodies(*writes)
        assert (await store.health(deep=True)).problems == ()
        assert [row.run_id for row in await store.unfinished()] == ["r"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.wait_posted, 20.0)
            await trio.sleep(0.05)
            await store.post(posted())


@pytest.mark.parametrize("moment", range(4))
@in_time
async def test_killed_mid_run(server: RedisServer, moment) -> None:
    """SEMANTICS 3, 9.6: a runtime waits for its store and goes on. Nothing is lost, and nothing is done twice."""
    done = list[str]()

    def step(number: int):
        async def body(ctx) -> None:
            done.append(ctx.visit.node)
            if number == moment:
                server.kill()
                nursery.start_soon(trio.to_thread.run_sync, server.start)
            await counts()(ctx)

        body.__name__ = f"step{number}"
        return once(body) if number % 2 else body

    graph = chain(*(step(number) for number in range(4)))
    async with trio.open_nursery() as nursery:
        async with terzetto.open_runtime(server.url(), graphs=[graph]) as runtime:
            result = await (await runtime.submit(graph, Tally())).result()
            assert (result.status, result.state.count) == (SUCCEEDED, 4)
            assert done == [f"step{number}" for number in range(4)]


@in_time
async def test_hung(server: RedisServer) -> None:
    """Every call ends within the limit, whatever it waits for; and it goes on with the server."""
    async with RedisStore(server.url(), limit=0.4) as store:
        writes = [*await started(store), follow(seq=3)]
        server.signal(signal.SIGSTOP)
        start = trio.current_time()
        for call in (lambda: store.commit([writes[2]]), lambda: store.run("r"), store.reopen, store.renew):
            with pytest.raises(StoreUnavailable, match=r"the server has not answered within 0\.4 s"):
                await call()
        await store.wait_posted(0.1)
        assert trio.current_time() < start + 6
        server.signal(signal.SIGCONT)
        await applied(store, writes[2])
        assert await store.records("r") == bodies(*writes)


@in_time
async def test_a_hung_server_keeps_nobody_from_leaving(server: RedisServer) -> None:
    async with RedisStore(server.url(), limit=0.3) as store:
        await started(store)
        server.signal(signal.SIGSTOP)
    with pytest.raises(StoreUnavailable, match="has not answered"):
        async with RedisStore(server.url(), limit=0.3):
            pass
    with trio.move_on_after(0.1) as scope:
        async with RedisStore(server.url()):
            pass
    assert scope.cancelled_caught
    server.signal(signal.SIGCONT)


@in_time
async def test_a_cancelled_call_happens_before_later_ones(redis: RedisServer) -> None:
    """Or not at all: nobody meets it afterwards."""
    async with RedisStore(redis.url()) as store:
        await started(store)
        for round_ in range(20):
            write = follow(seq=3 + round_)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.commit, [write])
                for _ in range(round_ % 5):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                nursery.cancel_scope.cancel()
            there = await store.records("r", after=2 + round_)
            await trio.sleep(0.002)
            assert await store.records("r", after=2 + round_) == there
            await applied(store, write)


@asynccontextmanager
async def cut(server: RedisServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Cut]:
    proxy = Cut(server, tls)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        yield proxy
        nursery.cancel_scope.cancel()


@in_time
async def test_a_lost_answer(redis: RedisServer) -> None:
    """SEMANTICS 3: the same group again is `Applied`, and everything of it is there once."""
    async with cut(redis) as proxy, RedisStore(proxy.url()) as store:
        await applied(store, first("old", header=header("old", thread="t")), first("other"))
        end = follow("r", 4, moved=True, status=RunStatus.SUCCEEDED, thread="t", barriers=(barrier(),))
        group = [first(header=header(key="k", thread="t", line=1)), claim(), follow(seq=3), end, claim("other")]
        for _ in range(2):
            proxy.cuts = 1
            with pytest.raises(StoreUnavailable, match="Connection lost"):
                await store.commit(group)
            assert proxy.cuts == 0
            assert await store.records("r") == bodies(*group[:4]), "it was there already"
            assert await store.commit(group) == [Applied()] * 5
        assert await store.records("r") == bodies(*group[:4])
        assert await store.head("t") == Head("t", "r", end.at)
        assert len(await store.barriers()) == 1
        proxy.cuts = 1
        with pytest.raises(StoreUnavailable):
            await store.post(posted())
        await store.post(posted())
        assert len(await store.posted()) == 1
        assert (await store.health(deep=True)).problems == ()


@in_time
async def test_tls(redis: RedisServer, monkeypatch) -> None:
    """`rediss` speaks it, and only with a server whose certificate this machine trusts."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
    async with cut(redis, tls) as proxy:
        url = proxy.url().replace("redis://127.0.0.1", "rediss://localhost")
        with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            async with RedisStore(url):
                pass
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        async with RedisStore(url) as store:
            assert store.url.startswith("rediss://localhost")
            await started(store)


@in_time
async def test_lost_answers_mid_run(redis: RedisServer) -> None:
    """A run whose every step is acknowledged into the void goes through, each step once."""
    steps = list[int]()
    async with cut(redis) as proxy:

        def step(number: int):
            async def body(ctx) -> None:
                steps.append(number)
                proxy.cuts = 1
                await counts()(ctx)

            body.__name__ = f"step{number}"
            return once(body)

        graph = chain(*(step(number) for number in range(3)))
        async with terzetto.open_runtime(proxy.url(), graphs=[graph]) as runtime:
            result = await (await runtime.submit(graph, Tally(), run_id="r")).result()
            assert (result.status, result.state.count, steps) == (SUCCEEDED, 3, [0, 1, 2])


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@in_time
async def test_nothing_is_left_of_a_store(redis: RedisServer) -> None:
    """No descriptor, no task, no owner."""
    url = redis.url()

    async def tasks() -> int:
        return trio.lowlevel.current_statistics().tasks_living

    before = await tasks(), _descriptors()
    for _ in range(3):
        async with RedisStore(url) as store:
            await store.runs()
            await store.wait_posted(0.01)
            assert await tasks() > before[0]
    await trio.sleep(0.01)
    assert (await tasks(), _descriptors()) == before
    assert [key for key in redis.keys(url) if key.startswith("owner:")] == []
    with pytest.raises(ValueError, match="mine"):  # and no group around it
        async with RedisStore(url):
            raise ValueError("mine")


async def _stands_at(store: RedisStore, barrier: str) -> None:
    while barrier not in [row.barrier for row in await store.barriers()]:  # noqa: ASYNC110 - it is asked for
        await trio.sleep(0.01)


@in_time
async def test_two_runtimes_on_one_store(redis: RedisServer) -> None:
    """SEMANTICS 11: a run belongs to one of them, both may speak to it, and the other goes on with it."""
    url = redis.url("&lease=1.5")
    graph = chain(says("a"), "gate", says("b"), "last", says("c"))
    async with (
        RedisStore(url) as store,
        terzetto.open_runtime(url, graphs=[graph]) as second,
    ):
        async with terzetto.open_runtime(url, graphs=[graph]) as one:
            await one.submit(graph, Tally(), run_id="r")
            await _stands_at(store, "gate@2")
            await second.get("r").decide("gate@2", terzetto.Approve())
            await _stands_at(store, "last@4")
        await second.get("r").decide("last@4", terzetto.Approve())
        result = await second.get("r").result()
        assert (result.status, result.state.trail) == (SUCCEEDED, ["a", "b", "c"])


@in_time
async def test_a_bell_whose_connection_is_lost_unnoticed_rings_again(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the driver has not noticed ends nobody who waits for commands."""
    ask, lost = TCPConnection.create_request, [anyio.BrokenResourceError, anyio.ClosedResourceError]

    def asked(self: TCPConnection, command: bytes, *args: Any, **options: Any) -> Any:
        if command == b"XREAD" and lost:
            raise lost.pop()
        return ask(self, command, *args, **options)

    monkeypatch.setattr(TCPConnection, "create_request", asked)
    async with RedisStore(server.url()) as store:
        while lost:
            await store.wait_posted(0.1)
        with trio.fail_after(5.0):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.wait_posted, 20.0)
                await trio.sleep(0.05)
                await store.post(posted())
