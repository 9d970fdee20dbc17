"""A checkpointer of JSON records: `HarnessCheckpointer`, by itself or in LangGraph, over the store of your choice.

It needs nothing but Terzetto. Redis takes `pip install 'terzetto[redis]'`, Postgres `pip install 'terzetto[postgres]'`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

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


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name], __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "coredis":
            raise
        raise ImportError(f"{name} needs coredis: pip install 'terzetto[redis]'", name="coredis") from error
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return __all__
