"""Laws about writing: what is applied, what is refused, and what a group is."""

import msgspec
import trio

from terzetto_protocol.limits import MESSAGE_BYTES, STATE_BYTES
from terzetto_protocol.records import Applied, Exists, Rejected, RunRow, Stale, Write
from terzetto_protocol.statuses import RunStatus

from ..stores import Store
from ._store_laws import (
    LawBook,
    Opener,
    applied,
    barrier,
    claim,
    expect,
    first,
    follow,
    header,
    row_after,
    started,
)  # fmt: skip

BOOK = LawBook()
_OK = Applied()


async def _nothing_else(store: Store, run_id: str, *writes: Write) -> None:
    # The run is exactly what these writes made of it.
    expect(await store.run(run_id), row_after(*writes), f"the row of run {run_id!r}")
    expect(await store.records(run_id), [write.body for write in writes], f"the commits of run {run_id!r}")


@BOOK.law
async def a_first_write_creates_the_run(store: Store) -> None:
    """Its row, its commit and its snapshot are there."""
    write = first(header=header(key="k", metadata={"who": "me", "n": 3, "x": 1.5, "on": True}, auto_approve=True))
    expect(await store.commit([write]), [_OK], "a first write is applied")
    await _nothing_else(store, "r", write)
    expect(await store.run_by_key("k"), row_after(write), "the run is found by its key")
    expect(await store.snapshot("r"), (1, b"snapshot 1"), "the snapshot is there")


@BOOK.law
async def a_taken_id_exists(store: Store) -> None:
    """Another header with the id of a run changes nothing and tells the run's row."""
    mine = first()
    other = first(header=header(graph="other", key="k"), body=b"other", snapshot=b"other", barriers=(barrier(),))
    await applied(store, mine)
    expect(await store.commit([other]), [Exists(row_after(mine))], "the id is taken")
    expect(await store.commit([first(seq=2, body=b"2")]), [Exists(row_after(mine))], "whatever its seq says")
    await _nothing_else(store, "r", mine)
    expect(await store.run_by_key("k"), None, "the key of a refused write is free")
    expect(await store.snapshot("r"), (1, b"snapshot 1"), "the snapshot of a refused write is not there")
    expect(await store.barriers(only_open=False), [], "the barrier of a refused write is not there")


@BOOK.law
async def a_taken_key_exists(store: Store) -> None:
    """One run per idempotency key; the empty one is no key."""
    mine = first("a", header=header("a", key="k"))
    await applied(store, mine)
    outcomes = await store.commit([first("b", header=header("b", key="k")), first("c"), first("d")])
    expect(outcomes, [Exists(row_after(mine)), _OK, _OK], "the key is taken, and empty keys are none")
    expect(await store.run("b"), None, "the refused run is not there")
    expect(await store.run_by_key(""), None, "no run has the empty key")


@BOOK.law
async def a_group_may_take_an_id_twice(store: Store) -> None:
    """Inside one group the first writer of an id or key wins, and the others see its row."""
    mine, other = first(), first(header=header(input_digest="other"))
    same_key = [first(name, header=header(name, key="k")) for name in ("a", "b")]
    outcomes = await store.commit([mine, other, *same_key])
    wanted = [_OK, Exists(row_after(mine)), _OK, Exists(row_after(same_key[0]))]
    expect(outcomes, wanted, "the first of each wins")


@BOOK.law
async def a_first_write_again_is_applied(store: Store) -> None:
    """A first write whose answer was lost may be written again, also when the run has gone on."""
    writes = await started(store)
    expect(await store.commit([writes[0]]), [_OK], "it is there already")
    await _nothing_else(store, "r", *writes)


@BOOK.law
async def an_old_epoch_is_stale(store: Store) -> None:
    """A write under another epoch than the run's is refused whole, and told the current one."""
    writes = await started(store)
    late = follow(seq=3, expect=0, epoch=0, snapshot=b"late", barriers=(barrier(),))
    group = [late, msgspec.structs.replace(late, moved=True), claim(seq=3, epoch=3)]
    expect(await store.commit(group), [Stale(1)] * 3, "the run has epoch 1")
    for write in group:
        expect(await store.commit([write]), [Stale(1)], "the run has epoch 1, also for a write that comes alone")
    await _nothing_else(store, "r", *writes)
    expect(await store.snapshot("r"), (1, b"snapshot 1"), "the snapshot of a refused write is not there")
    expect(await store.barriers(only_open=False), [], "the barrier of a refused write is not there")


