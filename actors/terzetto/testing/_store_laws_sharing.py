"""Laws about what several owners share: threads, commands and blobs."""

from math import inf

import trio

from terzetto_protocol.blobs import Hasher
from terzetto_protocol.records import Applied, Overtaken, Write
from terzetto_protocol.statuses import RunStatus

from ..stores import Store
from ._store_laws import applied, claim, expect, first, follow, header, posted, started
from ._store_laws_pairs import BRIEF, PATIENCE, PairBook, commands, freed

BOOK = PairBook()


# -- threads ---------------------------------------------------------------------------------------------------------


def _on_thread(run_id: str, line: int = 0, base: str | None = None) -> Write:
    return first(run_id, header=header(run_id, thread="t", line=line), base=base)


def _end(run_id: str, seq: int = 2) -> Write:
    return follow(run_id, seq, expect=0, epoch=0, moved=True, status=RunStatus.SUCCEEDED, thread="t")


@BOOK.pair_law
async def one_place_in_a_line_is_taken_once(mine: Store, other: Store) -> None:
    """Whoever comes second is told who is there, and so is who comes late with a place in front of it."""
    await applied(mine, _on_thread("a"), _on_thread("b", 1))
    for late in (_on_thread("c"), _on_thread("c", 1)):
        [outcome] = await other.commit([late])
        expect(outcome in (Overtaken("a"), Overtaken("b")), True, "it is told of one of them")
    group = [_on_thread("c", 2), _on_thread("d", 2), first("e")]
    expect(await other.commit(group), [Applied(), Overtaken("c"), Applied()], "also inside a group")
    await applied(mine, _on_thread("a"), _on_thread("b", 1))  # what is there was never overtaken
    outcomes = list[object]()

    async def join(store: Store, run_id: str, line: int) -> None:
        outcomes.extend(await store.commit([_on_thread(run_id, line)]))

    for line in range(3, 13):
        outcomes.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(join, mine, f"x-{line}", line)
            nursery.start_soon(join, other, f"y-{line}", line)
        expect(sorted(type(each).__name__ for each in outcomes), ["Applied", "Overtaken"], "one of two at once")


@BOOK.pair_law
async def a_run_begins_from_the_head_or_not_at_all(mine: Store, other: Store) -> None:
    """A thread that has gone on meanwhile is told, and nothing is written."""
    await applied(mine, _on_thread("a", base=""), _end("a"))
    for late in (_on_thread("b", base=""), _on_thread("b", base="x")):
        expect(await other.commit([late]), [Overtaken("a")], "it has another head now")
    await applied(other, _on_thread("b", base="a"))
    await applied(mine, _on_thread("c", 1))
    await applied(other, _end("b"))
    expect(await mine.commit([claim("c", 2, base="a")]), [Overtaken("b")], "the head has moved")
    expect((await mine.run("c")), await other.run("c"), "nothing was written")
    await applied(mine, claim("c", 2, base="b"))
    await applied(mine, claim("c", 2, base="b"))


@BOOK.pair_law
async def a_head_is_not_taken_back_under_a_run(mine: Store, other: Store) -> None:
    """While a run that has begun from it is under way on the thread; one that waits its turn is in nobody's way."""
    await applied(mine, _on_thread("a", base=""), _end("a"), _on_thread("b", base="a"))
    expect(await other.move_head("t", "a", "", 9.0), False, "b has begun from it")
    await applied(mine, follow("b", 2, expect=0, epoch=0, moved=True, status=RunStatus.CANCELLED), _on_thread("c", 7))
    expect(await other.move_head("t", "a", "", 9.0), True, "c has not")
    expect(await mine.head("t"), None, "it is taken back")


# -- commands --------------------------------------------------------------------------------------------------------


@BOOK.pair_law
async def a_command_reaches_the_owner_of_its_run(mine: Store, other: Store) -> None:
    """And nobody else, whoever posted it; its receipt is for all to read."""
    await started(mine, "a")
    await started(other, "b")
    for command_id, run_id in (("1", "a"), ("2", "b"), ("3", "a"), ("4", "b")):
        await mine.post(posted(command_id, run_id=run_id))
    for _ in range(2):
        expect([await commands(store) for store in (mine, other)], [["1", "3"], ["2", "4"]], "each its own")
    expect([await commands(store, 1) for store in (mine, other)], [["1"], ["2"]], "the oldest of each")
    await other.answer("2", b"done")
    expect(await commands(other), ["4"], "what waits")
    expect(await mine.receipt("2"), b"done", "the receipt")
    await applied(mine, claim("b", 3, epoch=2))
    expect([await commands(store) for store in (mine, other)], [["1", "3", "4"], []], "they go with the run")


