"""Whether a Redis store holds together: lists that are whole, rows that are what was stored, blobs that are themselves.

Commits go between two of its questions, so a run that is written to meanwhile is looked at as it is by then.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from terzetto_protocol.blobs import Hasher

from ._checksums import Damaged
from ._redis_blobs import Blobs
from ._redis_inbox import Inbox
from ._redis_reads import Reader
from ._redis_scripts import Ask

MOST: Final = 100
"""Problems that are reported; a store that has more needs no longer list."""


async def check(ask: Ask, reader: Reader, lost: list[Any]) -> list[str]:
    """Everything that is wrong, in sentences.

    Args:
        ask: runs scripts.
        reader: reads runs.
        lost: lists that are not whole, each name before its size.
    """
    gone = {name.decode() for name in lost[::2]}
    problems = [f"the list {name!r} is not what was stored: keys have vanished" for name in sorted(gone)]
    for name, look in _looks(ask, reader).items():
        members = [] if name in gone else await _members(ask, name)
        for member in members:
            try:
                await look(member)
            except Damaged as error:
                problems.append(str(error))
            if len(problems) >= MOST:
                return problems
    return problems


def _looks(ask: Ask, reader: Reader) -> dict[str, Callable[[str], Awaitable[object]]]:
    """How each member of a list is looked at."""
    return {
        "runs": reader.check,
        "heads": partial(_check_head, reader),
        "inbox": Inbox(ask).receipt,
        "blobs": partial(_check_blob, ask),
    }


async def _members(ask: Ask, name: str) -> list[str]:
    found, cursor = dict[str, None](), b"0"
    while True:
        cursor, page = await ask("names", name, cursor)
        found |= dict.fromkeys(member.decode(errors="replace") for member in page)
        if cursor == b"0":
            return list(found)


async def _check_head(reader: Reader, thread: str) -> None:
    head = await reader.head(thread)
    if head is not None and await reader.run(head.run_id) is None and await reader.head(thread) == head:
        raise Damaged("", f"thread {thread!r}", f"its head is run {head.run_id!r}, which is not there")


async def _check_blob(ask: Ask, digest: str) -> None:
    blobs, hasher, number = Blobs(ask), Hasher(), 0
    while (chunk := await blobs.chunk(digest, number)) is not None:
        hasher.add(chunk)
        number += 1
    if number and hasher.digest != digest:
        raise Damaged("", digest, f"its {hasher.size} bytes have another digest")
