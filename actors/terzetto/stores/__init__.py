"""Stores: where runs are kept. `open_store` finds the one that a URL names."""

from typing import TYPE_CHECKING, Final

from .._extras import loader

if TYPE_CHECKING:
    from ._contract import Store as Store, StoredRun as StoredRun, StoreHealth as StoreHealth
    from ._memory import MemoryStore as MemoryStore
    from ._postgres import PostgresStore as PostgresStore
    from ._redis import RedisStore as RedisStore
    from ._sqlite import SqliteStore as SqliteStore
    from ._threaded import ThreadedStore as ThreadedStore
    from ._url import open_store as open_store

__all__ = [
    "MemoryStore",
    "PostgresStore",
    "RedisStore",
    "SqliteStore",
    "Store",
    "StoreHealth",
    "StoredRun",
    "ThreadedStore",
    "open_store",
]

_HOMES: Final = {
    "MemoryStore": "._memory",
    "PostgresStore": "._postgres",
    "RedisStore": "._redis",
    "SqliteStore": "._sqlite",  # it needs apsw, a library of 9 MB
    "Store": "._contract",
    "StoreHealth": "._contract",
    "StoredRun": "._contract",
    "ThreadedStore": "._threaded",
    "open_store": "._url",
}

__getattr__ = loader(__name__, _HOMES, globals(), extras={"psycopg": "postgres"})


def __dir__() -> list[str]:
    return __all__
