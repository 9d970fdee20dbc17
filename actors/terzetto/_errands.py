"""Errands: commands for runs that another owner of the store carries.

It owns nothing: the command lies in the store until its receipt does, and whoever carries the run by then answers it.
"""

from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast

import trio

from terzetto_protocol.commands import Command
from terzetto_protocol.errors import CarriedElsewhere, Refused
from terzetto_protocol.receipts import Denied, Receipt
from terzetto_protocol.records import Posted

from ._inbox import COMMANDS, RECEIPTS
from .stores._contract import Store

P = ParamSpec("P")
R = TypeVar("R", bound=Receipt)
C = TypeVar("C", bound=Any)

RECEIPT_POLL: Final = 0.05
"""How often somebody looks for the receipt of a command that was left in the store, seconds."""


class Sender(Protocol):
    """Whoever carries commands out, as far as it can."""

    @property
    def store(self) -> Store:
        """Where commands for others are left."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """UNIX time, seconds."""
        ...


SenderT = TypeVar("SenderT", bound=Sender)


def by_its_carrier(
    method: Callable[Concatenate[SenderT, C, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[SenderT, C, P], Coroutine[Any, Any, R]]:
    """Have the command carried out by whoever carries its run, where that is another owner of the store.

    A cancelled call may have been heard, and is carried out then.
    """

    async def said(self: SenderT, command: C, /, *args: P.args, **options: P.kwargs) -> R:
        try:
            return await method(self, command, *args, **options)
        except CarriedElsewhere:
            return cast("R", await _sent(self.store, command, self.clock()))

    update_wrapper(said, method)
    return said


async def _sent(store: Store, command: Any, at: float) -> Receipt:
    await leave(store, command, command.run_id, at)
    receipt = await receipt_of(store, command.command_id)
    if isinstance(receipt, Denied):
        raise Refused(receipt.run_id, receipt.reason.removeprefix(f"run {receipt.run_id!r}: "))
    return receipt


async def leave(store: Store, command: Command, run_id: str, at: float) -> None:
    """Leave a command for whoever carries a run, now or later; twice is once. A checkpoint.

    Args:
        store: where.
        command: what is asked.
        run_id: of which run.
        at: UNIX time, seconds.

    Raises:
        StoreUnavailable: the store is gone for now, and the command may or may not be in it.
    """
    await store.post(Posted(command.command_id, run_id, COMMANDS.pack(command), at))


async def receipt_of(store: Store, command_id: str) -> Receipt:
    """Wait until somebody has answered a command that was left. A checkpoint; cancelled, the command stays."""
    while (body := await store.receipt(command_id)) is None:  # noqa: ASYNC110 - the store does not tell
        await trio.sleep(RECEIPT_POLL)
    return RECEIPTS.unpack(body)