@BOOK.law
async def a_lost_owner_is_stale_at_a_seq_that_is_taken(store: Store) -> None:
    """Where the new owner has written, the old one learns that it is stale, and not that it wrote this."""
    writes = await started(store)
    again = claim(seq=3, epoch=2)
    await applied(store, again)
    expect(await store.commit([follow(seq=3)]), [Stale(2)], "commit 3 is the new owner's")
    await _nothing_else(store, "r", *writes, again)


@BOOK.law
async def a_write_again_is_applied(store: Store) -> None:
    """What is there already (same run, seq, epoch, content) is `Applied` and not there twice."""
    writes = await started(store)
    more = [follow(seq=seq) for seq in (3, 4, 5)]
    await applied(store, *more)
    await applied(store, *writes, *more)
    longer = [*more[1:], follow(seq=6)]  # cut otherwise than the first time
    await applied(store, *longer)
    await _nothing_else(store, "r", *writes, *more, longer[-1])
    taken = claim(seq=7, epoch=2)
    await applied(store, taken, more[0], taken)
    await _nothing_else(store, "r", *writes, *more, longer[-1], taken)


@BOOK.law
async def other_content_is_rejected(store: Store) -> None:
    """A seq that holds another commit of the same epoch is never overwritten, and never called applied."""
    writes = [*await started(store), follow(seq=3)]
    await applied(store, writes[-1])
    [outcome] = await store.commit([follow(seq=3, body=b"other")])
    expect(type(outcome), Rejected, "commit 3 has other content")
    await _nothing_else(store, "r", *writes)


@BOOK.law
async def a_hole_is_rejected(store: Store) -> None:
    """Commits of a run follow one another from 1 on; nothing is written that would leave a hole."""
    writes = await started(store)
    for hole in (follow(seq=4), claim(seq=4, epoch=2), follow(seq=9), follow(seq=0), follow(seq=-1)):
        [outcome] = await store.commit([hole])
        expect(type(outcome), Rejected, "only commit 3 follows 2, also when it comes alone")
    outcomes = await store.commit([follow(seq=4), claim(seq=5, epoch=2), follow(seq=3), follow(seq=5)])
    expect([type(one) for one in outcomes], [Rejected, Rejected, Applied, Rejected], "only commit 3 follows 2")
    await _nothing_else(store, "r", *writes, follow(seq=3))
    [outcome] = await store.commit([first("x", seq=2)])
    expect(type(outcome), Rejected, "a run begins with commit 1")
    expect(await store.run("x"), None, "the run without a beginning is not there")


@BOOK.law
async def an_unknown_run_is_rejected(store: Store) -> None:
    """Only a header creates a run."""
    for write in (follow("x", 1), claim("x", 1), claim("x", 2, snapshot=b"s", barriers=(barrier("x"),))):
        [outcome] = await store.commit([write])
        expect(type(outcome), Rejected, "there is no such run")
    expect(await store.run("x"), None, "no run was created")
    expect(await store.records("x"), [], "no commit was stored")
    expect(await store.barriers(only_open=False), [], "no barrier was stored")


@BOOK.law
async def a_refusal_leaves_the_others_alone(store: Store) -> None:
    """In a group each write is judged by itself, and answered in its place."""
    await applied(store, *(write for name in "abcd" for write in (first(name), claim(name))))
    group = [
        follow("a", 3), follow("b", 3, expect=7, epoch=7), first("a", header=header("a", graph="x")), follow("c", 3),
        follow("b", 3), follow("c", 5), claim("d", 3, epoch=2), follow("d", 4), follow("a", 4), first("e"),
    ]  # fmt: skip
    wanted = [Applied, Stale, Exists, Applied, Applied, Rejected, Applied, Stale, Applied, Applied]
    expect([type(outcome) for outcome in await store.commit(group)], wanted, "each for itself")
    lengths = {name: len(await store.records(name)) for name in "abcde"}
    expect(lengths, {"a": 4, "b": 3, "c": 3, "d": 3, "e": 1}, "commits that are there")
    pair = [follow("b", 4), follow("b", 5, expect=2, epoch=2)]
    expect(await store.commit(pair), [_OK, Stale(1)], "a neighbour of another epoch is no part of it")
    expect(len(await store.records("b")), 4, "the one that was applied")


