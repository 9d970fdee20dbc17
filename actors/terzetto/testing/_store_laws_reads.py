"""Laws about reading: runs, commits, snapshots, barriers, health."""

import trio
from msgspec.structs import replace

from terzetto_protocol.errors import UnknownRun
from terzetto_protocol.records import Write
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from ..stores import Store
from ._store_laws import LawBook, applied, barrier, expect, first, follow, header, posted, started

BOOK = LawBook()
_STATUSES = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SUCCEEDED)


async def _ids(store: Store, **options: object) -> list[str]:
    return [row.run_id for row in await store.runs(**options)]  # type: ignore[arg-type]


def _submitted(name: str, at: float, status: RunStatus = RunStatus.QUEUED) -> Write:
    return first(name, header=header(name, at=at), status=status)


async def _five(store: Store) -> None:
    # a and e at the same time; c is the oldest. Their statuses go round.
    ages = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 4.5, "e": 3.0}
    await applied(store, *(_submitted(name, at, _STATUSES[n % 3]) for n, (name, at) in enumerate(ages.items())))


@BOOK.law
async def what_is_not_there_is_none(store: Store) -> None:
    """Asking for an unknown run answers with nothing, and creates nothing."""
    expect(await store.run("x"), None, "an unknown run")
    expect(await store.run_by_key("x"), None, "an unknown key")
    expect(await store.snapshot("x"), None, "the snapshot of an unknown run")
    expect(await store.records("x"), [], "the commits of an unknown run")
    expect(await store.records_by_event("x", after_event=0), [], "the events of an unknown run")
    expect(await store.barriers("x", only_open=False), [], "the barriers of an unknown run")
    expect(await store.runs(), [], "no run was created")


@BOOK.law
async def runs_are_listed_newest_first(store: Store) -> None:
    """By submit time, then id, both falling."""
    await _five(store)
    expect(await _ids(store), ["d", "e", "a", "b", "c"], "newest first")


@BOOK.law
async def runs_are_limited(store: Store) -> None:
    """0 means none, None all, and 100 is what a caller gets who says nothing."""
    await applied(store, *(_submitted(f"run-{n:03}", n) for n in range(120)))
    for limit, wanted in ((0, 0), (1, 1), (7, 7), (None, 120), (1000, 120), (2**70, 120)):
        expect(len(await store.runs(limit=limit)), wanted, f"limit {limit}")
    expect(len(await store.runs()), 100, "no limit given")


@BOOK.law
async def runs_are_found_by_status(store: Store) -> None:
    """None means all, an empty sequence none; the status is the current one."""
    await _five(store)
    expect(await _ids(store, statuses=None), ["d", "e", "a", "b", "c"], "all")
    expect(await _ids(store, statuses=()), [], "none")
    expect(await _ids(store, statuses=[RunStatus.QUEUED]), ["d", "a"], "one status")
    expect(await _ids(store, statuses=[RunStatus.SUCCEEDED, RunStatus.RUNNING]), ["e", "b", "c"], "two statuses")
    expect(await _ids(store, statuses=[RunStatus.SUCCEEDED, RunStatus.RUNNING], limit=2), ["e", "b"], "two, limited")
    await applied(store, follow("a", 2, expect=0, epoch=0, moved=True, status=RunStatus.RUNNING))
    expect(await _ids(store, statuses=[RunStatus.QUEUED]), ["d"], "a run that moved on")


@BOOK.law
async def timers_are_those_of_runs_that_nobody_carries(store: Store) -> None:
    """Of runs that wait for a slot, for people or to be resumed; the timer is the current one."""
    queued, parked = (_submitted(name, 1.0) for name in "ab")
    await applied(store, replace(queued, timer=7.0), parked, *(_submitted(name, 1.0) for name in "cd"))
    for name, status in (("b", RunStatus.AWAITING_INPUT), ("c", RunStatus.RUNNING), ("d", RunStatus.PAUSED)):
        timer = None if name == "d" else 5.5
        await applied(store, follow(name, 2, expect=0, epoch=0, moved=True, status=status, timer=timer))
    expect(sorted(await store.timers()), [("a", 7.0), ("b", 5.5)], "queued and parked")
    again = follow("b", 3, expect=0, epoch=0, moved=True, status=RunStatus.AWAITING_INPUT, timer=9.5)
    await applied(store, again, follow("a", 2, expect=0, epoch=0, moved=True, status=RunStatus.CANCELLED))
    expect(await store.timers(), [("b", 9.5)], "one went on waiting, the other ended")


