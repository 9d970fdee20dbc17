"""Laws about many owners: whose a run is, what a lease is worth, and who is given the commands.

A store without a lease has one owner, and these laws ask nothing of it. Where a lease has to end, it is made short
before the store is opened, and real time passes.
"""

from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import trio

from terzetto_protocol.blobs import Hasher
from terzetto_protocol.records import Applied, Exists, Rejected, Stale, Write
from terzetto_protocol.statuses import RunStatus

from ..stores import Store
from ._store_laws import LawBook, Opener, applied, claim, expect, first, follow, header, name_of, posted, started

BOOK = LawBook()
_BRIEF: Final = 0.6
"""A lease that a law waits for, seconds."""
_PATIENCE: Final = 20.0
"""Seconds after which a lease must have ended that was brief."""


def _pair_law(check: Callable[[Store, Store], Awaitable[None]]) -> None:
    """Enter a law about two owners of the same store."""

    async def with_stores(opener: Opener) -> None:
        first_one = opener()
        if first_one.lease is None:
            return
        async with first_one as mine, opener() as other:
            await check(mine, other)

    with_stores.__name__, with_stores.__doc__ = name_of(check), check.__doc__
    BOOK.opener_law(with_stores)


def _brief_law(check: Callable[[Store, Store], Awaitable[None]]) -> None:
    """Enter a law about an owner whose lease ends soon, and another who lives."""

    async def with_stores(opener: Opener) -> None:
        brief = opener()
        if brief.lease is None:
            return
        brief.lease = _BRIEF
        async with brief as mine, opener() as other:
            await check(mine, other)

    with_stores.__name__, with_stores.__doc__ = name_of(check), check.__doc__
    BOOK.opener_law(with_stores)


async def _unfinished(store: Store) -> list[str]:
    return sorted(row.run_id for row in await store.unfinished())


async def _is_others(store: Store, run_id: str) -> bool:
    """Whether somebody else carries a run, in the eyes of this owner."""
    found = await store.load(run_id)
    if found is None:
        raise AssertionError(f"run {run_id!r} is there")
    return found.owner != ""


async def _commands(store: Store, limit: int = 100) -> list[str]:
    return [command.command_id for command in await store.posted(limit=limit)]


async def _free(store: Store, run_id: str = "r") -> None:
    """Return when a run is nobody's."""
    with trio.fail_after(_PATIENCE):
        while await _is_others(store, run_id):  # noqa: ASYNC110 - a lease ends without telling
            await trio.sleep(_BRIEF / 10)


# -- whose a run is --------------------------------------------------------------------------------------------------


@_pair_law
async def a_run_is_its_bringers(mine: Store, other: Store) -> None:
    """Whoever wrote its first commit carries it, and everybody else knows that somebody does."""
    await applied(mine, first("a"))
    await applied(other, first("b"), first("c"))
    expect([await _unfinished(store) for store in (mine, other)], [["a"], ["b", "c"]], "each has its own")
    expect([await _is_others(mine, each) for each in "abc"], [False, True, True], "as one sees it")
    expect([await _is_others(other, each) for each in "abc"], [True, False, False], "as the other sees it")
    expect(len(await mine.runs()), 3, "everybody may look at all of them")


@_pair_law
async def a_run_is_its_last_claimers(mine: Store, other: Store) -> None:
    """Raising the epoch takes a run; an everyday write, and one that is refused or was there, takes none."""
    writes = await started(mine)
    await applied(other, follow(seq=3), follow(seq=4, moved=True), *writes)
    outcomes = await other.commit([claim(seq=5), claim(seq=9, epoch=2)])
    expect([type(each) for each in outcomes], [Stale, Rejected], "an old claim, and one that leaves a hole")
    expect([await _unfinished(store) for store in (mine, other)], [["r"], []], "it is where it was")
    taken = claim(seq=5, epoch=2)
    await applied(other, taken)
    expect([await _unfinished(store) for store in (mine, other)], [[], ["r"]], "it was taken")
    expect([await _is_others(store, "r") for store in (mine, other)], [True, False], "both know it")
    expect(await mine.commit([follow(seq=6)]), [Stale(2)], "whoever lost it hears of it when it writes")
    await applied(mine, claim(seq=6, epoch=3))
    expect([await _unfinished(store) for store in (mine, other)], [["r"], []], "and may take it back")


