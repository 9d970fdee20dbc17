"""Laws about the inbox, where other processes leave commands for the owner."""

import trio

from ..stores import Store
from ._store_laws import LawBook, Opener, expect, posted

BOOK = LawBook()


@BOOK.law
async def commands_wait_oldest_first(store: Store) -> None:
    """In order of posting, whatever their clocks said, until they are answered."""
    commands = [posted("b", at=3.0), posted("a", at=1.0), posted("c", at=2.0, body=b"\0\xff", run_id="other")]
    for command in commands:
        await store.post(command)
    for _ in range(2):
        expect(await store.posted(), commands, "oldest first, as often as one asks")
    await store.answer("a", b"done")
    expect(await store.posted(), [commands[0], commands[2]], "those without a receipt")


@BOOK.law
async def commands_are_limited(store: Store) -> None:
    """`limit` counts from the oldest; 0 means none."""
    commands = [posted(f"c-{n:03}") for n in range(120)]
    for command in commands:
        await store.post(command)
    for limit in (0, 1, 7, 200, 2**70):
        expect(await store.posted(limit=limit), commands[:limit], f"limit {limit}")
    expect(await store.posted(), commands[:100], "no limit given")


@BOOK.law
async def a_command_is_posted_once(store: Store) -> None:
    """The same command id again changes nothing, also after it was answered."""
    await store.post(posted(body=b"first"))
    await store.post(posted(body=b"second"))
    expect(await store.posted(), [posted(body=b"first")], "the first one counts")
    await store.answer("c-1", b"done")
    await store.post(posted(body=b"third"))
    expect(await store.posted(), [], "it stays answered")
    expect(await store.receipt("c-1"), b"done", "its receipt stays")


@BOOK.law
async def the_first_receipt_stays(store: Store) -> None:
    """A command has no receipt, then one, for ever."""
    expect(await store.receipt("c-1"), None, "an unknown command")
    await store.answer("c-1", b"too early")
    expect(await store.receipt("c-1"), None, "an unknown command was answered")
    await store.post(posted())
    expect(await store.receipt("c-1"), None, "a waiting command")
    await store.answer("c-1", b"one")
    await store.answer("c-1", b"two")
    expect(await store.receipt("c-1"), b"one", "the first receipt")


@BOOK.law
async def new_commands_are_noticed(store: Store) -> None:
    """However often nothing was there, what is posted next is found by the next look."""
    for number in range(5):
        for _ in range(3):
            expect(await store.posted(), [], "nothing waits")
        await store.post(posted(f"c-{number}"))
        expect(await store.posted(), [posted(f"c-{number}")], "a new command")
        await store.answer(f"c-{number}", b"done")


@BOOK.opener_law
async def commands_survive_closing(opener: Opener) -> None:
    """Without an owner commands are recorded, and the next owner finds them."""
    async with opener() as store:
        await store.post(posted("a"))
        await store.post(posted("b"))
        await store.answer("a", b"done")
        durable = store.durable
    async with opener() as store:
        if durable:
            expect(await store.posted(), [posted("b")], "what waits")
            expect(await store.receipt("a"), b"done", "what was answered")


@BOOK.law
async def a_cancelled_post_happened_or_not(store: Store) -> None:
    """Posting again after a cancelled try leaves one command."""
    for later in range(8):
        command = posted(f"c-{later}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.post, command)
            for _ in range(later):
                await trio.lowlevel.cancel_shielded_checkpoint()
            nursery.cancel_scope.cancel()
        await store.post(command)
        expect(await store.posted(), [command], "there once")
        await store.answer(command.command_id, b"done")
