"""Laws about forgetting: what a prune leaves, what a delete leaves, and whom both refuse."""

from collections.abc import Awaitable, Callable

import msgspec
import trio

from terzetto_protocol.errors import Refused, StaleEpoch, UnknownRun
from terzetto_protocol.records import Applied, Exists, Head, Rejected, Write
from terzetto_protocol.statuses import BarrierStatus, RunStatus

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
    posted,
    row_after,
    started,
)  # fmt: skip

BOOK = LawBook()
_SNAPSHOTS = (4, 7, 9)


async def _long(store: Store, run_id: str = "r") -> list[Write]:
    # Twelve commits, most of them in one group; 1, 4, 7 and 9 carry a snapshot.
    writes = await started(store, run_id)
    for seq in range(3, 13):
        snapshot = f"snapshot {seq}".encode() if seq in _SNAPSHOTS else None
        writes.append(follow(run_id, seq, snapshot=snapshot))
    await applied(store, *writes[2:11])
    await applied(store, writes[11])
    return writes


async def _left(store: Store, writes: list[Write], begin: int, *alone: int) -> None:
    """Expect these commits of the run, from `begin` on, and those that stand alone; with their snapshots."""
    run_id = writes[0].run_id
    kept = [write for write in writes if write.seq >= begin or write.seq in alone]
    row = msgspec.structs.replace(row_after(*writes), first=begin)
    expect(await store.run(run_id), row, f"the row of run {run_id!r}")
    expect(await store.runs(), [row], "the listed row")
    expect(await store.records(run_id), [write.body for write in kept], "the commits that are left")
    for after in range(14):
        wanted = [write.body for write in kept if write.seq > after]
        expect(await store.records(run_id, after=after, limit=3), wanted[:3], f"three commits after {after}")
        late = [write.body for write in kept if write.event_id > after * 10]
        expect(await store.records_by_event(run_id, after_event=after * 10), late, f"after event {after * 10}")
    saved = [(write.seq, write.snapshot) for write in kept if write.snapshot is not None]
    expect(await store.checkpoints(run_id), [seq for seq, _ in saved], "the checkpoints")
    for at in (*range(14), None):
        before = [one for one in saved if at is None or one[0] <= at]
        expect(await store.snapshot(run_id, at=at), before[-1] if before else None, f"the snapshot at {at}")
    expect((await store.health(deep=True)).problems, (), "a store that was pruned is whole")


async def _refused(call: Callable[[], Awaitable[object]], wanted: type[Exception]) -> Exception:
    try:
        await call()
    except wanted as error:
        return error
    raise AssertionError(f"{wanted.__name__} was not raised")


@BOOK.law
async def checkpoints_are_the_commits_with_a_snapshot(store: Store) -> None:
    """In order; none for a run that is not there."""
    await _long(store)
    expect(await store.checkpoints("r"), [1, *_SNAPSHOTS], "commits with a snapshot")
    expect(await store.checkpoints("x"), [], "the checkpoints of an unknown run")


@BOOK.law
async def a_prune_cuts_in_front_of_a_snapshot(store: Store) -> None:
    """The newest that is not after `before`; it and all that follows stay as they were."""
    writes = await _long(store)
    expect(await store.prune("r", 6, epoch=1), 3, "commits that are gone")
    await _left(store, writes, 4)
    expect(await store.prune("r", 9, epoch=1), 5, "commits that are gone by the second")
    await _left(store, writes, 9)


@BOOK.law
async def a_prune_leaves_the_newest_snapshot(store: Store) -> None:
    """However late the commit is that is asked for."""
    writes = await _long(store)
    expect(await store.prune("r", 1000, epoch=1), 8, "commits that are gone")
    await _left(store, writes, 9)


@BOOK.law
async def a_prune_that_finds_nothing_changes_nothing(store: Store) -> None:
    """In front of the first commit there is nothing, and what is gone is gone."""
    writes = await _long(store)
    for before in (-1, 0, 1, 3):
        expect(await store.prune("r", before, epoch=1), 0, f"before {before}")
    await _left(store, writes, 1)
    await store.prune("r", 8, epoch=1)
    for before in (0, 4, 6, 7, 8):
        expect(await store.prune("r", before, epoch=1), 0, f"before {before}, once more")
    await _left(store, writes, 7)


@BOOK.law
async def checkpoints_may_stand_alone(store: Store) -> None:
    """`keep` leaves a commit with its snapshot, until a later prune does not name it."""
    writes = await _long(store)
    expect(await store.prune("r", 9, epoch=1, keep=(4, 5, 7, 11)), 6, "5 has no snapshot, and 11 is not in front")
    await _left(store, writes, 9, 4, 7)
    expect(await store.prune("r", 9, epoch=1, keep=(4,)), 1, "7 was not named again")
    await _left(store, writes, 9, 4)
    expect(await store.prune("r", 5, epoch=1), 0, "the cut is in front of 4")
    await _left(store, writes, 9, 4)
    expect(await store.prune("r", 9, epoch=1), 1, "4 was not named again")
    await _left(store, writes, 9)


