"""A shelf in Redis: a hash and a sorted set for each room, which any number of processes may use at the same time."""

from collections.abc import Sequence
from threading import Lock
from typing import Any, Final, final
from weakref import finalize

from terzetto_protocol.errors import StoreError

from ._contract import Row
from ._redis_thread import RedisThread, Script, script

CHUNK: Final = 1000
"""How many keys one SCAN asks for."""

# KEYS: the rows, their order. ARGV: how many puts, how many inserts, then both as key and value, then what is deleted.
_APPLY: Final = script("""
local at = 3
for i = 1, tonumber(ARGV[1]) do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    redis.call('ZADD', KEYS[2], 0, ARGV[at])
    at = at + 2
end
for i = 1, tonumber(ARGV[2]) do
    if redis.call('HSETNX', KEYS[1], ARGV[at], ARGV[at + 1]) == 1 then redis.call('ZADD', KEYS[2], 0, ARGV[at]) end
    at = at + 2
end
for i = at, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
end
""")
# ARGV: forwards or backwards, first, end, limit. Keys and values in turn.
_SCAN: Final = script("""
local keys
if ARGV[1] == 'back' then
    keys = redis.call('ZREVRANGEBYLEX', KEYS[2], '(' .. ARGV[3], '[' .. ARGV[2], 'LIMIT', 0, ARGV[4])
else
    keys = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[2], '(' .. ARGV[3], 'LIMIT', 0, ARGV[4])
end
local found = {}
for i, key in ipairs(keys) do
    found[2 * i - 1] = key
    found[2 * i] = redis.call('HGET', KEYS[1], key)
end
return found
""")

_CLEAR: Final = script("""
local keys = redis.call('ZRANGE', KEYS[2], 0, -1)
redis.call('DEL', KEYS[1], KEYS[2])
return keys
""")


@final
class RedisShelf:
    """Keeps rows in Redis, durable as its `appendfsync` says: `always` when a call returns, `everysec` a second later.

    The connection lives in a thread of its own, with a loop of its own; callers wait for its answers.
    """

    blocks = True

    def __init__(self, url: str, prefix: str) -> None:
        self._prefix = f"{prefix}checkpoints:"
        self._closing = Lock()
        self._closed = False
        self._thread = RedisThread(url)
        self._end = finalize(self, self._thread.stop)
        try:
            self._thread.check_policy()
        except BaseException:
            self.close()
            raise

    def apply(self, room: str, puts: Sequence[Row], inserts: Sequence[Row] = (), deletes: Sequence[bytes] = ()) -> None:
        """Write, insert and delete, in one call of a script."""
        rows = [part for row in (*puts, *inserts) for part in row]
        self._run(_APPLY, room, b"%d" % len(puts), b"%d" % len(inserts), *rows, *deletes)

    def read(self, room: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, all as of one moment."""
        return list(self._ask(b"HMGET", self._key(room, "rows"), *keys)) if keys else []

    def scan(
        self, room: str, first: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows of a range."""
        way = b"back" if reverse else b"on"
        found = self._run(_SCAN, room, way, first, end, b"%d" % (-1 if limit is None else limit))
        return list(zip(found[::2], found[1::2], strict=True))

    def keys(self, room: str, first: bytes, end: bytes) -> list[bytes]:
        """Keys of a range."""
        return list(self._ask(b"ZRANGE", self._key(room, "order"), b"[" + first, b"(" + end, b"BYLEX"))

    def rooms(self) -> list[str]:
        """All rooms: every key of the database is looked at."""
        before, after = f"{self._prefix}{{".encode(), b"}:rows"
        pattern = _literally(before) + b"*" + _literally(after)
        found, cursor = set[bytes](), b"0"
        while True:
            cursor, keys = self._ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % CHUNK)
            found.update(keys)
            if int(cursor) == 0:
                return sorted(key[len(before) : -len(after)].decode("utf-8", "surrogatepass") for key in found)

    def clear(self, room: str) -> list[bytes]:
        """Delete a room."""
        return list(self._run(_CLEAR, room))

    def close(self) -> None:
        """End the client and its thread, when the calls that run have ended."""
        with self._closing:
            self._closed = True
            self._end()

    def _key(self, room: str, what: str) -> bytes:
        # In braces is what a cluster looks at: both keys of a room are on one server.
        return f"{self._prefix}{{{room}}}:{what}".encode("utf-8", "surrogatepass")

    def _run(self, script: Script, room: str, *args: bytes) -> Any:
        self._check_open()
        return self._thread.run(script, (self._key(room, "rows"), self._key(room, "order")), *args)

    def _ask(self, command: bytes, *args: bytes) -> Any:
        self._check_open()
        return self._thread.ask(command, *args)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store in Redis is closed")


def _literally(text: bytes) -> bytes:
    for special in (b"\\", b"*", b"?", b"["):
        text = text.replace(special, b"\\" + special)
    return text
