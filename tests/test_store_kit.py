"""The store kit, over every store that we ship."""

from pathlib import Path

import pytest

from terzetto.stores import MemoryStore, RedisStore, SqliteStore, open_store
from terzetto.testing._store_kit import STORE_LAWS, Opener, StoreKit, StoreLaw

from .postgres_servers import PostgresServer
from .redis_servers import RedisServer


def memory(folder: Path) -> Opener:
    store = MemoryStore()
    return lambda: store


def sqlite(folder: Path) -> Opener:
    return lambda: SqliteStore(folder / "runs.db")


def sqlite_normal(folder: Path) -> Opener:
    return lambda: SqliteStore(folder / "runs.db", synchronous="normal")


@pytest.mark.parametrize("law", STORE_LAWS, ids=StoreKit.name)
@pytest.mark.parametrize("opener", [memory, sqlite, sqlite_normal])
async def test_law(opener, law: StoreLaw, tmp_path: Path) -> None:
    """SEMANTICS 3, 11: every store keeps the whole contract."""
    await StoreKit(opener(tmp_path)).check(law)


@pytest.mark.parametrize("law", STORE_LAWS, ids=StoreKit.name)
async def test_law_on_postgres(law: StoreLaw, postgres: PostgresServer) -> None:
    """SEMANTICS 3, 11: the store that many processes share keeps it too, each law in a schema of its own."""
    url = postgres.url()
    await StoreKit(lambda: open_store(url)).check(law)


@pytest.mark.parametrize("law", STORE_LAWS, ids=StoreKit.name)
async def test_law_on_redis(law: StoreLaw, redis: RedisServer) -> None:
    """SEMANTICS 3, 11: a store with many owners keeps the same contract, and that of leases."""
    url = redis.url()
    await StoreKit(lambda: RedisStore(url)).check(law)