@BOOK.law
async def a_pruned_run_goes_on(store: Store) -> None:
    """It is written to, claimed and pruned again as if nothing had been cut; what is there is still recognised."""
    writes = await _long(store)
    await store.prune("r", 9, epoch=1)
    more = [follow(seq=13), claim(seq=14, epoch=2), follow(seq=15, epoch=2, expect=2, snapshot=b"15")]
    await applied(store, *more)
    await applied(store, *writes[9:12], *more)
    writes += more
    await _left(store, writes, 9)
    expect(await store.prune("r", 15, epoch=2), 6, "commits that are gone")
    await _left(store, writes, 15)
    expect(
        await store.commit([first()]), [Exists(msgspec.structs.replace(row_after(*writes), first=15))], "it is there"
    )
    [outcome] = await store.commit([follow(seq=3, epoch=2, expect=2)])
    expect(type(outcome), Rejected, "commit 3 is gone, and does not follow 15")


@BOOK.law
async def a_prune_concerns_one_run(store: Store) -> None:
    """Another run keeps what it has, also where both wrote in one group."""
    pairs = [(first(name), claim(name)) for name in "ab"]
    await applied(store, *(write for pair in zip(*pairs, strict=True) for write in pair))
    group = [follow(name, seq, snapshot=b"s" if seq == 5 else None) for seq in range(3, 8) for name in "ab"]
    await applied(store, *group)
    expect(await store.prune("a", 5, epoch=1), 4, "commits of a that are gone")
    expect((len(await store.records("a")), len(await store.records("b"))), (3, 7), "commits that are left")
    expect(await store.checkpoints("b"), [1, 5], "the checkpoints of the other")


@BOOK.law
async def closed_barriers_are_pruned(store: Store) -> None:
    """Those that were closed before a time; open ones and later ones stay."""
    await started(store)
    rows = [
        barrier("r", "a@1", status=BarrierStatus.RESOLVED, resolved=103.0),
        barrier("r", "b@2", status=BarrierStatus.DROPPED, resolved=103.5),
        barrier("r", "c@3", status=BarrierStatus.RESOLVED, resolved=104.0),
        barrier("r", "d@4"),
    ]
    await applied(store, follow(seq=3, barriers=tuple(rows)), follow(seq=4, snapshot=b"4"))
    theirs = barrier("other", "a@1", status=BarrierStatus.DROPPED, resolved=1.0)
    await applied(store, first("other", barriers=(theirs,)))
    await store.prune("r", 4, epoch=1)
    expect(len(await store.barriers("r", only_open=False)), 4, "no time, no barrier")
    await store.prune("r", 4, epoch=1, closed_before=104.0)
    expect(await store.barriers("r", only_open=False), rows[2:], "those that were closed before are gone")
    expect(await store.barriers("other", only_open=False), [theirs], "another run keeps its own")


@BOOK.law
async def a_prune_checks_the_epoch(store: Store) -> None:
    """Who does not own the run, and who names none, changes nothing."""
    writes = await _long(store)
    for epoch in (0, 2):
        error = await _refused(lambda epoch=epoch: store.prune("r", 9, epoch=epoch), StaleEpoch)  # type: ignore[misc]  # a default binds the loop's value
        expect(getattr(error, "current", None), 1, "the error names the epoch")
    await _refused(lambda: store.prune("x", 9, epoch=1), UnknownRun)
    await _left(store, writes, 1)


def _end(run_id: str = "r", seq: int = 3, status: RunStatus = RunStatus.SUCCEEDED) -> Write:
    return follow(run_id, seq, moved=True, status=status, snapshot=b"end")


async def _nothing_left(store: Store, run_id: str, key: str) -> None:
    expect(await store.run(run_id), None, "the row")
    expect(await store.run_by_key(key), None, "the key")
    expect(await store.records(run_id), [], "the commits")
    expect(await store.records_by_event(run_id, after_event=0), [], "the events")
    expect(await store.checkpoints(run_id), [], "the checkpoints")
    expect(await store.snapshot(run_id), None, "the snapshot")
    expect(await store.barriers(run_id, only_open=False), [], "the barriers")
    expect((await store.health(deep=True)).problems, (), "a store from which was deleted is whole")


