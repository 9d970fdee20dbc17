"""Laws about owners: whose a run is, and what a lease is worth."""

import trio

from terzetto_protocol.records import Applied, Exists, Rejected, Stale, Write
from terzetto_protocol.statuses import RunStatus

from ..stores import Store
from ._store_laws import Opener, applied, claim, expect, first, follow, header, posted, started
from ._store_laws_pairs import BRIEF, PairBook, commands, freed, is_others, unfinished

BOOK = PairBook()


@BOOK.pair_law
async def a_run_is_its_bringers(mine: Store, other: Store) -> None:
    """Whoever wrote its first commit carries it, and everybody else knows that somebody does."""
    await applied(mine, first("a"))
    await applied(other, first("b"), first("c"))
    expect([await unfinished(store) for store in (mine, other)], [["a"], ["b", "c"]], "each has its own")
    expect([await is_others(mine, each) for each in "abc"], [False, True, True], "as one sees it")
    expect([await is_others(other, each) for each in "abc"], [True, False, False], "as the other sees it")
    expect(len(await mine.runs()), 3, "everybody may look at all of them")


@BOOK.pair_law
async def a_run_is_its_last_claimers(mine: Store, other: Store) -> None:
    """Raising the epoch takes a run; an everyday write, and one that is refused or was there, takes none."""
    submit, _ = await started(mine)
    await applied(other, follow(seq=3), follow(seq=4, moved=True), submit)
    outcomes = await other.commit([claim(seq=5), claim(seq=9, epoch=2)])
    expect([type(each) for each in outcomes], [Stale, Rejected], "an old claim, and one that leaves a hole")
    expect([await unfinished(store) for store in (mine, other)], [["r"], []], "it is where it was")
    taken = claim(seq=5, epoch=2)
    await applied(other, taken)
    expect([await unfinished(store) for store in (mine, other)], [[], ["r"]], "it was taken")
    expect([await is_others(store, "r") for store in (mine, other)], [True, False], "both know it")
    expect(await mine.commit([follow(seq=6)]), [Stale(2)], "whoever lost it hears of it when it writes")
    await applied(mine, claim(seq=6, epoch=3))
    expect([await unfinished(store) for store in (mine, other)], [["r"], []], "and may take it back")


@BOOK.pair_law
async def one_of_two_who_claim_at_once_wins(mine: Store, other: Store) -> None:
    """The epoch decides, for each run by itself; so it does for two who bring the same id or key."""
    names = [f"run-{number}" for number in range(10)]
    await applied(mine, *map(first, names))
    outcomes = list[list[object]]()

    async def write(store: Store, group: list[Write]) -> None:
        outcomes.append(list(await store.commit(group)))

    async with trio.open_nursery() as nursery:
        for number, store in enumerate((mine, other)):
            nursery.start_soon(write, store, [claim(name, 2, body=b"%d" % number) for name in names])
    for pair in zip(*outcomes, strict=True):
        expect(sorted(type(each).__name__ for each in pair), ["Applied", "Stale"], "one claim of a run wins")
    owned = [await unfinished(store) for store in (mine, other)]
    expect(sorted(owned[0] + owned[1]), sorted(names), "and its writer has the run")
    outcomes.clear()
    async with trio.open_nursery() as nursery:
        for number, store in enumerate((mine, other)):
            group = [first(f"{name}-{number}", header=header(f"{name}-{number}", key=name)) for name in names]
            nursery.start_soon(write, store, group)
    for pair in zip(*outcomes, strict=True):
        expect(sorted(type(each).__name__ for each in pair), ["Applied", "Exists"], "one run of a key is brought")
        expect(any(isinstance(each, Exists) for each in pair), True, "the other is told of it")


@BOOK.pair_law
async def one_of_two_equal_claims_wins(mine: Store, other: Store) -> None:
    """Two whose timers go off at the same moment may write the same bytes: only one of them owns the run by that."""
    await applied(mine, first())
    group = [claim(), follow(seq=3)]
    await applied(mine, *group)
    expect(await other.commit(group), [Stale(1), Stale(1)], "the other one's, of which nothing tells them apart")
    expect([await unfinished(store) for store in (mine, other)], [["r"], []], "it is whose claim was the first")
    await applied(mine, *group)
    await applied(other, claim(seq=4, epoch=2))
    expect(await mine.commit(group), [Stale(2), Stale(2)], "one that was in doubt, when the run is not ours any more")


@BOOK.pair_law
async def groups_of_two_owners_do_not_hurt_each_other(mine: Store, other: Store) -> None:
    """Whatever order their runs come in: nobody waits for ever, and each group is applied."""
    names = [f"run-{number:02}" for number in range(20)]
    for name in names:
        await applied(mine, first(name), claim(name))

    async def write(store: Store, own: list[str], foreign: list[str]) -> None:
        for seq in range(3, 8):
            late = [follow(name, seq, expect=0, epoch=0) for name in foreign]
            kinds = [type(each) for each in await store.commit([*(follow(name, seq) for name in own), *late])]
            expect(kinds, [Applied] * len(own) + [Stale] * len(late), "its own, and not those of another epoch")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, mine, names[:10], names[10:])
        nursery.start_soon(write, other, names[:9:-1], names[9::-1])
    expect({row.seq for row in await mine.runs()}, {7}, "all of them")


