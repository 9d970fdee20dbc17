"""The backend in Redis, in a layout that others may read.

- `{prefix}{thread_id}:index`: a sorted set of ids by their time.
- `{prefix}{thread_id}:item:{checkpoint_id}`: a record's JSON.
- `{prefix}{thread_id}:writes:{checkpoint_id}`: a hash of what tasks wrote for it.

The id of a record of a subgraph has its namespace and a unit separator (U+001F) in front, so that two namespaces may
have the same id. A record whose time is over leaves its id behind, which the next look takes away.
"""

from collections.abc import Sequence
from typing import Any, Final
from weakref import finalize

from .._shelves._redis_thread import RedisThread, Script, script
from ._config import CheckpointerConfig
from ._own import OwnBackend, decoded, encoded, encoded_writes, member_of
from ._records import CheckpointRecord, Written

SWEPT: Final = 64
"""Of how many of the oldest a look at the newest sees whether their time is over; a look at all sees all."""

_PUT: Final = script("""
local left = redis.call('TTL', KEYS[1])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if ARGV[4] == '' then
    redis.call('SET', KEYS[2], ARGV[3])
    redis.call('PERSIST', KEYS[1])
    redis.call('PERSIST', KEYS[3])
else
    redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
    redis.call('EXPIRE', KEYS[3], ARGV[4])
    if left ~= -1 then redis.call('EXPIRE', KEYS[1], math.max(left, tonumber(ARGV[4]))) end
end
""")
# ARGV: what item keys begin with, what keys of writes do, '' or 'in' and a namespace, how many. Newest first.
_LIST: Final = script("""
local found, from, left = {}, 0, tonumber(ARGV[5])
while left ~= 0 do
    local members = redis.call('ZREVRANGE', KEYS[1], from, from + 63)
    if #members == 0 then break end
    for _, member in ipairs(members) do
        local namespace = string.match(member, '^(.*)\\31') or ''
        if left ~= 0 and (ARGV[3] == '' or namespace == ARGV[4]) then
            local item = redis.call('GET', ARGV[1] .. member)
            if item then
                found[#found + 1] = item
                found[#found + 1] = redis.call('HVALS', ARGV[2] .. member)
                left = left - 1
            end
        end
    end
    from = from + #members
end
return found
""")
_SWEEP: Final = script("""
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[3])) do
    if redis.call('EXISTS', ARGV[1] .. member) == 0 then
        redis.call('ZREM', KEYS[1], member)
        redis.call('DEL', ARGV[2] .. member)
    end
end
""")
_GET: Final = script("""
local item = redis.call('GET', KEYS[1])
if not item then return {} end
return {item, redis.call('HVALS', KEYS[2])}
""")
_DELETE: Final = script("""
local count = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    count = count + redis.call('DEL', ARGV[1] .. member)
    redis.call('DEL', ARGV[2] .. member)
end
redis.call('DEL', KEYS[1])
return count
""")
_WRITE: Final = script("""
local at = 3
for i = 1, tonumber(ARGV[1]) do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    at = at + 2
end
for i = at, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
if ARGV[2] ~= '' then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
""")


class RedisBackend(OwnBackend):
    """Keeps records in Redis, durable as its `appendfsync` says, for as long as `ttl_seconds` says.

    Raises:
        ImportError: its client is not installed: `pip install 'terzetto[redis]'`.
        StoreUnavailable: the server does not answer.
        StoreError: it throws keys away when its memory is full.
    """

    blocks = True

    def __init__(self, config: CheckpointerConfig) -> None:
        super().__init__()
        self._prefix = config.key_prefix
        self._ttl = b"" if config.ttl_seconds is None else b"%d" % config.ttl_seconds
        self._client = RedisThread(config.redis_url)
        self._end = finalize(self, self._client.stop)
        try:
            self._client.ask(b"PING")
            self._client.check_policy()
        except BaseException:
            self.close()
            raise

    def put(self, record: CheckpointRecord) -> None:
        """Keep a record."""
        member = member_of(record.checkpoint_ns, record.checkpoint_id)
        thread = record.thread_id
        keys = self._key(thread, "index"), self._key(thread, "item", member), self._key(thread, "writes", member)
        when = repr(record.metadata.timestamp).encode()
        self._run(_PUT, keys, when, _bytes(member), encoded(record), self._ttl)

    def get(
        self, thread_id: str, checkpoint_id: str | None, *, checkpoint_ns: str | None = None
    ) -> CheckpointRecord | None:
        """The record of this id, or the newest one whose time is not over."""
        if checkpoint_id is None:
            return next(iter(self.list(thread_id, limit=1, checkpoint_ns=checkpoint_ns)), None)
        member = member_of(checkpoint_ns or "", checkpoint_id)
        found = self._run(_GET, (self._key(thread_id, "item", member), self._key(thread_id, "writes", member)))
        if not found and checkpoint_ns is None:
            return next((it for it in self.list(thread_id) if it.checkpoint_id == checkpoint_id), None)
        return decoded(*found) if found else None

    def list(
        self, thread_id: str, *, limit: int | None = None, checkpoint_ns: str | None = None
    ) -> list[CheckpointRecord]:
        """Records whose time is not over, newest first."""
        which = (b"", b"") if checkpoint_ns is None else (b"in", _bytes(checkpoint_ns))
        many = b"%d" % (-1 if limit is None else max(limit, 0))
        keys = self._key(thread_id, "index"), self._key(thread_id, "item", ""), self._key(thread_id, "writes", "")
        found = self._run(_LIST, keys[:1], *keys[1:], *which, many)
        if self._ttl:
            last = b"-1" if limit is None else b"%d" % (SWEPT - 1)
            self._run(_SWEEP, keys[:1], *keys[1:], last)
        return [decoded(item, writes) for item, writes in zip(found[::2], found[1::2], strict=True)]

    def delete(self, thread_id: str) -> int:
        """Delete all records of a thread; how many there were."""
        keys = self._key(thread_id, "index"), self._key(thread_id, "item", ""), self._key(thread_id, "writes", "")
        return int(self._run(_DELETE, keys[:1], *keys[1:]))

    def put_writes(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, written: Sequence[Written]) -> None:
        """Keep what a task wrote."""
        key = self._key(thread_id, "writes", member_of(checkpoint_ns, checkpoint_id))
        puts, inserts = encoded_writes(written)
        rows = [part for name, text in (*puts, *inserts) for part in (_bytes(name), text)]
        self._run(_WRITE, (key,), b"%d" % len(puts), self._ttl, *rows)

    def close(self) -> None:
        """End the client."""
        self._end()
        self._threads.shutdown(wait=False)

    def _key(self, thread: str, *parts: str) -> bytes:
        return _bytes(":".join((self._prefix + thread, *parts)))

    def _run(self, script: Script, keys: tuple[bytes, ...], *args: bytes) -> Any:
        return self._client.run(script, keys, *args)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