@BOOK.law
async def a_delete_leaves_nothing(store: Store) -> None:
    """No row, key, commit, snapshot or barrier, and no command that was answered; of other runs everything."""
    closed = barrier("r", "a@1", status=BarrierStatus.RESOLVED, resolved=103.0)
    mine = first(header=header(key="k"))
    await applied(store, mine, claim(), follow(seq=3, barriers=(closed,)), _end(seq=4))
    other = await _long(store, "other")
    for command in (posted("done"), posted("waits"), posted("theirs", run_id="other")):
        await store.post(command)
    for command_id in ("done", "theirs"):
        await store.answer(command_id, b"receipt")
    expect(await store.delete("r", epoch=1), 4, "commits that are gone")
    await _nothing_left(store, "r", "k")
    expect([await store.receipt(name) for name in ("done", "theirs")], [None, b"receipt"], "receipts that are left")
    expect([command.command_id for command in await store.posted()], ["waits"], "a command waits for its answer")
    await _left(store, other, 1)


@BOOK.law
async def a_deleted_run_may_begin_again(store: Store) -> None:
    """Its id and key are free: what is submitted under them is a new run."""
    await applied(store, first(header=header(key="k")), claim(), _end())
    await store.delete("r", epoch=1)
    again = [first(header=header(key="k", at=200.0), at=200.0, body=b"again"), claim(at=201.0)]
    await applied(store, *again)
    expect(await store.run("r"), row_after(*again), "the new run's row")
    expect(await store.records("r"), [write.body for write in again], "the new run's commits")
    expect(await store.run_by_key("k"), row_after(*again), "the new run has the key")


@BOOK.law
async def what_was_pruned_is_not_counted(store: Store) -> None:
    """A delete counts what was left, with what stood alone."""
    await _long(store)
    await applied(store, _end(seq=13))
    await store.prune("r", 9, epoch=1, keep=(4,))
    expect(await store.delete("r", epoch=1), 6, "4, and 9 to 13")
    await _nothing_left(store, "r", "")


@BOOK.law
async def a_run_that_has_not_ended_is_not_deleted(store: Store) -> None:
    """Whatever it waits for; nor is one under another epoch, or one that is not there."""
    writes = await started(store)
    for number, status in enumerate((RunStatus.AWAITING_INPUT, RunStatus.PAUSED, RunStatus.INTERRUPTED), 3):
        writes.append(follow(seq=number, moved=True, status=status))
        await applied(store, writes[-1])
        error = await _refused(lambda: store.delete("r", epoch=1), Refused)
        expect(getattr(error, "run_id", None), "r", "the error names the run")
    writes.append(_end(seq=6, status=RunStatus.FAILED))
    await applied(store, writes[-1])
    await _refused(lambda: store.delete("r", epoch=2), StaleEpoch)
    await _refused(lambda: store.delete("x", epoch=1), UnknownRun)
    await _left(store, writes, 1)


@BOOK.law
async def a_head_is_not_deleted(store: Store) -> None:
    """The next run of its thread begins with it; it goes when the thread has moved on, or was taken back."""
    for run_id in ("a", "b"):
        await applied(store, first(run_id, header=header(run_id, thread="t")), claim(run_id), _headed(run_id))
    await _refused(lambda: store.delete("b", epoch=1), Refused)
    expect((await store.head("t") or Head("", "", 0.0)).run_id, "b", "the head stays")
    expect(await store.delete("a", epoch=1), 3, "a run that was the head before")
    await store.move_head("t", "b", "", 200.0)
    expect(await store.delete("b", epoch=1), 3, "a run that was taken back")
    expect(await store.runs(thread="t"), [], "nobody is left on the thread")


def _headed(run_id: str) -> Write:
    return follow(run_id, 3, moved=True, status=RunStatus.SUCCEEDED, thread="t", snapshot=b"end")


@BOOK.law
async def a_cancelled_prune_happened_or_not(store: Store) -> None:
    """One that is cancelled, at any moment, is there whole or not at all; so is a delete."""
    writes = await _long(store)
    for round_ in range(6):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: store.prune("r", 4, epoch=1))
            for _ in range(round_):  # a little later each time
                await trio.lowlevel.cancel_shielded_checkpoint()
            nursery.cancel_scope.cancel()
        row = await store.run("r")
        begin = 0 if row is None else row.first
        expect(begin in (1, 4), True, "the run begins where it began, or at the cut")
        await _left(store, writes, begin)


@BOOK.opener_law
async def what_was_forgotten_stays_forgotten(opener: Opener) -> None:
    """A durable store that is opened again has what was left, and nothing else."""
    async with opener() as store:
        writes = await _long(store)
        await applied(store, first("gone", header=header("gone", key="k")), claim("gone"), _end("gone"))
        await store.prune("r", 9, epoch=1, keep=(4,))
        await store.delete("gone", epoch=1)
        durable = store.durable
    if not durable:
        return
    async with opener() as store:
        await _left(store, writes, 9, 4)
        await _nothing_left(store, "gone", "k")
        expect(await store.commit([follow(seq=13)]), [Applied()], "it goes on")
