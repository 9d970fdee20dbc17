"""Commands for owners in a Redis store."""

from collections.abc import Sequence
from typing import Any

from terzetto_protocol.records import Posted

from ._checksums import Damaged, columns_fit, sum_blob, sum_columns
from ._redis_reads import limited
from ._redis_scripts import Ask, pairs


class Inbox:
    """Posts and answers by scripts."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def post(self, command: Posted) -> None:
        """See `Store.post`."""
        at, receipt = float(command.at), command.receipt or b""
        total = sum_columns(command.command_id, command.run_id, at, command.body)
        said = [command.command_id, command.run_id, command.body, repr(at), total, receipt, sum_blob(receipt)]
        await self._ask("post", *said, int(command.receipt is not None))

    async def posted(self, limit: int) -> list[Posted]:
        """See `Store.posted`."""
        found = await self._ask("posted", limited(limit))
        return [command for each in found if (command := _posted(each)) is not None]

    async def decline(self, command_id: str, pause: int) -> None:
        """See `Store.decline`; so many milliseconds are a lease."""
        await self._ask("decline", command_id, pause)

    async def answer(self, command_id: str, receipt: bytes) -> None:
        """See `Store.answer`."""
        await self._ask("answer", command_id, receipt, sum_blob(receipt))

    async def receipt(self, command_id: str) -> bytes | None:
        """See `Store.receipt`."""
        reply = await self._ask("command", command_id)
        return None if reply is None else _receipt(command_id, pairs(reply))


def _posted(said: Sequence[Any]) -> Posted | None:
    try:
        command_id, run_id, body, at = said[0].decode(), said[1].decode(), said[2], float(said[3])
        return Posted(command_id, run_id, body, at) if _fits(said[4], command_id, run_id, at, body) else None
    except (ValueError, TypeError):
        return None


def _receipt(command_id: str, said: dict[bytes, bytes]) -> bytes | None:
    receipt = said.get(b"receipt")
    try:
        is_whole = _fits(said[b"sum"], command_id, said[b"run"].decode(), float(said[b"at"]), said[b"body"])
        is_whole = is_whole and (receipt is None or int(said[b"receipt_sum"]) == sum_blob(receipt))
    except (KeyError, ValueError):
        is_whole = False
    if not is_whole:
        raise Damaged(said.get(b"run", b"").decode(errors="replace"), f"command {command_id!r}")
    return receipt


def _fits(total: bytes, command_id: str, run_id: str, at: float, body: bytes) -> bool:
    return columns_fit(int(total), command_id, run_id, at, body)
