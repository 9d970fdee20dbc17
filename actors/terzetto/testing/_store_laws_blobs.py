"""Laws about blobs: what can be read, who keeps them, and what is swept."""

from collections.abc import Sequence
from functools import partial
from math import inf

import trio

from terzetto_protocol.blobs import Hasher
from terzetto_protocol.limits import BLOB_CHUNK, BLOB_SWEEP_CHUNKS
from terzetto_protocol.records import Applied, Rejected, Stale
from terzetto_protocol.statuses import RunStatus

from ..stores import Store
from ._store_laws import LawBook, Opener, applied, barrier, expect, first, follow, started

BOOK = LawBook()


def _digest(chunks: Sequence[bytes]) -> str:
    hasher = Hasher()
    for chunk in chunks:
        hasher.add(chunk)
    return hasher.digest


async def _upload(store: Store, chunks: Sequence[bytes], name: str = "upload") -> str:
    """Put chunks under a name of their own; returns the digest that they ought to get."""
    for number, chunk in enumerate(chunks):
        await store.put_chunk(name, number, chunk)
    return _digest(chunks)


async def _put(store: Store, *chunks: bytes, run_id: str = "", at: float = 0.0) -> str:
    name = f"upload of {chunks[0][:20]!r}"
    digest = await _upload(store, chunks, name)
    expect(await store.keep_blob(digest, upload=name, run_id=run_id, at=at), True, "what was uploaded is there")
    return digest


async def _read(store: Store, digest: str) -> list[bytes] | None:
    """The chunks of a blob; None for one that is not there."""
    chunks: list[bytes] = []
    while (chunk := await store.blob_chunk(digest, len(chunks))) is not None:
        chunks.append(chunk)
    return chunks or None


async def _sweep(store: Store, before: float = inf, *live: str) -> None:
    while await store.sweep_blobs(before=before, live=live):
        pass


@BOOK.law
async def a_blob_comes_back_as_it_was(store: Store) -> None:
    """Chunks are any bytes, as large as they are made, and there is nothing behind the last one."""
    for chunks in ([b""], [b"\0"], [b"x" * BLOB_CHUNK, bytes(range(256)), b"\xff"], [b"a"] * 30):
        digest = await _put(store, *chunks)
        expect(await _read(store, digest) == chunks, True, "the chunks in their order")
        expect(await store.blob_chunk(digest, len(chunks) + 5), None, "far behind the last one")


@BOOK.law
async def an_upload_is_invisible_until_it_has_its_digest(store: Store) -> None:
    """Nobody can read what is only half there, by whatever name."""
    digest = await _upload(store, [b"a", b"b"])
    expect([await _read(store, name) for name in (digest, "upload", "")], [None] * 3, "nothing can be read")
    expect(await store.keep_blob(digest, at=1.0), False, "nothing is there to be kept")
    expect(await store.keep_blob(digest, upload="upload", at=1.0), True, "now it is")
    expect(await _read(store, digest), [b"a", b"b"], "and all of it")


@BOOK.law
async def everything_may_be_said_again(store: Store) -> None:
    """A call whose answer was lost is repeated, and changes nothing more."""
    for number, chunk in [(0, b"a"), (0, b"a"), (1, b"b"), (1, b"b"), (0, b"a")]:
        await store.put_chunk("upload", number, chunk)
    digest = _digest([b"a", b"b"])
    for _ in range(3):
        expect(await store.keep_blob(digest, upload="upload", at=1.0), True, "it is there")
    expect(await _read(store, digest), [b"a", b"b"], "once")


@BOOK.law
async def the_same_bytes_are_stored_once(store: Store) -> None:
    """The blob that is there stays; what was uploaded a second time is swept."""
    digest = await _put(store, b"ab")
    again = await _upload(store, [b"a", b"b"], "again")
    expect(again, digest, "the same bytes")
    expect(await store.keep_blob(digest, upload="again", at=1.0), True, "it is there")
    expect(await _read(store, digest), [b"ab"], "the first one")
    await _sweep(store, 0.0)
    expect(await _read(store, digest), [b"ab"], "it is no part of what was swept")


@BOOK.law
async def a_blob_that_is_not_there_cannot_be_kept(store: Store) -> None:
    """Asking for it makes nothing."""
    await started(store)
    digest = _digest([b"a"])
    expect(await store.keep_blob(digest, run_id="r", at=1.0), False, "it is not there")
    expect(await store.keep_blob(digest, upload="unknown", run_id="r", at=1.0), False, "nor was it uploaded")
    expect(await _read(store, digest), None, "it still is not")


