"""Stores."""

from ._contract import Store as Store


def open_store(url: str, *, guest: bool = False) -> Store:
    from ._memory import MemoryStore

    return MemoryStore()
