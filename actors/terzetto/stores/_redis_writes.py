"""The write path of a Redis store: a group of writes is one call of one script.

The script decides whether a write is there already, fits, or is refused, and returns the facts of a refusal. What it
is called is decided here, by the same functions as in every store.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import trio

from terzetto_protocol.errors import StoreRejected, StoreUnavailable, describe
from terzetto_protocol.records import Applied, Exists, Outcome, Overtaken, Rejected, Write

from ._checksums import Damaged
from ._columns import head_sum
from ._pressing import press
from ._redis_rows import read_row, unstorable_arguments, write_arguments
from ._redis_scripts import Argument, Ask, pairs
from ._verdict import in_order, misnumbered, nameless, unknown, verdict

LARGEST: Final = 256 * 1024 * 1024
"""Bytes of one value from which on a write is refused: a server takes 512 MB, and would hang up."""
_IN_THREAD: Final = 256 * 1024
"""Bytes of a snapshot from which on it is pressed in a thread: it would hold the loop up for milliseconds."""
_APPLIED: Final = Applied()
_UNTOLD: Final = Rejected("")


class GroupWriter:
    """Turns groups of writes into calls of the script that applies them."""

    def __init__(self, ask: Ask, url: str, ttl: int) -> None:
        self._ask, self._url, self._ttl = ask, url, ttl

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`."""
        args = list[Argument]()
        wrong = dict[int, str]()
        for number, write in enumerate(writes):
            snapshot = None if write.snapshot is None else await pressed(write.snapshot)
            try:
                _check_size(write.body, snapshot)
                args += write_arguments(write, snapshot)
            except (TypeError, ValueError, OverflowError) as error:
                args += unstorable_arguments(write)
                wrong[number] = describe(error)
        try:
            reply = await self._ask("apply", self._ttl, len(writes), *args)
        except Damaged as damage:  # what is lost is of no run of this group
            raise StoreUnavailable(f"store {self._url}: {damage}") from damage
        told = [
            _outcome(write, each, wrong.get(n, "")) for n, (write, each) in enumerate(zip(writes, reply, strict=True))
        ]
        return list(_with_those_behind(writes, told))

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """See `Store.move_head`."""
        total = head_sum(thread, run_id, at) if run_id else 0
        done = await self._ask("move_head", thread, expect, run_id, repr(float(at)), total, self._ttl)
        if done < 0:
            raise StoreRejected(f"there is no run {run_id!r} to be the head of thread {thread!r}")
        return bool(done)


async def pressed(snapshot: bytes) -> bytes:
    """What is stored for a snapshot."""
    return press(snapshot) if len(snapshot) < _IN_THREAD else await trio.to_thread.run_sync(press, snapshot)


def _check_size(*values: bytes | None) -> None:
    if any(len(value) > LARGEST for value in values if value is not None):
        raise ValueError(f"it is larger than {LARGEST} bytes")


def _outcome(write: Write, told: Any, wrong: str) -> Outcome:
    """What a script's answer is called."""
    if told == 1:
        return _APPLIED
    match told:
        case [b"behind"]:
            return _UNTOLD
        case [b"refused", epoch, last, stored_epoch, body]:
            stored = None if stored_epoch is None else (int(stored_epoch), body)
            outcome = verdict(write, int(epoch), int(last), stored, is_ours=False)
            assert outcome is not None, "the script has refused what fits"
            return outcome
        case [b"exists", run_id, flat]:
            return _exists(write, run_id.decode(), flat)
        case [b"unknown"]:
            return unknown(write)
        case [b"misnumbered"]:
            return misnumbered(write) or _unsure(write, "its seq is not known")
        case [b"overtaken", run_id]:
            return Overtaken(run_id.decode())
        case [b"nameless", digest]:
            return nameless(write, digest.decode())
        case [b"unstorable"]:
            return Rejected(f"commit {write.seq} of run {write.run_id!r} cannot be stored: {wrong}")
        case _:
            return _unsure(write, "its keys have vanished, or a part of them")


def _exists(write: Write, run_id: str, flat: list[bytes]) -> Outcome:
    try:
        return Exists(read_row(run_id, pairs(flat)))
    except Damaged as error:
        return _unsure(write, str(error))


def _unsure(write: Write, reason: str) -> Rejected:
    text = f"commit {write.seq} cannot be compared with what is stored of run {write.run_id!r}, which is damaged"
    return Rejected(f"{text}: {reason}", final=False)  # nobody knows whether it is there


def _with_those_behind(writes: Sequence[Write], told: list[Outcome]) -> Iterator[Outcome]:
    """The same, where a write that was not judged is called after the one that it follows."""
    judged = iter([outcome for outcome in told if outcome is not _UNTOLD])
    yield from in_order(writes, lambda _: next(judged))