@BOOK.law
async def what_follows_a_refused_write_is_refused(store: Store) -> None:
    """Also where it would fit by chance: another owner has made as many commits under the same epoch."""
    writes = [*await started(store), claim(seq=3, epoch=2)]
    await applied(store, writes[-1])
    lost = [follow(seq=2, body=b"2"), claim(seq=3, epoch=2, body=b"3"), follow(seq=4, expect=2, epoch=2)]
    expect(await store.commit(lost), [Stale(2)] * 3, "the third was made upon the second")
    other = [follow(seq=3, expect=2, epoch=2, body=b"other"), follow(seq=4, expect=2, epoch=2)]
    kinds = [type(outcome) for outcome in await store.commit(other)]
    expect(kinds, [Rejected, Rejected], "the second was made upon the first")
    await applied(store, first("s", header=header("s", key="k")))
    taken = [first("s", header=header("s", graph="other")), claim("s")]
    kinds = [type(outcome) for outcome in await store.commit(taken)]
    expect(kinds, [Exists, Rejected], "it was made for another run")
    await _nothing_else(store, "r", *writes)


@BOOK.law
async def a_group_is_applied_in_order(store: Store) -> None:
    """A run may be created, claimed, moved and ended in one group, among writes of other runs."""
    end = follow(seq=5, moved=True, status=RunStatus.FAILED, code="node_error", message="no", snapshot=b"end")
    mine = [first(), claim(), follow(seq=3), follow(seq=4), end]
    others = [first("b"), claim("b"), follow("b", 3), follow("b", 4), follow("b", 5)]
    await applied(store, *(write for pair in zip(mine, others, strict=True) for write in pair))
    await _nothing_else(store, "r", *mine)
    await _nothing_else(store, "b", *others)
    expect(await store.snapshot("r"), (5, b"end"), "the newest snapshot")


@BOOK.law
async def an_empty_group_is_nothing(store: Store) -> None:
    """Nothing is written and nothing answered."""
    expect(await store.commit([]), [], "no write, no outcome")


@BOOK.law
async def a_row_follows_its_writes(store: Store) -> None:
    """Every write moves seq, event and time; one that `moved` also sets status, code, message and timer."""
    writes = await started(store)
    timer = 1_790_000_000.123457
    for write in (
        follow(seq=3, moved=True, status=RunStatus.AWAITING_INPUT, timer=timer),
        follow(seq=4, at=timer, event_id=(1 << 53) - 1),
        follow(seq=5, event_id=(1 << 53) - 1),
        follow(seq=6, event_id=(1 << 53) - 1, moved=True, status=RunStatus.FAILED, code="c", message='"ü\0☃'),
    ):
        await applied(store, write)
        writes.append(write)
        expect(await store.run("r"), row_after(*writes), f"the row after commit {write.seq}")
        expect(await store.runs(), [row_after(*writes)], f"the listed row after commit {write.seq}")