@_pair_law
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
    owned = [await _unfinished(store) for store in (mine, other)]
    expect(sorted(owned[0] + owned[1]), sorted(names), "and its writer has the run")
    outcomes.clear()
    async with trio.open_nursery() as nursery:
        for number, store in enumerate((mine, other)):
            group = [first(f"{name}-{number}", header=header(f"{name}-{number}", key=name)) for name in names]
            nursery.start_soon(write, store, group)
    for pair in zip(*outcomes, strict=True):
        expect(sorted(type(each).__name__ for each in pair), ["Applied", "Exists"], "one run of a key is brought")
        expect(any(isinstance(each, Exists) for each in pair), True, "the other is told of it")


@_pair_law
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


@_pair_law
async def timers_of_others_are_theirs(mine: Store, other: Store) -> None:
    """Those of runs that belong to another who lives are left out."""
    for store, name in ((mine, "a"), (other, "b")):
        write = follow(name, 2, expect=0, epoch=1, moved=True, status=RunStatus.AWAITING_INPUT, timer=5.0)
        await applied(store, first(name), write)
    expect([await store.timers() for store in (mine, other)], [[("a", 5.0)], [("b", 5.0)]], "each has its own")


@_pair_law
async def a_new_handle_has_what_the_old_one_had(mine: Store, other: Store) -> None:
    """`reopen` changes nothing of whose the runs are."""
    await started(mine)
    await mine.reopen()
    expect([await _unfinished(store) for store in (mine, other)], [["r"], []], "it is the same owner's")


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
            expect(await _commands(mine), ["c-1"], "a command for its run")
            expect(await _unfinished(other), [], "it has an owner")
        expect(await _unfinished(other), ["r"], "it has none")
        expect(await _is_others(other, "r"), False, "nobody carries it")
        expect(await _commands(other), ["c-1"], "and the command is anybody's")
        async with opener() as third:
            expect(await _unfinished(third), ["r"], "anybody sees it")
            await applied(other, claim(seq=3, epoch=2))
            expect(await _unfinished(third), [], "until it is taken")


# -- leases ----------------------------------------------------------------------------------------------------------


@_brief_law
async def a_lease_ends(mine: Store, other: Store) -> None:
    """The runs of an owner that is not heard of are anybody's; its own eyes see them still."""
    await started(mine)
    await applied(mine, first("timed", timer=5.0))
    await _free(other)
    expect([await _unfinished(store) for store in (mine, other)], [["r", "timed"]] * 2, "anybody's")
    expect(await other.timers(), [("timed", 5.0)], "with their timers")
    await applied(other, claim(seq=3, epoch=2))
    expect([await _unfinished(store) for store in (mine, other)], [["timed"], ["r", "timed"]], "until it is taken")
    expect(await mine.commit([follow(seq=3)]), [Stale(2)], "an owner that comes back late is told")


@_brief_law
async def renewing_keeps_runs(mine: Store, other: Store) -> None:
    """However long: an owner that says that it lives has what it had."""
    await mine.renew()
    await started(mine)
    start = trio.current_time()
    while trio.current_time() < start + 2 * _BRIEF:
        before = trio.current_time()
        await mine.renew()
        found = await _unfinished(other)
        if trio.current_time() < before + _BRIEF:  # else nobody can blame the store
            expect(found, [], "it is carried")
        await trio.sleep(_BRIEF / 10)


@_brief_law
async def who_comes_back_has_what_nobody_took(mine: Store, other: Store) -> None:
    """A lease that has ended may be renewed; what others have taken meanwhile is theirs."""
    await applied(mine, first("a"), first("b"))
    await _free(other, "a")
    await applied(other, claim("a", 2))
    await mine.renew()
    expect(await _unfinished(mine), ["b"], "what is left")
    expect("a" in await _unfinished(other), True, "what was taken")