@BOOK.law
async def a_run_keeps_what_was_put_for_it(store: Store) -> None:
    """Whatever its age; and so does every other run that asks for the same."""
    await started(store, "a")
    await started(store, "b")
    digest = await _put(store, b"x", run_id="a")
    expect(await store.keep_blob(digest, run_id="b", at=5.0), True, "b keeps it too")
    await _sweep(store)
    expect(await _read(store, digest), [b"x"], "it is kept")


@BOOK.law
async def a_run_that_is_deleted_keeps_nothing(store: Store) -> None:
    """What it kept, put for it or named by its commits, stays until the last run that keeps it is gone."""
    shared, named, alone = [await _put(store, data, at=0.0) for data in (b"shared", b"named", b"alone")]
    for run_id, blobs in (("a", (named, alone)), ("b", (named,))):
        await started(store, run_id)
        await applied(store, follow(run_id, 3, moved=True, status=RunStatus.SUCCEEDED, blobs=blobs))
        await store.keep_blob(shared, run_id=run_id, at=0.0)
    for run_id, left in (("", [True, True, True]), ("a", [True, True, False]), ("b", [False, False, False])):
        if run_id:
            await store.delete(run_id, epoch=1)
        await _sweep(store)
        found = [await _read(store, digest) is not None for digest in (shared, named, alone)]
        expect(found, left, f"the blobs when run {run_id!r} is gone")
    await started(store, "a")
    expect(await store.keep_blob(named, run_id="a", at=0.0), False, "a new run of that id has none of it")


@BOOK.law
async def a_prune_lets_no_blob_go(store: Store) -> None:
    """What pruned commits have named may stand in every state since."""
    digest = await _put(store, b"x")
    await started(store)
    await applied(store, follow(seq=3, blobs=(digest,)), follow(seq=4, snapshot=b"4"))
    expect(await store.prune("r", 4, epoch=1), 3, "commits that are gone")
    await _sweep(store)
    expect(await _read(store, digest), [b"x"], "it is kept")


@BOOK.law
async def what_no_run_keeps_is_swept_when_it_is_old(store: Store) -> None:
    """It counts when it was last kept without a run; for an unknown run that is the same."""
    await started(store)
    old, young, foreign = [await _put(store, data, at=10.0) for data in (b"old", b"young", b"foreign")]
    await store.keep_blob(young, at=30.0)
    await store.keep_blob(young, at=20.0)
    await store.keep_blob(foreign, run_id="unknown", at=30.0)
    await _sweep(store, 25.0)
    found = [await _read(store, digest) for digest in (old, young, foreign)]
    expect(found, [None, [b"young"], [b"foreign"]], "those that were kept since")
    expect(await store.keep_blob(old, at=40.0), False, "it is gone")
    expect(await _put(store, b"old", at=40.0), old, "and may come back")
    await _sweep(store, 40.0)
    expect([await _read(store, digest) for digest in (old, young)], [[b"old"], None], "the same rule again")


@BOOK.law
async def uploads_that_do_not_go_on_are_swept(store: Store) -> None:
    """However young they are; the others go on."""
    digest = await _upload(store, [b"a"], "live")
    gone = await _upload(store, [b"b"] * (BLOB_SWEEP_CHUNKS + 1), "left")
    await _sweep(store, 0.0, "live", "another")
    await store.put_chunk("live", 1, b"more")
    expect(await store.keep_blob(gone, upload="left", at=1.0), False, "it was swept")
    digest = _digest([b"a", b"more"])
    expect(await store.keep_blob(digest, upload="live", at=1.0), True, "it went on")
    expect(await _read(store, digest), [b"a", b"more"], "all of it")


@BOOK.law
async def a_blob_is_swept_at_once_and_freed_in_pieces(store: Store) -> None:
    """A large one may take several calls, between which commits go; no half of it can be read meanwhile."""
    chunks = [b"%d" % number for number in range(3 * BLOB_SWEEP_CHUNKS)]
    digest = await _put(store, *chunks)
    more = await store.sweep_blobs(before=inf, live=())
    expect(await _read(store, digest), None, "it is gone at once")
    await applied(store, first())
    expect(await _put(store, *chunks), digest, "the same is put again meanwhile")
    for _ in range(100 if more else 0):
        if not await store.sweep_blobs(before=0.0, live=()):
            break
    expect(await store.sweep_blobs(before=0.0, live=()), False, "there is an end to it")
    expect(await _read(store, digest), chunks, "the new one is whole")


