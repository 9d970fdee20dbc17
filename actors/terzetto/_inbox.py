"""The inbox of a shared store: commands that other processes left for the owner.

It owns nothing but the set of commands that are being carried out; a command that was carried out while
its receipt was lost is carried out again and hears `AlreadyResolved` or `already_terminal`. One for a graph that this
owner does not have is another owner's, where there may be others: it goes back, and the store remembers that.
"""

from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import trio

from terzetto_protocol.codec import Codec
from terzetto_protocol.commands import Command
from terzetto_protocol.errors import ActorStopped, StoreUnavailable, TerzettoError, UnknownGraph
from terzetto_protocol.limits import INBOX_POLL
from terzetto_protocol.receipts import Denied, Receipt
from terzetto_protocol.records import Posted

from .stores._contract import Store

COMMANDS: Final[Codec[Command]] = Codec(Command, "command")
RECEIPTS: Final[Codec[Receipt]] = Codec(Receipt, "receipt")


class Inbox:
    """Looks for commands, has them carried out, and puts the receipts beside them."""

    def __init__(self, store: Store, carry_out: Callable[[Command], Awaitable[Receipt]]) -> None:
        self._store = store
        self._carry_out = carry_out
        self._busy: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look every `INBOX_POLL` seconds, and when the store says so, until cancelled. A checkpoint."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                try:
                    for posted in await self._store.posted():
                        if posted.command_id not in self._busy:
                            self._busy.add(posted.command_id)
                            nursery.start_soon(self._answer, posted)
                    await self._store.wait_posted(INBOX_POLL)
                except StoreUnavailable:
                    await trio.sleep(INBOX_POLL)  # commands wait in the store, and are found when the store is back

    async def _answer(self, posted: Posted) -> None:
        """Carry a command out; one that stays without a receipt is found again: by us, or by the next owner."""
        lease = self._store.lease
        try:
            # Whoever has claimed its run meanwhile, and is to answer in our place, may be gone before he does.
            with trio.move_on_after(inf if lease is None else lease):
                receipt = await self._receipt(posted)
                if receipt is None:
                    await self._store.decline(posted.command_id)
                else:
                    await self._store.answer(posted.command_id, RECEIPTS.pack(receipt))
        except (StoreUnavailable, ActorStopped):
            pass
        finally:
            self._busy.discard(posted.command_id)

    async def _receipt(self, posted: Posted) -> Receipt | None:
        """What came of a command; None for one that is for another owner."""
        try:
            return await self._carry_out(COMMANDS.unpack(posted.body))
        except (StoreUnavailable, ActorStopped):
            raise
        except TerzettoError as error:
            if isinstance(error, UnknownGraph) and self._store.lease is not None:
                return None
            return Denied(posted.run_id, str(error))
