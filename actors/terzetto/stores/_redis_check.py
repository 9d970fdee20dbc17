"""Whether a Redis store holds together: lists that are whole, rows that are what was stored, blobs that are themselves.

Commits go between two of its questions, so a run that is written to meanwhile is looked at as it is by then.
"""

from collections.abc import AsyncIterator, Awaitable
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
    problems = [f"the list {name.decode()!r} is not what was stored: keys have vanished" for name in lost[::2]]
    async for problem in _problems(ask, reader, {name.decode() for name in lost[::2]}):
        problems.append(problem)
        if len(problems) >= MOST:
            break
    return problems


async def _problems(ask: Ask, reader: Reader, lost: set[str]) -> AsyncIterator[str]:
    async for run_id in _names(ask, "runs"):
        if (problem := await _found(reader.check(run_id))) is not None:
            yield problem
    for thread in [name async for name in _names(ask, "heads")] if "heads" not in lost else []:
        if (problem := await _found(_check_head(reader, thread))) is not None:
            yield problem
    inbox = Inbox(ask)
    async for command in _names(ask, "inbox"):
        if (problem := await _found(inbox.receipt(command))) is not None:
            yield problem
    for digest in [name async for name in _names(ask, "blobs")] if "blobs" not in lost else []:
        if (problem := await _found(_check_blob(ask, digest))) is not None:
            yield problem


async def _found(reading: Awaitable[object]) -> str | None:
    try:
        await reading
    except Damaged as error:
        return str(error)
    return None


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


async def _names(ask: Ask, name: str) -> AsyncIterator[str]:
    seen, cursor = set[str](), b"0"
    while True:
        cursor, page = await ask("names", name, cursor)
        for each in page:
            if (known := each.decode(errors="replace")) not in seen:
                seen.add(known)
                yield known
        if cursor == b"0":
            return