@BOOK.law
async def a_commit_makes_its_run_keep_what_it_names(store: Store) -> None:
    """In its own transaction: the first one of a run, an everyday one, and one that moves the run."""
    digests = [await _put(store, b"blob %d" % number) for number in range(5)]
    writes = [
        first(blobs=(digests[0], digests[1])),
        follow(seq=2, epoch=1, expect=0, moved=True, blobs=(digests[2],)),
        follow(seq=3, blobs=(digests[3],)),
        follow(seq=4, blobs=(digests[3], digests[0])),
    ]
    for write in writes:
        await applied(store, write)
        await applied(store, write)  # also when its answer was lost
    await _sweep(store)
    found = [await _read(store, digest) is not None for digest in digests]
    expect(found, [True] * 4 + [False], "those that were named")


@BOOK.law
async def a_commit_that_names_a_missing_blob_is_rejected(store: Store) -> None:
    """Nothing refers to a blob that is not there; the others of the group are applied."""
    missing, there = _digest([b"missing"]), await _put(store, b"there")
    await started(store)
    group = [
        first("new", blobs=(missing,), barriers=(barrier("new"),)),
        follow(seq=3, blobs=(there,)),
        follow(seq=4, blobs=(there, missing), snapshot=b"no", barriers=(barrier(),)),
        first("other", blobs=(there,)),
    ]
    outcomes = await store.commit(group)
    expect([type(each) for each in outcomes], [Rejected, Applied, Rejected, Applied], "each for itself")
    expect(missing in str(outcomes[2]), True, "the blob is named")
    expect(await store.run("new"), None, "the run is not there")
    expect(await store.barriers(only_open=False), [], "nothing of the other is there")
    expect(await store.records("r", after=2), [group[1].body], "the commit that names what is there")
    [alone] = await store.commit([follow(seq=4, blobs=(missing,))])
    expect(type(alone), Rejected, "also when it comes alone")


@BOOK.law
async def a_write_that_is_refused_keeps_nothing(store: Store) -> None:
    """A stale owner's commit is none, and what it names is not kept for it."""
    await started(store)
    digest = await _put(store, b"x")
    expect(await store.commit([follow(seq=3, expect=0, epoch=0, blobs=(digest,))]), [Stale(1)], "it is stale")
    await _sweep(store)
    expect(await _read(store, digest), None, "nobody keeps it")


@BOOK.opener_law
async def blobs_survive_closing(opener: Opener) -> None:
    """A durable store has what it said is there; a half upload stays invisible, and is swept by the next owner."""
    async with opener() as store:
        await started(store)
        mine, free = await _put(store, b"mine", run_id="r"), await _put(store, b"free", at=1.0)
        half = await _upload(store, [b"half", b"a blob"])
        durable = store.durable
    async with opener() as store:
        if not durable:
            return
        expect([await _read(store, each) for each in (mine, free, half)], [[b"mine"], [b"free"], None], "what is there")
        expect((await store.health(deep=True)).problems, (), "nothing is wrong with it")
        await _sweep(store)
        expect([await _read(store, each) for each in (mine, free)], [[b"mine"], None], "what the run keeps")
        expect(await store.keep_blob(half, upload="upload", at=1.0), False, "the half one is gone")


@BOOK.law
async def a_cancelled_call_about_a_blob_happened_or_not(store: Store) -> None:
    """At whatever moment: a chunk is there or not, a blob can be read whole or not at all."""
    for later in range(10):
        name, chunks = f"upload {later}", [b"%d" % later, b"rest"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.put_chunk, name, 0, chunks[0])
            for _ in range(later):
                await trio.lowlevel.cancel_shielded_checkpoint()
            nursery.cancel_scope.cancel()
        digest = await _upload(store, chunks, name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(store.keep_blob, digest, upload=name, at=1.0))
            for _ in range(later):
                await trio.lowlevel.cancel_shielded_checkpoint()
            nursery.cancel_scope.cancel()
        expect(await _read(store, digest) in (None, chunks), True, "whole or not at all")
        expect(await store.keep_blob(digest, upload=name, at=1.0), True, "said again, it is there")
        expect(await _read(store, digest), chunks, "all of it")