@BOOK.law
async def runs_are_paged(store: Store) -> None:
    """`before` continues after a run of the last page, also one of the same moment; no run is missed or repeated."""
    await _five(store)
    expect(await _ids(store, before="d", limit=2), ["e", "a"], "the second page")
    expect(await _ids(store, before="e", limit=2), ["a", "b"], "after one of two of the same moment")
    expect(await _ids(store, before="c"), [], "after the last")
    expect(await _ids(store, before="e", statuses=[RunStatus.QUEUED]), ["a"], "with a status")
    try:
        await store.runs(before="x")
    except UnknownRun as error:
        expect(error.run_id, "x", "the error names the run")
    else:
        raise AssertionError("an unknown run is no place to continue from: UnknownRun")


@BOOK.law
async def the_newest_snapshot_counts(store: Store) -> None:
    """A snapshot stands beside its commit; later commits without one leave it the newest."""
    await started(store)
    expect(await store.snapshot("r"), (1, b"snapshot 1"), "the first")
    await applied(store, follow(seq=3), follow(seq=4, snapshot=b"four"), follow(seq=5))
    expect(await store.snapshot("r"), (4, b"four"), "the newest")
    await applied(store, follow(seq=6, snapshot=b""))
    expect(await store.snapshot("r"), (6, b""), "an empty one is one")


@BOOK.law
async def older_snapshots_stay(store: Store) -> None:
    """The newest snapshot that is not after a commit can be read, also when there are newer ones."""
    await started(store)
    await applied(store, follow(seq=3), follow(seq=4, snapshot=b"four"), follow(seq=5), follow(seq=6, snapshot=b"six"))
    found = [await store.snapshot("r", at=seq) for seq in range(8)]
    first, four, six = (1, b"snapshot 1"), (4, b"four"), (6, b"six")
    expect(found, [None, first, first, first, four, four, six, six], "the newest that is not after it")


async def _grouped(store: Store) -> list[bytes]:
    # Ten commits, in groups of different sizes: a store may keep a group of one run in one piece.
    writes = [*await started(store), *(follow(seq=seq) for seq in range(3, 11))]
    await applied(store, *writes[2:7])
    await applied(store, writes[7])
    await applied(store, *writes[8:])
    return [write.body for write in writes]


@BOOK.law
async def commits_are_read_in_order(store: Store) -> None:
    """From any commit on, and as many as asked for; 0 means none, None all."""
    bodies = await _grouped(store)
    for after in range(12):
        for limit in (None, 0, 1, 2, 3, 100):
            wanted = bodies[after:] if limit is None else bodies[after:][:limit]
            expect(await store.records("r", after=after, limit=limit), wanted, f"after {after}, limit {limit}")


@BOOK.law
async def commits_are_read_by_event(store: Store) -> None:
    """Those that tell an event after the given one; a commit that tells none repeats the last id."""
    bodies = await _grouped(store)
    await applied(store, follow(seq=11, event_id=100, body=b"tells nothing"))
    # Events of _grouped: 1, 20, 30, ... 100
    events = [1, *range(20, 110, 10)]
    for after_event in (0, 1, 5, 20, 25, 30, 55, 60, 70, 99, 100, 1000):
        wanted = [body for body, event in zip(bodies, events, strict=True) if event > after_event]
        wanted += [b"tells nothing"] if after_event < 100 else []
        for limit in (None, 0, 1, 3):
            found = await store.records_by_event("r", after_event=after_event, limit=limit)
            expect(found, wanted[:limit], f"after event {after_event}, limit {limit}")


@BOOK.law
async def long_histories_are_read_whole(store: Store) -> None:
    """Several thousand commits, from any place."""
    await started(store)
    bodies = [follow(seq=seq).body for seq in range(3, 3003)]
    for start in range(3, 3003, 5):  # many pieces
        await applied(store, *(follow(seq=seq) for seq in range(start, start + 5)))
    expect(await store.records("r", after=2), bodies, "all")
    expect(await store.records("r", after=1000, limit=1500), bodies[998:2498], "the middle")
    expect(await store.records_by_event("r", after_event=20_000), bodies[1998:], "by event")


