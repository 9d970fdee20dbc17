"""`terzetto truncate` and `delete`: forgetting, through the store's owner, or here where nobody owns it."""

from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import TypeVar

from terzetto_protocol.commands import Delete, Truncate
from terzetto_protocol.receipts import Deleted, Receipt, Truncated

from .._forgetting import Forgetting
from ..stores import open_store
from ._output import Output
from ._remote import say_there
from ._saying import Answered, say, told
from ._states import check_seq
from ._stores import carrier_of, find_run, guest, new_command_id, store_url

T = TypeVar("T")


async def truncate(args: Namespace, output: Output) -> int:
    """Cut the beginning of a run's log off. A checkpoint."""
    if args.url:
        return await say_there(args, output, Truncate(new_command_id(), args.run, args.seq))
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        command = Truncate(new_command_id(), row.run_id, check_seq(row, args.seq))
        if await carrier_of(store, store_url(args), row.run_id):
            return await say(args, output, store, row, command)
    return await _forget(args, output, command)


async def delete(args: Namespace, output: Output) -> int:
    """Forget a run that has ended. A checkpoint."""
    if args.url:
        return await say_there(args, output, Delete(new_command_id(), args.run))
    async with guest(store_url(args)) as store:
        row = await find_run(store, args.run)
        command = Delete(new_command_id(), row.run_id)
        if await carrier_of(store, store_url(args), row.run_id):
            return await say(args, output, store, row, command)
    return await _forget(args, output, command)


async def _forget(args: Namespace, output: Output, command: Truncate | Delete) -> int:
    """Do it here, as the store's owner for a moment: no graph is asked for it. A checkpoint."""
    async with open_store(store_url(args)) as store:
        forgetting, run_id = Forgetting(store, _Alone()), command.run_id
        receipt: Receipt
        if isinstance(command, Truncate):
            receipt = Truncated(run_id, await forgetting.truncate(run_id, command.keep_from), store.durable)
        else:
            receipt = Deleted(run_id, await forgetting.delete(run_id), store.durable)
    output.document(Answered(run_id, "", recorded=False, receipt=receipt))
    return told(output, command, receipt)


class _Alone:
    """The way to a store to which nobody else writes."""

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it at once. A checkpoint."""
        return await work()
