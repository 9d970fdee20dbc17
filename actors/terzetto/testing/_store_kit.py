"""The store kit: every sentence of the store contract as a law that any store can be held to."""

from typing import ClassVar, Final, final

import trio

from . import (
    _store_laws_blobs,
    _store_laws_cuts,
    _store_laws_inbox,
    _store_laws_owners,
    _store_laws_reads,
    _store_laws_sharing,
    _store_laws_threads,
    _store_laws_writes,
)
from ._store_laws import Opener, StoreLaw, name_of

STORE_LAWS: Final[tuple[StoreLaw, ...]] = (
    *_store_laws_writes.BOOK.laws,
    *_store_laws_reads.BOOK.laws,
    *_store_laws_cuts.BOOK.laws,
    *_store_laws_inbox.BOOK.laws,
    *_store_laws_threads.BOOK.laws,
    *_store_laws_blobs.BOOK.laws,
    *_store_laws_owners.BOOK.laws,
    *_store_laws_sharing.BOOK.laws,
)
"""All laws; each needs an opener to empty storage."""


@final
class StoreKit:
    """Holds a store to its contract, one law at a time, each under a hard limit.

    With pytest-trio, for a store of your own:

        @pytest.mark.parametrize("law", STORE_LAWS, ids=StoreKit.name)
        async def test_my_store(law, tmp_path):
            await StoreKit(lambda: MyStore(tmp_path / "runs")).check(law)
    """

    LIMIT: ClassVar = 60.0
    """Seconds of the loop's clock that a law may take."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    @staticmethod
    def name(law: StoreLaw) -> str:
        """What a law is called."""
        return name_of(law)

    async def check(self, law: StoreLaw) -> None:
        """Check one law; raises `AssertionError` when it is broken, `trio.TooSlowError` when it hangs. A checkpoint."""
        with trio.fail_after(self.LIMIT):
            await law(self._opener)


__all__ = ["STORE_LAWS", "Opener", "StoreKit", "StoreLaw"]