@BOOK.law
async def barriers_open_and_close(store: Store) -> None:
    """A barrier is listed as its last write left it, in order of opening, for one run or for all."""
    await applied(store, first("a"), first("b"))
    rows = [barrier("a", "x@1"), barrier("b", "x@1", opened=1.0), barrier("a", "y@2", deadline=2.5, payload=b"\xa2hi")]
    for n, row in enumerate(rows):
        seq = 2 if n < 2 else 3
        await applied(store, follow(row.run_id, seq, expect=0, epoch=0, barriers=(row,)))
    expect(await store.barriers(), rows, "all, in order of opening")
    expect(await store.barriers("a"), [rows[0], rows[2]], "of one run")
    closed = barrier("a", "x@1", status=BarrierStatus.RESOLVED, decision="approve", source="ann", resolved=3.25)
    await applied(store, follow("a", 4, expect=0, epoch=0, barriers=(closed,)))
    expect(await store.barriers(), rows[1:], "open ones only")
    expect(await store.barriers("a"), rows[2:], "open ones of one run")
    expect(await store.barriers(only_open=False), [closed, *rows[1:]], "closed ones keep their place")
    expect(await store.barriers("a", only_open=False), [closed, rows[2]], "all of one run")


@BOOK.law
async def barriers_come_with_their_commit(store: Store) -> None:
    """Several barriers open and close in one write, and in one group."""
    await applied(store, first(barriers=(barrier("r", "x@1"), barrier("r", "y@1"))))
    gone = barrier("r", "x@1", status=BarrierStatus.DROPPED)
    group = [
        follow(seq=2, expect=0, epoch=0, barriers=(gone, barrier("r", "z@1"))),
        follow(seq=3, expect=0, epoch=0, barriers=(barrier("r", "y@1", status=BarrierStatus.RESOLVED),)),
    ]
    await applied(store, *group)
    expect(await store.barriers(), [barrier("r", "z@1")], "what is open")


@BOOK.law
async def what_carries_a_run_on_comes_together(store: Store) -> None:
    """`load` is the row, the newest snapshot, the commits after it, and every barrier; nothing for an unknown run."""
    expect(await store.load("x"), None, "an unknown run")
    await started(store)
    await applied(store, follow(seq=3, snapshot=b"three", barriers=(barrier(),)), first("s"))
    gone = barrier(status=BarrierStatus.DROPPED)
    writes = [follow(seq=4, barriers=(gone,)), follow(seq=5)]
    await applied(store, *writes)
    found = await store.load("r")
    if found is None:
        raise AssertionError("it is there")
    expect(found.row, await store.run("r"), "the row")
    expect(found.snapshot, (3, b"three"), "the newest snapshot")
    expect(list(found.records), [write.body for write in writes], "the commits after it")
    expect(list(found.barriers), [gone], "every barrier, as it was left")


@BOOK.law
async def every_method_is_a_checkpoint(store: Store) -> None:
    """Every method can be cancelled, and lets others run."""
    from trio.testing import assert_checkpoints  # it loads pytest, if that is there

    for call in (
        lambda: store.commit([first()]),
        lambda: store.run("r"),
        lambda: store.load("r"),
        lambda: store.run_by_key("k"),
        store.runs,
        lambda: store.snapshot("r"),
        lambda: store.checkpoints("r"),
        lambda: store.records("r"),
        lambda: store.records_by_event("r", after_event=0),
        store.barriers,
        lambda: store.prune("r", 1, epoch=0),
        lambda: store.post(posted()),
        store.posted,
        lambda: store.answer("c-1", b"done"),
        lambda: store.receipt("c-1"),
        store.health,
        store.reopen,
    ):
        with assert_checkpoints():
            await call()
        with trio.CancelScope() as scope:
            scope.cancel()
            await call()
        expect(scope.cancelled_caught, True, "a cancelled caller is told so")


@BOOK.law
async def a_store_is_healthy(store: Store) -> None:
    """It says whether it is durable, and a deep check of a store that was only ever used finds nothing."""
    await _grouped(store)
    await applied(store, *map(first, "abc"), follow(seq=11, snapshot=b"11", barriers=(barrier(),)))
    await store.post(posted())
    for deep in (False, True):
        health = await store.health(deep=deep)
        expect((health.durable, health.problems), (store.durable, ()), f"health, deep={deep}")
        expect(":" in health.url, True, "health tells the store's URL")
    expect(type(store.statistics()), dict, "statistics are a dict")