@BOOK.law
async def bytes_come_back_as_they_were(store: Store) -> None:
    """Bodies and snapshots are any bytes: empty, text or not, and as large as the limits allow."""
    odd = [b"", b"\0", b"\xff\xfe\0\x80", bytes(range(256)), "☃".encode(), b"", b"x" * MESSAGE_BYTES]
    writes = [first(body=odd[0]), claim(body=odd[1])]
    writes += [follow(seq=seq, body=body) for seq, body in enumerate(odd[2:], 3)]
    await applied(store, *writes[:5])
    for write in writes[5:]:
        await applied(store, write)
    expect(await store.records("r"), odd, "the bodies")
    expect(await store.records("r", after=3), odd[3:], "some of the bodies")
    large = bytes(range(256)) * (STATE_BYTES // 256)
    await applied(store, follow(seq=len(odd) + 1, snapshot=large))
    expect(await store.snapshot("r") == (len(odd) + 1, large), True, "a snapshot of the largest state")


@BOOK.law
async def many_runs_write_at_once(store: Store) -> None:
    """Groups of several tasks do not mix: each gets the answers to its own, and reads what it wrote."""

    async def write(name: str) -> None:
        writes = await started(store, name)
        for seq in range(3, 10):
            writes.append(follow(name, seq))
            await applied(store, writes[-1])
            expect(await store.run(name), row_after(*writes), "a run reads what it has written")
        expect(await store.records(name), [one.body for one in writes], "all of it")

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(write, f"run-{number}")


@BOOK.law
async def a_large_group_is_applied(store: Store) -> None:
    """Many runs with many commits each, in one group."""
    names = [f"run-{number:03}" for number in range(100)]
    await applied(store, *map(first, names), *map(claim, names))
    group = [follow(name, seq) for seq in range(3, 23) for name in names]
    await applied(store, *group)
    for name in names:
        expect(len(await store.records(name)), 22, f"commits of {name}")
    rows: list[RunRow] = await store.runs(limit=None)
    expect({(row.seq, row.epoch) for row in rows}, {(22, 1)}, "every row tells the last commit")


@BOOK.law
async def a_cancelled_commit_happened_or_not(store: Store) -> None:
    """A commit that is cancelled, at any moment, is there whole or not at all; written again it is `Applied`."""
    writes = await started(store)
    for round_ in range(12):
        group = [follow(seq=len(writes) + 1 + n) for n in range(3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, group)
            for _ in range(round_):  # a little later each time
                await trio.lowlevel.cancel_shielded_checkpoint()
            nursery.cancel_scope.cancel()
        there = await store.records("r", after=len(writes))
        expect(there in ([], [write.body for write in group]), True, "a group is there whole or not at all")
        await applied(store, *group)
        writes += group
        await _nothing_else(store, "r", *writes)


@BOOK.law
async def a_commit_cancelled_before_it_begins_did_not_happen(store: Store) -> None:
    """Every method is a checkpoint before it does anything."""
    writes = await started(store)
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit([follow(seq=3)])
    expect(scope.cancelled_caught, True, "a cancelled caller is told so")
    await _nothing_else(store, "r", *writes)


@BOOK.opener_law
async def what_is_acknowledged_is_there_after_closing(opener: Opener) -> None:
    """A durable store has everything when it is opened again, and goes on from there."""
    async with opener() as store:
        writes = [*await started(store), follow(seq=3, barriers=(barrier(),)), follow(seq=4, snapshot=b"4")]
        await applied(store, *writes[2:])
        durable = store.durable
    if not durable:
        return
    async with opener() as store:
        await _nothing_else(store, "r", *writes)
        expect(await store.barriers("r"), [barrier()], "the barrier")
        expect(await store.snapshot("r"), (4, b"4"), "the snapshot")
        await applied(store, *writes, follow(seq=5))


@BOOK.opener_law
async def a_store_opens_again_and_again(opener: Opener) -> None:
    """Reopening keeps what is there; nothing of a closed store is in the way of the next one."""
    async with opener() as store:
        writes = await started(store)
        await store.reopen()
        await store.reopen()
        await applied(store, follow(seq=3))
        await _nothing_else(store, "r", *writes, follow(seq=3))
    for _ in range(3):
        async with opener() as store:
            expect((await store.health()).problems, (), "a store that was closed is healthy")


@BOOK.opener_law
async def a_cancelled_scope_closes_the_store(opener: Opener) -> None:
    """Leaving is possible under a cancelled scope, while a commit is on its way, and the store can be opened again."""
    async with opener() as store:
        await started(store)
    with trio.CancelScope() as scope:
        async with opener() as store, trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, [first("other")])
            await trio.lowlevel.checkpoint()
            scope.cancel()
    async with opener() as store:
        if store.durable:
            expect(await store.records("r"), [first().body, claim().body], "what was there before")
