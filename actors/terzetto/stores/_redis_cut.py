"""How a Redis store forgets: the beginning of a log in front of a snapshot, or a whole run. One script each."""

from collections.abc import Collection

from terzetto_protocol.errors import UnknownRun
from terzetto_protocol.statuses import RunStatus

from ._redis_scripts import Ask
from ._verdict import check_deletable, check_prunable


class Cutter:
    """Forgets by scripts; each call is whole, or has changed nothing."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def prune(self, run_id: str, before: int, epoch: int, keep: Collection[int], closed_before: float) -> int:
        """See `Store.prune`."""
        seqs = sorted(keep)
        reply = await self._ask("prune", run_id, before, epoch, repr(float(closed_before)), len(seqs), *seqs)
        if reply is None:
            raise UnknownRun(run_id)
        check_prunable(run_id, int(reply[0]), epoch)
        return int(reply[1])

    async def delete(self, run_id: str, epoch: int) -> int:
        """See `Store.delete`."""
        reply = await self._ask("delete", run_id, epoch)
        if reply is None:
            raise UnknownRun(run_id)
        thread = None if reply[2] is None else reply[2].decode()
        check_deletable(run_id, (int(reply[0]), RunStatus(reply[1].decode())), epoch, thread)
        return int(reply[3])
