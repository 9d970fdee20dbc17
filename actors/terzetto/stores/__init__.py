"""Stores: where runs are kept. `open_store` finds the one that a URL names."""

from typing import TYPE_CHECKING, Any

from ._contract import Store as Store, StoreHealth as StoreHealth
from ._memory import MemoryStore as MemoryStore
from ._threaded import ThreadedStore as ThreadedStore
from ._url import open_store as open_store

if TYPE_CHECKING:
    from ._sqlite import SqliteStore as SqliteStore
else:

    def __getattr__(name: str) -> Any:
        # apsw is a library of 9 MB, which a program without a SQLite store need not load.
        if name == "SqliteStore":
            from ._sqlite import SqliteStore

            return SqliteStore
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["MemoryStore", "SqliteStore", "Store", "StoreHealth", "ThreadedStore", "open_store"]