@BOOK.pair_law
async def a_command_about_nobodys_run_reaches_one_owner(mine: Store, other: Store) -> None:
    """Also where two ask at once; the same is told again to whom it was given, until it is answered."""
    names = [f"c-{number:02}" for number in range(40)]
    for name in names:
        await mine.post(posted(name, run_id=f"unknown {name}"))
    given: dict[Store, list[str]] = {mine: [], other: []}

    async def ask(store: Store) -> None:
        for limit in (3, 11, 5, 40):
            given[store] = await commands(store, limit)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, mine)
        nursery.start_soon(ask, other)
    expect(sorted(given[mine] + given[other]), names, "each of them once")
    expect([await commands(store) for store in (mine, other)], [given[mine], given[other]], "the same again")
    expect([given[store] == sorted(given[store]) for store in (mine, other)], [True, True], "oldest first")
    for store in (mine, other):
        for name in given[store]:
            await store.answer(name, b"done")
    expect([len(await commands(store)) for store in (mine, other)], [0, 0], "all are answered")


@BOOK.brief_law
async def what_was_given_and_not_answered_is_given_again(mine: Store, other: Store) -> None:
    """To another, when the owner that has it is not heard of any more."""
    await started(mine)
    await other.post(posted("c-1", run_id="unknown"))
    expect(await commands(mine), ["c-1"], "it is given")
    await freed(other)
    expect(await commands(other), ["c-1"], "it is given again")
    await mine.renew()
    expect(await commands(mine), [], "to one owner at a time")


@BOOK.pair_law
async def what_one_owner_declines_another_is_given(mine: Store, other: Store) -> None:
    """At once; whoever has declined is not given it again so soon, and a receipt stays what it is."""
    for name in ("1", "2", "3"):
        await mine.post(posted(name, run_id=f"unknown {name}"))
    expect(await commands(mine), ["1", "2", "3"], "they are given")
    for _ in range(2):
        await mine.decline("1")
    await mine.decline("nowhere")
    expect([await commands(store) for store in (mine, other)], [["2", "3"], ["1"]], "it is given to another")
    expect(await commands(mine, 1), ["2"], "what was declined is not counted")
    await mine.decline("1")
    expect(await commands(other), ["1"], "it is the other's now, who has not declined it")
    await other.decline("1")
    expect([await commands(store) for store in (mine, other)], [["2", "3"], []], "both have declined it")
    expect(await mine.receipt("1"), None, "it waits")
    await mine.answer("2", b"done")
    await mine.decline("2")
    expect(await other.receipt("2"), b"done", "the receipt")
    expect([await commands(store) for store in (mine, other)], [["3"], []], "what was answered stays answered")


@BOOK.brief_law
async def what_was_declined_is_looked_at_again(mine: Store, other: Store) -> None:
    """By the same owner, when a lease of its own has passed, unless another has it by then; as often as it declines."""
    for name in ("1", "2"):
        await other.post(posted(name, run_id="unknown"))
    expect(await commands(mine), ["1", "2"], "they are given")
    await mine.decline("1")
    expect(await commands(other), ["1"], "it is given to another")
    await mine.decline("1")
    for _ in range(2):
        await mine.decline("2")
        with trio.fail_after(PATIENCE):
            while not (given := await commands(mine)):  # noqa: ASYNC110 - a pause ends without telling
                await trio.sleep(BRIEF / 10)
        expect(given, ["2"], "the other one is another's, whatever was declined since")
    await mine.answer("2", b"done")
    expect(await other.receipt("2"), b"done", "whoever can answer it all the same does")


@BOOK.pair_law
async def waiting_for_commands_has_an_end(mine: Store, other: Store) -> None:
    """After so many seconds at the latest, and whoever waits can be cancelled."""
    with trio.fail_after(PATIENCE):
        await mine.wait_posted(0.0)
        await mine.wait_posted(0.02)
    with trio.move_on_after(0.02) as scope:
        while True:
            await mine.wait_posted(3600.0)
    expect(scope.cancelled_caught, True, "a cancelled caller is told so")
    await started(mine)
    with trio.fail_after(PATIENCE):
        while not await mine.posted():
            await other.post(posted())
            await mine.wait_posted(0.5)


# -- blobs -----------------------------------------------------------------------------------------------------------


@BOOK.pair_law
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
