"""`terzetto._mailbox`: typed, bounded, and nobody waits for the dead (SEMANTICS 9.5)."""

import pytest
import trio
import trio.testing
from msgspec import Struct

from terzetto._mailbox import MailboxStatistics, Slot, open_mailbox
from terzetto_protocol.errors import ActorStopped
from terzetto_protocol.limits import MAILBOX


class Ping(Struct, frozen=True):
    number: int = 0


class Pong(Struct, frozen=True):
    number: int = 0


class LoudPing(Ping, frozen=True):
    pass


async def test_messages_arrive_in_order():
    address, mailbox = open_mailbox("echo", Ping, Pong)
    for number in range(3):
        await address.tell(Ping(number))
    address.tell_nowait(Pong(3))

    assert [Ping(0), Ping(1), Ping(2), Pong(3)] == [(await mailbox.receive()).message for _ in range(4)]
    mailbox.close()


@pytest.mark.parametrize("stranger", ["text", 3, None, LoudPing(), Ping], ids=repr)
async def test_another_type_is_a_type_error_at_the_door(stranger):
    """DESIGN: sending something else is a `TypeError` at the door; a subclass is another class."""
    address, mailbox = open_mailbox("echo", Ping)

    with mailbox:
        with pytest.raises(TypeError, match="the mailbox of echo takes Ping, not"):
            await address.tell(stranger)
        with pytest.raises(TypeError):
            address.tell_nowait(stranger)
        with pytest.raises(TypeError):
            await address.ask(stranger)
        assert MailboxStatistics(0, MAILBOX, 0) == mailbox.statistics()


async def test_it_is_bounded(autojump_clock):
    """9.5: every mailbox is bounded: `tell` waits for room, `tell_nowait` raises."""
    address, mailbox = open_mailbox("small", Ping, capacity=2)
    address.tell_nowait(Ping(1))
    address.tell_nowait(Ping(2))

    with pytest.raises(trio.WouldBlock):
        address.tell_nowait(Ping(3))
    with trio.move_on_after(5) as scope:
        await address.tell(Ping(3))

    assert scope.cancelled_caught
    assert MailboxStatistics(2, 2, 0) == mailbox.statistics()
    mailbox.close()


async def test_tell_goes_on_when_there_is_room():
    address, mailbox = open_mailbox("small", Ping, capacity=1)
    record: list[str] = []

    async def tell() -> None:
        for number in range(3):
            await address.tell(Ping(number))
            record.append(f"told {number}")

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            await trio.testing.wait_all_tasks_blocked()
            assert ["told 0"] == record
            assert Ping(0) == (await mailbox.receive()).message
            await trio.testing.wait_all_tasks_blocked()
            assert ["told 0", "told 1"] == record
            await mailbox.receive()
    mailbox.close()


async def test_a_cancelled_tell_has_sent_nothing(autojump_clock):
    address, mailbox = open_mailbox("small", Ping, capacity=0)
    with trio.move_on_after(1):
        await address.tell(Ping(1))

    assert 0 == mailbox.statistics().waiting
    with trio.move_on_after(1) as scope:
        await mailbox.receive()
    assert scope.cancelled_caught
    mailbox.close()


async def test_ask_gets_the_answer_of_its_own_question():
    address, mailbox = open_mailbox("echo", Ping)
    answers: dict[int, int] = {}

    async def ask(number: int) -> None:
        answers[number] = await address.ask(Ping(number))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
            assert 5 == mailbox.statistics().unanswered
            envelopes = [await mailbox.receive() for _ in range(5)]
            for envelope in reversed(envelopes):
                envelope.slot.answer(envelope.message.number * 10)

    assert {number: number * 10 for number in range(5)} == answers
    assert 0 == mailbox.statistics().unanswered
    mailbox.close()


async def test_an_error_is_an_answer():
    address, mailbox = open_mailbox("echo", Ping)

    async def answer() -> None:
        (await mailbox.receive()).slot.fail(ZeroDivisionError("no"))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            with pytest.raises(ZeroDivisionError):
                await address.ask(Ping())
    mailbox.close()


async def test_only_the_first_answer_counts():
    slot: Slot[int] = Slot()
    assert not slot.answered
    slot.answer(1)
    slot.answer(2)
    slot.fail(ValueError())

    assert slot.answered
    assert 1 == await slot.wait()
    assert 1 == await slot.wait()


async def test_closing_answers_every_asker():
    """9.5: a dying actor answers everyone who waits for it: those it has heard, and those who still wait for room."""
    address, mailbox = open_mailbox("doomed", Ping, capacity=1)
    heard: list[str] = []

    async def ask(number: int) -> None:
        with pytest.raises(ActorStopped, match="doomed has stopped") as caught:
            await address.ask(Ping(number))
        assert "doomed" == caught.value.actor
        heard.append("answered")

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
            await mailbox.receive()
            await trio.testing.wait_all_tasks_blocked()
            mailbox.close()
            mailbox.close()

    assert ["answered"] * 4 == heard
    assert 0 == mailbox.statistics().unanswered


async def test_leaving_the_block_closes_also_on_an_error():
    address, mailbox = open_mailbox("doomed", Ping)
    with pytest.raises(KeyError), mailbox:
        raise KeyError

    with pytest.raises(ActorStopped):
        await address.tell(Ping())
    with pytest.raises(ActorStopped):
        address.tell_nowait(Ping())
    with pytest.raises(ActorStopped):
        await address.ask(Ping())


async def test_a_cancelled_ask_leaves_nothing(autojump_clock):
    address, mailbox = open_mailbox("slow", Ping, capacity=1)
    with trio.move_on_after(1) as heard:
        await address.ask(Ping(1))
    with trio.move_on_after(1) as unheard:
        await address.ask(Ping(2))

    assert heard.cancelled_caught
    assert unheard.cancelled_caught
    assert 0 == mailbox.statistics().unanswered
    envelope = await mailbox.receive()
    envelope.slot.answer("too late")  # and nobody minds
    assert MailboxStatistics(0, 1, 0) == mailbox.statistics()
    mailbox.close()


async def test_iterating_ends_with_the_asker_told():
    address, mailbox = open_mailbox("echo", Ping)
    taken: list[int] = []

    async def actor() -> None:
        with mailbox:
            async for envelope in mailbox:
                taken.append(envelope.message.number)
                if envelope.message.number == 2:
                    return
                envelope.slot.answer("fine")

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor)
            assert "fine" == await address.ask(Ping(1))
            with pytest.raises(ActorStopped):
                await address.ask(Ping(2))
    assert [1, 2] == taken


async def test_every_way_in_is_a_checkpoint():
    address, mailbox = open_mailbox("echo", Ping)
    with trio.testing.assert_checkpoints():
        await address.tell(Ping())
    with trio.testing.assert_checkpoints():
        await mailbox.receive()
    with trio.testing.assert_no_checkpoints():
        address.tell_nowait(Ping())
        mailbox.statistics()
        mailbox.close()
