"""Blobs of runs: put and read by nodes and from outside, and kept by the runs that name them (SEMANTICS 4.7)."""

from itertools import pairwise

import pytest
import trio
from attrs import define, field, frozen

import terzetto
from terzetto.stores import MemoryStore, SqliteStore
from terzetto.testing import context, recorded
from terzetto_protocol.blobs import Blob, Hasher
from terzetto_protocol.commands import Decide
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.decisions import Modify
from terzetto_protocol.errors import InvalidRequest, NotStorable, StoreRejected, StoreUnavailable, UnknownBlob
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import BLOB_CHUNK, BLOB_GRACE

from .runtimes import FAILED, SUCCEEDED, both, function, opened, stores, told
from .stores import FaultyStore

DATA = bytes(range(256)) * (BLOB_CHUNK // 100)


@define
class Album:
    cover: Blob | None = None
    pages: list[Blob] = field(factory=list)
    weight: int = 0


@frozen
class Paste:
    page: Blob

    def apply(self, album: Album) -> None:
        album.pages.append(self.page)


@frozen
class Weigh:
    weight: int

    def apply(self, album: Album) -> None:
        album.weight += self.weight


Ctx = terzetto.NodeContext[Album]


def albums(*bodies, name="albums", gate=False) -> Graph[Album]:
    graph = Graph(name, state=Album, mutations=[Paste, Weigh])
    nodes = [graph.node(name=body.__name__)(function(body)) for body in bodies]
    graph.start(nodes[0])
    for one, other in pairwise(nodes):
        graph.edge(one, other)
    if gate:
        graph.edge(nodes[-1], graph.barrier("gate", payload=lambda album: album.pages))
    return graph


async def scan(ctx: Ctx):
    async def pieces():
        for start in range(0, len(DATA), 10_000):
            yield DATA[start : start + 10_000]

    ctx.record(Paste(await ctx.blob(pieces(), media_type="image/png", name="page 1")))


async def weigh(ctx: Ctx):
    size = 0
    async with ctx.open_blob(ctx.state.pages[0]) as reader:
        async for chunk in reader:
            size += len(chunk)
    ctx.record(Weigh(size))


@both
@stores
async def test_a_node_puts_a_blob_and_another_reads_it(store, dispatch):
    """4.7: stored once by digest, in chunks, read as a stream; what the state holds is its name."""
    async with opened(store(), albums(scan, weigh), dispatch=dispatch) as runtime:
        run = await runtime.submit(albums_of(runtime), Album())
        album = (await run.result()).unwrap()

        assert [("image/png", "page 1", len(DATA))] == [(p.media_type, p.name, p.size) for p in album.pages]
        assert len(DATA) == album.weight
        assert DATA == await runtime.blob_bytes(album.pages[0])
        assert DATA == b"".join([chunk async for chunk in runtime.open_blob(album.pages[0])])


def albums_of(runtime) -> Graph[Album]:
    return runtime.registry.latest("albums").graph


async def test_a_blob_from_outside_is_the_input_of_a_run():
    """4.7: unowned until a run's input names it."""
    async with opened(MemoryStore(), graph := albums(weigh)) as runtime:
        page = await runtime.put_blob(DATA, name="page 1")
        run = await runtime.submit(graph, Album(page, [page]))

        assert len(DATA) == (await run.result()).unwrap().weight


async def read_again(ctx: Ctx):
    assert DATA == await ctx.blob_bytes(ctx.state.pages[0])
    with pytest.raises(InvalidRequest, match="the limit is 10"):
        await ctx.blob_bytes(ctx.state.pages[0], limit=10)


def weigh_in_thread(ctx: Ctx):
    page = trio.from_thread.run(ctx.blob, b"from a thread")
    ctx.record(Paste(page))
    ctx.record(Weigh(len(trio.from_thread.run(ctx.blob_bytes, page))))


async def test_without_a_runtime_blobs_are_in_memory():
    """`terzetto.run`: what the caller wants to read it keeps itself."""
    blobs = terzetto.Blobs()
    page = await blobs.put(DATA)
    graph = albums(scan, weigh, read_again)
    album = await terzetto.run(graph, Album(page, [page]), blobs=blobs, strict=True)

    assert album.pages[0].digest == album.pages[1].digest
    assert DATA == await blobs.read(album.pages[1])
    assert len(DATA) == (await terzetto.run(albums(scan, weigh), Album())).weight


async def test_a_plain_function_asks_from_its_thread():
    graph = Graph("threaded", state=Album, mutations=[Paste, Weigh])
    graph.start(graph.node(weigh_in_thread))

    assert len(b"from a thread") == (await terzetto.run(graph, Album())).weight


async def test_a_unit_test_has_blobs():
    ctx = context(Album())
    await scan(ctx)
    (paste,) = recorded(ctx)

    assert DATA == await ctx.blob_bytes(paste.page)


async def test_a_unit_test_may_share_them():
    blobs = terzetto.Blobs()
    page = await blobs.put(DATA)
    ctx = context(Album(pages=[page]), blobs=blobs)
    await weigh(ctx)

    assert [Weigh(len(DATA))] == recorded(ctx)


async def test_a_blob_goes_along_a_link():
    """5.7: a value that a node of a dataflow sends, of its declared type at the other end."""
    flow: Dataflow[None] = Dataflow("scans")

    @flow.node(outputs={"page": Blob})
    async def scanner(ctx: terzetto.FlowContext):
        yield "page", await ctx.blob(DATA, name="page 1")

    @flow.node(outputs=["size"])
    async def scales(ctx: terzetto.FlowContext, page: Blob):
        return {"size": len(await ctx.blob_bytes(page))}

    flow.link(scanner.out("page"), scales, "page")
    flow.output("size", scales.out("size"))
    async with opened(MemoryStore(), flow) as runtime:
        result = await (await runtime.submit(flow, flow.begin())).result()

    assert {"size": [len(DATA)]} == result.unwrap().outputs


# -- names of what is not there ---------------------------------------------------------------------------------------


def unknown(data: bytes = b"unknown") -> Blob:
    hasher = Hasher()
    hasher.add(data)
    return Blob(hasher.digest, hasher.size)


@stores
async def test_an_input_that_names_what_is_not_there_is_refused(store):
    """D3: nothing refers to a blob that is not durable."""
    async with opened(store(), graph := albums(weigh)) as runtime:
        with pytest.raises(StoreRejected, match=r"names blob:.*, which this store does not have"):
            await runtime.submit(graph, Album(unknown()), run_id="r")
        assert [] == await runtime.runs()


@stores
async def test_a_node_that_names_what_is_not_there_fails_its_run(store):
    """D3, 2: FAILED(store_rejected), and the message says why."""

    async def invent(ctx: Ctx):
        ctx.record(Paste(unknown()))

    async with opened(store(), graph := albums(invent)) as runtime:
        result = await (await runtime.submit(graph, Album(), run_id="r")).result()

    assert (FAILED, "store_rejected") == (result.status, result.code)
    assert "names blob:" in result.message


async def test_reading_what_is_not_there_fails_the_node():
    with pytest.raises(terzetto.RunFailed, match="node 'weigh': UnknownBlob: no blob:"):
        await terzetto.run(albums(weigh), Album(pages=[unknown()]))


@pytest.mark.parametrize("how", ["runtime", "desk"])
async def test_a_decision_may_name_a_blob_that_is_there(how):
    """6.3: a decision that cannot be taken is refused, and the barrier keeps waiting."""
    async with opened(MemoryStore(), graph := albums(scan, gate=True)) as runtime:
        run = await runtime.submit(graph, Album(), run_id="r")
        page = terzetto.payload_of((await told(run, terzetto.BarrierOpened))[-1])[0]
        assert Blob(unknown(DATA).digest, len(DATA), "image/png", "page 1").plain == page
        with pytest.raises(InvalidRequest, match=r"the decision names blob:.*, and this store has no such"):
            await decide(runtime, how, unknown())
        assert 1 == len(await run.barriers())
        cover = await runtime.put_blob(b"cover")
        await decide(runtime, how, cover)
        assert cover == (await run.result()).unwrap().cover
        await sweep(runtime)
        assert b"cover" == await runtime.blob_bytes(cover)


async def decide(runtime, how, cover):
    decision = Modify({"cover": cover.plain})
    if how == "runtime":
        await runtime.decide("r", "gate@2", decision)
    else:
        await runtime.ask(Decide("c-1", "r", "gate@2", decision))


# -- who keeps what ---------------------------------------------------------------------------------------------------


async def sweep(runtime) -> None:
    """As if a day had passed."""
    while await runtime.store.sweep_blobs(before=4e9, live=()):
        pass


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


async def test_a_run_keeps_what_it_has_put_and_named(store):
    """4.7: a blob named by a stored record is always readable; one that nobody names is swept."""
    async with opened(store, graph := albums(scan)) as runtime:
        nobody = await runtime.put_blob(b"nobody's")
        mine = await runtime.put_blob(b"mine")
        album = (await (await runtime.submit(graph, Album(mine))).result()).unwrap()
        await sweep(runtime)

        assert (b"mine", DATA) == (await runtime.blob_bytes(mine), await runtime.blob_bytes(album.pages[0]))
        with pytest.raises(UnknownBlob):
            await runtime.blob_bytes(nobody)


async def test_a_fork_keeps_what_it_goes_on_with(store):
    """4.7: fork shares blobs: when the parent is gone, they are still there."""
    async with opened(store, graph := albums(scan, gate=True)) as runtime:
        run = await runtime.submit(graph, Album(), run_id="r")
        await told(run, terzetto.BarrierOpened)
        fork = await runtime.fork("r", new_id="fork")
        await told(fork, terzetto.BarrierOpened)
        (page,) = (await runtime.state("fork")).pages
        await runtime.cancel("r")
        await forget(runtime.store, "r")
        await sweep(runtime)
        assert DATA == await runtime.blob_bytes(page)
        await runtime.cancel("fork")
        await forget(runtime.store, "fork")
        await sweep(runtime)
        with pytest.raises(UnknownBlob):
            await runtime.blob_bytes(page)


async def forget(store, run_id: str) -> None:
    """Delete a run, as the store does it."""
    if isinstance(store, MemoryStore):
        store._wake(run_id)
        del store._runs[run_id]
        store._let_go(run_id)
    else:
        await store._thread.call("test", store._connection.execute, "delete from runs where id = ?", (run_id,))


async def test_blobs_are_there_after_a_restart(tmp_path):
    """A node that runs again puts the same bytes, which are there already."""
    graph = albums(scan, gate=True)
    async with opened(SqliteStore(tmp_path / "runs.db"), graph) as runtime:
        await told(await runtime.submit(graph, Album(), run_id="r"), terzetto.BarrierOpened)
    async with opened(SqliteStore(tmp_path / "runs.db"), graph) as runtime:
        await runtime.decide("r", "gate@2", terzetto.Approve())
        result = await runtime.get("r").result()
        assert SUCCEEDED is result.status
        assert DATA == await runtime.blob_bytes(result.state.pages[0])
        assert () == (await runtime.store.health(deep=True)).problems


async def test_the_result_of_an_effect_may_be_a_blob():
    """7: it is stored with the visit, and told again to a body that runs again."""
    calls = []

    async def fetch(ctx: Ctx):
        async def download(key: str) -> Blob:
            calls.append(key)
            return await ctx.blob(DATA)

        page = await ctx.effect("download", download, result=Blob)
        ctx.record(Paste(page))

    async with opened(MemoryStore(), graph := albums(fetch)) as runtime:
        album = (await (await runtime.submit(graph, Album())).result()).unwrap()
        assert DATA == await runtime.blob_bytes(album.pages[0])
    assert 1 == len(calls)


async def test_a_blob_is_durable_before_the_commit_that_names_it(autojump_clock):
    """D3: the last step of the put is answered before the node can record its name."""
    store = FaultyStore()
    order = []
    keep = store.keep_blob

    async def keep_blob(digest, **options):
        found = await keep(digest, **options)
        order.append("blob" if found else "looked")
        return found

    store.keep_blob = keep_blob
    store.meanwhile = lambda writes: order.extend("commit" for write in writes if write.blobs)
    async with opened(store, graph := albums(scan)) as runtime:
        await (await runtime.submit(graph, Album())).result()

    assert ["blob", "commit"] == order


async def test_a_cancelled_run_leaves_nothing_that_can_be_seen(autojump_clock):
    store, begun = MemoryStore(), trio.Event()

    async def endless(ctx: Ctx):
        async def pieces():
            while True:
                yield b"x" * BLOB_CHUNK
                begun.set()
                await trio.sleep(1)

        await ctx.blob(pieces())

    async with opened(store, graph := albums(endless), limit=200) as runtime:
        run = await runtime.submit(graph, Album())
        await begun.wait()
        await run.cancel()
        await run.result()
        assert 1 == len(store._uploads)
        await trio.sleep(61)
        assert ({}, {}) == (store._uploads, store._blobs)


async def test_the_size_of_blobs_is_limited():
    async with opened(MemoryStore(), albums(scan), max_blob=10) as runtime:
        assert 10 == (await runtime.put_blob(b"x" * 10)).size
        with pytest.raises(NotStorable, match="more than 10 bytes"):
            await runtime.put_blob(b"x" * 11)


async def test_no_new_blob_is_taken_while_the_store_is_gone(autojump_clock):
    """9.6: new work is refused meanwhile."""
    store = FaultyStore()
    async with opened(store, albums(scan)) as runtime:
        store.down = True
        with trio.move_on_after(1):
            await runtime.put_blob(b"x")
        with pytest.raises(StoreUnavailable):
            await runtime.put_blob(b"x")
        store.down = False
        await trio.sleep(15)
        assert 1 == (await runtime.put_blob(b"x")).size


async def test_one_from_outside_waits_for_its_run_for_a_day(autojump_clock):
    async with opened(MemoryStore(), graph := albums(weigh), limit=3 * BLOB_GRACE) as runtime:
        page = await runtime.put_blob(DATA)
        await trio.sleep(BLOB_GRACE / 2)
        run = await runtime.submit(graph, Album(pages=[page]))
        assert SUCCEEDED is (await run.result()).status
        await trio.sleep(BLOB_GRACE)
        assert DATA == await runtime.blob_bytes(page)
