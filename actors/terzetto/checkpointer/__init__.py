"""A checkpointer of JSON records: `HarnessCheckpointer`, by itself or in LangGraph, over the store of your choice.

It needs nothing but Terzetto. Redis takes `pip install 'terzetto[redis]'`, Postgres `pip install 'terzetto[postgres]'`.
"""

from typing import TYPE_CHECKING, Final

from .._extras import loader

if TYPE_CHECKING:
    from ._config import CheckpointBackend as CheckpointBackend, CheckpointerConfig as CheckpointerConfig
    from ._contract import Backend as Backend
    from ._harness import HarnessCheckpointer as HarnessCheckpointer
    from ._records import CheckpointMetadata as CheckpointMetadata, CheckpointRecord as CheckpointRecord
    from ._redis import RedisBackend as RedisBackend
    from ._shelved import (
        MemoryBackend as MemoryBackend,
        PostgresBackend as PostgresBackend,
        SqliteBackend as SqliteBackend,
    )

__all__ = [
    "Backend",
    "CheckpointBackend",
    "CheckpointMetadata",
    "CheckpointRecord",
    "CheckpointerConfig",
    "HarnessCheckpointer",
    "MemoryBackend",
    "PostgresBackend",
    "RedisBackend",
    "SqliteBackend",
]

_HOMES: Final = {
    "Backend": "._contract",
    "CheckpointBackend": "._config",
    "CheckpointMetadata": "._records",
    "CheckpointRecord": "._records",
    "CheckpointerConfig": "._config",
    "HarnessCheckpointer": "._harness",
    "MemoryBackend": "._shelved",
    "PostgresBackend": "._shelved",
    "RedisBackend": "._redis",
    "SqliteBackend": "._shelved",
}

__getattr__ = loader(__name__, _HOMES, globals(), extras={"anyio": "redis", "coredis": "redis"})


def __dir__() -> list[str]:
    return __all__