# -- commands --------------------------------------------------------------------------------------------------------


@_pair_law
async def a_command_reaches_the_owner_of_its_run(mine: Store, other: Store) -> None:
    """And nobody else, whoever posted it; its receipt is for all to read."""
    await started(mine, "a")
    await started(other, "b")
    for command_id, run_id in (("1", "a"), ("2", "b"), ("3", "a"), ("4", "b")):
        await mine.post(posted(command_id, run_id=run_id))
    for _ in range(2):
        expect([await _commands(store) for store in (mine, other)], [["1", "3"], ["2", "4"]], "each its own")
    expect([await _commands(store, 1) for store in (mine, other)], [["1"], ["2"]], "the oldest of each")
    await other.answer("2", b"done")
    expect(await _commands(other), ["4"], "what waits")
    expect(await mine.receipt("2"), b"done", "the receipt")
    await applied(mine, claim("b", 3, epoch=2))
    expect([await _commands(store) for store in (mine, other)], [["1", "3", "4"], []], "they go with the run")


@_pair_law
async def a_command_about_nobodys_run_reaches_one_owner(mine: Store, other: Store) -> None:
    """Also where two ask at once; the same is told again to whom it was given, until it is answered."""
    names = [f"c-{number:02}" for number in range(40)]
    for name in names:
        await mine.post(posted(name, run_id=f"unknown {name}"))
    given: dict[Store, list[str]] = {mine: [], other: []}

    async def ask(store: Store) -> None:
        for limit in (3, 11, 5, 40):
            given[store] = await _commands(store, limit)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, mine)
        nursery.start_soon(ask, other)
    expect(sorted(given[mine] + given[other]), names, "each of them once")
    expect([await _commands(store) for store in (mine, other)], [given[mine], given[other]], "the same again")
    expect([given[store] == sorted(given[store]) for store in (mine, other)], [True, True], "oldest first")
    for store in (mine, other):
        for name in given[store]:
            await store.answer(name, b"done")
    expect([await _commands(store) for store in (mine, other)], [[], []], "all are answered")


@_brief_law
async def what_was_given_and_not_answered_is_given_again(mine: Store, other: Store) -> None:
    """To another, when the owner that has it is not heard of any more."""
    await started(mine)
    await other.post(posted("c-1", run_id="unknown"))
    expect(await _commands(mine), ["c-1"], "it is given")
    await _free(other)
    expect(await _commands(other), ["c-1"], "it is given again")
    await mine.renew()
    expect(await _commands(mine), [], "to one owner at a time")


@_pair_law
async def waiting_for_commands_has_an_end(mine: Store, other: Store) -> None:
    """After so many seconds at the latest, and whoever waits can be cancelled."""
    with trio.fail_after(_PATIENCE):
        await mine.wait_posted(0.0)
        await mine.wait_posted(0.02)
    with trio.move_on_after(0.02) as scope:
        while True:
            await mine.wait_posted(3600.0)
    expect(scope.cancelled_caught, True, "a cancelled caller is told so")
    await started(mine)
    with trio.fail_after(_PATIENCE):
        while not await mine.posted():
            await other.post(posted())
            await mine.wait_posted(0.5)


# -- blobs -----------------------------------------------------------------------------------------------------------


@_pair_law
async def an_upload_of_another_owner_goes_on(mine: Store, other: Store) -> None:
    """It is swept by its age alone, as long as its owner lives."""
    young, old = Hasher(), Hasher()
    young.add(b"young")
    old.add(b"old")
    await mine.put_chunk("young", 0, b"you")
    await mine.put_chunk("old", 0, b"old")
    while await other.sweep_blobs(before=0.0, live=()):
        pass
    await mine.put_chunk("young", 1, b"ng")
    expect(await mine.keep_blob(young.digest, upload="young", at=1.0), True, "it went on")
    while await other.sweep_blobs(before=inf, live=()):
        pass
    expect(await mine.keep_blob(old.digest, upload="old", at=1.0), False, "whatever is older is swept")
