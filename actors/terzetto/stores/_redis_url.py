"""URLs of Redis stores."""

from ._redis import RedisStore


def open_url(url: str, *, guest: bool) -> RedisStore:
    """See `open_store`."""
    return RedisStore(url, guest=guest)
