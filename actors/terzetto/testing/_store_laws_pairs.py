"""What laws about two owners of one store are written with.

A store without a lease has one owner, and these laws ask nothing of it. Where a lease has to end, it is made short
before the store is opened, and real time passes.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from ..stores import Store
from ._store_laws import LawBook, Opener, StoreLaw, name_of

BRIEF: Final = 0.6
"""A lease that a law waits for, seconds."""
PATIENCE: Final = 20.0
"""Seconds after which a lease must have ended that was brief."""


class PairBook(LawBook):
    """Laws about two owners of the same store."""

    def pair_law(self, check: Callable[[Store, Store], Awaitable[None]]) -> StoreLaw:
        """Enter a law about two owners that live."""
        return self._law(check, None)

    def brief_law(self, check: Callable[[Store, Store], Awaitable[None]]) -> StoreLaw:
        """Enter a law about an owner whose lease ends soon, and another who lives."""
        return self._law(check, BRIEF)

    def _law(self, check: Callable[[Store, Store], Awaitable[None]], lease: float | None) -> StoreLaw:
        async def with_stores(opener: Opener) -> None:
            mine = opener()
            if mine.lease is None:
                return
            mine.lease = lease or mine.lease
            async with mine, opener() as other:
                await check(mine, other)

        with_stores.__name__, with_stores.__doc__ = name_of(check), check.__doc__
        return self.opener_law(with_stores)


async def unfinished(store: Store) -> list[str]:
    """The runs that an owner would carry on."""
    return sorted(row.run_id for row in await store.unfinished())


async def commands(store: Store, limit: int = 100) -> list[str]:
    """The commands that an owner is given."""
    return [command.command_id for command in await store.posted(limit=limit)]


async def is_others(store: Store, run_id: str) -> bool:
    """Whether somebody else carries a run, in the eyes of this owner."""
    found = await store.load(run_id)
    if found is None:
        raise AssertionError(f"run {run_id!r} is there")
    return found.owner != ""


async def freed(store: Store, run_id: str = "r") -> None:
    """Return when a run is nobody's."""
    with trio.fail_after(PATIENCE):
        while await is_others(store, run_id):  # noqa: ASYNC110 - a lease ends without telling
            await trio.sleep(BRIEF / 10)
