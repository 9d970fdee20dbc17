"""The URL of a store in memory."""

from ._memory import MemoryStore
from ._url import wrong


def open_url(url: str, *, guest: bool) -> MemoryStore:
    """See `open_store`."""
    if url != "memory:":
        raise wrong(url, "nothing follows memory:")
    if guest:
        raise wrong(url, "a store in memory has no guests, because nobody else can reach it")
    return MemoryStore()
