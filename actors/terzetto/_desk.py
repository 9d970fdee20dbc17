"""The desk: the typed mailbox by which commands from outside reach a runtime.

It owns the mailbox and a task per command that is being carried out, as many as the mailbox holds. The
inbox speaks to it, and so does whatever else brings commands as messages; calls of `Runtime` go straight
to the supervisor. What kills it is the tree; whoever waits for an answer then gets `ActorStopped`.
"""

from collections.abc import Awaitable, Callable

import trio

from terzetto_protocol.commands import (
    Cancel,
    Command,
    Decide,
    Delete,
    Fork,
    Pause,
    Rerun,
    Resume,
    Retry,
    Submit,
    Truncate,
    Undo,
    Withdraw,
)
from terzetto_protocol.errors import TerzettoError
from terzetto_protocol.limits import MAILBOX
from terzetto_protocol.receipts import Receipt

from ._mailbox import Address, Envelope, Mailbox, MailboxStatistics, open_mailbox

CarryOut = Callable[[Command], Awaitable[Receipt]]


class Desk:
    """Takes commands, has them carried out, and answers with their receipts."""

    def __init__(self, carry_out: CarryOut) -> None:
        self._carry_out = carry_out
        self._open()

    def _open(self) -> None:
        pair: tuple[Address[Command, Receipt], Mailbox[Command, Receipt]]
        pair = open_mailbox(
            "the desk", Decide, Withdraw, Undo, Cancel, Pause, Resume, Truncate, Delete, Submit, Fork, Retry, Rerun
        )
        self.address, self._mailbox = pair

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled. A checkpoint."""
        self._open()
        room = trio.CapacityLimiter(MAILBOX)
        with self._mailbox:
            async with trio.open_nursery() as nursery:
                task_status.started()
                async for envelope in self._mailbox:
                    await room.acquire_on_behalf_of(envelope)
                    nursery.start_soon(self._answer, envelope, room)

    async def _answer(self, envelope: Envelope[Command, Receipt], room: trio.CapacityLimiter) -> None:
        try:
            envelope.slot.answer(await self._carry_out(envelope.message))
        except TerzettoError as error:
            envelope.slot.fail(error)
        finally:
            room.release_on_behalf_of(envelope)

    def statistics(self) -> MailboxStatistics:
        """How full the mailbox is, and how many wait for an answer."""
        return self._mailbox.statistics()