@BOOK.pair_law
async def timers_of_others_are_theirs(mine: Store, other: Store) -> None:
    """Those of runs that belong to another who lives are left out."""
    for store, name in ((mine, "a"), (other, "b")):
        write = follow(name, 2, expect=0, epoch=1, moved=True, status=RunStatus.AWAITING_INPUT, timer=5.0)
        await applied(store, first(name), write)
    expect([await store.timers() for store in (mine, other)], [[("a", 5.0)], [("b", 5.0)]], "each has its own")


@BOOK.pair_law
async def a_run_that_has_ended_is_nobodys(mine: Store, other: Store) -> None:
    """It may be read as if there were no other; but who wrote it last is remembered."""
    await started(mine, "a")
    await started(other, "b")
    for store, name in ((mine, "a"), (other, "b")):
        await applied(store, follow(name, 3, moved=True, status=RunStatus.SUCCEEDED))
    expect([await is_others(mine, each) for each in "ab"], [False, False], "nobody carries it")
    expect([row.run_id for row in await mine.foreign(["a", "b", "x"])], ["b"], "who wrote them last")


@BOOK.pair_law
async def what_others_wrote_is_told(mine: Store, other: Store) -> None:
    """Of the runs that are asked about: those that another owner brought or claimed last."""
    await started(mine, "a")
    await started(other, "b")
    await applied(other, first("c"))
    expect(await mine.foreign([]), [], "of none")
    found = {row.run_id: row for row in await mine.foreign(["a", "b", "c", "x"])}
    expect(found, {name: await mine.run(name) for name in ("b", "c")}, "the rows of the other's")
    await applied(mine, claim("b", 3, epoch=2))
    expect([row.run_id for row in await mine.foreign(["b"])], [], "it is ours now")
    expect([row.run_id for row in await other.foreign(["a", "b", "c"])] != [], True, "and theirs no more")


@BOOK.opener_law
async def what_a_gone_owner_wrote_is_another_ones_still(opener: Opener) -> None:
    """Whether it lives or not: nobody here has made what it wrote."""
    mine = opener()
    if mine.lease is None:
        return
    async with mine:
        async with opener() as other:
            await started(other)
        expect([row.run_id for row in await mine.foreign(["r"])], ["r"], "it was another's")


@BOOK.pair_law
async def a_new_handle_has_what_the_old_one_had(mine: Store, other: Store) -> None:
    """`reopen` changes nothing of whose the runs are."""
    await started(mine)
    await mine.reopen()
    expect([await unfinished(store) for store in (mine, other)], [["r"], []], "it is the same owner's")


@BOOK.opener_law
async def closing_gives_runs_free(opener: Opener) -> None:
    """At once, and also to who opens the store next: an owner that is opened again is another one."""
    mine = opener()
    if mine.lease is None:
        return
    async with opener() as other:
        async with mine:
            await started(mine)
            await mine.post(posted())
            expect(await commands(mine), ["c-1"], "a command for its run")
            expect(await unfinished(other), [], "it has an owner")
        expect(await unfinished(other), ["r"], "it has none")
        expect(await is_others(other, "r"), False, "nobody carries it")
        expect(await commands(other), ["c-1"], "and the command is anybody's")
        async with opener() as third:
            expect(await unfinished(third), ["r"], "anybody sees it")
            await applied(other, claim(seq=3, epoch=2))
            expect(await unfinished(third), [], "until it is taken")


@BOOK.opener_law
async def a_cancelled_owner_gives_runs_free(opener: Opener) -> None:
    """At once, too: whoever has the store open is cancelled, and that is not the death of his process."""
    mine = opener()
    if mine.lease is None:
        return
    async with opener() as other:
        with trio.CancelScope() as scope:
            async with mine:
                await started(mine)
                scope.cancel()
                await trio.lowlevel.checkpoint()
        expect(await unfinished(other), ["r"], "it has none")


# -- leases ----------------------------------------------------------------------------------------------------------


@BOOK.brief_law
async def a_lease_ends(mine: Store, other: Store) -> None:
    """The runs of an owner that is not heard of are anybody's; its own eyes see them still."""
    await started(mine)
    await applied(mine, first("timed", timer=5.0))
    await freed(other)
    expect([await unfinished(store) for store in (mine, other)], [["r", "timed"]] * 2, "anybody's")
    expect(await other.timers(), [("timed", 5.0)], "with their timers")
    await applied(other, claim(seq=3, epoch=2))
    expect([await unfinished(store) for store in (mine, other)], [["timed"], ["r", "timed"]], "until it is taken")
    expect(await mine.commit([follow(seq=3)]), [Stale(2)], "an owner that comes back late is told")


@BOOK.brief_law
async def renewing_keeps_runs(mine: Store, other: Store) -> None:
    """However long: an owner that says that it lives has what it had."""
    await mine.renew()
    await started(mine)
    start = trio.current_time()
    while trio.current_time() < start + 2 * BRIEF:
        before = trio.current_time()
        await mine.renew()
        found = await unfinished(other)
        if trio.current_time() < before + BRIEF:  # else nobody can blame the store
            expect(found, [], "it is carried")
        await trio.sleep(BRIEF / 10)


@BOOK.brief_law
async def who_comes_back_has_what_nobody_took(mine: Store, other: Store) -> None:
    """A lease that has ended may be renewed; what others have taken meanwhile is theirs."""
    await applied(mine, first("a"), first("b"))
    await freed(other, "a")
    await applied(other, claim("a", 2))
    await mine.renew()
    expect(await unfinished(mine), ["b"], "what is left")
    expect("a" in await unfinished(other), True, "what was taken")
