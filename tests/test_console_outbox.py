"""`terzetto.console._outbox`: what waits for one client, in order and bounded (SEMANTICS 13.9, 13.10)."""

import trio
import trio.testing

from terzetto.console._outbox import Outbox
from terzetto_protocol.limits import CONSOLE_OUTBOX


async def test_frames_are_taken_in_order_and_then_it_is_over():
    outbox = Outbox()
    for frame in (b"a", b"b"):
        outbox.put(frame)
    outbox.close(1000, "")
    outbox.put(b"c")

    assert [await outbox.take() for _ in range(3)] == [b"a", b"b", None]
    assert outbox.closing == (1000, "")


async def test_a_cancelled_take_loses_nothing(autojump_clock):
    outbox = Outbox()
    with trio.move_on_after(1) as waiting:
        await outbox.take()
    outbox.put(b"a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await outbox.take()

    assert waiting.cancelled_caught
    assert scope.cancelled_caught, "also where nothing is waited for"
    assert await outbox.take() == b"a"


async def test_room_is_waited_for_until_enough_is_taken(autojump_clock):
    outbox, order = Outbox(), []
    for _ in range(2):
        outbox.put(bytes(CONSOLE_OUTBOX))

    async def make() -> None:
        await outbox.room()
        order.append("room")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            order.append("taken" if await outbox.take() else "")
            await trio.testing.wait_all_tasks_blocked()

    assert order == ["taken", "room", "taken"]


async def test_who_has_room_notices_a_cancel_all_the_same():
    outbox = Outbox()
    with trio.CancelScope() as scope:
        scope.cancel()
        await outbox.room()

    assert scope.cancelled_caught
