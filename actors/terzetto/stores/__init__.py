"""Stores: where runs are kept. `open_store` finds the one that a URL names."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

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
_EXTRAS: Final[Mapping[str, str]] = {"psycopg": "postgres"}
"""Which extra brings a package that a store needs."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name], __name__)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        text = f"{name} needs {missing}: pip install 'terzetto[{_EXTRAS[missing]}]'"
        raise ImportError(text, name=missing) from error
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return __all__
